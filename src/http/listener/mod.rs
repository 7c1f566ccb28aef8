//! Connections are accepted, bounded, served and ended here: those of operators, and those of devices.
//!
//! HTTP/1.1 alone. What a client may do to a connection is bounded in number, bytes and time
//! ([`ConnectionLimits`]); what a request may do is the router's to bound.

mod accept;
mod alarm;
mod audience;
mod body;
mod connection;
mod deadlines;
mod host;
mod pace;
mod places;
mod refusal;
mod stream;
mod taken;
mod tls;

use std::time::Duration;

pub use accept::{serve, serve_devices, serve_devices_by_tls};
pub(super) use body::is_too_slow;
pub(super) use taken::{TakenBy, Taker};
pub use tls::{TlsError, TlsIdentity};

/// The bounds of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Open connections. One more is answered 503 and closed.
    pub connections_max: usize,
    /// The same of one address, an IPv6 address being its /64. Behind a proxy all have its address.
    pub connections_per_address_max: usize,
    /// How long a new connection of TLS may take until both sides have shaken hands, or it is closed.
    pub handshake_timeout: Duration,
    /// How long a new connection may take to its first byte (of TLS: after its handshake), or it is closed.
    pub first_byte_timeout: Duration,
    /// How long a request's head may take from its first byte to its last, or it is closed.
    pub header_timeout: Duration,
    /// The head of a request, in bytes. A larger one is answered 431.
    pub header_bytes_max: usize,
    /// Header fields of a request. More are answered 431.
    pub headers_max: usize,
    /// How slow a body may come, and an answer be taken, on average. A slower body is answered 408,
    /// a slower reader cut off.
    pub rate_min_bytes_per_second: u32,
    /// How far a body may fall behind that: its longest pause.
    pub rate_grace: Duration,
    /// How long a connection may stand idle after an answer, or it is closed.
    pub idle_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connections_per_address_max: 64,
            handshake_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            header_bytes_max: 8 * 1024,
            headers_max: 64,
            rate_min_bytes_per_second: 1024,
            rate_grace: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15),
        }
    }
}
