//! Bugs that a server might have, planted around the engine to see that the checks find them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use narrowcast::clock::Now;
use narrowcast::coap::{Message, Token};
use narrowcast::engine::Command;
use narrowcast::lwm2m::path;
use narrowcast::model::{
    Campaign, CampaignState, Consent, DeviceRequestState, Record, Restored, RolloutStep, TaskId,
    Transmit, UpdateTask,
};

use crate::wire::SentRequest;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The store loses every record that gives a slot back.
    LeakedSlot,
    /// An Execute is sent a second time, under another message id.
    SecondExecute,
    /// After a restart no task is said to hold a slot.
    SlotsForgotten,
    /// The store loses every record that plans a retry.
    LostRetry,
    /// What follows records is sent though their commit never happens.
    AnswerBeforeCommit,
    /// After a restart a write of an operator's that had left is sent again.
    WriteAgain,
    /// The State of the last notification is believed where it was read anew.
    StaleState,
    /// After a restart the next phase of a rollout runs.
    PhaseTooEarly,
    /// After a restart devices have reported for as long as they should.
    SoakSkipped,
    /// After a restart a paused campaign runs.
    PauseForgotten,
    /// Who halts a campaign only pauses it.
    HaltAsPause,
    /// After a restart no campaign has windows.
    WindowForgotten,
    /// After a restart nobody need agree.
    ConsentForgotten,
    /// After a restart a retry is due.
    RetryWithoutDelay,
    /// After a restart campaigns are admitted as the server does it by default.
    AirtimeForgotten,
    /// Pings do not leave and are taken for answered: who sleeps keeps its place in the waiting room.
    LeakedPlace,
}

impl Bug {
    /// The records that the store takes of those that it is given.
    pub(crate) fn taken(
        self,
        mut records: Vec<Record>,
        stored: &BTreeMap<TaskId, UpdateTask>,
    ) -> Vec<Record> {
        records.retain(|record| {
            let Record::Task(task) = record else {
                return true;
            };
            let held = |task: &UpdateTask| task.slot.is_some();
            let is_leaked = || !held(task) && stored.get(&task.id).is_some_and(held);
            !(self == Self::LeakedSlot && is_leaked()
                || self == Self::LostRetry && task.retry_at.is_some())
        });
        records
    }

    pub(crate) fn restored(self, now: Now, restored: &mut Restored) {
        for task in &mut restored.tasks {
            if self == Self::SlotsForgotten {
                task.slot = None;
            }
            if self == Self::RetryWithoutDelay && task.retry_at.is_some() {
                task.retry_at = Some(now.utc);
            }
        }
        for campaign in &mut restored.campaigns {
            self.restored_campaign(campaign);
        }
        if self == Self::WriteAgain {
            for request in &mut restored.device_requests {
                if request.state == DeviceRequestState::Sent {
                    request.state = DeviceRequestState::Queued;
                }
            }
        }
    }

    /// What the engine is told in place of what an operator said.
    pub(crate) fn command(self, command: Command) -> Command {
        if self == Self::HaltAsPause
            && let Command::PauseCampaign { id, .. } = command
        {
            return Command::PauseCampaign { id, halted: false };
        }
        command
    }

    fn restored_campaign(self, campaign: &mut Campaign) {
        let rollout = &mut campaign.rollout;
        if self == Self::PhaseTooEarly
            && campaign.policy.rollout.gate_after(rollout.phase).is_some()
        {
            rollout.phase += 1;
        }
        if self == Self::SoakSkipped && rollout.step == RolloutStep::Soaking {
            rollout.since_unix_ms = 0;
        }
        if self == Self::PauseForgotten && campaign.state == CampaignState::Paused {
            campaign.state = CampaignState::Running;
        }
        if self == Self::WindowForgotten {
            campaign.policy.schedule.windows.clear();
        }
        if self == Self::ConsentForgotten {
            campaign.policy.conditions.consent = Consent::Silent;
        }
        if self == Self::AirtimeForgotten {
            campaign.admission = None;
        }
    }

    /// The datagrams that leave in place of those that should.
    pub(crate) fn sent(self, mut transmits: Vec<Transmit>) -> Vec<Transmit> {
        if self != Self::SecondExecute {
            return transmits;
        }
        let mut repeated = Vec::new();
        for transmit in &transmits {
            let request = SentRequest::decode(&transmit.datagram.to_vec());
            if request.is_some_and(|request| request.is_execute()) {
                let mut copy = transmit.clone();
                copy.datagram.head[2] ^= 0x80;
                repeated.push(copy);
            }
        }
        transmits.extend(repeated);
        transmits
    }
}

/// What a device notified of its State, and which of its datagrams say it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stale {
    notified: Option<Bytes>,
    reads: BTreeSet<Token>,
    observes: BTreeSet<Token>,
}

impl Stale {
    pub(crate) fn asked(&mut self, request: &SentRequest) {
        if request.is_observe_of(path::FIRMWARE_STATE) {
            self.observes.insert(request.token);
        } else if request.is_read_of(path::FIRMWARE_STATE) {
            self.reads.insert(request.token);
        }
    }

    /// What the server takes the device's datagram for.
    pub(crate) fn believed(&mut self, datagram: Vec<u8>) -> Vec<u8> {
        let Ok(mut message) = Message::decode(&datagram, 32) else {
            return datagram;
        };
        if message.payload.is_empty() {
            return datagram;
        }
        if self.observes.contains(&message.token) {
            self.notified = Some(message.payload);
        } else if let Some(state) = &self.notified
            && self.reads.contains(&message.token)
        {
            message.payload = state.clone();
            return message.encode().to_vec();
        }
        datagram
    }
}
