//! What happens to a network from outside.

use std::time::Duration;

use super::Network;
use super::flights::next_ports;
use crate::clock::Utc;
use crate::model::CellId;

impl Network {
    /// The power of a device goes for `off`; with it what was fetched, or not.
    pub fn cut_power(&mut self, device: usize, off: Duration, loses_package: bool) {
        let now = self.now.instant;
        if let Some(member) = self.devices.get_mut(device) {
            if loses_package {
                member.core.lose_package(now, off);
            } else {
                member.core.cut_power(now, off);
            }
            self.drain_device(device);
        }
    }

    /// A device is switched off for good.
    pub fn switch_off(&mut self, device: usize) {
        let now = self.now.instant;
        if let Some(member) = self.devices.get_mut(device) {
            member.core.switch_off(now);
            self.drain_device(device);
        }
    }

    /// A NAT forgets a device: what is under way to it is lost, and it sends from other ports.
    pub fn flush_nat(&mut self, device: usize) {
        if let Some(member) = self.devices.get_mut(device) {
            member.rebinds = next_ports(member.rebinds);
        }
    }

    /// Nothing goes through the air of a cell for so long.
    pub fn darken(&mut self, cell: CellId, lasts: Duration) {
        let until = self.now.instant + lasts;
        if let Some(cell) = self.cells.iter_mut().find(|it| it.id == cell) {
            cell.dark_until = cell.dark_until.max(until);
        }
    }

    /// The server is killed, and goes on after `down` from what it committed.
    pub fn restart_server(&mut self, down: Duration) {
        self.core.starts_at = Some(self.now.instant + down);
    }

    /// Whether the server runs.
    pub const fn serves(&self) -> bool {
        self.core.starts_at.is_none()
    }

    /// The clock on the wall is set.
    pub fn set_clock(&mut self, by_ms: i64) {
        let set = |utc: Utc| Utc::from_unix_ms(utc.unix_ms().saturating_add(by_ms));
        (self.epoch, self.now.utc) = (set(self.epoch), set(self.now.utc));
    }

    /// `/5/0/3` of a device, as it is.
    pub fn update_state(&self, device: usize) -> Option<u8> {
        let device = self.devices.get(device)?;
        Some(device.core.update_state())
    }

    /// Whether a device has its registration.
    pub fn is_registered(&self, device: usize) -> bool {
        let device = self.devices.get(device);
        device.is_some_and(|device| device.core.is_registered())
    }
}
