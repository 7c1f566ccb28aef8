//! All routes, and what is around each of them.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{Problem, kinds};
use super::{HttpState, auth, hardening, idempotency, in_flight, language};
use super::{
    audit, campaigns, cells, devices, events, groups, health, keys, links, openapi, packages,
    profiles, tokens, webhooks,
};

/// The whole service, for [`serve`](super::serve) to serve.
pub fn router(state: HttpState) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        // The last that is named comes first: nobody without a role sees a kept answer.
        .route_layer(middleware::from_fn_with_state(
            state.clone(),
            idempotency::answer_once,
        ))
        .route_layer(middleware::from_fn_with_state(
            state.clone(),
            auth::authorize,
        ))
        .route_layer(middleware::from_fn_with_state(
            state.clone(),
            in_flight::bound,
        ))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(packages::body_bytes_max(
            &state.limits,
        )))
        .layer(middleware::from_fn(language::localize))
        .layer(middleware::from_fn(hardening::harden))
        .with_state(state)
}

/// Every route.
pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(health::openapi_json))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::show_key))
        .routes(routes!(keys::retire_key))
        .routes(routes!(keys::revoke_key))
        .merge(products())
        .routes(routes!(devices::list_devices, devices::create_device))
        .routes(routes!(devices::import_devices))
        .routes(routes!(
            devices::show_device,
            devices::replace_device,
            devices::delete_device
        ))
        .routes(routes!(devices::show_timeline))
        .routes(routes!(devices::show_why))
        .routes(routes!(devices::lift_bar))
        .routes(routes!(
            devices::read_resource,
            devices::write_resource,
            devices::execute_resource
        ))
        .routes(routes!(devices::list_device_requests))
        .routes(routes!(
            devices::show_device_request,
            devices::cancel_device_request
        ))
        .routes(routes!(devices::list_uplinks))
        .routes(routes!(devices::send_downlink))
        .routes(routes!(groups::list_groups, groups::create_group))
        .routes(routes!(
            groups::show_group,
            groups::rename_group,
            groups::delete_group
        ))
        .routes(routes!(
            groups::list_group_devices,
            groups::bind_devices,
            groups::replace_group_devices,
            groups::clear_group_devices
        ))
        .routes(routes!(groups::unbind_device))
        .merge(campaigns())
        .routes(routes!(cells::list_cells))
        .routes(routes!(cells::show_tiers))
        .merge(told())
        .routes(routes!(audit::list_audit))
        .routes(routes!(audit::show_audit_head))
        .routes(routes!(tokens::list_tokens, tokens::create_token))
        .routes(routes!(tokens::delete_token))
}

/// Campaigns and their tasks.
fn campaigns() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(
            campaigns::list_campaigns,
            campaigns::create_campaign
        ))
        .routes(routes!(
            campaigns::show_campaign,
            campaigns::change_campaign,
            campaigns::delete_campaign
        ))
        .routes(routes!(campaigns::activate_campaign))
        .routes(routes!(campaigns::stop_campaign))
        .routes(routes!(campaigns::stop_task))
        .routes(routes!(campaigns::retry_campaign))
        .routes(routes!(campaigns::consent_to_campaign))
        .routes(routes!(campaigns::consent_to_task))
        .routes(routes!(
            campaigns::archive_campaign,
            campaigns::unarchive_campaign
        ))
        .routes(routes!(campaigns::pause_campaign))
        .routes(routes!(campaigns::resume_campaign))
        .routes(routes!(campaigns::halt_campaign))
        .routes(routes!(campaigns::halt_all))
        .routes(routes!(campaigns::approve_campaign))
        .routes(routes!(campaigns::list_tasks))
}

/// Packages, and what is known of the products that they are for.
fn products() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(packages::list_packages, packages::create_package))
        .routes(routes!(
            packages::show_package,
            packages::edit_package,
            packages::delete_package
        ))
        .routes(routes!(links::list_links, links::create_link))
        .routes(routes!(links::revoke_link))
        .routes(routes!(profiles::list_profiles, profiles::create_profile))
        .routes(routes!(profiles::show_profile, profiles::delete_profile))
        .routes(routes!(
            profiles::show_settings,
            profiles::replace_settings,
            profiles::change_some_settings
        ))
        .routes(routes!(profiles::list_quirks))
}

/// What happens, for those who follow from outside.
fn told() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(events::stream_events))
        .routes(routes!(webhooks::list_webhooks, webhooks::create_webhook))
        .routes(routes!(
            webhooks::show_webhook,
            webhooks::change_webhook,
            webhooks::delete_webhook
        ))
        .routes(routes!(webhooks::test_webhook))
        .routes(routes!(webhooks::list_deliveries))
        .routes(routes!(webhooks::redeliver))
}

async fn no_such_path(request: Request) -> Problem {
    let detail = format!("there is no path {}", request.uri().path());
    Problem::new(kinds::NOT_FOUND, detail)
}

async fn no_such_method(request: Request) -> Problem {
    let detail = format!(
        "{} does not take {}",
        request.uri().path(),
        request.method()
    );
    Problem::new(kinds::METHOD_NOT_ALLOWED, detail)
}
