//! The `narrowcast` program as a user meets it: the real binary, its exit codes, its two streams, and
//! the server that it runs. The offline commands on keys and packages are in `tests/signing`.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper that fails is a failed test, as the test itself"
)]

mod audit;
mod config;
mod connections;
mod demo;
mod keys;
mod language;
mod packages;
mod profile;
mod program;
mod releases;
mod serve;
mod server;
mod shutdown;
mod token;
mod uploads;
mod usage;
