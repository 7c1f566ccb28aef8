//! `GET /api/v1/profiles`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::find_profile;
use super::view::{ProfileView, Unmatched};
use crate::http::HttpState;
use crate::http::blocking::blocking;
use crate::http::error::Problem;
use crate::http::extract::QueryParams;
use crate::http::language::Preferred;
use crate::http::page::PageQuery;

/// Lists profiles by number.
#[utoipa::path(get, path = "/api/v1/profiles", tag = "profiles", params(PageQuery),
    responses((status = 200, description = "The profiles", body = Vec<ProfileView>)))]
pub(crate) async fn list_profiles(
    State(state): State<HttpState>,
    QueryParams(query): QueryParams<PageQuery>,
    Preferred(language): Preferred,
) -> Result<Response, Problem> {
    let request = query.by_number()?;
    let page = request.to_store();
    let after: u64 = page.after.as_deref().map_or(Ok(0), str::parse).unwrap_or(0);
    let _products = state.products.read().await;
    let products = state.store.products().await?;
    let ids = products.iter().map(|product| product.profile.0);
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let mut ids: Vec<u64> = ids.filter(|id| *id > after).take(limit).collect();
    let next = request.cut(&mut ids, u64::to_string);
    let unmatched = Arc::new(Unmatched::of(&state).await?);
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        // One at a time: a profile may have megabytes of services, which are not shown here.
        let stored = find_profile(&state, id).await?;
        let (state, unmatched) = (state.clone(), Arc::clone(&unmatched));
        let view = move || ProfileView::of(&state, &stored, &unmatched, language);
        rows.push(blocking(view).await?);
    }
    Ok(next.respond("/api/v1/profiles", &[], rows))
}
