//! `GET /api/v1/packages/{id}/links`.

use axum::extract::State;
use axum::response::Response;

use super::{LinkView, find_package, is_blocked};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::{PathParams, QueryParams};
use crate::http::page::PageQuery;
use crate::model::PackageId;

/// Lists a package's links by number, with what came of each. Their URLs were shown once.
#[utoipa::path(get, path = "/api/v1/packages/{id}/links", tag = "packages",
    params(("id" = u64, Path, description = "The package's number"), PageQuery),
    responses((status = 200, description = "The links", body = Vec<LinkView>)))]
pub(crate) async fn list_links(
    State(state): State<HttpState>,
    PathParams(id): PathParams<u64>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.by_number()?;
    let package = find_package(&state, id).await?;
    let blocked = is_blocked(&state, &package).await?;
    let of = Some(PackageId(id));
    let mut links = state.store.links(of, page.to_store()).await?;
    let next = page.cut(&mut links, |link| link.id.0.to_string());
    let now = state.now_utc();
    let rows: Vec<_> = links
        .into_iter()
        .map(|mut link| {
            if let Some(progress) = state.links.progress(&link) {
                link.progress = progress;
            }
            LinkView::of(link, blocked, now)
        })
        .collect();
    Ok(next.respond(&format!("/api/v1/packages/{id}/links"), &[], rows))
}
