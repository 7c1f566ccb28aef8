//! `/api/v1/profiles/{id}/settings`.

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use serde_json::{Map, Value};

use super::find_profile;
use super::under_way::{campaign_of, is_under_way};
use super::view::SettingsView;
use crate::engine::Command;
use crate::http::HttpState;
use crate::http::blocking::to_the_end;
use crate::http::error::{Problem, kinds};
use crate::http::extract::{JsonBody, PathParams};
use crate::http::precondition::{EntityTag, IfMatch};
use crate::model::{
    AuditActor, Delivery, DownloadProtocol, Product, ProductSettings, Setting, SettingChanges,
};
use crate::profile::{QuirkSet, change_settings, product_settings};

/// What a restart must not change of an update that runs: it would end a download that runs, or give a
/// slot back early. Nor must a campaign that was activated be left without a place to fetch from.
const FIXED_WHILE_UNDER_WAY: [Setting; 3] =
    [Setting::Delivery, Setting::Download, Setting::SlotHeld];

type Changes = Map<String, Value>;

/// A product's settings, and where each comes from.
#[utoipa::path(get, path = "/api/v1/profiles/{id}/settings", tag = "profiles",
    params(("id" = u64, Path, description = "The profile's number")),
    responses((status = 200, description = "The settings", body = SettingsView)))]
pub(crate) async fn show_settings(
    State(state): State<HttpState>,
    PathParams(id): PathParams<u64>,
) -> Result<Response, Problem> {
    let product = find_profile(&state, id).await?.product;
    let view = SettingsView::of(&state.product, &product);
    Ok(tag(&product).with(Json(view)))
}

/// Replaces a product's settings: by name, with `quirks` as the name of a quirk set that they rest on.
/// What is left out, or null, is as in the quirk set, else as the server's configuration says. Updates
/// that begin afterwards are as they say. What comes to another `delivery`, `download` or `slot_held` is
/// refused while a campaign for the product is active, or has devices still at work.
#[utoipa::path(put, path = "/api/v1/profiles/{id}/settings", tag = "profiles",
    params(("id" = u64, Path, description = "The profile's number")),
    request_body = serde_json::Value,
    responses((status = 200, description = "Replaced", body = SettingsView)))]
pub(crate) async fn replace_settings(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    if_match: IfMatch,
    JsonBody(body): JsonBody<Changes>,
) -> Result<Json<SettingsView>, Problem> {
    change(&state, actor, id, &if_match, body, |product| {
        product.quirks = None;
        product.changes = SettingChanges::default();
    })
    .await
}

/// Changes some of a product's settings, as replacing them does; null takes one back.
#[utoipa::path(patch, path = "/api/v1/profiles/{id}/settings", tag = "profiles",
    params(("id" = u64, Path, description = "The profile's number")),
    request_body = serde_json::Value,
    responses((status = 200, description = "Changed", body = SettingsView)))]
pub(crate) async fn change_some_settings(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    if_match: IfMatch,
    JsonBody(body): JsonBody<Changes>,
) -> Result<Json<SettingsView>, Problem> {
    change(&state, actor, id, &if_match, body, |_| ()).await
}

async fn change(
    state: &HttpState,
    actor: AuditActor,
    id: u64,
    if_match: &IfMatch,
    body: Changes,
    begin: impl FnOnce(&mut Product),
) -> Result<Json<SettingsView>, Problem> {
    // No draft becomes active until the engine knows. One change at a time: each begins with what the one
    // before it left.
    let held = state.hold_products().await;
    let mut product = find_profile(state, id).await?.product;
    if_match.check(&tag(&product))?;
    let before = product_settings(&state.product, &product);
    begin(&mut product);
    apply(&mut product, body)?;
    let after = product_settings(&state.product, &product);
    check_download(state, &after)?;
    check_under_way(state, &product, &before, &after).await?;
    let state = state.clone();
    to_the_end(async move {
        let _held = held;
        let (quirks, changes) = (product.quirks.clone(), product.changes.clone());
        let stamp = state.stamp(actor);
        state
            .store
            .change_product_settings(product.profile, quirks, changes, stamp)
            .await
            .map_err(|error| Problem::of_store(error, format_args!("profile {id}")))?;
        let view = SettingsView::of(&state.product, &product);
        state.engine.tell(Command::SetProduct(product)).await?;
        Ok(Json(view))
    })
    .await
}

/// The state of what an operator has set.
fn tag(product: &Product) -> EntityTag {
    let changes = product.changes.iter();
    let changes = changes.map(|(setting, value)| format!("{setting}={}", value.to_text()));
    let id = product.profile.0.to_string();
    let quirks = product.quirks.clone().unwrap_or_default();
    let texts: Vec<_> = [id, quirks].into_iter().chain(changes).collect();
    EntityTag::of(texts.iter().map(String::as_str))
}

fn apply(product: &mut Product, mut body: Changes) -> Result<(), Problem> {
    match body.remove("quirks") {
        None => {}
        Some(Value::Null) => product.quirks = None,
        Some(Value::String(name)) if QuirkSet::find(&name).is_some() => product.quirks = Some(name),
        Some(_) => {
            let known = QuirkSet::all().iter().map(|set| set.name.as_str());
            let known: Vec<&str> = known.collect();
            let fault = format!("must be null or one of {}", known.join(", "));
            return Err(Problem::invalid_field("quirks", fault));
        }
    }
    change_settings(&mut product.changes, &body)
        .map_err(|error| Problem::invalid_field(&error.setting, error.fault))
}

/// What must stay as it is while a campaign for the product is under way does.
async fn check_under_way(
    state: &HttpState,
    product: &Product,
    before: &ProductSettings,
    after: &ProductSettings,
) -> Result<(), Problem> {
    let changes = |setting: &Setting| before.value(*setting) != after.value(*setting);
    let Some(setting) = FIXED_WHILE_UNDER_WAY.into_iter().find(changes) else {
        return Ok(());
    };
    let Some(campaign) = campaign_of(state, product, is_under_way).await? else {
        return Ok(());
    };
    let (word, campaign) = (setting.word(), campaign.0);
    let detail = format!("{word}: campaign {campaign} is for this product and under way");
    Err(Problem::new(kinds::PROFILE_IN_USE, detail).with_field(word))
}

/// Devices are told to fetch by HTTP only where they can.
fn check_download(state: &HttpState, settings: &ProductSettings) -> Result<(), Problem> {
    if settings.download == DownloadProtocol::Http
        && settings.delivery != Delivery::Push
        && !state.download_bases.http
    {
        let detail = "download: there is no listener that devices could fetch from by HTTP";
        return Err(Problem::new(kinds::NO_DEVICE_HTTP, detail).with_field("download"));
    }
    Ok(())
}
