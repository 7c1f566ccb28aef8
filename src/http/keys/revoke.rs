//! `POST /api/v1/keys/{id}/revoke`.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::affected::{AffectedCampaign, AffectedPackage, campaigns_of, packages_of};
use super::{KeyView, Reason, already, find_key};
use crate::engine::Command;
use crate::http::HttpState;
use crate::http::auth::TokenName;
use crate::http::error::Problem;
use crate::http::extract::{JsonBody, PathParams};
use crate::model::{AuditActor, KeyState};

/// The most packages, and the most campaigns, that an answer lists; the rest are counted.
const LISTED_MAX: usize = 1000;

/// A key that was revoked, and what it had signed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedKey {
    /// The key.
    key: KeyView,
    /// How many packages it had signed: they are blocked.
    packages_count: usize,
    /// Those packages by number; the first 1000.
    packages: Vec<AffectedPackage>,
    /// How many campaigns those packages have.
    campaigns_count: usize,
    /// Those campaigns by number; the first 1000.
    campaigns: Vec<AffectedCampaign>,
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
    // What is being activated is active before the engine hears of this.
    let _activation = state.activation.lock().await;
    let key = find_key(&state, &id).await?;
    if key.state() == KeyState::Revoked {
        return Err(already(&key));
    }
    let active = campaigns_of(&state, &packages_of(&state, &id).await?).await?;
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
    state.engine.command_by(actor, command).await?;
    let mut packages = packages_of(&state, &id).await?;
    let mut campaigns = campaigns_of(&state, &packages).await?;
    for campaign in &mut campaigns {
        campaign.mark_stopped(&active);
    }
    let (packages_count, campaigns_count) = (packages.len(), campaigns.len());
    packages.truncate(LISTED_MAX);
    campaigns.truncate(LISTED_MAX);
    Ok(Json(RevokedKey {
        key: find_key(&state, &id).await?.into(),
        packages_count,
        packages,
        campaigns_count,
        campaigns,
    }))
}
