//! Where one device is in its update.

use std::time::Duration;

use super::timeline::{Mark, Timeline, Took};
use super::{Cause, DeviceState};
use crate::clock::Instant;
use crate::harness::result::{SaidBy, StepKind};

/// Update Result 1.
pub(super) const SUCCESS: u8 = 1;

/// One device.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    pub(super) state: DeviceState,
    pub(super) timeline: Timeline,
    /// Since when it has been without a registration.
    unregistered: Mark,
    /// Its first URI since it was last updated.
    first_uri: Mark,
    download: Mark,
    failed: Mark,
    /// When it came to the new version.
    updated: Mark,
    /// How long its last update took.
    last_took: Duration,
    pub(super) blocks: u32,
    pub(super) block_bytes: u64,
    pub(super) retransmitted: u32,
    pub(super) attempts: u16,
    pub(super) stages: Stages,
    /// Why its last attempt failed, by its own word and by the server's.
    failures: [Option<Cause>; 2],
    /// From a URI to what came of it; a power cut does not end it.
    pub(super) in_attempt: bool,
    /// The attempt began outside of the push windows.
    pub(super) outside: bool,
    pub(super) wrong_version: bool,
}

/// How long each took, and since when it is in the one that it is in.
#[derive(Clone, Debug, Default)]
pub(super) struct Stages {
    pub(super) register: Took,
    pub(super) wait: Took,
    pub(super) download: Took,
    pub(super) rest: Took,
    pub(super) install: Took,
    since: Mark,
}

/// What the acceptance of a URI means.
pub(super) struct Began {
    /// It is not the same attempt as before.
    pub(super) anew: bool,
    /// From the failure before it.
    pub(super) retry_gap: Option<Duration>,
}

impl Watch {
    pub(super) fn booted(&mut self, at: Instant) {
        self.unregistered.set(at);
        if self.is_idle() {
            self.state = DeviceState::Registering;
        }
        self.timeline.add(at, StepKind::Booted, None);
    }

    /// How long it was without a registration.
    pub(super) fn registered(&mut self, at: Instant) -> Option<Duration> {
        if self.is_idle() {
            self.state = DeviceState::Registered;
        }
        self.timeline.add(at, StepKind::Registered, None);
        let since = self.unregistered.take()?;
        let took = at.saturating_since(since);
        if self.stages.register.get().is_none() {
            self.stages.register.set(took);
            self.stages.since.set(at);
        }
        Some(took)
    }

    pub(super) fn registration_lost(&mut self, at: Instant) {
        self.unregistered.set(at);
        if self.is_idle() {
            self.state = DeviceState::Registering;
        }
        self.timeline.add(at, StepKind::RegistrationLost, None);
    }

    pub(super) fn uri_accepted(&mut self, at: Instant) -> Began {
        if self.first_uri.at().is_none() {
            self.first_uri.set(at);
        }
        if self.stages.wait.get().is_none() {
            Stages::ended(&mut self.stages.wait, self.stages.since, at);
        }
        if self.state != DeviceState::Downloading {
            self.download.set(at);
        }
        self.state = DeviceState::Downloading;
        self.wrong_version = false;
        self.timeline.add(at, StepKind::DownloadBegan, None);
        let failed = self.failed.take();
        let anew = !std::mem::replace(&mut self.in_attempt, true);
        self.attempts = self.attempts.saturating_add(u16::from(anew));
        Began {
            anew,
            retry_gap: failed.map(|failed| at.saturating_since(failed)),
        }
    }

    /// How long the download took.
    pub(super) fn downloaded(&mut self, at: Instant) -> Option<Duration> {
        self.state = DeviceState::Downloaded;
        self.timeline.add(at, StepKind::Downloaded, None);
        self.stages.since.set(at);
        let since = self.download.take()?;
        let took = at.saturating_since(since);
        self.stages.download.set(took);
        Some(took)
    }

    pub(super) fn execute_taken(&mut self, at: Instant) {
        self.state = DeviceState::Updating;
        Stages::ended(&mut self.stages.rest, self.stages.since, at);
        self.stages.since.set(at);
        self.timeline.add(at, StepKind::ExecuteTaken, None);
    }

    pub(super) fn install_resumed(&mut self, at: Instant) {
        self.state = DeviceState::Updating;
        self.timeline.add(at, StepKind::InstallResumed, None);
    }

    pub(super) fn deferred(&mut self, at: Instant) {
        self.state = DeviceState::Downloaded;
        self.timeline.add(at, StepKind::Deferred, None);
    }

    /// It wrote a version; the one that it is to run, if that is known.
    pub(super) fn flashed(&mut self, at: Instant, version: &str, target: Option<&str>) {
        self.wrong_version = target.is_some_and(|target| target != version);
        self.timeline.add(at, StepKind::Flashed, None);
    }

    /// The update ended, and it does not run the new version.
    pub(super) fn update_failed(&mut self, at: Instant, result: u8) -> Cause {
        self.failed(at, StepKind::UpdateFailed, result);
        match result {
            SUCCESS => Cause::VersionMismatch,
            result => Cause::Result(result),
        }
    }

    pub(super) fn note_failure(&mut self, cause: Cause) {
        self.failures[cause.said_by() as usize] = Some(cause);
    }

    /// Why its last attempt failed, by this word.
    pub(super) const fn failure_by(&self, said_by: SaidBy) -> Option<Cause> {
        self.failures[said_by as usize]
    }

    pub(super) fn failed(&mut self, at: Instant, step: StepKind, result: u8) {
        self.state = DeviceState::Failed;
        self.in_attempt = false;
        self.download.take();
        self.failed.set(at);
        self.timeline.add(at, step, Some(result));
    }

    /// How long it took from the first URI on.
    pub(super) fn succeeded(&mut self, at: Instant) -> Option<Duration> {
        self.state = DeviceState::Updated;
        self.in_attempt = false;
        self.failed.take();
        Stages::ended(&mut self.stages.install, self.stages.since, at);
        self.timeline.add(at, StepKind::Updated, None);
        self.updated.set(at);
        let took = self
            .first_uri
            .take()
            .map(|since| at.saturating_since(since));
        self.last_took = took.unwrap_or_default();
        took
    }

    /// Whether it was at an update.
    pub(super) fn power_cut(&mut self, at: Instant, step: StepKind) -> bool {
        self.timeline.add(at, step, None);
        self.download.take();
        let interrupted = self.state.is_at_update();
        if interrupted || self.is_idle() {
            self.state = DeviceState::Off;
        }
        interrupted
    }

    /// It does not come back: what it was at has failed.
    pub(super) fn bricked(&mut self, at: Instant) {
        self.state = DeviceState::Failed;
        self.in_attempt = false;
        self.download.take();
        self.timeline.add(at, StepKind::Bricked, None);
    }

    /// From its first URI to success, or until now; `None` where it never had one.
    pub(super) fn took(&self, now: Instant) -> Option<Duration> {
        match self.first_uri.at() {
            Some(since) => Some(now.saturating_since(since)),
            None => self.updated.at().map(|_| self.last_took),
        }
    }

    /// Something that changes nothing else.
    pub(super) fn step(&mut self, at: Instant, step: StepKind) {
        self.timeline.add(at, step, None);
    }

    /// It is at no update, and none has ended.
    const fn is_idle(&self) -> bool {
        matches!(
            self.state,
            DeviceState::Off | DeviceState::Registering | DeviceState::Registered
        )
    }
}

impl Stages {
    fn ended(stage: &mut Took, since: Mark, at: Instant) {
        if let Some(since) = since.at() {
            stage.set(at.saturating_since(since));
        }
    }
}
