//! The `narrowcast` program as a user meets it: the real binary, its exit codes, its two streams, and
//! the server that it runs. The offline commands on keys and packages are in `tests/signing`.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper that fails is a failed test, as the test itself"
)]

mod agents;
mod audit;
mod audit_routes;
mod bad_packages;
mod bad_zips;
mod browser;
mod changed_packages;
mod config;
mod connections;
mod demo;
#[path = "../signing/fixture.rs"]
#[expect(dead_code, reason = "tests/signing needs more of it")]
mod fixture;
#[path = "../signing/forged.rs"]
mod forged;
mod impair;
mod keys;
mod language;
mod listening;
mod load;
mod other_servers;
mod packages;
#[path = "../updates/peers.rs"]
mod peers;
mod profile;
mod program;
mod releases;
mod reload;
mod report;
mod scenario;
mod serve;
mod server;
mod shutdown;
mod simulate;
mod token;
mod uploads;
mod usage;
#[path = "../signing/zip_builder.rs"]
mod zip_builder;
