//! Sockets: what the server and the load side both need of UDP.

mod udp;

pub use udp::{DATAGRAM_BYTES_MAX, UdpEndpoint, is_wildcard};
