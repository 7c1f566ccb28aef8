//! The loop that takes connections, and what it does where it cannot.

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use metrics::counter;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ConnectionLimits;
use super::audience::Audience;
use super::connection::serve_connection;
use super::places::{Full, Places};
use super::refusal::NO_PLACE;
use super::tls::TlsIdentity;
use crate::clock::SystemClock;

/// How long nothing is accepted where the machine has nothing left to accept with.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often that is said: it may come and go with every connection that ends.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Serves connections until `stop` is true or its sender is gone, then takes no more and waits until
/// those that are in the middle of a request have their answers. Dropping the future cuts them off.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    clock: SystemClock,
    stop: watch::Receiver<bool>,
) {
    let wire = Wire::Plain(Audience::Operators);
    serve_to(wire, listener, router, limits, clock, stop).await;
}

/// The same for modules that fetch packages.
pub async fn serve_devices(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    clock: SystemClock,
    stop: watch::Receiver<bool>,
) {
    let wire = Wire::Plain(Audience::Devices);
    serve_to(wire, listener, router, limits, clock, stop).await;
}

/// The same for those that fetch by HTTPS.
pub async fn serve_devices_by_tls(
    listener: TcpListener,
    identity: Arc<TlsIdentity>,
    router: Router,
    limits: ConnectionLimits,
    clock: SystemClock,
    stop: watch::Receiver<bool>,
) {
    let wire = Wire::Tls(identity);
    serve_to(wire, listener, router, limits, clock, stop).await;
}

/// What a connection speaks.
#[derive(Clone, Debug)]
enum Wire {
    /// HTTP as it is.
    Plain(Audience),
    /// TLS around it.
    Tls(Arc<TlsIdentity>),
}

impl Wire {
    const fn audience(&self) -> Audience {
        match self {
            Self::Plain(audience) => *audience,
            Self::Tls(_) => Audience::SecuredDevices,
        }
    }
}

async fn serve_to(
    wire: Wire,
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    clock: SystemClock,
    mut stop: watch::Receiver<bool>,
) {
    let audience = wire.audience();
    let places = Places::new(&limits, audience);
    let mut connections = JoinSet::new();
    let connection_stop = stop.clone();
    let mut said_at = None;
    let mut pause = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            // One that panicked has said so. Its descriptor is free again.
            Some(_) = connections.join_next() => {
                pause = false;
                continue;
            }
            accepted = accept(&listener, pause) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = false;
                tracing::trace!(%peer, "HTTP connection");
                match places.take(peer.ip()) {
                    Ok(place) => {
                        let (wire, router) = (wire.clone(), router.clone());
                        let stop = connection_stop.clone();
                        connections.spawn(async move {
                            let _place = place;
                            serve_wire(wire, stream, router, limits, clock, stop).await;
                        });
                    }
                    Err(full) => refuse(stream, full, &wire),
                }
            }
            Err(error) if is_peers(&error) => {}
            Err(error) => {
                counter!(audience.accept_errors_metric()).increment(1);
                let now = clock.now().instant;
                if said_at.is_none_or(|at| now.saturating_since(at) >= SAY_EVERY) {
                    tracing::error!(%error, "no HTTP connection can be accepted just now");
                    said_at = Some(now);
                }
                pause = true;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve_wire(
    wire: Wire,
    stream: TcpStream,
    router: Router,
    limits: ConnectionLimits,
    clock: SystemClock,
    mut stop: watch::Receiver<bool>,
) {
    let audience = wire.audience();
    prepare(&stream, audience);
    let identity = match wire {
        Wire::Plain(_) => {
            return serve_connection(stream, audience, router, limits, clock, stop).await;
        }
        Wire::Tls(identity) => identity,
    };
    let shaken = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => return,
        shaken = tokio::time::timeout(limits.handshake_timeout, identity.accept(stream)) => shaken,
    };
    let result = match shaken {
        Ok(Ok(stream)) => {
            count_handshake("done");
            return serve_connection(stream, audience, router, limits, clock, stop).await;
        }
        // What a stranger sends is its own affair.
        Ok(Err(_)) => "failed",
        Err(_) => "timed_out",
    };
    count_handshake(result);
}

fn count_handshake(result: &'static str) {
    counter!("narrowcast_device_https_handshakes_total", "result" => result).increment(1);
}

/// What cannot be set makes a connection slower, or what is told of it less exact.
fn prepare(stream: &TcpStream, audience: Audience) {
    // Answers are written whole: there is nothing to gather for.
    let _ = stream.set_nodelay(true);
    if let Some(bytes) = audience.send_buffer_bytes() {
        let _ = SockRef::from(stream).set_send_buffer_size(bytes);
    }
}

/// The next connection; after an error of the machine's not at once, or the loop would spin on it.
async fn accept(listener: &TcpListener, pause: bool) -> io::Result<(TcpStream, SocketAddr)> {
    if pause {
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    listener.accept().await
}

/// Whether only the one connection is lost: the peer went before it was accepted.
fn is_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
    )
}

/// Says that there is no place, as far as that can be said without waiting, and closes.
fn refuse(stream: TcpStream, full: Full, wire: &Wire) {
    counter!(wire.audience().refused_metric(), "reason" => full.word()).increment(1);
    match wire {
        Wire::Plain(_) => {}
        // It could be told only after a handshake, which is what there is no room for.
        Wire::Tls(_) => return,
    }
    if let Ok(mut stream) = stream.into_std() {
        // Who does not take it sees the connection close.
        let _ = stream.write(&NO_PLACE);
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_went_is_no_reason_to_pause_and_a_lack_of_descriptors_is() {
        assert!(is_peers(&ErrorKind::ConnectionAborted.into()));
        const EMFILE: i32 = 24;
        const ENFILE: i32 = 23;
        for errno in [EMFILE, ENFILE] {
            assert!(!is_peers(&io::Error::from_raw_os_error(errno)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_error_it_pauses_and_then_accepts() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clock = SystemClock::new();
        let _client = TcpStream::connect(address).await.unwrap();
        accept(&listener, true).await.unwrap();
        assert!(clock.now().instant.since_origin() >= ACCEPT_PAUSE);
    }
}
