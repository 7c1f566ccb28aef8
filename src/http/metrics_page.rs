//! Metrics for whoever runs something else than the server: `GET /metrics`, without a token.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

/// OpenMetrics 1.0, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics` and nothing else: what `page` gives as OpenMetrics, 503 where that is nothing.
pub fn metrics_router<P, F>(page: P) -> Router
where
    P: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<String>> + Send,
{
    let show = move || async move {
        match page().await {
            Some(text) => {
                let headers = [(header::CONTENT_TYPE, OPEN_METRICS)];
                (headers, text).into_response()
            }
            None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    };
    Router::new().route("/metrics", get(show))
}
