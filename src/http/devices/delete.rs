//! `DELETE /api/v1/devices/{endpoint}`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;

use crate::engine::Command;
use crate::http::HttpState;
use crate::http::auth::TokenName;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::model::AuditActor;

/// Takes a device away: its registration ends, its groups, history, reports and requests are forgotten,
/// and a Register under its name is a stranger's. In drafts its tasks are stopped; while an active
/// campaign has an unfinished task for it, it is refused.
#[utoipa::path(delete, path = "/api/v1/devices/{endpoint}", tag = "devices",
    params(("endpoint" = String, Path, description = "The endpoint client name")),
    responses((status = 204, description = "Taken away")))]
pub(crate) async fn delete_device(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    Extension(token): Extension<TokenName>,
    PathParams(endpoint): PathParams<String>,
) -> Result<StatusCode, Problem> {
    let endpoint = state.endpoint("endpoint", &endpoint)?;
    // No draft is read or made meanwhile that would have a task for it.
    let _held = state.hold_products().await;
    // It leaves its groups.
    let _editing = state.editing.lock().await;
    let found = state.store.device(&endpoint).await;
    found.map_err(|error| Problem::of_store(error, format_args!("device '{endpoint}'")))?;
    let command = Command::RemoveDevice(endpoint.clone());
    state.engine.command_by(actor, command).await?;
    tracing::info!(%endpoint, token = token.0, "a device was taken away");
    Ok(StatusCode::NO_CONTENT)
}
