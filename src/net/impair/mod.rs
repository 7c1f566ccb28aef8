//! What a bad path does to datagrams, decided without sockets or clocks: lost, late, twice, out of
//! order, damaged, queued before a slow link, sent from another address, cut off.
//!
//! An [`Impairment`] says how a path is. An [`Impairer`] is one such path: given a datagram and the
//! time, it says what arrives of it, and when. The proxy puts one before each client, the simulation one
//! before each device; the same seed decides the same in both, on every machine.

mod bit_rate;
mod impairer;
mod impairment;
mod jitter;
mod probability;

pub use bit_rate::BitRate;
pub use impairer::{Deliveries, Delivery, Impairer, PassCounters};
pub use impairment::{Cut, Direction, Impairment, NatMapping, OneWay, packet_bytes};
pub use jitter::Jitter;
pub use probability::Probability;

/// A word that names no impairment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImpairmentError {
    /// Not a part of all.
    #[error("`{0}` is not a probability: write it as 2.5% or 0.025, from 0 to 1")]
    Probability(String),
    /// Not a rate.
    #[error("`{0}` is not a rate: write it as 20kbit, with bit, kbit or mbit, above 0")]
    BitRate(String),
    /// Not a jitter.
    #[error(
        "`{0}` is not a jitter: write it as 50ms, normal:50ms or lognormal:500ms,2s (median, then \
         95 %, which is not below it)"
    )]
    Jitter(String),
    /// Not a cut.
    #[error("`{0}` is not a cut: write it as 2h:5m, after how long and for how long")]
    Cut(String),
}

/// A time as `humantime` writes it.
fn duration(text: &str) -> Option<std::time::Duration> {
    humantime_serde::re::humantime::parse_duration(text.trim()).ok()
}
