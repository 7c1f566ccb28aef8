//! `GET /api/v1/groups`.

use axum::extract::State;
use axum::response::Response;

use super::GroupView;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::QueryParams;
use crate::http::page::PageQuery;

/// Lists groups by number.
#[utoipa::path(get, path = "/api/v1/groups", tag = "groups", params(PageQuery),
    responses((status = 200, description = "The groups", body = Vec<GroupView>)))]
pub(crate) async fn list_groups(
    State(state): State<HttpState>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.by_number()?;
    let mut groups = state.store.groups(page.to_store()).await?;
    let next = page.cut(&mut groups, |group| group.id.0.to_string());
    let rows: Vec<_> = groups.into_iter().map(GroupView::from).collect();
    Ok(next.respond("/api/v1/groups", &[], rows))
}
