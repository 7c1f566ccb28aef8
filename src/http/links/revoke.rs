//! `DELETE /api/v1/packages/{id}/links/{link}`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;

use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::model::{AuditActor, LinkId, PackageId};

/// Ends a link: its URL opens nothing any more, and what it is sending is cut off. It is still listed.
#[utoipa::path(delete, path = "/api/v1/packages/{id}/links/{link}", tag = "packages",
    params(("id" = u64, Path, description = "The package's number"),
           ("link" = u64, Path, description = "The link's number")),
    responses((status = 204, description = "Ended")))]
pub(crate) async fn revoke_link(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams((id, link)): PathParams<(u64, u64)>,
) -> Result<StatusCode, Problem> {
    let (package, stamp) = (PackageId(id), state.stamp(actor));
    let revoked = state.links.revoke(package, LinkId(link), stamp).await;
    revoked.map_err(|error| {
        Problem::of_store(error, format_args!("link {link} of package {id} to end"))
    })?;
    Ok(StatusCode::NO_CONTENT)
}
