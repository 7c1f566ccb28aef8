//! `GET /readyz`.

use axum::extract::State;

use crate::http::HttpState;
use crate::http::error::{Problem, ProblemBody, kinds};

/// The store can be read and the engine answers.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses(
        (status = 200, description = "Ready", body = String),
        (status = 503, description = "Not ready; the detail says why", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
pub(crate) async fn readyz(State(state): State<HttpState>) -> Result<&'static str, Problem> {
    if let Err(error) = state.store.check().await {
        tracing::warn!(%error, "not ready: the store cannot be read");
        return Err(Problem::new(kinds::NOT_READY, "the store cannot be read"));
    }
    match state.engine.check().await {
        Ok(()) => Ok("ready\n"),
        Err(error) => Err(Problem::new(kinds::NOT_READY, error.to_string())),
    }
}
