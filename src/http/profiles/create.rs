//! `POST /api/v1/profiles`.

use std::sync::Arc;

use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use bytes::{Bytes, BytesMut};
use utoipa::ToSchema;

use super::view::ProfileDetail;
use super::{DEVICE_PART_BYTES_MAX, body_bytes_max};
use crate::engine::Command;
use crate::http::auth::TokenName;
use crate::http::blocking::{blocking, to_the_end};
use crate::http::error::{Problem, kinds};
use crate::http::extract::{read_body, require_length, too_large};
use crate::http::language::Preferred;
use crate::http::{HttpState, fields};
use crate::model::{AuditActor, Language, Product, ProfileId, SettingChanges};
use crate::profile::{Finding, Profile, ProfileLimits};
use crate::store::StoredProfile;

/// A profile in a form; it may be the whole body as well.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(crate) struct CreateProfile {
    /// The platform's zip, or plain JSON.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// Enters a product's profile: the platform's zip, or plain JSON, as the body or in a form. A product has
/// one: to replace it, take the old one away first. `CoAP` and `LWM2M` are one protocol.
#[utoipa::path(post, path = "/api/v1/profiles", tag = "profiles",
    request_body(content(
        (CreateProfile = "multipart/form-data"),
        (Vec<u8> = "application/zip"),
        (serde_json::Value = "application/json"),
    )),
    responses((status = 201, description = "Entered", body = ProfileDetail)))]
pub(crate) async fn create_profile(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    Extension(token): Extension<TokenName>,
    Preferred(language): Preferred,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    let mut stored = {
        let _upload = state.uploads.try_acquire().map_err(|_| {
            let detail = format!("{} uploads are under way", state.limits.uploads_max);
            Problem::new(kinds::UNAVAILABLE, detail)
        })?;
        let bytes = receive(&state, request).await?;
        blocking(move || to_store(&decode(&bytes)?, language)).await?
    };
    stored.created_at = state.now_utc();
    stored.created_by = Some(token.0);
    let products = Arc::clone(&state.products).write_owned().await;
    let limit = state.limits.profiles_max;
    if state.store.products().await?.len() >= limit {
        let detail = format!("there are {limit} profiles; take one away first");
        return Err(Problem::new(kinds::LIMIT_REACHED, detail));
    }
    let thing = format!(
        "device type '{}', manufacturer '{}', model '{}', protocol '{}'",
        stored.product.device_type,
        stored.product.manufacturer,
        stored.product.model,
        stored.product.protocol
    );
    to_the_end(async move {
        let _products = products;
        let added = state.store.add_profile(stored.clone(), state.stamp(actor));
        let id = added
            .await
            .map_err(|error| Problem::of_store(error, thing))?;
        stored.product.profile = id;
        let command = Command::SetProduct(stored.product.clone());
        state.engine.tell(command).await?;
        let location = [(header::LOCATION, format!("/api/v1/profiles/{}", id.0))];
        let view = ProfileDetail::of(&state, stored, language).await?;
        Ok((StatusCode::CREATED, location, Json(view)))
    })
    .await
}

/// The profile's file.
async fn receive(state: &HttpState, request: Request) -> Result<Bytes, Problem> {
    let file_bytes_max = ProfileLimits::default().file_bytes_max;
    if !is_form(request.headers()) {
        return read_body(request, file_bytes_max).await;
    }
    require_length(request.headers(), body_bytes_max())?;
    let malformed = |fault: String| Problem::new(kinds::MALFORMED_BODY, fault);
    let mut form = Multipart::from_request(request, state)
        .await
        .map_err(|rejection| Problem::new(kinds::UNSUPPORTED_MEDIA_TYPE, rejection.body_text()))?;
    let mut file = None;
    while let Some(mut field) = form
        .next_field()
        .await
        .map_err(|error| malformed(error.body_text()))?
    {
        let name = field.name().unwrap_or_default().to_owned();
        if name != "file" || file.is_some() {
            let fault = "the only field is `file`, once";
            return Err(Problem::invalid_field(&name, fault));
        }
        let mut bytes = BytesMut::new();
        while let Some(chunk) = field
            .chunk()
            .await
            .map_err(|error| malformed(error.body_text()))?
        {
            if chunk.len() > file_bytes_max - bytes.len() {
                return Err(too_large(file_bytes_max));
            }
            bytes.extend_from_slice(&chunk);
        }
        file = Some(bytes.freeze());
    }
    file.ok_or_else(|| Problem::invalid_field("file", "is missing"))
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| {
            kind.trim_start()
                .to_ascii_lowercase()
                .starts_with("multipart/")
        })
}

fn decode(bytes: &[u8]) -> Result<Profile, Problem> {
    Profile::decode(bytes, &ProfileLimits::default()).map_err(|error| {
        let problem = Problem::new(kinds::PROFILE_REFUSED, error.to_string());
        problem.with_code(error.code())
    })
}

/// What is kept of it, of a product that it names.
fn to_store(profile: &Profile, language: Language) -> Result<StoredProfile, Problem> {
    let named = profile.four_fields();
    let named = named.map_err(|faults| refusal(&faults, language))?;
    let document = profile.device_part().to_string();
    if document.len() > DEVICE_PART_BYTES_MAX {
        let detail = format!(
            "without its services it has {} bytes, and {DEVICE_PART_BYTES_MAX} are accepted",
            document.len()
        );
        return Err(Problem::new(kinds::PROFILE_REFUSED, detail));
    }
    Ok(StoredProfile {
        product: Product {
            profile: ProfileId(0),
            device_type: fields::name("device_type", &named.device_type)?,
            manufacturer: fields::name("manufacturer", &named.manufacturer)?,
            model: fields::name("model", &named.model)?,
            protocol: named.protocol.unwrap_or_default(),
            quirks: None,
            changes: SettingChanges::default(),
        },
        document,
        services: serde_json::Value::from(profile.service_list()).to_string(),
        created_at: crate::clock::Utc::default(),
        created_by: None,
    })
}

fn refusal(faults: &[Finding], language: Language) -> Problem {
    let texts: Vec<String> = faults.iter().map(|it| it.text(language)).collect();
    Problem::new(kinds::PROFILE_REFUSED, texts.join("; "))
}
