//! `DELETE /api/v1/devices/{endpoint}/bar`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;

use crate::engine::Command;
use crate::http::HttpState;
use crate::http::auth::TokenName;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::model::AuditActor;

/// Lifts the bar of a device that was given packages again and again: its deliveries are forgotten, and
/// the next campaign may update it. What failed because of the bar stays failed.
#[utoipa::path(delete, path = "/api/v1/devices/{endpoint}/bar", tag = "devices",
    params(("endpoint" = String, Path, description = "The endpoint client name")),
    responses((status = 204, description = "Lifted")))]
pub(crate) async fn lift_bar(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    Extension(token): Extension<TokenName>,
    PathParams(endpoint): PathParams<String>,
) -> Result<StatusCode, Problem> {
    let endpoint = state.endpoint("endpoint", &endpoint)?;
    let found = state.store.device(&endpoint).await;
    found.map_err(|error| Problem::of_store(error, format_args!("device '{endpoint}'")))?;
    let command = Command::LiftBar(endpoint.clone());
    state.engine.command_by(actor, command).await?;
    tracing::info!(%endpoint, token = token.0, "the bar of a device was lifted");
    Ok(StatusCode::NO_CONTENT)
}
