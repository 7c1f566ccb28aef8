//! What the core asks to be committed.

use super::words::words;
use super::{
    CampaignId, CampaignPolicy, CampaignState, DeliveryHistory, Device, DeviceReport,
    DeviceRequest, DeviceRequestId, EndpointName, Failure, FailureReason, KeyChange, NewAuditEntry,
    NewEvent, Registration, RegistrationSlot, RolloutState, StoredObservation, TaskId, UpdateTask,
    Uplink,
};
use crate::clock::Utc;

words! {
    /// A step of an update, for the device's timeline.
    pub enum TimelineStep {
        /// The campaign was activated and the task waits.
        Queued = "queued",
        /// The device was heard and an attempt begins.
        Contact = "contact",
        /// State, version and radio were read.
        Negotiated = "negotiated",
        /// A slot was granted.
        SlotGranted = "slot_granted",
        /// No slot was free.
        SlotQueued = "slot_queued",
        /// It waits for a slot, and is kept awake.
        Held = "held",
        /// It is kept awake no more, and has no slot.
        HoldEnded = "hold_ended",
        /// `/5/0/3` is observed.
        Observed = "observed",
        /// The URI was accepted.
        UriWritten = "uri_written",
        /// The first block was fetched.
        DownloadBegun = "download_begun",
        /// The device has the package.
        Downloaded = "downloaded",
        /// Execute is intended.
        ExecuteIntended = "execute_intended",
        /// Execute was answered.
        ExecuteAnswered = "execute_answered",
        /// The result was read.
        ResultRead = "result_read",
        /// The version was read after the update.
        VersionRead = "version_read",
        /// The slot was given back.
        SlotReleased = "slot_released",
        /// An attempt failed and another follows.
        RetryPlanned = "retry_planned",
        /// Ended well.
        Succeeded = "succeeded",
        /// Ended badly.
        Failed = "failed",
        /// Ended by an operator.
        Stopped = "stopped",
        /// The device does not meet what is asked for, and waits.
        ConditionUnmet = "condition_unmet",
        /// Somebody agreed to the update, or refused it.
        Consent = "consent",
        /// The device has put the installation off.
        Deferred = "deferred",
        /// Anything else that helps to understand a wait.
        Note = "note",
    }
}

impl TimelineStep {
    /// Why an attempt failed or was stopped, where this step's detail says so.
    pub fn failure(self, detail: &str) -> Option<Failure> {
        if !matches!(self, Self::Failed | Self::Stopped) {
            return None;
        }
        let (reason, evidence) = detail.split_once(": ")?;
        Some(Failure {
            reason: FailureReason::from_word(reason)?,
            evidence: evidence.to_owned(),
        })
    }
}

/// One line of a device's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When.
    pub at: Utc,
    /// Whose.
    pub endpoint: EndpointName,
    /// Of which task.
    pub task: TaskId,
    /// In which attempt, from 1.
    pub attempt: u8,
    /// What happened.
    pub step: TimelineStep,
    /// What was seen, e.g. `/4/0/2 = -97 dBm, /4/0/11 = 9 dB: tier 0`.
    pub detail: String,
}

/// One change to commit. All records of one input are committed in one transaction, before anything
/// that follows them is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A device that nobody had entered was let in (onboarding `allow`).
    Device(Device),
    /// A device was taken away, and with it all that is known of it: a Register under its name is a
    /// stranger's from now on. What waits for it in drafts is stopped.
    DeviceForgotten {
        /// Its name.
        endpoint: EndpointName,
    },
    /// A registration is new or has changed; replaces what its slot and its endpoint held.
    Registered(Registration),
    /// A registration ended (deregistered, expired, replaced under another slot).
    Deregistered {
        /// Its place.
        slot: RegistrationSlot,
        /// Whose it was.
        endpoint: EndpointName,
    },
    /// An observation that must outlive a restart.
    Observed(StoredObservation),
    /// An observation ended.
    ObservationEnded {
        /// Its token.
        token: [u8; 8],
    },
    /// A task changed; replaces the stored one.
    Task(UpdateTask),
    /// A campaign changed its state.
    Campaign {
        /// Which.
        id: CampaignId,
        /// To which state.
        state: CampaignState,
        /// When.
        at: Utc,
    },
    /// Somebody agreed to the update of all of a campaign's devices.
    CampaignConsented {
        /// Which campaign's.
        id: CampaignId,
        /// When.
        at: Utc,
    },
    /// What else is wanted of a campaign was changed.
    Policy {
        /// Of which campaign.
        id: CampaignId,
        /// All of it as it is now.
        policy: Box<CampaignPolicy>,
    },
    /// A draft or an ended campaign was put away, or with `None` taken out again.
    CampaignArchived {
        /// Which.
        id: CampaignId,
        /// When it was put away.
        at: Option<Utc>,
    },
    /// A campaign's rollout went on, was paused or was halted.
    Rollout {
        /// Which campaign's.
        id: CampaignId,
        /// How far it is now.
        state: RolloutState,
    },
    /// A manufacturer's key was revoked.
    KeyRevoked {
        /// Its id.
        id: String,
        /// By whom, when and why.
        change: KeyChange,
    },
    /// An operator did this. What the server does to devices by itself is audited from their timelines.
    Audit(NewAuditEntry),
    /// A line of a device's history. Those who follow from outside are told of it.
    Timeline(TimelineEntry),
    /// Something happened that no other record tells those who follow from outside.
    Event(NewEvent),
    /// What a device reported; replaces the stored report.
    Report {
        /// Who reported.
        endpoint: EndpointName,
        /// All that is known now.
        report: DeviceReport,
    },
    /// A device is to be given a package; replaces what was stored of its deliveries.
    Delivered {
        /// Which device.
        endpoint: EndpointName,
        /// Its deliveries with this one.
        history: DeliveryHistory,
    },
    /// A device's deliveries no longer count: they are too old, or its bar was lifted.
    DeliveriesForgotten {
        /// Whose.
        endpoint: EndpointName,
    },
    /// An operator's request is new or has changed; replaces the stored one.
    DeviceRequest(DeviceRequest),
    /// An ended request makes room for others.
    DeviceRequestForgotten {
        /// Whose device's.
        endpoint: EndpointName,
        /// Which.
        id: DeviceRequestId,
    },
    /// A device sent data of its own.
    Uplink {
        /// What it sent.
        uplink: Uplink,
        /// How many of that device's are kept, this one among them; the oldest give way.
        kept: u32,
    },
}
