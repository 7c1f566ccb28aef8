//! How many requests are worked on at a time, and for how long.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use metrics::counter;

use super::HttpState;
use super::error::{Problem, kinds};

/// Lets a request through while there is a place, and ends one that takes too long.
pub(super) async fn bound(
    State(state): State<HttpState>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // Who watches the server has to hear of it most when it is busy.
    if matches!(path.as_str(), "/healthz" | "/readyz") {
        return Ok(next.run(request).await);
    }
    let Ok(_place) = state.requests.try_acquire() else {
        counter!("narrowcast_http_requests_refused_total").increment(1);
        let detail = format!("{} requests are under way", state.limits.requests_max);
        return Err(Problem::new(kinds::UNAVAILABLE, detail));
    };
    if is_upload(request.method(), path.as_str()) {
        return Ok(next.run(request).await);
    }
    let timeout = state.limits.request_timeout;
    let late = if is_made_to_the_end(request.method(), path.as_str()) {
        kinds::OUTCOME_UNKNOWN
    } else {
        kinds::TIMED_OUT
    };
    match tokio::time::timeout(timeout, next.run(request)).await {
        Ok(response) => Ok(response),
        Err(_) => {
            counter!("narrowcast_http_timeouts_total", "reason" => "request_timeout").increment(1);
            let detail = format!("not done within {} s", timeout.as_secs_f32());
            Err(Problem::new(late, detail))
        }
    }
}

/// What goes on although its answer's time is over.
fn is_made_to_the_end(method: &Method, path: &str) -> bool {
    method == Method::POST && path == "/api/v1/campaigns"
}

/// What takes as long as its body takes to come; the body's least rate bounds it.
fn is_upload(method: &Method, path: &str) -> bool {
    method == Method::POST && matches!(path, "/api/v1/packages" | "/api/v1/devices/import")
}
