//! The language of a request's answer, from `Accept-Language` (RFC 9110 §12.5.4).

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error::Problem;
use crate::model::Language;

/// The language of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preferred(pub(crate) Language);

impl Preferred {
    fn of(headers: &HeaderMap) -> Self {
        let fields: Vec<_> = headers
            .get_all(header::ACCEPT_LANGUAGE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        Self(Language::from_accept_language(&fields.join(",")))
    }
}

impl<S: Sync> FromRequestParts<S> for Preferred {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// Puts problems into the language of the request.
pub(super) async fn localize(request: Request, next: Next) -> Response {
    let Preferred(language) = Preferred::of(request.headers());
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) if language != Language::En => problem.rewrite(response, language),
        Some(_) | None => response,
    }
}
