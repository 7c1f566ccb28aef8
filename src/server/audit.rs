//! What the audit log is told of an operator's command: read off the records that came of it, so that
//! it tells what was done and not what was asked for.

use crate::clock::Utc;
use crate::engine::Command;
use crate::model::{
    AuditAction, AuditActor, AuditStamp, CampaignState, EndpointName, NewAuditEntry, Record,
};

/// A command that an operator asked for.
#[derive(Debug)]
pub(super) struct Audit {
    stamp: AuditStamp,
    /// Whose bar it lifts, if it does.
    unbarred: Option<EndpointName>,
}

impl Audit {
    pub(super) fn of_command(actor: AuditActor, at: Utc, command: &Command) -> Self {
        let unbarred = match command {
            Command::LiftBar(endpoint) => Some(endpoint.clone()),
            Command::AddDevices(_)
            | Command::RunCampaign { .. }
            | Command::StopCampaign(_)
            | Command::RevokeKey { .. }
            | Command::RemoveDevice(_)
            | Command::CancelDeviceRequest { .. } => None,
        };
        let stamp = AuditStamp { at, actor };
        Self { stamp, unbarred }
    }

    /// The entries that go with the command's records, into the same commit.
    pub(super) fn entries(&self, records: &[Record]) -> Vec<Record> {
        let done = records.iter().filter_map(|record| self.of_record(record));
        done.map(Record::Audit).collect()
    }

    fn of_record(&self, record: &Record) -> Option<NewAuditEntry> {
        use AuditAction::{
            BarLifted, CampaignActivated, CampaignStopped, DeviceDeleted, KeyRevoked,
        };
        let (action, object, reason) = match record {
            Record::KeyRevoked { id, change } => {
                (KeyRevoked, id.clone(), Some(change.reason.clone()))
            }
            Record::Campaign { id, state, .. } => {
                let action = match state {
                    CampaignState::Running => CampaignActivated,
                    CampaignState::Stopped => CampaignStopped,
                    CampaignState::Draft
                    | CampaignState::Scheduled
                    | CampaignState::Paused
                    | CampaignState::Succeeded
                    | CampaignState::Failed => return None,
                };
                (action, id.0.to_string(), None)
            }
            Record::DeviceForgotten { endpoint } => (DeviceDeleted, endpoint.to_string(), None),
            Record::DeliveriesForgotten { endpoint }
                if self.unbarred.as_ref() == Some(endpoint) =>
            {
                (BarLifted, endpoint.to_string(), None)
            }
            Record::DeliveriesForgotten { .. }
            | Record::Device(_)
            | Record::Registered(_)
            | Record::Deregistered { .. }
            | Record::Observed(_)
            | Record::ObservationEnded { .. }
            | Record::Task(_)
            | Record::Audit(_)
            | Record::Timeline(_)
            | Record::Report { .. }
            | Record::Delivered { .. }
            | Record::DeviceRequest(_)
            | Record::DeviceRequestForgotten { .. }
            | Record::Uplink { .. } => return None,
        };
        Some(NewAuditEntry {
            stamp: self.stamp.clone(),
            action,
            object,
            details: reason
                .map(|reason| ("reason", reason))
                .into_iter()
                .collect(),
        })
    }
}
