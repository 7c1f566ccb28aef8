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
use tokio::io::{AsyncRead, AsyncWrite};
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
pub(super) async fn serve_connection<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
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
        return Ok(refusal(problem).map(|body| AnswerBody::new(body, watch, None)));
    }
    let request = request.map(|body| Body::new(PacedBody::new(body, watch.clone(), limits)));
    let mut response = requests.call(request).await?;
    let taken_by = response.extensions_mut().remove();
    watch.lock().answer_begun(watch.now());
    Ok(response.map(|body| AnswerBody::new(body, watch, taken_by)))
}

/// The answer to a request that never comes to the router, and the last on its connection.
fn refusal(problem: Problem) -> Response<Body> {
    let mut response = problem.into_response();
    hardening::add_headers(&mut response);
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const RATE_MIN: u32 = 100;
    const GRACE: Duration = Duration::from_secs(600);

    /// A connection whose client has asked for so many bytes: what lies between them is a few seconds'
    /// worth, as between a server and a module.
    async fn asked_for(bytes: usize, clock: SystemClock) -> DuplexStream {
        let (mut client, server) = duplex(2048);
        let limits = ConnectionLimits {
            rate_min_bytes_per_second: RATE_MIN,
            rate_grace: GRACE,
            ..ConnectionLimits::default()
        };
        let router = Router::new().fallback(move || async move { vec![7_u8; bytes] });
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            let _stop = stop;
            serve_connection(server, Audience::Devices, router, limits, clock, stopped).await;
        });
        let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        client.write_all(request).await.unwrap();
        client
    }

    /// Reads so many bytes each second until nothing comes any more; how many came and how long it took.
    async fn read_at(
        mut client: DuplexStream,
        rate: usize,
        clock: SystemClock,
    ) -> (usize, Duration) {
        let begun = clock.now().instant;
        let (mut taken, mut second) = (0, vec![0; rate]);
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut got = 0;
            while got < rate {
                match client.read(&mut second[got..]).await {
                    Ok(0) | Err(_) => return (taken + got, clock.now().instant - begun),
                    Ok(bytes) => got += bytes,
                }
            }
            taken += got;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_200_bytes_a_second_may_take_them_for_an_hour() {
        const BYTES: usize = 200 * 3600;
        let clock = SystemClock::new();
        let client = asked_for(BYTES, clock).await;
        let (taken, took) = read_at(client, 200, clock).await;
        assert!((BYTES..BYTES + 300).contains(&taken), "{taken}");
        let minutes = took.as_secs() / 60;
        assert_eq!(minutes, 60, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_less_than_the_least_rate_is_cut_off_once_the_grace_is_used_up() {
        const BYTES: usize = 200 * 3600;
        let clock = SystemClock::new();
        let client = asked_for(BYTES, clock).await;
        let (taken, took) = read_at(client, 50, clock).await;
        assert!(taken < BYTES, "{taken}");
        // It falls behind by half a second each second, and had the buffers' worth before.
        let most = GRACE * 2 + Duration::from_secs(200);
        assert!(took > GRACE && took < most, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_off_after_the_grace() {
        let clock = SystemClock::new();
        let mut client = asked_for(1_000_000, clock).await;
        tokio::time::sleep(GRACE - Duration::from_secs(1)).await;
        let mut first = [0; 1024];
        client.read_exact(&mut first).await.unwrap();
        // What it took earned it ten seconds.
        tokio::time::sleep(Duration::from_secs(12)).await;
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() < 5000, "{}", rest.len());
    }
}
