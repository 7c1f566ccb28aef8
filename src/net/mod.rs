//! Sockets: what the server and the load side both need of UDP.

mod receive_drops;
mod udp;

pub use receive_drops::ReceiveDrops;
pub use udp::{DATAGRAM_BYTES_MAX, RECEIVE_BYTES, UdpEndpoint, is_wildcard};
