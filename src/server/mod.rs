//! The server's shell: it gives the engine its inputs, commits its records, then sends.

mod audit;
mod audit_head;
mod cell_limits;
mod driver;
mod failpoint;
mod fetching;
mod link;
mod packages;
mod rebuild;
mod reload;
mod reply;
mod rest;
mod run;
mod telemetry;
mod telling;
mod verifier;
mod webhooks;

pub use reload::{ReloadError, Reloaded, Reloader};
pub use run::{Listening, RunError, STORE_FILE, Server, install_metrics, open_data_dir};
