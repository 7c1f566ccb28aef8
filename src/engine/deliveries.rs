//! The loop guard's place in the engine: each delivery is recorded with the intent to write its URI.

use crate::clock::Now;
use crate::model::{EndpointName, Record, TimelineStep, UpdateTask};

use super::{CommandError, Engine};

impl Engine {
    /// An operator lets a barred device be updated again.
    pub(super) fn lift_bar(&mut self, endpoint: EndpointName) -> Result<(), CommandError> {
        if !self.loop_guard.lift(&endpoint) {
            return Err(CommandError::NotBarred);
        }
        self.record(Record::DeliveriesForgotten { endpoint });
        Ok(())
    }

    /// Why no attempt may begin on this device, where none may.
    pub(super) fn bar_evidence(&self, endpoint: &EndpointName) -> Option<String> {
        let history = self.loop_guard.history(endpoint)?;
        let since = history.barred_since?;
        let first = history.delivered_at.first()?;
        let deliveries = history.delivered_at.len();
        Some(format!(
            "barred since {since}; deliveries counted: {deliveries}, the first at {first}"
        ))
    }

    /// Counts a delivery against the loop guard.
    pub(super) fn count_delivery(&mut self, now: Now, task: &UpdateTask) {
        for endpoint in self.loop_guard.forget_old(now.utc) {
            self.record(Record::DeliveriesForgotten { endpoint });
        }
        let endpoint = task.endpoint.clone();
        let history = match self.loop_guard.record_delivery(&endpoint, now.utc) {
            Ok(history) => history.clone(),
            // A device that is barred already got here before it was.
            Err(error) => {
                self.counters.deliveries_uncounted += 1;
                tracing::debug!(%endpoint, %error, "delivery not counted");
                return;
            }
        };
        let barred = history.barred_since.is_some();
        self.record(Record::Delivered {
            endpoint: endpoint.clone(),
            history,
        });
        if barred && let Some(evidence) = self.bar_evidence(&endpoint) {
            tracing::warn!(%endpoint, evidence, "after this update, none until the bar is lifted");
            self.timeline(now, task, TimelineStep::Note, evidence);
        }
    }
}
