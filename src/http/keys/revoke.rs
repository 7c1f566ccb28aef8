//! `POST /api/v1/keys/{id}/revoke`.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::affected::Affected;
use super::{KeyView, Reason, already, find_key};
use crate::engine::Command;
use crate::http::HttpState;
use crate::http::auth::TokenName;
use crate::http::error::{Problem, kinds};
use crate::http::extract::{JsonBody, PathParams};
use crate::model::{AuditActor, KeyChange, KeyState};

/// A key that was revoked, and what it had signed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedKey {
    /// The key.
    key: KeyView,
    /// What it had signed: packages that are blocked, and their campaigns.
    #[serde(flatten)]
    affected: Affected,
}

/// Revokes a key: no campaign of a package that it signed is activated any more, and active ones are
/// stopped with it. No attempt begins and no Execute leaves; what a device does already ends by itself.
/// There is no way back.
#[utoipa::path(post, path = "/api/v1/keys/{id}/revoke", tag = "keys",
    params(("id" = String, Path, description = "The key's id")), request_body = Reason,
    responses((status = 200, description = "Revoked, and what is affected", body = RevokedKey)))]
pub(crate) async fn revoke_key(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    Extension(token): Extension<TokenName>,
    PathParams(id): PathParams<String>,
    JsonBody(body): JsonBody<Reason>,
) -> Result<Json<RevokedKey>, Problem> {
    let change = body.change(&state, token)?;
    // Who leaves now leaves nothing half done: what is being sent is cut off.
    tokio::spawn(revoke(state, actor, id, change))
        .await
        .map_err(|_| Problem::new(kinds::INTERNAL, "whether the key was revoked is not known"))?
}

async fn revoke(
    state: HttpState,
    actor: AuditActor,
    id: String,
    change: KeyChange,
) -> Result<Json<RevokedKey>, Problem> {
    // What is being activated is active before the engine hears of this.
    let _activation = state.activation.lock().await;
    let key = find_key(&state, &id).await?;
    if key.state() == KeyState::Revoked {
        return Err(already(&key));
    }
    let before = Affected::of(&state, &id).await?;
    tracing::warn!(
        key = id,
        token = change.by,
        reason = change.reason,
        "a key is revoked"
    );
    let command = Command::RevokeKey {
        id: id.clone(),
        change,
    };
    let revoked = state.engine.command_by(actor, command).await;
    // Whatever came of it: it may be carried out after the answer. Who may go on fetching asks anew.
    state.links.cut(&before.package_ids());
    revoked?;
    let mut affected = Affected::of(&state, &id).await?;
    // What was uploaded meanwhile.
    state.links.cut(&affected.package_ids());
    affected.mark_stopped(&before);
    Ok(Json(RevokedKey {
        key: find_key(&state, &id).await?.into(),
        affected: affected.cut(),
    }))
}
