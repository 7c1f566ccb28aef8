//! `GET /api/v1/keys`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::KeyView;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::QueryParams;
use crate::http::fields;
use crate::http::page::PageQuery;

/// Which keys.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct KeysQuery {
    /// Only this manufacturer's.
    manufacturer: Option<String>,
    /// The most rows, 1 to 1000; 100 unless said otherwise.
    limit: Option<u32>,
    /// Where to go on: taken from the `Link` header of the page before.
    cursor: Option<String>,
}

/// Lists public keys by id.
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", params(KeysQuery),
    responses((status = 200, description = "The keys", body = Vec<KeyView>)))]
pub(crate) async fn list_keys(
    State(state): State<HttpState>,
    QueryParams(query): QueryParams<KeysQuery>,
) -> Result<Response, Problem> {
    let page = PageQuery::new(query.limit, query.cursor).by_name()?;
    let of = fields::optional_name("manufacturer", query.manufacturer.as_deref())?;
    let mut keys = state.store.keys(of.as_ref(), page.to_store()).await?;
    let next = page.cut(&mut keys, |key| key.id.clone());
    let rows: Vec<_> = keys.into_iter().map(KeyView::from).collect();
    let filter = [("manufacturer", query.manufacturer.as_deref())];
    Ok(next.respond("/api/v1/keys", &filter, rows))
}
