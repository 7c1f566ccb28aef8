//! What goes into a session and what comes out of it, apart from answers.

use crate::lwm2m::Operation;
use crate::model::{DeviceReport, DownloadCapability, Failure, SlotClaim, TimelineStep};

/// How the device was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// A new registration: the device has booted, or lost what it knew of us.
    Register,
    /// A registration update.
    Update,
    /// Anything else.
    Uplink,
}

/// What a session asks of its owner, to be done in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// [`super::Session::task`] has changed: commit it, before any later operation leaves.
    Commit,
    /// A line for the device's timeline, of the current attempt.
    Timeline {
        /// What happened.
        step: TimelineStep,
        /// What was seen.
        detail: String,
    },
    /// All that the device has reported by now.
    Report(DeviceReport),
    /// Ask the device. There is at most one outstanding; its end comes back as an answer.
    Operate(Operation),
    /// Forget the outstanding operation: no answer to it is wanted.
    AbandonOperation,
    /// Ask for a slot; [`super::Session::handle_grant`] follows, at once or later.
    RequestSlot(SlotClaim),
    /// Give the slot back, or leave its queue.
    ReleaseSlot,
    /// See whether the device is there, and keep it awake by that. Where it is,
    /// [`super::Session::handle_pong`] follows.
    Ping,
    /// Its place in the waiting room is for others. It stays in the queue.
    LeaveRoom,
    /// Answer fetches under this capability. May come again for the same.
    ServeDownload(DownloadCapability),
    /// Answer them 4.04 from now on.
    WithdrawDownload(DownloadCapability),
    /// The package is pushed in this attempt: it counts as a delivery, once.
    CountDelivery,
    /// The attempt is over; nothing follows.
    End(End),
}

/// How an attempt ended. The task says the same; the owner may turn a failure into a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The device runs the target version.
    Succeeded,
    /// It failed.
    Failed(Failure),
    /// As failed, but only for a halt that kept Execute from it: another attempt follows, which is not
    /// counted as a retry.
    Withheld(Failure),
    /// An operator stopped it.
    Stopped,
}
