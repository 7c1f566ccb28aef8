//! An update task: one device of one campaign.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::words::words;
use super::{CampaignId, CellId, CoverageTier, EndpointName, StopMode};
use crate::clock::Utc;

/// A task's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

words! {
    /// 等待 / 运行中 / 成功 / 失败 / 停止.
    pub enum TaskState {
        /// No attempt has begun, or the next one waits.
        Pending = "pending",
        /// An attempt is under way.
        Running = "running",
        /// The device runs the target version.
        Succeeded = "succeeded",
        /// No attempt is left.
        Failed = "failed",
        /// Ended by an operator.
        Stopped = "stopped",
    }
}

impl TaskState {
    /// Whether nothing more will happen.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Stopped)
    }
}

words! {
    /// Where a task is in the flow of one update.
    pub enum Phase {
        /// Waits until the device is heard.
        WaitingContact = "waiting_contact",
        /// 升级协商: reads state, version, radio.
        Negotiating = "negotiating",
        /// 排队: waits for a slot of its cell and tier.
        WaitingSlot = "waiting_slot",
        /// The URI is (being) written, blocks are fetched.
        Downloading = "downloading",
        /// The device has the package.
        Downloaded = "downloaded",
        /// Execute is intended or under way.
        Executing = "executing",
        /// The device flashes or reboots.
        Updating = "updating",
        /// Result and version are read.
        Verifying = "verifying",
        /// Ended.
        Done = "done",
    }
}

words! {
    /// Why a task failed: the stable codes of the REST interface.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum FailureReason {
        /// A request was not answered while the device should listen.
        DeviceOffline = "device_offline",
        /// The device is in another running task.
        TaskConflict = "task_conflict",
        /// The device was not heard in time.
        ContactTimeout = "contact_timeout",
        /// The version was not reported in time.
        VersionTimeout = "version_timeout",
        /// The cell id could not be read.
        CellUnknown = "cell_unknown",
        /// No block was fetched for too long.
        DownloadStalled = "download_stalled",
        /// No result came in time.
        ResultTimeout = "result_timeout",
        /// The version could not be checked in time.
        VerificationTimeout = "verification_timeout",
        /// The device runs another version than the target.
        VersionMismatch = "version_mismatch",
        /// Update Result 2.
        NoSpace = "no_space",
        /// Update Result 3.
        OutOfMemory = "out_of_memory",
        /// Update Result 4.
        ConnectionLost = "connection_lost",
        /// Update Result 5.
        IntegrityCheckFailed = "integrity_check_failed",
        /// Update Result 6.
        UnsupportedPackage = "unsupported_package",
        /// Update Result 7.
        InvalidUri = "invalid_uri",
        /// Update Result 8.
        UpdateFailed = "update_failed",
        /// Update Result 9.
        UnsupportedProtocol = "unsupported_protocol",
        /// Update Result 10.
        Cancelled = "cancelled",
        /// 已禁止升级: the loop guard holds the device until an operator lifts it.
        Barred = "barred",
        /// 终端标识重复: several devices registered under the name, until the time was over.
        Flapping = "flapping",
        /// The device does not fit the package.
        NotEligible = "not_eligible",
        /// 升级条件不满足: its battery, its signal or its free memory did not come to what is asked for.
        ConditionUnmet = "condition_unmet",
        /// 用户未确认升级: nobody agreed in time.
        ConsentMissing = "consent_missing",
        /// An operator stopped it.
        Stopped = "stopped",
        /// 计划已到结束时间: the campaign's end came before its turn.
        CampaignEnded = "campaign_ended",
        /// 密钥已吊销: the key that signed the package was revoked.
        KeyRevoked = "key_revoked",
    }
}

impl FailureReason {
    /// Whether the task was stopped, rather than that it failed.
    pub const fn is_stop(self) -> bool {
        matches!(self, Self::Stopped | Self::CampaignEnded | Self::KeyRevoked)
    }
}

/// A failure with what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The cause.
    pub reason: FailureReason,
    /// What was seen, in plain words with paths and codes, e.g. `/5/0/5 = 5`.
    pub evidence: String,
}

impl fmt::Display for Failure {
    /// As a device's history has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.evidence)
    }
}

words! {
    /// What is worth saying of a success.
    pub enum SuccessNote {
        /// The device ran the target version before anything was done.
        UpToDate = "up_to_date",
        /// Result 1, but the version could not be read.
        Unconfirmed = "unconfirmed",
    }
}

words! {
    /// What a task that does not move waits for.
    pub enum WaitingFor {
        /// The campaign's activation.
        Activation = "activation",
        /// A message of the device.
        Contact = "contact",
        /// An answer of the device to a request.
        Answer = "answer",
        /// A slot of its cell and tier.
        Slot = "slot",
        /// The first or the next block to be fetched, or to be taken.
        Block = "block",
        /// The device's word that the package is there, or the update's end.
        Notification = "notification",
        /// The time of the next attempt.
        RetryDelay = "retry_delay",
        /// A quarantine after which the slot of a silent device is free.
        Quarantine = "quarantine",
        /// The device's version to settle after an update.
        Settling = "settling",
        /// What the campaign asks of the device: its battery, its signal, its free memory.
        Condition = "condition",
        /// Somebody's agreement to the update of the device.
        Consent = "consent",
        /// The device's user, who has put the installation off.
        Deferred = "deferred",
        /// The campaign's being resumed.
        Paused = "paused",
        /// The campaign's start.
        Start = "start",
        /// 推送时段: the campaign's next window.
        Window = "window",
        /// The rollout's earlier phases.
        RolloutPhase = "rollout_phase",
        /// The campaign's or the server's rate of starts.
        Rate = "rate",
        /// The server's being told where its devices are to fetch from.
        DownloadBase = "download_base",
        /// The end of several devices' taking over the registration from each other.
        Flapping = "flapping",
    }
}

impl WaitingFor {
    /// Whether it is for the campaign, which lets the task not begin, and not for its device.
    pub const fn is_gate(self) -> bool {
        match self {
            Self::Consent | Self::Start | Self::Window | Self::Paused | Self::RolloutPhase => true,
            Self::Activation
            | Self::Contact
            | Self::Answer
            | Self::Slot
            | Self::Block
            | Self::Notification
            | Self::RetryDelay
            | Self::Quarantine
            | Self::Settling
            | Self::Condition
            | Self::Deferred
            | Self::Rate
            | Self::DownloadBase
            | Self::Flapping => false,
        }
    }
}

/// 128 random bits in the path of a download: who has them may fetch. Stable for the life of a task.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DownloadCapability(pub [u8; 16]);

impl DownloadCapability {
    /// 32 hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// Reads 32 lower-case hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Debug for DownloadCapability {
    /// Never in full: it is what lets a stranger in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DownloadCapability({}…)", hex::encode(&self.0[..2]))
    }
}

/// The slot that a task holds. Frozen at admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotClaim {
    /// The cell.
    pub cell: CellId,
    /// The class within the cell.
    pub tier: CoverageTier,
}

/// 升级任务: the update of one device in one campaign, as it is persisted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateTask {
    /// Its number.
    pub id: TaskId,
    /// The campaign it belongs to.
    pub campaign: CampaignId,
    /// The device.
    pub endpoint: EndpointName,
    /// In which phase of its campaign's rollout it is, from 0.
    pub rollout_phase: u16,
    /// Where it stands.
    pub state: TaskState,
    /// Where in the flow.
    pub phase: Phase,
    /// Which attempt this is, from 1; 0 before the first.
    pub attempt: u8,
    /// How many attempts were made before an operator had it tried again: they do not count against the
    /// campaign's `retries_max`.
    pub attempts_before: u8,
    /// How it is being stopped: no attempt follows this one.
    pub stop: Option<StopMode>,
    /// When somebody agreed to it, where the campaign wants that.
    pub consented_at: Option<Utc>,
    /// The path of its download; made with the first URI, kept across attempts, withdrawn at the end.
    pub capability: Option<DownloadCapability>,
    /// Whether the URI was (intended to be) written in this attempt. While the next attempt is waited
    /// for: whether what the device has in State 2 can only be what this task gave it.
    pub uri_intended: bool,
    /// The attempt whose Execute was intended, before any datagram left. Never twice for one attempt.
    pub execute_intended_attempt: Option<u8>,
    /// Whether its device was lost after an Execute of it: it counts as failed from then on, until it has
    /// ended otherwise, also where it is tried again.
    pub lost: bool,
    /// The slot it holds. Counters are rebuilt from these, never as zero.
    pub slot: Option<SlotClaim>,
    /// Since when it waits for a slot, in its queue or, where its campaign lets nothing begin, out of it.
    pub queued_since: Option<Utc>,
    /// Since when its device is kept awake for a slot.
    pub held_since: Option<Utc>,
    /// How many pings this attempt had cost its device when it was last let go, or was not yet held.
    pub pings: u32,
    /// How far the package was fetched or pushed when the task was last committed, in bytes: up to here the
    /// blocks were served. It begins anew where the package does.
    pub bytes_served: u64,
    /// What it waits for.
    pub waiting_for: Option<WaitingFor>,
    /// Since when it waits for that; while it downloads, since when it does; else since when it is in this
    /// phase.
    pub since: Utc,
    /// Until when it may be.
    pub until: Option<Utc>,
    /// Not before this may the next attempt begin.
    pub retry_at: Option<Utc>,
    /// The last attempt's failure; final when `state` is failed.
    pub failure: Option<Failure>,
    /// What is worth saying of a success.
    pub note: Option<SuccessNote>,
}

impl UpdateTask {
    /// Whether an attempt that failed of this has lost the device: it was told to install, and what came of
    /// that was not heard in time.
    pub fn loses_device(&self, failure: &Failure) -> bool {
        let is_silence = matches!(
            failure.reason,
            FailureReason::ResultTimeout | FailureReason::VerificationTimeout
        );
        is_silence && self.attempt > 0 && self.execute_intended_attempt == Some(self.attempt)
    }

    /// A task that waits for its campaign.
    pub fn new(id: TaskId, campaign: CampaignId, endpoint: EndpointName, now: Utc) -> Self {
        Self {
            id,
            campaign,
            endpoint,
            rollout_phase: 0,
            state: TaskState::Pending,
            phase: Phase::WaitingContact,
            attempt: 0,
            attempts_before: 0,
            stop: None,
            consented_at: None,
            capability: None,
            uri_intended: false,
            execute_intended_attempt: None,
            lost: false,
            slot: None,
            queued_since: None,
            held_since: None,
            pings: 0,
            bytes_served: 0,
            waiting_for: Some(WaitingFor::Activation),
            since: now,
            until: None,
            retry_at: None,
            failure: None,
            note: None,
        }
    }
}
