//! The UDP proxy that puts a bad path between real devices and a real server.
//!
//! Each client address has a path and a socket towards the server of its own, so the server tells
//! clients apart as it would without the proxy, and what one client's path decides does not hang on the
//! others. What comes from the server goes to the client whose socket it came to, and to nobody else.

mod clients;
mod proxy;
mod under_way;

pub use proxy::{Proxy, ProxyConfig, ProxyCounters, ProxyError};
