//! The language of titles, hints and failure texts, from `Accept-Language` (RFC 9110 §12.5.4).

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error::Problem;

/// A language that texts are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Chinese,
}

impl Language {
    /// The tag for `Content-Language`.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// Which of `[English, Chinese]`.
    pub(crate) const fn of<T: Copy>(self, texts: [T; 2]) -> T {
        match self {
            Self::English => texts[0],
            Self::Chinese => texts[1],
        }
    }

    /// The one of highest weight; English where neither is asked for.
    pub(crate) fn preferred(headers: &HeaderMap) -> Self {
        let weight = |wanted: &str| {
            headers
                .get_all(header::ACCEPT_LANGUAGE)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .filter_map(|range| weight_of(range, wanted))
                .max()
                .unwrap_or(0)
        };
        if weight("zh") > weight("en") {
            Self::Chinese
        } else {
            Self::English
        }
    }
}

/// The weight in thousandths of a language range, where it is of the `wanted` primary language.
fn weight_of(range: &str, wanted: &str) -> Option<u32> {
    let mut parts = range.trim().split(';');
    let primary = parts.next()?.trim().split('-').next()?;
    if !primary.eq_ignore_ascii_case(wanted) {
        return None;
    }
    let Some(quality) = parts.find_map(|part| part.trim().strip_prefix("q=")) else {
        return Some(1000);
    };
    let (whole, fraction) = quality.split_once('.').unwrap_or((quality, ""));
    let thousandths: u32 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some((whole.parse::<u32>().ok()?.saturating_mul(1000) + thousandths).min(1000))
}

impl<S: Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::preferred(&parts.headers))
    }
}

/// Puts problems into the language of the request.
pub(super) async fn localize(request: Request, next: Next) -> Response {
    let language = Language::preferred(request.headers());
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) if language != Language::English => problem.rewrite(response, language),
        Some(_) | None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred(accept: &str) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, accept.parse().expect("a value"));
        Language::preferred(&headers)
    }

    #[test]
    fn the_highest_weight_wins() {
        assert_eq!(preferred("zh-CN,zh;q=0.9,en;q=0.8"), Language::Chinese);
        assert_eq!(preferred("en-GB, zh;q=0.5"), Language::English);
        assert_eq!(preferred("en;q=0.2, zh-Hans;q=0.25"), Language::Chinese);
    }

    #[test]
    fn anything_else_is_english() {
        for accept in ["", "fr", "*", "zh;q=x", "zh;q=0", ";;;,,"] {
            assert_eq!(preferred(accept), Language::English, "{accept}");
        }
    }
}
