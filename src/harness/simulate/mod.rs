//! A rehearsal: the server's core and the devices of a scenario in one process, on a virtual clock,
//! without sockets. A seed gives the same run on every machine, to the last byte of its log. Sans-IO.

mod operator;
mod world;

pub use world::Simulation;

use std::time::Duration;

use super::scenario::Scenario;
use super::{Observer, RunResult};
use crate::engine::CommandError;
use crate::model::InvalidName;
use crate::store::StoreError;

/// Why a rehearsal could not be run.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A device, or a package, would have a name that is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The engine refused what the operator wanted.
    #[error("the server refused: {0}")]
    Refused(#[from] CommandError),
    /// The memory store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whoever takes the log could not.
    #[error("the log cannot be written: {0}")]
    Log(String),
}

/// How far a rehearsal is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// On its own clock.
    pub elapsed: Duration,
    /// What has been measured.
    pub observer: &'a Observer,
    /// It is over: this is told last.
    pub is_over: bool,
}

/// How often progress is told, on the run's clock.
const TOLD_EVERY: Duration = Duration::from_secs(3600);

/// Runs a scenario. `log` takes the event log piece by piece; `progress` is called each hour of the run,
/// and at its end.
///
/// # Errors
/// Where the server refuses the campaign, or the log cannot be written.
pub fn run(
    scenario: &Scenario,
    seed: u64,
    log: &mut dyn FnMut(&str) -> Result<(), String>,
    progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<RunResult, SimulateError> {
    let mut simulation = Simulation::new(scenario, seed)?;
    let mut told = Duration::ZERO;
    while simulation.step()? {
        log(&simulation.take_log()).map_err(SimulateError::Log)?;
        let elapsed = simulation.elapsed();
        if elapsed >= told + TOLD_EVERY {
            told = elapsed;
            progress(&Progress {
                elapsed,
                observer: simulation.observer(),
                is_over: false,
            });
        }
    }
    log(&simulation.take_log()).map_err(SimulateError::Log)?;
    progress(&Progress {
        elapsed: simulation.elapsed(),
        observer: simulation.observer(),
        is_over: true,
    });
    Ok(simulation.finish())
}

#[cfg(test)]
mod tests;
