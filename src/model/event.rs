//! What happened, for who follows the server from outside: numbered, and kept for a while.

use std::fmt;

use super::words::words;
use super::{
    AuditAction, CampaignId, CampaignState, EndpointName, Failure, NewAuditEntry, TaskId,
    TimelineEntry, TimelineStep,
};
use crate::clock::Utc;

words! {
    /// What happened beside the states of campaigns and the steps of tasks.
    pub enum Happening {
        /// A draft was made.
        CampaignCreated = "campaign.created",
        /// A campaign was taken away.
        CampaignDeleted = "campaign.deleted",
        /// A device was entered by an operator.
        DeviceCreated = "device.created",
        /// A file of devices was entered.
        DevicesImported = "device.imported",
        /// A device registered, for the first time or anew.
        DeviceRegistered = "device.registered",
        /// A device's registration ended: it said so, or was not heard within its lifetime.
        DeviceLost = "device.lost",
        /// A device that the loop guard had barred may be updated again.
        BarLifted = "device.bar_lifted",
        /// A device was taken away.
        DeviceDeleted = "device.deleted",
        /// A manufacturer's key was entered.
        KeyCreated = "key.created",
        /// A key verifies no new uploads any more.
        KeyRetired = "key.retired",
        /// A key's packages are blocked.
        KeyRevoked = "key.revoked",
        /// A package came, was verified and is kept.
        PackageAccepted = "package.accepted",
        /// A package was taken away.
        PackageDeleted = "package.deleted",
        /// The answer 410 of a webhook's receiver disabled it.
        WebhookDisabled = "webhook.disabled",
    }
}

words! {
    /// What a campaign's rollout comes to, beside its states.
    pub enum Milestone {
        /// 固件验证: the trial's device may begin.
        TrialOpened = "trial_opened",
        /// The trial's device was updated.
        TrialPassed = "trial_passed",
        /// The trial's device was not updated: the campaign is paused or stopped by that.
        TrialFailed = "trial_failed",
        /// The devices of a phase may begin.
        PhaseOpened = "phase_opened",
        /// A phase has come to what the next asks for.
        PhasePassed = "phase_passed",
        /// Too many of a phase have failed, or too few succeeded: the campaign is paused or stopped by that.
        PhaseFailed = "phase_failed",
        /// The updated devices of a phase have to report for a while.
        SoakBegun = "soak_begun",
        /// They have reported.
        SoakPassed = "soak_passed",
        /// Somebody has to approve the next phase.
        ApprovalAsked = "approval_asked",
        /// Somebody has approved the campaign, or its next phase.
        ApprovalGiven = "approval_given",
        /// It goes on after a pause.
        Resumed = "resumed",
        /// Nothing of it begins, and no device is told to install.
        Halted = "halted",
        /// Too many of all its tasks have failed: it is paused or stopped by that.
        ErrorThresholdReached = "error_threshold_reached",
    }
}

/// What an event tells of. As text, `campaign.running` or `task.downloaded`: a kind of thing, and what
/// came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A campaign is in this state now.
    Campaign(CampaignState),
    /// A campaign's rollout has come to this.
    Rollout(Milestone),
    /// A task took this step.
    Task(TimelineStep),
    /// Anything else.
    Other(Happening),
}

impl EventKind {
    /// The text of every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        let campaigns = CampaignState::ALL.iter().copied().map(Self::Campaign);
        let milestones = Milestone::ALL.iter().copied().map(Self::Rollout);
        let tasks = TimelineStep::ALL.iter().copied().map(Self::Task);
        let others = Happening::ALL.iter().copied().map(Self::Other);
        campaigns.chain(milestones).chain(tasks).chain(others)
    }

    /// The kind with this text.
    pub fn from_text(text: &str) -> Option<Self> {
        if let Some(word) = text.strip_prefix("task.") {
            return TimelineStep::from_word(word).map(Self::Task);
        }
        let of_campaign = text.strip_prefix("campaign.").and_then(|word| {
            let state = CampaignState::from_word(word).map(Self::Campaign);
            state.or_else(|| Milestone::from_word(word).map(Self::Rollout))
        });
        of_campaign.or_else(|| Happening::from_word(text).map(Self::Other))
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Campaign(state) => write!(f, "campaign.{state}"),
            Self::Rollout(milestone) => write!(f, "campaign.{milestone}"),
            Self::Task(step) => write!(f, "task.{step}"),
            Self::Other(happening) => f.write_str(happening.word()),
        }
    }
}

/// Something that happened, before it has its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// When.
    pub at: Utc,
    /// What.
    pub kind: EventKind,
    /// In which campaign; of a task, the store knows.
    pub campaign: Option<CampaignId>,
    /// To which task.
    pub task: Option<TaskId>,
    /// To which device.
    pub endpoint: Option<EndpointName>,
    /// In which attempt, from 1.
    pub attempt: Option<u8>,
    /// To which key, package or webhook.
    pub object: Option<String>,
    /// What was seen.
    pub detail: String,
}

impl NewEvent {
    /// One of nothing in particular.
    pub const fn new(at: Utc, kind: EventKind) -> Self {
        Self {
            at,
            kind,
            campaign: None,
            task: None,
            endpoint: None,
            attempt: None,
            object: None,
            detail: String::new(),
        }
    }

    /// One of a device.
    pub fn of_device(at: Utc, happening: Happening, endpoint: EndpointName) -> Self {
        Self {
            endpoint: Some(endpoint),
            ..Self::new(at, EventKind::Other(happening))
        }
    }

    /// A campaign came into a state.
    pub fn of_campaign(at: Utc, id: CampaignId, state: CampaignState) -> Self {
        Self {
            campaign: Some(id),
            ..Self::new(at, EventKind::Campaign(state))
        }
    }

    /// A campaign's rollout has come to something.
    pub fn of_rollout(at: Utc, id: CampaignId, milestone: Milestone, detail: String) -> Self {
        Self {
            campaign: Some(id),
            detail,
            ..Self::new(at, EventKind::Rollout(milestone))
        }
    }

    /// A task took a step.
    pub fn of_step(line: &TimelineEntry) -> Self {
        Self {
            task: Some(line.task),
            endpoint: Some(line.endpoint.clone()),
            attempt: Some(line.attempt),
            detail: line.detail.clone(),
            ..Self::new(line.at, EventKind::Task(line.step))
        }
    }

    /// What an operator did, where it is of interest to others and is not told by what came of it.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the log is told of much that is only the administrators' affair"
    )]
    pub fn of_audit(entry: &NewAuditEntry) -> Option<Self> {
        let happening = match entry.action {
            AuditAction::CampaignCreated => Happening::CampaignCreated,
            AuditAction::CampaignDeleted => Happening::CampaignDeleted,
            AuditAction::DeviceCreated => Happening::DeviceCreated,
            AuditAction::DevicesImported => Happening::DevicesImported,
            AuditAction::DeviceDeleted => Happening::DeviceDeleted,
            AuditAction::BarLifted => Happening::BarLifted,
            AuditAction::KeyCreated => Happening::KeyCreated,
            AuditAction::KeyRetired => Happening::KeyRetired,
            AuditAction::PackageAccepted => Happening::PackageAccepted,
            AuditAction::PackageDeleted => Happening::PackageDeleted,
            _ => return None,
        };
        let new = Self::new(entry.stamp.at, EventKind::Other(happening));
        Some(match happening {
            Happening::CampaignCreated | Happening::CampaignDeleted => Self {
                campaign: entry.object.parse().ok().map(CampaignId),
                ..new
            },
            Happening::DeviceCreated | Happening::DeviceDeleted | Happening::BarLifted => Self {
                endpoint: EndpointName::parse(&entry.object).ok(),
                ..new
            },
            Happening::DevicesImported => {
                let count = entry.details.iter().find(|(name, _)| *name == "devices");
                Self {
                    detail: count.map_or_else(String::new, |(_, count)| format!("{count} devices")),
                    ..new
                }
            }
            Happening::KeyCreated
            | Happening::KeyRetired
            | Happening::KeyRevoked
            | Happening::PackageAccepted
            | Happening::PackageDeleted
            | Happening::WebhookDisabled
            | Happening::DeviceRegistered
            | Happening::DeviceLost => Self {
                object: Some(entry.object.clone()),
                ..new
            },
        })
    }
}

/// Something that happened, in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place, from 1 on without gaps.
    pub number: u64,
    /// When.
    pub at: Utc,
    /// The text of an [`EventKind`]; an older server may have had others.
    pub kind: String,
    /// In which campaign.
    pub campaign: Option<CampaignId>,
    /// To which task.
    pub task: Option<TaskId>,
    /// To which device.
    pub endpoint: Option<EndpointName>,
    /// In which attempt, from 1.
    pub attempt: Option<u8>,
    /// To which key, package or webhook.
    pub object: Option<String>,
    /// What was seen.
    pub detail: String,
}

impl Event {
    /// Gives an event its number; `campaign` is that of its task.
    pub fn numbered(number: u64, new: NewEvent, campaign: Option<CampaignId>) -> Self {
        Self {
            number,
            at: new.at,
            kind: new.kind.to_string(),
            campaign: new.campaign.or(campaign),
            task: new.task,
            endpoint: new.endpoint,
            attempt: new.attempt,
            object: new.object,
            detail: new.detail,
        }
    }

    /// Why an attempt failed or was stopped, where the event tells of that.
    pub fn failure(&self) -> Option<Failure> {
        let step = TimelineStep::from_word(self.kind.strip_prefix("task.")?)?;
        step.failure(&self.detail)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::FailureReason;

    #[test]
    fn no_two_kinds_have_one_text_and_each_names_what_it_is_of() {
        let texts: BTreeSet<String> = EventKind::all().map(|kind| kind.to_string()).collect();
        assert_eq!(texts.len(), EventKind::all().count());
        for kind in EventKind::all() {
            assert_eq!(EventKind::from_text(&kind.to_string()), Some(kind));
        }
        assert_eq!(EventKind::from_text("campaign.task.failed"), None);
        for text in texts {
            let of = text.split_once('.').unwrap().0;
            assert!(
                ["campaign", "task", "device", "key", "package", "webhook"].contains(&of),
                "{text}"
            );
        }
    }

    #[test]
    fn the_cause_of_a_failed_step_is_read_back() {
        let failure = Failure {
            reason: FailureReason::NoSpace,
            evidence: "/5/0/5 = 2: full".to_owned(),
        };
        let line = TimelineEntry {
            at: Utc::from_unix_ms(0),
            endpoint: EndpointName::parse("a").unwrap(),
            task: TaskId(1),
            attempt: 1,
            step: TimelineStep::Failed,
            detail: failure.to_string(),
        };
        let event = Event::numbered(1, NewEvent::of_step(&line), None);
        assert_eq!(event.failure(), Some(failure));
        let note = TimelineEntry {
            step: TimelineStep::Note,
            ..line
        };
        assert_eq!(
            Event::numbered(1, NewEvent::of_step(&note), None).failure(),
            None
        );
    }
}
