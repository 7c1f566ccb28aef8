//! The campaign lets nothing begin for a while: it is paused, its window is closed, its rollout is not
//! that far. What has begun goes on.
//!
//! At a gate that holds Execute too it goes on up to the whole package, and only what the device does of
//! itself: what it was to be told and has not answered is not sent once more. It may have arrived, so what
//! comes of it is read.

use crate::clock::{Now, Utc};
use crate::lwm2m::{Operation, path};
use crate::model::{Failure, Phase, TimelineStep, WaitingFor};

use super::super::action::{Action, End};
use super::super::object5::{State, UpdateResult};
use super::super::step::{Execution, Reading, Step};
use super::Session;
use super::deadlines::Stage;

/// Why nothing begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// What is waited for.
    pub waiting_for: WaitingFor,
    /// When it opens, where that is known.
    pub until: Option<Utc>,
    /// Whether no device is told to install either, nor once more to fetch.
    pub holds_execute: bool,
}

impl Session {
    /// Whether its device was asked and has not answered, and nothing has begun.
    pub fn is_unheard(&self) -> bool {
        !self.heard && self.closing.is_none() && self.task.slot.is_none()
    }

    /// The gate has closed, is another one now, or with `None` has opened.
    pub fn handle_gate(&mut self, now: Now, gate: Option<Gate>) {
        if self.gate == gate {
            return;
        }
        self.gate = gate;
        if self.closing.is_some() {
            return;
        }
        if gate.is_some_and(|gate| gate.holds_execute) {
            self.withhold(now);
        }
        if gate.is_none() {
            self.gate_opened();
        } else if self.claim.is_some() && self.task.slot.is_none() {
            // It waits for a slot, or has one that nothing was committed with.
            self.claim = None;
            self.progress.slot = false;
            let why = "nothing of the campaign begins for now: it asks again when that is over";
            self.timeline(TimelineStep::SlotReleased, why.to_owned());
            self.actions.push_back(Action::ReleaseSlot);
        }
        self.proceed(now);
        self.flush();
    }

    /// What would make the device begin, or install, is not sent again.
    fn withhold(&mut self, now: Now) {
        // A restart or a silence may have cut it off before this did.
        let is_open = self.progress.execution == Execution::Open;
        self.execute_withheld |= is_open && self.task.phase == Phase::Executing;
        match &self.outstanding {
            Some(Operation::Execute(_)) => self.stop_executing(now),
            Some(Operation::WriteText {
                path: path::FIRMWARE_PACKAGE_URI,
                ..
            }) => {
                self.abandon();
            }
            // Whoever has taken a block of it is at it.
            Some(Operation::WritePackage(_)) if self.bytes_served == 0 => {
                self.abandon();
                self.reported.state = Reading::Unread;
            }
            Some(
                Operation::Read(_)
                | Operation::Observe(_)
                | Operation::CancelObservation(_)
                | Operation::WriteText { .. }
                | Operation::WritePackage(_),
            )
            | None => {}
        }
    }

    /// How an attempt ends that failed of this: one whose Execute was withheld, and of which the device
    /// says that it knows nothing, is made again.
    pub(super) fn end_of(&self, failure: Failure) -> End {
        let is_untouched = self.reported.state.value() == Some(&State::Downloaded)
            && self.reported.result.value() != Some(&UpdateResult::UpdateFailed);
        if self.execute_withheld && is_untouched {
            End::Withheld(failure)
        } else {
            End::Failed(failure)
        }
    }

    /// What is known of the device may be old by now.
    fn gate_opened(&mut self) {
        if self.stage != Stage::Gate {
            return;
        }
        self.reported.state = Reading::Unread;
        self.reported.version = Reading::Unread;
        self.forget_radio();
    }

    /// The gate, where it holds this step.
    pub(super) fn gate_before(&self, next: &Step) -> Option<Gate> {
        let gate = self.gate?;
        let is_held = match next {
            Step::RequestSlot(_) => true,
            // Once it was intended it has begun, and is done again where need be.
            Step::WriteUri | Step::Push => gate.holds_execute || self.task.slot.is_none(),
            Step::Execute => gate.holds_execute,
            Step::Read(_)
            | Step::Observe(_)
            | Step::CancelObservation(_)
            | Step::AwaitDownload
            | Step::AwaitIdle
            | Step::AwaitOutcome
            | Step::AwaitDeferred
            | Step::AwaitCondition(_)
            | Step::Tell(..)
            | Step::Settle
            | Step::Succeed(_)
            | Step::Fail(_) => false,
        };
        is_held.then_some(gate)
    }

    pub(super) fn wait_at_gate(&mut self, now: Now, gate: Gate) {
        self.enter(now, Stage::Gate);
        self.wait(now, gate.waiting_for);
        self.task.until = gate.until;
    }
}
