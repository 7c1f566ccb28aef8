//! `POST /api/v1/keys/{id}/retire`.

use axum::extract::State;
use axum::{Extension, Json};

use super::{KeyView, Reason, already, find_key};
use crate::http::HttpState;
use crate::http::auth::TokenName;
use crate::http::error::Problem;
use crate::http::extract::{JsonBody, PathParams};
use crate::model::{AuditActor, KeyState};

/// Retires a key: it verifies no new uploads, and packages that it verified before stay usable. There
/// is no way back.
#[utoipa::path(post, path = "/api/v1/keys/{id}/retire", tag = "keys",
    params(("id" = String, Path, description = "The key's id")), request_body = Reason,
    responses((status = 200, description = "Retired", body = KeyView)))]
pub(crate) async fn retire_key(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    Extension(token): Extension<TokenName>,
    PathParams(id): PathParams<String>,
    JsonBody(body): JsonBody<Reason>,
) -> Result<Json<KeyView>, Problem> {
    let change = body.change(&state, token)?;
    // Keys change one at a time.
    let _activation = state.activation.lock().await;
    let key = find_key(&state, &id).await?;
    if key.state() != KeyState::Active {
        return Err(already(&key));
    }
    tracing::info!(
        key = id,
        token = change.by,
        reason = change.reason,
        "a key is retired"
    );
    let stamp = state.stamp(actor);
    let retired = state.store.retire_key(&id, change, stamp).await;
    retired.map_err(|error| Problem::of_store(error, format_args!("key '{id}'")))?;
    Ok(Json(find_key(&state, &id).await?.into()))
}
