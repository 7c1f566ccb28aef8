//! What each line of a device's log means.

use std::borrow::Cow;
use std::time::Duration;

use super::{DeviceState, Observer, ObserverConfig};
use crate::clock::Instant;
use crate::harness::result::{SaidBy, StepKind};
use crate::sim::log::{DeviceEvent, LogLine};

/// How long after a push window's end a device may take a URI that was written within it: as long as a
/// request is repeated where coverage is weak (15 s, four retransmissions).
const WINDOW_GRACE: Duration = Duration::from_secs(465);

/// Update Result 1 and 11.
const SUCCESS: u8 = 1;
const DEFERRED: u8 = 11;

impl Observer {
    pub(super) fn happened(&mut self, line: &LogLine) {
        let level = self.infos.get(line.device).map(|info| info.level as usize);
        let before = self.devices.get(line.device).map(|watch| watch.state);
        let (Some(level), Some(before)) = (level, before) else {
            return;
        };
        let cause = match &line.event {
            DeviceEvent::Booted { .. }
            | DeviceEvent::Registered
            | DeviceEvent::RegistrationRefused { .. }
            | DeviceEvent::RegistrationUnanswered
            | DeviceEvent::RebootTaken { .. }
            | DeviceEvent::ObservationsForgotten
            | DeviceEvent::PortChanged
            | DeviceEvent::SignalTold { .. }
            | DeviceEvent::DownlinkTaken { .. } => {
                self.of_registration(level, line);
                None
            }
            DeviceEvent::UriAccepted
            | DeviceEvent::DownloadResumed { .. }
            | DeviceEvent::DownloadRestarted
            | DeviceEvent::Downloaded { .. }
            | DeviceEvent::DownloadFailed { .. } => self.of_download(level, line),
            DeviceEvent::ExecuteAccepted
            | DeviceEvent::Flashed { .. }
            | DeviceEvent::UpdateEnded { .. }
            | DeviceEvent::InstallResumed
            | DeviceEvent::OldVersionKept
            | DeviceEvent::BootFailed { .. }
            | DeviceEvent::RolledBack { .. }
            | DeviceEvent::Bricked
            | DeviceEvent::SwitchedOff
            | DeviceEvent::PowerCut => self.of_install(level, line),
        };
        if let Some(cause) = cause {
            self.count_failure(SaidBy::Device, cause);
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

    fn of_registration(&mut self, level: usize, line: &LogLine) {
        let (at, Some(watch)) = (line.at, self.devices.get_mut(line.device)) else {
            return;
        };
        match &line.event {
            DeviceEvent::Booted { .. } => watch.booted(at),
            DeviceEvent::Registered => {
                if let Some(took) = watch.registered(at) {
                    self.metrics.record(self.ids.register[level], took);
                }
            }
            DeviceEvent::RegistrationRefused { .. } | DeviceEvent::RegistrationUnanswered => {
                watch.registration_lost(at);
                self.metrics.add(self.ids.registration_failed, 1);
            }
            DeviceEvent::RebootTaken { .. } => {
                watch.timeline.add(at, StepKind::RebootTaken, None);
            }
            DeviceEvent::UriAccepted
            | DeviceEvent::DownloadResumed { .. }
            | DeviceEvent::Downloaded { .. }
            | DeviceEvent::DownloadFailed { .. }
            | DeviceEvent::ExecuteAccepted
            | DeviceEvent::Flashed { .. }
            | DeviceEvent::UpdateEnded { .. }
            | DeviceEvent::ObservationsForgotten
            | DeviceEvent::DownlinkTaken { .. }
            | DeviceEvent::InstallResumed
            | DeviceEvent::OldVersionKept
            | DeviceEvent::BootFailed { .. }
            | DeviceEvent::RolledBack { .. }
            | DeviceEvent::Bricked
            | DeviceEvent::SwitchedOff
            | DeviceEvent::DownloadRestarted
            | DeviceEvent::PortChanged
            | DeviceEvent::SignalTold { .. }
            | DeviceEvent::PowerCut => {}
        }
    }

    /// The cause, where it failed.
    fn of_download(&mut self, level: usize, line: &LogLine) -> Option<Cow<'static, str>> {
        let (at, watch) = (line.at, self.devices.get_mut(line.device)?);
        match &line.event {
            DeviceEvent::UriAccepted => {
                let began = watch.uri_accepted(at);
                if let Some(gap) = began.retry_gap {
                    self.metrics.record(self.ids.retry_gap, gap);
                }
                let is_outside = began.anew && is_outside(&self.config, at);
                watch.outside |= is_outside;
                self.began_outside += i64::from(is_outside);
            }
            DeviceEvent::Downloaded { .. } => {
                if let Some(took) = watch.downloaded(at) {
                    self.metrics.record(self.ids.download[level], took);
                }
            }
            DeviceEvent::DownloadFailed { result } => {
                watch.failed(at, StepKind::DownloadFailed, *result);
                return Some(Cow::Owned(format!("result_{result}")));
            }
            DeviceEvent::DownloadResumed { .. } => {
                watch.timeline.add(at, StepKind::DownloadResumed, None);
            }
            DeviceEvent::DownloadRestarted => {
                watch.timeline.add(at, StepKind::DownloadRestarted, None);
            }
            DeviceEvent::Booted { .. }
            | DeviceEvent::Registered
            | DeviceEvent::RegistrationRefused { .. }
            | DeviceEvent::RegistrationUnanswered
            | DeviceEvent::ExecuteAccepted
            | DeviceEvent::Flashed { .. }
            | DeviceEvent::UpdateEnded { .. }
            | DeviceEvent::RebootTaken { .. }
            | DeviceEvent::ObservationsForgotten
            | DeviceEvent::DownlinkTaken { .. }
            | DeviceEvent::InstallResumed
            | DeviceEvent::OldVersionKept
            | DeviceEvent::BootFailed { .. }
            | DeviceEvent::RolledBack { .. }
            | DeviceEvent::Bricked
            | DeviceEvent::SwitchedOff
            | DeviceEvent::PortChanged
            | DeviceEvent::SignalTold { .. }
            | DeviceEvent::PowerCut => {}
        }
        None
    }

    /// The cause, where it failed.
    fn of_install(&mut self, level: usize, line: &LogLine) -> Option<Cow<'static, str>> {
        let (at, watch) = (line.at, self.devices.get_mut(line.device)?);
        match &line.event {
            DeviceEvent::ExecuteAccepted => {
                watch.state = DeviceState::Updating;
                watch.timeline.add(at, StepKind::ExecuteTaken, None);
            }
            DeviceEvent::Flashed { version } => {
                let target = self.config.target_version.as_ref();
                watch.wrong_version = target.is_some_and(|target| target != version);
                watch.timeline.add(at, StepKind::Flashed, None);
            }
            DeviceEvent::UpdateEnded { result: DEFERRED } => {
                watch.state = DeviceState::Downloaded;
                watch.timeline.add(at, StepKind::Deferred, None);
            }
            DeviceEvent::UpdateEnded { result: SUCCESS } if !watch.wrong_version => {
                if let Some(took) = watch.succeeded(at) {
                    self.metrics.record(self.ids.update[level], took);
                }
            }
            DeviceEvent::UpdateEnded { result } => {
                watch.failed(at, StepKind::UpdateFailed, *result);
                return Some(match *result {
                    SUCCESS => Cow::Borrowed("version_mismatch"),
                    result => Cow::Owned(format!("result_{result}")),
                });
            }
            DeviceEvent::InstallResumed => {
                watch.state = DeviceState::Updating;
                watch.timeline.add(at, StepKind::InstallResumed, None);
            }
            DeviceEvent::OldVersionKept => watch.wrong_version = true,
            DeviceEvent::BootFailed { .. } => {
                watch.timeline.add(at, StepKind::BootFailed, None);
            }
            DeviceEvent::RolledBack { .. } => {
                watch.timeline.add(at, StepKind::RolledBack, None);
            }
            DeviceEvent::PowerCut => {
                let interrupted = watch.power_cut(at, StepKind::PowerCut);
                return interrupted.then_some(Cow::Borrowed("power_cut"));
            }
            DeviceEvent::SwitchedOff => {
                let interrupted = watch.power_cut(at, StepKind::SwitchedOff);
                return interrupted.then_some(Cow::Borrowed("switched_off"));
            }
            DeviceEvent::Bricked => {
                watch.bricked(at);
                return Some(Cow::Borrowed("bricked"));
            }
            DeviceEvent::Booted { .. }
            | DeviceEvent::Registered
            | DeviceEvent::RegistrationRefused { .. }
            | DeviceEvent::RegistrationUnanswered
            | DeviceEvent::UriAccepted
            | DeviceEvent::DownloadResumed { .. }
            | DeviceEvent::Downloaded { .. }
            | DeviceEvent::DownloadFailed { .. }
            | DeviceEvent::RebootTaken { .. }
            | DeviceEvent::ObservationsForgotten
            | DeviceEvent::DownloadRestarted
            | DeviceEvent::PortChanged
            | DeviceEvent::SignalTold { .. }
            | DeviceEvent::DownlinkTaken { .. } => {}
        }
        None
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
