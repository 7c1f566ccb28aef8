//! `DELETE /api/v1/tokens/{name}`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;

use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::model::AuditActor;

/// Takes a token away: from the next request on it opens nothing.
#[utoipa::path(delete, path = "/api/v1/tokens/{name}", tag = "tokens",
    params(("name" = String, Path, description = "The token's name")),
    responses((status = 204, description = "Taken away")))]
pub(crate) async fn delete_token(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(name): PathParams<String>,
) -> Result<StatusCode, Problem> {
    let removed = state.store.remove_token(&name, state.stamp(actor)).await;
    removed.map_err(|error| Problem::of_store(error, format_args!("token '{name}'")))?;
    Ok(StatusCode::NO_CONTENT)
}
