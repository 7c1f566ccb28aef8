//! What each line of a device's log means.

use std::time::Duration;

use super::watch::SUCCESS;
use super::{Cause, DeviceState, Observer, ObserverConfig};
use crate::clock::Instant;
use crate::harness::metric::SeriesId;
use crate::harness::result::StepKind;
use crate::sim::log::{DeviceEvent, LogLine};

/// How long after a push window's end a device may take a URI that was written within it: as long as a
/// request is repeated where coverage is weak (15 s, four retransmissions).
const WINDOW_GRACE: Duration = Duration::from_secs(465);

/// Update Result 11.
const DEFERRED: u8 = 11;

impl Observer {
    pub(super) fn happened(&mut self, line: &LogLine) {
        let level = self.infos.get(line.device).map(|info| info.level as usize);
        let before = self.devices.get(line.device).map(|watch| watch.state);
        let (Some(level), Some(before)) = (level, before) else {
            return;
        };
        if let Some(cause) = self.meaning(level, line) {
            self.count_failure(Some(line.device), cause);
        }
        let Some(watch) = self.devices.get_mut(line.device) else {
            return;
        };
        let after = watch.state;
        if !watch.in_attempt && std::mem::take(&mut watch.outside) {
            self.began_outside -= 1;
        }
        self.metrics.set(self.ids.outside, self.began_outside);
        self.moved(level, before, after);
    }

    /// The cause, where it is a failure.
    fn meaning(&mut self, level: usize, line: &LogLine) -> Option<Cause> {
        let (at, watch) = (line.at, self.devices.get_mut(line.device)?);
        match &line.event {
            DeviceEvent::Booted { .. } => watch.booted(at),
            DeviceEvent::Registered => {
                let took = watch.registered(at);
                self.timed(self.ids.register[level], took);
            }
            DeviceEvent::RegistrationRefused { .. } | DeviceEvent::RegistrationUnanswered => {
                watch.registration_lost(at);
                self.metrics.add(self.ids.registration_failed, 1);
            }
            DeviceEvent::UriAccepted => self.uri_accepted(line),
            DeviceEvent::DownloadResumed { .. } => watch.step(at, StepKind::DownloadResumed),
            DeviceEvent::DownloadRestarted => watch.step(at, StepKind::DownloadRestarted),
            DeviceEvent::Downloaded { .. } => {
                let took = watch.downloaded(at);
                self.timed(self.ids.download[level], took);
            }
            DeviceEvent::DownloadFailed { result } => {
                watch.failed(at, StepKind::DownloadFailed, *result);
                return Some(Cause::Result(*result));
            }
            DeviceEvent::ExecuteAccepted => watch.execute_taken(at),
            DeviceEvent::Flashed { version } => {
                watch.flashed(at, version, self.config.target_version.as_deref());
            }
            DeviceEvent::UpdateEnded { result: DEFERRED } => watch.deferred(at),
            DeviceEvent::UpdateEnded { result: SUCCESS } if !watch.wrong_version => {
                let took = watch.succeeded(at);
                self.timed(self.ids.update[level], took);
            }
            DeviceEvent::UpdateEnded { result } => return Some(watch.update_failed(at, *result)),
            DeviceEvent::InstallResumed => watch.install_resumed(at),
            DeviceEvent::OldVersionKept => watch.wrong_version = true,
            DeviceEvent::BootFailed { .. } => watch.step(at, StepKind::BootFailed),
            DeviceEvent::RolledBack { .. } => watch.step(at, StepKind::RolledBack),
            DeviceEvent::RebootTaken { .. } => watch.step(at, StepKind::RebootTaken),
            DeviceEvent::PowerCut => {
                let interrupted = watch.power_cut(at, StepKind::PowerCut);
                return interrupted.then_some(Cause::PowerCut);
            }
            DeviceEvent::SwitchedOff => {
                let interrupted = watch.power_cut(at, StepKind::SwitchedOff);
                return interrupted.then_some(Cause::SwitchedOff);
            }
            DeviceEvent::Bricked => {
                watch.bricked(at);
                return Some(Cause::Bricked);
            }
            DeviceEvent::ObservationsForgotten
            | DeviceEvent::PortChanged
            | DeviceEvent::SignalTold { .. }
            | DeviceEvent::DownlinkTaken { .. } => {}
        }
        None
    }

    fn uri_accepted(&mut self, line: &LogLine) {
        let Some(watch) = self.devices.get_mut(line.device) else {
            return;
        };
        let began = watch.uri_accepted(line.at);
        let is_outside = began.anew && is_outside(&self.config, line.at);
        watch.outside |= is_outside;
        self.began_outside += i64::from(is_outside);
        self.timed(self.ids.retry_gap, began.retry_gap);
    }

    fn timed(&mut self, id: SeriesId, took: Option<Duration>) {
        if let Some(took) = took {
            self.metrics.record(id, took);
        }
    }

    fn moved(&mut self, level: usize, before: DeviceState, after: DeviceState) {
        if before == after {
            return;
        }
        if let Some(left) = self.states.get_mut(&before) {
            left[level] = left[level].saturating_sub(1);
        }
        if let Some(reached) = self.states.get_mut(&after) {
            reached[level] += 1;
        }
        for state in [before, after] {
            let count = self.in_state(state);
            self.lanes.set_state(state, count);
        }
    }
}

fn is_outside(config: &ObserverConfig, at: Instant) -> bool {
    let Some(windows) = &config.windows else {
        return false;
    };
    let passed = at.since_origin();
    let is_open = |passed: Duration| windows.is_open(config.epoch + passed);
    !is_open(passed) && !is_open(passed.saturating_sub(WINDOW_GRACE))
}
