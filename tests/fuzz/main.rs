//! Hostile bytes: a target for each decoder, and a million datagrams into one engine.
//!
//! The decoders' targets are properties over mutants of `seeds/`. The engine's run repeats with
//! `NARROWCAST_SEED=7 cargo nextest run --test fuzz`; it prints which handler was reached how often.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::print_stdout,
    reason = "a run tells what it reached, and its seed"
)]

mod bounds;
mod config;
mod engine;
mod found;
mod keys;
mod links;
mod message;
mod mutate;
mod packages;
mod packs;
mod profiles;
mod seeds;
mod values;
