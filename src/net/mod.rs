//! Sockets: what the server and the load side both need of UDP.

mod destination;
mod receive_drops;
mod udp;

pub use destination::{DestinationRefused, Destinations};
pub use receive_drops::ReceiveDrops;
pub use udp::{DATAGRAM_BYTES_MAX, RECEIVE_BYTES, UdpEndpoint, is_wildcard};
