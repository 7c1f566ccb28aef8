//! What came of each device.

use std::time::Duration;

use super::{Cause, DeviceState, Observer};
use crate::harness::result::SaidBy;

/// One device: where it is, and how long each stage of its way took. A stage that it did not come to the
/// end of has no time; of one that it went through more than once it is the last, but for the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRow<'a> {
    /// Its endpoint name.
    pub endpoint: &'a str,
    /// The number of its mix in the scenario.
    pub mix: u16,
    /// Its cell.
    pub cell: u32,
    /// Its coverage enhancement level, 0 to 2.
    pub ce: u8,
    /// Where it is.
    pub state: DeviceState,
    /// How often it began an update.
    pub attempts: u16,
    /// From its first power-on to its registration.
    pub register: Option<Duration>,
    /// From there to its first URI.
    pub wait: Option<Duration>,
    /// From the URI to the whole image.
    pub download: Option<Duration>,
    /// From there to Execute.
    pub rest: Option<Duration>,
    /// From there to the new version.
    pub install: Option<Duration>,
    /// From its first URI to the new version, or until now.
    pub update: Option<Duration>,
    /// Blocks of images that it took.
    pub blocks: u32,
    /// Their bytes.
    pub block_bytes: u64,
    /// Its retransmissions.
    pub retransmitted: u32,
    /// Why its last attempt that failed did, by its own log.
    pub failed_with: Option<Cause>,
    /// The same by the server's word.
    pub server_says: Option<Cause>,
}

impl Observer {
    /// All devices as they are now, in their order.
    pub fn devices(&self) -> impl Iterator<Item = DeviceRow<'_>> {
        let all = self.infos.iter().zip(&self.devices);
        all.map(|(info, watch)| {
            let stages = &watch.stages;
            DeviceRow {
                endpoint: &info.endpoint,
                mix: info.mix,
                cell: info.cell.0,
                ce: info.level as u8,
                state: watch.state,
                attempts: watch.attempts,
                register: stages.register.get(),
                wait: stages.wait.get(),
                download: stages.download.get(),
                rest: stages.rest.get(),
                install: stages.install.get(),
                update: watch.took(self.now),
                blocks: watch.blocks,
                block_bytes: watch.block_bytes,
                retransmitted: watch.retransmitted,
                failed_with: watch.failure_by(SaidBy::Device),
                server_says: watch.failure_by(SaidBy::Server),
            }
        })
    }
}
