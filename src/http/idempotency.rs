//! `Idempotency-Key`: a POST that is sent again, because its answer was lost, is answered as before.
//!
//! What is kept is in memory: a key is forgotten when the server starts again, a day after its first
//! use, or earlier where many others came since.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;

use super::HttpState;
use super::auth::token_sha256;
use super::blocking::to_the_end;
use super::error::{Problem, kinds};
use crate::clock::Instant;

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How many answers are kept; the oldest makes room.
const ENTRIES_MAX: usize = 1000;
/// A longer answer is not kept, in bytes.
const BODY_BYTES_MAX: u64 = 64 * 1024;
/// The longest key, in bytes: a UUID has 36.
const KEY_BYTES_MAX: usize = 255;

/// Whose key, for what: the token's hash, path and query, and the key itself.
type Scope = ([u8; 32], String, Vec<u8>);

/// The answers that are kept.
#[derive(Debug, Default)]
pub(super) struct KeptAnswers {
    entries: Mutex<BTreeMap<Scope, Entry>>,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    /// `None` while the first request is under way.
    answer: Option<(StatusCode, HeaderMap, Bytes)>,
}

/// Takes an entry out again unless the request came to an answer.
struct UnderWay<'a> {
    kept: &'a KeptAnswers,
    scope: Option<Scope>,
}

impl KeptAnswers {
    /// The answer of before, or the place for a new one.
    fn begin(&self, now: Instant, scope: Scope) -> Result<Option<Response>, Problem> {
        let mut entries = self.lock();
        entries.retain(|_, entry| now.saturating_since(entry.at) < KEPT);
        match entries.get(&scope) {
            Some(Entry {
                answer: Some((status, headers, body)),
                ..
            }) => {
                let mut response = Response::new(Body::from(body.clone()));
                *response.status_mut() = *status;
                *response.headers_mut() = headers.clone();
                return Ok(Some(response));
            }
            Some(Entry { answer: None, .. }) => {
                let detail = "the first request with this Idempotency-Key is under way";
                return Err(Problem::new(kinds::CONFLICT, detail));
            }
            None => {}
        }
        if entries.len() >= ENTRIES_MAX {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.at);
            if let Some(oldest) = oldest.map(|(scope, _)| scope.clone()) {
                entries.remove(&oldest);
            }
        }
        entries.insert(
            scope,
            Entry {
                at: now,
                answer: None,
            },
        );
        Ok(None)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Scope, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay<'_> {
    /// Keeps the answer.
    fn keep(mut self, answer: (StatusCode, HeaderMap, Bytes)) {
        let Some(scope) = self.scope.take() else {
            return;
        };
        if let Some(entry) = self.kept.lock().get_mut(&scope) {
            entry.answer = Some(answer);
        }
    }
}

impl Drop for UnderWay<'_> {
    /// A request that failed may be sent again as if it had not come.
    fn drop(&mut self) {
        if let Some(scope) = self.scope.take() {
            self.kept.lock().remove(&scope);
        }
    }
}

/// Answers a POST with a known key as before. Only successes are kept: a request that was refused
/// changed nothing.
pub(super) async fn answer_once(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(scope) = scope(&request)? else {
        return Ok(next.run(request).await);
    };
    if let Some(response) = state.kept.begin(state.clock.now().instant, scope.clone())? {
        return Ok(response);
    }
    // Who waits too long and sends it again hears of this one, and does not have it done twice.
    to_the_end(answer_first(state, scope, request, next)).await
}

/// Answers the first request with a key, and keeps the answer.
async fn answer_first(
    state: HttpState,
    scope: Scope,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let under_way = UnderWay {
        kept: &state.kept,
        scope: Some(scope),
    };
    let response = next.run(request).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    if response
        .body()
        .size_hint()
        .upper()
        .is_none_or(|bytes| bytes > BODY_BYTES_MAX)
    {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX)
        .await
        .map_err(|_| Problem::new(kinds::INTERNAL, "done, but the answer cannot be sent"))?;
    under_way.keep((parts.status, parts.headers.clone(), body.clone()));
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// The scope of a POST's key, where it has one. The answer to a new token holds the token, that to a new
/// link its URL, that to a new webhook its secret: they are shown once, and kept nowhere.
fn scope(request: &Request) -> Result<Option<Scope>, Problem> {
    let path = request.uri().path();
    if matches!(path, "/api/v1/tokens" | "/api/v1/webhooks") || path.ends_with("/links") {
        return Ok(None);
    }
    let key = request.headers().get("idempotency-key");
    let token = request.headers().get(header::AUTHORIZATION);
    let (Some(key), Some(token), &Method::POST) = (key, token, request.method()) else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let detail = format!("Idempotency-Key must have 1 to {KEY_BYTES_MAX} bytes");
        return Err(Problem::new(kinds::INVALID_QUERY, detail).with_field("Idempotency-Key"));
    }
    let target = request.uri().path_and_query();
    Ok(Some((
        token_sha256(&String::from_utf8_lossy(token.as_bytes())),
        target.map_or_else(String::new, ToString::to_string),
        key.as_bytes().to_vec(),
    )))
}
