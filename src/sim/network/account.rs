//! What comes of a run: by the devices' logs, and by what the server commits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::digest::LogDigest;
use super::{CeLevel, Direction};
use crate::clock::{Instant, Now};
use crate::model::{
    CampaignState, CellId, FailureReason, Record, Sha256Digest, TaskId, TaskState, UpdateTask,
};
use crate::sim::judge::{Judge, Limits, Verdict};
use crate::sim::log::{DeviceEvent, LogLine};

/// Reads both logs as they are written, and keeps neither.
#[derive(Debug)]
pub struct Account {
    judge: Judge,
    digest: LogDigest,
    levels: Vec<CeLevel>,
    cells: Vec<CellId>,
    begun: Vec<Option<Instant>>,
    downloads: BTreeMap<CellId, u32>,
    downloads_peak: u32,
    download_times: BTreeMap<CeLevel, Vec<Duration>>,
    succeeded: Vec<Instant>,
    ended: BTreeSet<TaskId>,
    failed_attempts: BTreeSet<(TaskId, u8)>,
    failures: BTreeMap<FailureReason, u64>,
    failed: BTreeMap<TaskId, UpdateTask>,
    campaign_state: Option<CampaignState>,
    datagrams: [u64; 2],
    bytes: [u64; 2],
}

impl Account {
    pub(super) fn new(levels: Vec<CeLevel>, limits: Limits) -> Self {
        Self {
            cells: limits.classes.iter().map(|class| class.cell).collect(),
            begun: vec![None; levels.len()],
            levels,
            judge: Judge::new(limits),
            digest: LogDigest::default(),
            downloads: BTreeMap::new(),
            downloads_peak: 0,
            download_times: BTreeMap::new(),
            succeeded: Vec::new(),
            ended: BTreeSet::new(),
            failed_attempts: BTreeSet::new(),
            failures: BTreeMap::new(),
            failed: BTreeMap::new(),
            campaign_state: None,
            datagrams: [0; 2],
            bytes: [0; 2],
        }
    }

    /// What the devices' logs say of limits, flashes and images.
    pub fn verdict(&self) -> Verdict {
        self.judge.verdict()
    }

    /// Of all that devices did and the server committed, with its times, line by line.
    pub fn log_sha256(&self) -> Sha256Digest {
        self.digest.sha256()
    }

    /// When each task that succeeded did so, the first first.
    pub fn succeeded(&self) -> &[Instant] {
        &self.succeeded
    }

    /// Attempts that failed, by cause.
    pub const fn failures(&self) -> &BTreeMap<FailureReason, u64> {
        &self.failures
    }

    /// Tasks that have failed, as they are stored.
    pub fn failed(&self) -> impl Iterator<Item = &UpdateTask> {
        self.failed.values()
    }

    /// Where the campaign that changed last is in its life.
    pub const fn campaign_state(&self) -> Option<CampaignState> {
        self.campaign_state
    }

    /// The most devices of one cell between URI and package at once.
    pub const fn downloads_peak(&self) -> u32 {
        self.downloads_peak
    }

    /// How long the downloads of one level took that came to their end, from URI to package.
    pub fn download_times(&self, level: CeLevel) -> &[Duration] {
        self.download_times.get(&level).map_or(&[], Vec::as_slice)
    }

    /// Datagrams that left, the lost ones among them, and their bytes.
    pub const fn traffic(&self, direction: Direction) -> (u64, u64) {
        let index = direction as usize;
        (self.datagrams[index], self.bytes[index])
    }

    pub(super) fn keep_log(&mut self) {
        self.digest.keep();
    }

    pub(super) fn take_log(&mut self) -> String {
        self.digest.take()
    }

    pub(super) fn note(&mut self, line: fmt::Arguments<'_>) {
        self.digest.line(line);
    }

    pub(super) const fn sent(&mut self, direction: Direction, bytes: usize) {
        self.datagrams[direction as usize] += 1;
        self.bytes[direction as usize] += bytes as u64;
    }

    pub(super) fn device(&mut self, line: LogLine) {
        self.digest.line(format_args!("{line}"));
        self.judge.read(&line);
        let LogLine { at, device, event } = line;
        match event {
            DeviceEvent::UriAccepted => {
                if self.begun[device].replace(at).is_none() {
                    let here = self.downloads.entry(self.cells[device]).or_default();
                    *here += 1;
                    self.downloads_peak = self.downloads_peak.max(*here);
                }
            }
            DeviceEvent::Downloaded { .. } => {
                if let Some(begun) = self.download_ended(device) {
                    let times = self.download_times.entry(self.levels[device]);
                    times.or_default().push(at.saturating_since(begun));
                }
            }
            DeviceEvent::DownloadFailed { .. }
            | DeviceEvent::PowerCut
            | DeviceEvent::SwitchedOff => {
                self.download_ended(device);
            }
            DeviceEvent::Booted { .. }
            | DeviceEvent::Registered
            | DeviceEvent::RegistrationRefused { .. }
            | DeviceEvent::RegistrationUnanswered
            | DeviceEvent::DownloadResumed { .. }
            | DeviceEvent::ExecuteAccepted
            | DeviceEvent::Flashed { .. }
            | DeviceEvent::UpdateEnded { .. }
            | DeviceEvent::ObservationsForgotten
            | DeviceEvent::DownlinkTaken { .. }
            | DeviceEvent::RebootTaken { .. }
            | DeviceEvent::Bricked
            | DeviceEvent::BootFailed { .. }
            | DeviceEvent::RolledBack { .. }
            | DeviceEvent::InstallResumed
            | DeviceEvent::OldVersionKept
            | DeviceEvent::DownloadRestarted
            | DeviceEvent::PortChanged
            | DeviceEvent::SignalTold { .. } => {}
        }
    }

    pub(super) fn record(&mut self, now: Now, record: &Record) {
        let since = now.instant.since_origin();
        self.digest
            .line(format_args!("{since:?} server {record:?}"));
        if let Record::Task(task) = record {
            self.task(now.instant, task);
        } else if let Record::Campaign { state, .. } = record {
            self.campaign_state = Some(*state);
        }
    }

    fn task(&mut self, at: Instant, task: &UpdateTask) {
        // What a session says at its end is committed by the engine once more.
        if task.state == TaskState::Succeeded && self.ended.insert(task.id) {
            self.succeeded.push(at);
        }
        let has_failed = matches!(task.state, TaskState::Pending | TaskState::Failed);
        if let Some(failure) = task.failure.as_ref().filter(|_| has_failed)
            && self.failed_attempts.insert((task.id, task.attempt))
        {
            *self.failures.entry(failure.reason).or_default() += 1;
        }
        if task.state == TaskState::Failed {
            self.failed.insert(task.id, task.clone());
        } else {
            self.failed.remove(&task.id);
        }
    }

    fn download_ended(&mut self, device: usize) -> Option<Instant> {
        let begun = self.begun[device].take()?;
        if let Some(here) = self.downloads.get_mut(&self.cells[device]) {
            *here -= 1;
        }
        Some(begun)
    }
}
