//! Sockets: what the server and the load side both need of UDP, and what a bad path does to datagrams.

mod destination;
mod impair;
mod receive_drops;
mod shared_sockets;
mod udp;

pub use destination::{DestinationRefused, Destinations};
pub use impair::{
    BitRate, Cut, Deliveries, Delivery, Direction, Impairer, Impairment, ImpairmentError, Jitter,
    NatMapping, OneWay, PassCounters, Probability, packet_bytes,
};
pub use receive_drops::ReceiveDrops;
pub use shared_sockets::{Batch, Received, SharedSockets, SocketsWaker};
pub use udp::{DATAGRAM_BYTES_MAX, RECEIVE_BYTES, UdpEndpoint, is_wildcard};
