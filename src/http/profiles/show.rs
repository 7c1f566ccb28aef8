//! `GET /api/v1/profiles/{id}`.

use axum::Json;
use axum::extract::State;

use super::find_profile;
use super::view::ProfileDetail;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::http::language::Preferred;

/// One profile, with its services, settings and findings.
#[utoipa::path(get, path = "/api/v1/profiles/{id}", tag = "profiles",
    params(("id" = u64, Path, description = "The profile's number")),
    responses((status = 200, description = "The profile", body = ProfileDetail)))]
pub(crate) async fn show_profile(
    State(state): State<HttpState>,
    PathParams(id): PathParams<u64>,
    Preferred(language): Preferred,
) -> Result<Json<ProfileDetail>, Problem> {
    let stored = find_profile(&state, id).await?;
    Ok(Json(ProfileDetail::of(&state, stored, language).await?))
}
