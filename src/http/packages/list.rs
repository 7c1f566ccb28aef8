//! `GET /api/v1/packages`.

use axum::extract::State;
use axum::response::Response;

use super::PackageView;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::QueryParams;
use crate::http::page::PageQuery;

/// Lists packages by number.
#[utoipa::path(get, path = "/api/v1/packages", tag = "packages", params(PageQuery),
    responses((status = 200, description = "The packages", body = Vec<PackageView>)))]
pub(crate) async fn list_packages(
    State(state): State<HttpState>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.by_number()?;
    let mut packages = state.store.packages(page.to_store()).await?;
    let next = page.cut(&mut packages, |package| package.id.0.to_string());
    let rows = PackageView::list(&state, packages).await?;
    Ok(next.respond("/api/v1/packages", &[], rows))
}
