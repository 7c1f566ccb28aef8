//! What the audit log is told of an operator's command: read off the records that came of it, so that
//! it tells what was done and not what was asked for.

use std::collections::BTreeMap;

use crate::clock::Utc;
use crate::engine::Command;
use crate::model::{
    AuditAction, AuditActor, AuditStamp, CampaignId, CampaignState, DeviceRequest, DeviceRequestId,
    DeviceRequestState, EndpointName, NewAuditEntry, Record,
};

/// More of an entry, by name.
type Details = Vec<(&'static str, String)>;

/// A command that an operator asked for.
#[derive(Debug)]
pub(super) struct Audit {
    stamp: AuditStamp,
    /// Whose bar it lifts, if it does.
    unbarred: Option<EndpointName>,
    /// What it does to a campaign that is under way.
    rollout: Option<AuditAction>,
    /// What is told of it in one entry, once it has changed something.
    told: Option<Told>,
    /// The request to a device that it makes or takes back, and how that leaves it: others may be told
    /// of in the same turn, as it is itself once it has left.
    device_request: Option<(DeviceRequestId, DeviceRequestState)>,
}

/// An entry's action, object and details.
type Told = (AuditAction, String, Details);

impl Audit {
    pub(super) fn of_command(actor: AuditActor, at: Utc, command: &Command) -> Self {
        let unbarred = if let Command::LiftBar(endpoint) = command {
            Some(endpoint.clone())
        } else {
            None
        };
        let device_request = if let Command::CancelDeviceRequest { id, .. } = command {
            Some((*id, DeviceRequestState::Cancelled))
        } else {
            None
        };
        Self {
            stamp: AuditStamp { at, actor },
            unbarred,
            rollout: rollout_action(command),
            told: told(command),
            device_request,
        }
    }

    /// A request to a device; it is told of unless it changes nothing there.
    pub(super) fn of_request(actor: AuditActor, at: Utc, id: DeviceRequestId) -> Self {
        Self {
            stamp: AuditStamp { at, actor },
            unbarred: None,
            rollout: None,
            told: None,
            device_request: Some((id, DeviceRequestState::Queued)),
        }
    }

    /// By whom and when.
    pub(super) fn stamp(&self) -> &AuditStamp {
        &self.stamp
    }

    /// The entries that go with the command's records, into the same commit.
    pub(super) fn entries(&self, records: &[Record]) -> Vec<Record> {
        let done = records.iter().filter_map(|record| self.of_record(record));
        let changed: BTreeMap<CampaignId, Details> =
            records.iter().filter_map(of_rollout).collect();
        let changed = self.rollout.into_iter().flat_map(|action| {
            let entry = |(id, details): (&CampaignId, &Details)| {
                self.entry(action, id.0.to_string(), details.clone())
            };
            changed.iter().map(entry).collect::<Vec<_>>()
        });
        let told = self.told.as_ref().filter(|_| !records.is_empty());
        let told = told
            .map(|(action, object, details)| self.entry(*action, object.clone(), details.clone()));
        let all = done.chain(changed).chain(told);
        all.map(Record::Audit).collect()
    }

    fn of_record(&self, record: &Record) -> Option<NewAuditEntry> {
        use AuditAction::{
            BarLifted, CampaignActivated, CampaignStopped, DeviceDeleted, KeyRevoked,
        };
        let (action, object, details) = match record {
            Record::KeyRevoked { id, change } => {
                let details = vec![("reason", change.reason.clone())];
                (KeyRevoked, id.clone(), details)
            }
            // A campaign that is under way is told of once, by its rollout.
            Record::Campaign { .. } if self.rollout.is_some() || self.told.is_some() => {
                return None;
            }
            Record::Campaign { id, state, .. } => {
                let action = match state {
                    CampaignState::Scheduled | CampaignState::Running => CampaignActivated,
                    CampaignState::Stopped => CampaignStopped,
                    CampaignState::Draft
                    | CampaignState::Paused
                    | CampaignState::Succeeded
                    | CampaignState::Failed => return None,
                };
                (action, id.0.to_string(), Vec::new())
            }
            Record::DeviceForgotten { endpoint } => {
                (DeviceDeleted, endpoint.to_string(), Vec::new())
            }
            Record::DeliveriesForgotten { endpoint }
                if self.unbarred.as_ref() == Some(endpoint) =>
            {
                (BarLifted, endpoint.to_string(), Vec::new())
            }
            Record::DeviceRequest(request)
                if self.device_request == Some((request.id, request.state)) =>
            {
                return self.of_device_request(request);
            }
            Record::DeliveriesForgotten { .. }
            | Record::Device(_)
            | Record::Registered(_)
            | Record::Deregistered { .. }
            | Record::Observed(_)
            | Record::ObservationEnded { .. }
            | Record::Task(_)
            | Record::Policy { .. }
            | Record::Rollout { .. }
            | Record::CampaignConsented { .. }
            | Record::CampaignArchived { .. }
            | Record::Audit(_)
            | Record::Event(_)
            | Record::Timeline(_)
            | Record::Report { .. }
            | Record::Delivered { .. }
            | Record::DeviceRequest(_)
            | Record::DeviceRequestForgotten { .. }
            | Record::Uplink { .. } => return None,
        };
        Some(self.entry(action, object, details))
    }

    /// What a device is asked; an answer, or that it is too late, is nobody's doing.
    fn of_device_request(&self, request: &DeviceRequest) -> Option<NewAuditEntry> {
        let asked = &request.asked;
        let action = match request.state {
            DeviceRequestState::Queued => AuditAction::DeviceAsked,
            DeviceRequestState::Cancelled => AuditAction::DeviceAskedNoMore,
            DeviceRequestState::Sent
            | DeviceRequestState::Done
            | DeviceRequestState::Failed
            | DeviceRequestState::Expired
            | DeviceRequestState::Unknown => return None,
        };
        if asked.operation.is_safe() {
            return None;
        }
        let details = vec![
            ("request", request.id.0.to_string()),
            ("operation", asked.operation.to_string()),
            ("path", asked.path.clone()),
            ("bytes", asked.content.len().to_string()),
        ];
        Some(self.entry(action, asked.endpoint.to_string(), details))
    }

    fn entry(
        &self,
        action: AuditAction,
        object: String,
        details: Vec<(&'static str, String)>,
    ) -> NewAuditEntry {
        NewAuditEntry {
            stamp: self.stamp.clone(),
            action,
            object,
            details,
        }
    }
}

/// Which campaign's way this changes, and to what, where that does not say itself.
fn of_rollout(record: &Record) -> Option<(CampaignId, Details)> {
    if let Record::Rollout { id, .. } = record {
        Some((*id, Vec::new()))
    } else if let Record::Policy { id, policy } = record {
        Some((*id, policy.schedule.told()))
    } else {
        None
    }
}

/// What is told of a command as a whole.
fn told(command: &Command) -> Option<Told> {
    match command {
        Command::StopCampaign { id, mode } => {
            let details = vec![("mode", mode.to_string())];
            Some((AuditAction::CampaignStopped, id.0.to_string(), details))
        }
        Command::StopTask {
            campaign,
            task,
            mode,
        } => {
            let details = vec![
                ("campaign", campaign.0.to_string()),
                ("mode", mode.to_string()),
            ];
            Some((AuditAction::TaskStopAsked, task.0.to_string(), details))
        }
        Command::RetryTasks {
            campaign, tasks, ..
        } => {
            let details = vec![("tasks", tasks.len().to_string())];
            Some((
                AuditAction::CampaignRetried,
                campaign.0.to_string(),
                details,
            ))
        }
        Command::Consent {
            campaign,
            task,
            granted,
            ..
        } => {
            let action = if *granted {
                AuditAction::ConsentGranted
            } else {
                AuditAction::ConsentRefused
            };
            let task = task.map_or_else(|| "all".to_owned(), |task| task.0.to_string());
            Some((action, campaign.0.to_string(), vec![("task", task)]))
        }
        Command::AddDevices(_)
        | Command::SetProduct(_)
        | Command::RemoveProduct(_)
        | Command::SetCellLimits { .. }
        | Command::RunCampaign { .. }
        | Command::AddTasks { .. }
        | Command::PauseCampaign { .. }
        | Command::HaltCampaigns
        | Command::ResumeCampaign(_)
        | Command::ApprovePhase(_)
        | Command::SetSchedule { .. }
        | Command::RevokeKey { .. }
        | Command::RemoveDevice(_)
        | Command::CancelDeviceRequest { .. }
        | Command::LiftBar(_) => None,
    }
}

fn rollout_action(command: &Command) -> Option<AuditAction> {
    match command {
        Command::PauseCampaign { halted: false, .. } => Some(AuditAction::CampaignPaused),
        Command::PauseCampaign { halted: true, .. } | Command::HaltCampaigns => {
            Some(AuditAction::CampaignHalted)
        }
        Command::ResumeCampaign(_) => Some(AuditAction::CampaignResumed),
        Command::ApprovePhase(_) => Some(AuditAction::CampaignApproved),
        Command::SetSchedule { .. } => Some(AuditAction::CampaignRescheduled),
        Command::AddDevices(_)
        | Command::SetProduct(_)
        | Command::RemoveProduct(_)
        | Command::SetCellLimits { .. }
        | Command::RunCampaign { .. }
        | Command::AddTasks { .. }
        | Command::StopCampaign { .. }
        | Command::StopTask { .. }
        | Command::RetryTasks { .. }
        | Command::Consent { .. }
        | Command::RevokeKey { .. }
        | Command::RemoveDevice(_)
        | Command::CancelDeviceRequest { .. }
        | Command::LiftBar(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CampaignId, KeyChange, RolloutState, StopMode, TaskId, UpdateTask};

    fn told(command: &Command, records: &[Record]) -> Vec<(AuditAction, String)> {
        let actor = AuditActor {
            name: "ada".to_owned(),
            role: "approver".to_owned(),
        };
        let audit = Audit::of_command(actor.clone(), Utc::from_unix_ms(7), command);
        let entries = audit.entries(records).into_iter().map(|record| {
            let Record::Audit(entry) = record else {
                panic!("an entry");
            };
            assert_eq!((entry.stamp.at.unix_ms(), &entry.stamp.actor), (7, &actor));
            (entry.action, entry.object)
        });
        entries.collect()
    }

    fn campaign(id: u64, state: CampaignState) -> Record {
        Record::Campaign {
            id: CampaignId(id),
            state,
            at: Utc::from_unix_ms(7),
        }
    }

    #[test]
    fn a_revocation_names_the_key_and_each_campaign_that_it_stopped() {
        let change = KeyChange {
            at: Utc::from_unix_ms(7),
            by: "ada".to_owned(),
            reason: "stolen".to_owned(),
        };
        let id = "5c1f".to_owned();
        let revoked = Record::KeyRevoked {
            id: id.clone(),
            change: change.clone(),
        };
        let records = [
            revoked,
            campaign(1, CampaignState::Stopped),
            campaign(2, CampaignState::Stopped),
        ];
        let expected = [
            (AuditAction::KeyRevoked, id.clone()),
            (AuditAction::CampaignStopped, "1".to_owned()),
            (AuditAction::CampaignStopped, "2".to_owned()),
        ];
        assert_eq!(told(&Command::RevokeKey { id, change }, &records), expected);
    }

    #[test]
    fn an_activation_is_told_and_the_campaigns_own_end_is_not() {
        let records = [
            campaign(1, CampaignState::Running),
            campaign(1, CampaignState::Succeeded),
        ];
        let command = Command::AddTasks {
            campaign: CampaignId(1),
            tasks: Vec::new(),
        };
        let expected = [(AuditAction::CampaignActivated, "1".to_owned())];
        assert_eq!(told(&command, &records), expected);
    }

    #[test]
    fn a_stop_is_told_once_and_so_is_a_harder_one_behind_it() {
        let expected = [(AuditAction::CampaignStopped, "1".to_owned())];
        let stop = |mode| Command::StopCampaign {
            id: CampaignId(1),
            mode,
        };
        let stopped = [campaign(1, CampaignState::Stopped)];
        assert_eq!(told(&stop(StopMode::Soft), &stopped), expected);
        // It is stopped already: only what becomes of its devices changes.
        let cancelled = [Record::DeliveriesForgotten {
            endpoint: EndpointName::parse("one").unwrap(),
        }];
        assert_eq!(told(&stop(StopMode::Hard), &cancelled), expected);
        assert_eq!(told(&stop(StopMode::Hard), &[]), []);
    }

    #[test]
    fn a_halt_of_what_is_being_stopped_is_told_once() {
        let task = |id| {
            let endpoint = EndpointName::parse("one").unwrap();
            let at = Utc::from_unix_ms(7);
            Record::Task(UpdateTask::new(TaskId(id), CampaignId(1), endpoint, at))
        };
        let hard = Record::Rollout {
            id: CampaignId(1),
            state: RolloutState::default(),
        };
        let expected = [(AuditAction::CampaignHalted, "1".to_owned())];
        let halted = told(&Command::HaltCampaigns, &[hard, task(1), task(2)]);
        assert_eq!(halted, expected);
    }

    #[test]
    fn only_the_bar_that_was_to_be_lifted_is_told() {
        let [one, other] = ["one", "other"].map(|name| EndpointName::parse(name).unwrap());
        let forgotten = |endpoint: &EndpointName| Record::DeliveriesForgotten {
            endpoint: endpoint.clone(),
        };
        let records = [forgotten(&other), forgotten(&one)];
        let lifted = told(&Command::LiftBar(one.clone()), &records);
        assert_eq!(lifted, [(AuditAction::BarLifted, "one".to_owned())]);
        let removed = [
            forgotten(&one),
            Record::DeviceForgotten {
                endpoint: one.clone(),
            },
        ];
        let deleted = told(&Command::RemoveDevice(one), &removed);
        assert_eq!(deleted, [(AuditAction::DeviceDeleted, "one".to_owned())]);
    }
}
