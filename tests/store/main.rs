//! The store's promises, held against each of its makings.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod conformance;
mod equality;
mod restart;
mod samples;
mod torn_log;
