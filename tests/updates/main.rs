//! Whole updates by the real `narrowcast serve`: devices and clients that nobody here wrote, kill -9,
//! strangers.
//!
//! The peers are put in place by `tests/peers/install.sh target/peers`; a test without its peer fails.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's helper that fails is a failed test, as the test itself; its figures are shown"
)]

mod bench;
mod broken_disk;
mod crash_points;
mod device;
mod disk;
mod downloads;
mod firmware;
mod habits;
mod halt;
mod http_downloads;
mod http_updates;
mod https;
mod impaired;
mod joins;
mod kills;
mod links;
mod lossy;
mod meters;
mod node_clients;
mod operators;
mod outcomes;
mod peers;
mod products;
mod push;
mod reboots;
mod relay;
mod rest;
mod revocations;
mod server;
mod strangers;
mod webhooks;
