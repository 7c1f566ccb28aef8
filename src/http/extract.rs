//! Extractors that answer with problems: JSON bodies, query parameters, path parameters.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::HttpState;
use super::error::{Problem, kinds};
use super::listener::is_too_slow;

/// A JSON body of at most `json_bytes_max`.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<HttpState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &HttpState) -> Result<Self, Problem> {
        require_type(request.headers(), "application/json")?;
        let body = read_body(request, state.limits.json_bytes_max).await?;
        parse_json(&body).map(Self)
    }
}

/// A JSON body, or none: then what stands for nothing.
#[derive(Debug)]
pub(crate) struct OptionalJsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<HttpState> for OptionalJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &HttpState) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let body = read_body(request, state.limits.json_bytes_max).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        require_type(&headers, "application/json")?;
        parse_json(&body).map(Self)
    }
}

/// Query parameters; one that is not known is refused.
#[derive(Debug)]
pub(crate) struct QueryParams<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<HttpState> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &HttpState) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(params)| Self(params))
            .map_err(|rejection| Problem::new(kinds::INVALID_QUERY, rejection.body_text()))
    }
}

/// Path parameters; what cannot be one names nothing that is there.
#[derive(Debug)]
pub(crate) struct PathParams<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<HttpState> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, Problem> {
        Path::from_request_parts(parts, state)
            .await
            .map(|Path(params)| Self(params))
            .map_err(|rejection| Problem::new(kinds::NOT_FOUND, rejection.body_text()))
    }
}

/// Refuses a body of another media type (parameters such as `charset` may follow).
pub(super) fn require_type(headers: &HeaderMap, media_type: &str) -> Result<(), Problem> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or("");
    if given.trim().eq_ignore_ascii_case(media_type) {
        return Ok(());
    }
    let detail = format!("send 'Content-Type: {media_type}'");
    Err(Problem::new(kinds::UNSUPPORTED_MEDIA_TYPE, detail))
}

/// Refuses a body that says it is larger than `bytes_max`, before any of it is read.
pub(super) fn require_length(headers: &HeaderMap, bytes_max: usize) -> Result<(), Problem> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    match length {
        Some(length) if usize::try_from(length).map_or(true, |length| length > bytes_max) => {
            Err(too_large(bytes_max))
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads a body of at most `bytes_max`.
pub(super) async fn read_body(request: Request, bytes_max: usize) -> Result<Bytes, Problem> {
    require_length(request.headers(), bytes_max)?;
    let body: Body = request.into_body();
    to_bytes(body, bytes_max).await.map_err(|error| {
        if is_length_limit(&error) {
            too_large(bytes_max)
        } else if is_too_slow(&error) {
            too_slow()
        } else {
            Problem::new(kinds::MALFORMED_BODY, "the body ended before its time")
        }
    })
}

pub(super) fn too_large(bytes_max: usize) -> Problem {
    Problem::new(
        kinds::TOO_LARGE,
        format!("the body may have at most {bytes_max} bytes"),
    )
}

/// A body that came more slowly than its connection's least rate.
pub(super) fn too_slow() -> Problem {
    Problem::new(
        kinds::BODY_TOO_SLOW,
        "the body paused for too long, or came more slowly than the least rate",
    )
}

/// Whether a body's error is that it passed its limit (axum wraps http-body-util's error).
fn is_length_limit(error: &axum::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.to_string() == "length limit exceeded" {
            return true;
        }
        source = error.source();
    }
    false
}

/// Reads JSON and names the field that is wrong.
fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let fault = error.into_inner();
        match fault.classify() {
            Category::Data => {
                let fault = without_position(&fault.to_string()).to_owned();
                match field_of(&path, &fault) {
                    Some(field) => Problem::invalid_field(field, fault),
                    None => Problem::new(kinds::INVALID_FIELD, fault),
                }
            }
            Category::Io | Category::Syntax | Category::Eof => {
                Problem::new(kinds::MALFORMED_JSON, fault.to_string())
            }
        }
    })?;
    deserializer
        .end()
        .map_err(|fault| Problem::new(kinds::MALFORMED_JSON, fault.to_string()))?;
    Ok(value)
}

/// Where in the bytes a field's value stands says less than the field's name.
fn without_position(fault: &str) -> &str {
    fault.split(" at line ").next().unwrap_or(fault)
}

/// The full name of the field that a fault is about; `path` ends at the object for a field that is
/// missing, and for one that is not known.
fn field_of(path: &str, fault: &str) -> Option<String> {
    let named = ["missing field `", "unknown field `"]
        .iter()
        .find_map(|start| fault.strip_prefix(start))
        .and_then(|rest| rest.split('`').next());
    match (path, named) {
        ("." | "?", None) => None,
        ("." | "?", Some(name)) => Some(name.to_owned()),
        (path, Some(name)) if path.rsplit('.').next() != Some(name) => {
            Some(format!("{}.{name}", path.trim_end_matches(".?")))
        }
        (path, Some(_) | None) => Some(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_at_fault_is_named_with_its_path() {
        assert_eq!(
            field_of(".", "missing field `name`").as_deref(),
            Some("name")
        );
        assert_eq!(
            field_of("retry", "unknown field `times`, expected one of `a`").as_deref(),
            Some("retry.times")
        );
        assert_eq!(
            field_of("retry.times", "unknown field `times`").as_deref(),
            Some("retry.times")
        );
        assert_eq!(
            field_of("targets.devices[1]", "invalid type: integer `1`").as_deref(),
            Some("targets.devices[1]")
        );
        assert_eq!(field_of(".", "invalid type: null"), None);
    }
}
