//! A world that goes on until nothing is left to do in it, and what must be true of it then.

use std::collections::BTreeSet;
use std::time::Duration;

use narrowcast::model::{SuccessNote, TaskState};
use narrowcast::store::Store;

use super::air::Happening;
use super::{Breach, Check, Deed, Fault, LONGEST, Trouble, World};
use crate::fleet;
use crate::server::{ALL, ready};

/// More steps than any run has that goes on.
const STEPS_MAX: u64 = 1_000_000;

/// Longer than any exchange and any quarantine.
const AFTERMATH: Duration = Duration::from_secs(20 * 60);

impl World {
    /// Runs until all is calm and over, or a check fails.
    pub(crate) fn live(&mut self) -> Result<(), Breach> {
        let begun = self.now.instant;
        let mut steps = 0;
        while !(self.chaos.calm && self.is_over() && !self.has_plans()) {
            self.step();
            steps += 1;
            let took = self.now.instant.saturating_since(begun);
            if took > LONGEST || steps > STEPS_MAX {
                println!(
                    "DEBUG deadline {:?} now {:?} requests {} log {} commits {} tail {:?} next {:?}",
                    self.server.deadline,
                    self.now,
                    self.requests.len(),
                    self.log.len(),
                    self.server.commits,
                    &self.requests[self.requests.len().saturating_sub(3)..],
                    self.to_come.iter().next()
                );
                let mut tasks = self.server.tasks.values();
                let told = format!("{:?}", tasks.find(|task| !task.state.is_final()));
                self.breach(Check::End, told);
            }
            self.holds()?;
        }
        Ok(())
    }

    fn holds(&self) -> Result<(), Breach> {
        self.server.breach.clone().map_or(Ok(()), Err)
    }

    /// Whether somebody is still to do something, beside looking after campaigns.
    fn has_plans(&self) -> bool {
        let is_care = |trouble: &Trouble| matches!(trouble, Trouble::Deed(_, Deed::Care));
        let mut to_come = self.to_come.values();
        to_come.any(|it| matches!(it, Happening::Trouble(trouble) if !is_care(trouble)))
    }

    pub(crate) fn is_over(&self) -> bool {
        let mut tasks = self.server.tasks.values();
        tasks.all(|task| task.state.is_final())
            && self.server.slots_in_use() == 0
            && self.server.active_campaigns() == 0
            && self.server.requests.all_ended()
    }

    /// What must be true when all is over.
    pub(crate) fn check_end(&mut self) -> Result<(), Breach> {
        self.run_for(AFTERMATH);
        let held = self.server.engine.held();
        let left = held.tasks + held.downloads + held.operations + held.timers + held.coap.requests;
        if left > 0 || !self.server.engine.cells(None, 10).is_empty() {
            self.breach(Check::End, format!("it still holds {held:?}"));
        }
        self.check_campaigns();
        self.check_requests();
        for index in 0..self.devices.len() {
            self.check_deliveries(index);
        }
        self.holds()
    }

    fn check_campaigns(&mut self) {
        for (campaign, counts) in ready(self.server.store.campaigns(ALL)).unwrap() {
            let of_campaign = |state| self.count(campaign.id, state) as u64;
            let as_counted = [
                (counts.succeeded, TaskState::Succeeded),
                (counts.failed, TaskState::Failed),
                (counts.stopped, TaskState::Stopped),
                (counts.running, TaskState::Running),
                (counts.pending, TaskState::Pending),
            ]
            .into_iter()
            .all(|(counted, state)| counted == of_campaign(state));
            if !as_counted || campaign.ended_at.is_none() {
                self.breach(Check::Tasks, format!("{campaign:?}, {counts:?}"));
            }
        }
        for task in self.server.tasks.clone().into_values() {
            let mut devices = self.devices.iter();
            let device = devices.find(|it| fleet::endpoint(&it.config) == task.endpoint);
            let version = device.map(|device| device.core.version().to_owned());
            let updated = version.as_deref() == Some(fleet::TARGET_VERSION);
            // Where the version cannot be read, the device's Result is believed.
            let confirmed = task.note != Some(SuccessNote::Unconfirmed);
            if task.state == TaskState::Succeeded && confirmed && !updated {
                self.breach(Check::Images, format!("it runs {version:?}: {task:?}"));
            }
        }
    }

    /// The loop guard's days are as long as the wall's clock says.
    fn check_deliveries(&mut self, device: usize) {
        let endpoint = fleet::endpoint(&self.devices[device].config);
        let Ok(history) = ready(self.server.store.deliveries(&endpoint)) else {
            return;
        };
        let guard = self.server.config.loop_guard;
        let counted = history.delivered_at.len();
        let is_barred = history.barred_since.is_some();
        if counted > guard.deliveries_max || (counted == guard.deliveries_max) != is_barred {
            let told = format!("device {device}: {history:?}");
            self.breach(Check::Deliveries, told);
        }
        let jumped = self.chaos.counts().contains_key(&Fault::ClockAhead);
        let delivered = self.server.deliveries.get(&endpoint);
        let delivered = delivered.map_or(0, BTreeSet::len);
        let within = self.now.instant.since_origin() < guard.window;
        if within && !jumped && delivered > guard.deliveries_max {
            let told = format!("device {device} was given {delivered} packages in a day");
            self.breach(Check::Deliveries, told);
        }
    }
}
