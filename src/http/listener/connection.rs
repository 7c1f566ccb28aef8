//! One connection, from its first byte to its close.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use metrics::counter;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::ConnectionLimits;
use super::alarm::Alarm;
use super::audience::Audience;
use super::body::{AnswerBody, PacedBody};
use super::host;
use super::stream::{Watch, WatchedStream};
use crate::clock::SystemClock;
use crate::http::error::Problem;
use crate::http::hardening;

/// The buffer that a connection reads into and writes from, in bytes: hyper's least, twice.
const BUFFER_BYTES_MAX: usize = 16 * 1024;

/// Serves a connection until either side ends it, a deadline comes, or the server stops.
pub(super) async fn serve_connection(
    stream: TcpStream,
    audience: Audience,
    router: Router,
    limits: ConnectionLimits,
    clock: SystemClock,
    mut stop: watch::Receiver<bool>,
) {
    let watch = Watch::new(clock, limits);
    let requests = TowerToHyperService::new(router);
    let service = service_fn(|request| answer(request, requests.clone(), watch.clone(), limits));
    let io = TokioIo::new(WatchedStream::new(stream, watch.clone()));
    let mut connection = pin!(builder(&limits, audience).serve_connection(io, service));
    let mut alarm = Alarm::default();
    let mut stopping = false;
    loop {
        let ended = poll_fn(|context| {
            if connection.as_mut().poll(context).is_ready() {
                // How a client broke off is its own affair.
                return Poll::Ready(());
            }
            let Some((until, expired)) = watch.lock().next() else {
                return Poll::Pending;
            };
            alarm.poll(context, &clock, until).map(|()| {
                counter!(audience.timeouts_metric(), "reason" => expired.word()).increment(1);
            })
        });
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                if watch.lock().is_between_requests() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
            () = ended => return,
        }
    }
}

/// Deadlines are ours: hyper's one time-out does not tell a silent client from an idle one.
fn builder(limits: &ConnectionLimits, audience: Audience) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes_max)
        .max_headers(limits.headers_max)
        .title_case_headers(audience.title_case())
        .max_buf_size(BUFFER_BYTES_MAX.max(limits.header_bytes_max));
    builder
}

async fn answer(
    request: Request<Incoming>,
    requests: TowerToHyperService<Router>,
    watch: Watch,
    limits: ConnectionLimits,
) -> Result<Response<AnswerBody>, Infallible> {
    watch.lock().request_begun();
    if let Err(problem) = host::check(&request) {
        watch.lock().answer_begun(watch.now());
        return Ok(refusal(problem).map(|body| AnswerBody::new(body, watch)));
    }
    let request = request.map(|body| Body::new(PacedBody::new(body, watch.clone(), limits)));
    let response = requests.call(request).await?;
    watch.lock().answer_begun(watch.now());
    Ok(response.map(|body| AnswerBody::new(body, watch)))
}

/// The answer to a request that never comes to the router, and the last on its connection.
fn refusal(problem: Problem) -> Response<Body> {
    let mut response = problem.into_response();
    hardening::add_headers(&mut response);
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}
