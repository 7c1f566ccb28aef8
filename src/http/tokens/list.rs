//! `GET /api/v1/tokens`.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::Problem;
use crate::http::extract::QueryParams;
use crate::http::page::PageQuery;
use crate::http::{HttpState, fields};
use crate::store::StoredToken;

/// A token, without its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct TokenView {
    /// Who or what it is for.
    name: String,
    /// What it allows.
    role: String,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<StoredToken> for TokenView {
    fn from(token: StoredToken) -> Self {
        Self {
            name: token.name,
            role: token.role,
            created_at: fields::time(token.created_at),
        }
    }
}

/// Lists tokens by name.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", params(PageQuery),
    responses((status = 200, description = "The tokens", body = Vec<TokenView>)))]
pub(crate) async fn list_tokens(
    State(state): State<HttpState>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.by_name()?;
    let mut tokens = state.store.tokens(page.to_store()).await?;
    let next = page.cut(&mut tokens, |token| token.name.clone());
    let rows: Vec<_> = tokens.into_iter().map(TokenView::from).collect();
    Ok(next.respond("/api/v1/tokens", &[], rows))
}
