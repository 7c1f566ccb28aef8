//! A scenario's devices on real sockets, against any LwM2M server.
//!
//! The server is told nothing of the run but what its devices say, and, where it is one of ours and the
//! run has a token for it, what an operator says over REST. It may be too slow: then the run ends by its
//! time limit, and that it did not finish is its result.

mod devices;
mod observe;
mod pace;
mod package;
mod provision;
mod rest;
mod server_process;
mod under_way;

use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use devices::{Devices, LocalConfig, LocalDevices, Part};
pub use package::{FreshPackage, PackageError};
pub use provision::{ProvisionError, Provisioner};
pub use rest::{Rest, RestError};
pub use server_process::ServerProcess;

use self::under_way::UnderWay;
use super::scenario::{Scenario, ScenarioError};
use super::{End, Live, Metrics, Observer, RunResult};
use crate::sim::FleetError;

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The scenario needs the virtual clock.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The devices could not start.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The server could not be prepared, or told.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// The run was ended before its devices began.
    #[error("it was ended before the devices began")]
    NotBegun,
    /// A thread of devices did not end.
    #[error("the devices did not stop")]
    Broken,
}

/// How long a run waits for the server to stop its campaigns.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);

/// Who enters devices and runs the campaign.
#[derive(Debug)]
pub enum Operator {
    /// Nobody that the run knows of: devices just come.
    Nobody,
    /// The run itself, on a server of ours.
    Rest(Rest),
}

impl Operator {
    /// Whether devices take the addresses in URIs at their word. A server of ours is where images are, and
    /// may stand behind a proxy, which they are not to go around.
    pub const fn lets_follow_uris(&self) -> bool {
        matches!(self, Self::Nobody)
    }
}

/// Where a run goes, and how.
#[derive(Debug)]
pub struct LoadConfig {
    /// The LwM2M server.
    pub server: SocketAddr,
    /// Who is the operator.
    pub operator: Operator,
    /// How many times faster the scenario passes; 0 counts as 1.
    pub speed: u16,
    /// How long the run may last at the most.
    pub time_limit: Duration,
    /// From which all chance comes.
    pub seed: u64,
    /// The server's process, where it is on this machine.
    pub process: Option<ServerProcess>,
}

/// How a run stands, for whoever watches it.
pub struct Look<'a> {
    /// In short.
    pub live: &'a Live,
    observer: &'a Mutex<Observer>,
}

impl Look<'_> {
    /// All that was measured so far. It is copied: the devices do not wait for whoever reads it.
    pub fn metrics(&self) -> Metrics {
        lock(self.observer).metrics().clone()
    }
}

impl fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look")
            .field("live", self.live)
            .finish_non_exhaustive()
    }
}

/// Runs a scenario on its devices, wherever they are, until it is done, its time is over, a threshold ends
/// it, or `ended` says how it ends. `look` is shown each second how it stands.
///
/// # Errors
/// Where the run cannot begin, or its campaign not be started.
pub async fn run(
    scenario: &Scenario,
    config: LoadConfig,
    devices: impl Devices,
    ended: impl Future<Output = End>,
    look: &mut dyn FnMut(&Look<'_>),
) -> Result<RunResult, LoadError> {
    scenario.check_for_sockets(config.speed)?;
    let mut ended = pin!(ended);
    let time_limit = config.time_limit;
    let mut run = tokio::select! {
        _ = &mut ended => return Err(LoadError::NotBegun),
        run = UnderWay::begin(scenario, config, devices) => run?,
    };
    let end = tokio::select! {
        end = &mut ended => Some(end),
        end = run.until_its_end(look) => Some(end?),
        () = tokio::time::sleep(time_limit) => None,
    };
    let end = end.unwrap_or_else(|| run.out_of_time(time_limit));
    // A server that does not answer any more keeps nobody for long.
    let _ = tokio::time::timeout(LEAVE_WITHIN, run.leave()).await;
    run.finish(end).await
}

/// An observer is whole between two events: a panic elsewhere leaves it so.
fn lock(observer: &Mutex<Observer>) -> MutexGuard<'_, Observer> {
    observer.lock().unwrap_or_else(PoisonError::into_inner)
}
