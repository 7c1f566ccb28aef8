//! A campaign's start, windows and end.
//!
//! The engine's deadlines are of a clock that nobody sets, schedules are of the clock on the wall: that
//! is looked at again and again, so that one that was set is noticed.

use std::time::Duration;

use crate::campaign::{Timetable, Timing};
use crate::clock::{Now, Utc};
use crate::fota::Gate;
use crate::model::{
    CampaignId, CampaignState, Failure, FailureReason, InvalidTransition, Record, Schedule,
    StopMode, TaskId,
};

use super::campaigns::RunningCampaign;
use super::sweeps::Errand;
use super::tasks::TaskEntry;
use super::timers::Timer;
use super::{CommandError, Engine};

/// How long the clock on the wall is not looked at, at most.
const RECHECK: Duration = Duration::from_secs(60);

/// Where a campaign is in its schedule.
#[derive(Debug, Default)]
pub(super) struct ScheduleState {
    timetable: Timetable,
    /// What it said when it was last looked at.
    timing: Option<Timing>,
    /// When devices that listen are tried again.
    offer_at: Option<Utc>,
}

impl ScheduleState {
    /// A schedule that was checked when it came; one that cannot be kept any more, as a time zone is gone,
    /// never opens.
    pub(super) fn new(id: CampaignId, schedule: &Schedule) -> Self {
        let timetable = Timetable::parse(schedule).unwrap_or_else(|error| {
            tracing::error!(campaign = id.0, %error, "its schedule is not kept: it has ended");
            Timetable::over()
        });
        Self {
            timetable,
            timing: None,
            offer_at: None,
        }
    }
}

impl RunningCampaign {
    /// Why nothing of it begins now, by its schedule.
    pub(super) fn schedule_gate(&self, now: Now) -> Option<Gate> {
        let (waiting_for, until) = self.schedule.timetable.waiting_for(now.utc)?;
        Some(Gate {
            waiting_for,
            until,
            holds_execute: false,
        })
    }

    /// The state that activating it leads to.
    pub(super) fn activated(&self, now: Now) -> Result<CampaignState, InvalidTransition> {
        let state = self.campaign.state.activate()?;
        match self.schedule.timetable.timing(now.utc) {
            Timing::Ahead { .. } => Ok(CampaignState::Scheduled),
            Timing::Open { .. } | Timing::Closed { .. } | Timing::Over => Ok(state),
        }
    }

    /// Whether its end has come.
    pub(super) fn is_over(&self, now: Now) -> bool {
        self.schedule.timetable.timing(now.utc) == Timing::Over
    }

    /// Why and how a task ends that comes to it now, where nothing of it begins any more.
    pub(super) fn closed_to_tasks(&self, now: Now) -> Option<(Failure, StopMode)> {
        self.stopped_as()
            .or_else(|| self.is_over(now).then(by_schedule))
    }

    /// How much longer a device is waited for that may take so long from `since` on: only time counts in
    /// which something may begin, and none is late before the campaign's end. `None`: no longer.
    pub(super) fn time_left(&self, now: Now, since: Utc, time: Duration) -> Option<Duration> {
        let timetable = &self.schedule.timetable;
        if timetable.is_always() {
            return None;
        }
        let Some(at) = timetable.after_open(since, time) else {
            return Some(time);
        };
        (at > now.utc).then(|| at.saturating_since(now.utc).min(time))
    }
}

impl Engine {
    /// An active campaign runs by another schedule from now on.
    pub(super) fn set_schedule(
        &mut self,
        now: Now,
        id: CampaignId,
        schedule: Schedule,
    ) -> Result<(), CommandError> {
        let Some(running) = self.campaigns.get_mut(&id) else {
            return Err(CommandError::NotActive);
        };
        if !running.campaign.state.is_active() {
            return Err(CommandError::NotActive);
        }
        let timing = running.schedule.timing;
        running.schedule = ScheduleState {
            timing,
            ..ScheduleState::new(id, &schedule)
        };
        let end_before = running.campaign.policy.schedule.end_at;
        let end_changed = schedule.end_at != end_before;
        running.campaign.policy.schedule = schedule;
        let policy = Box::new(running.campaign.policy.clone());
        self.record(Record::Policy { id, policy });
        if end_changed {
            self.consent_end_changed(id);
        }
        self.follow_schedule(now, id);
        Ok(())
    }

    /// How much longer a device of a campaign is waited for, from `since` on, by the campaign's schedule.
    pub(super) fn contact_left(&self, now: Now, id: CampaignId, since: Utc) -> Option<Duration> {
        let running = self.campaigns.get(&id)?;
        let timeout = self.products.of_package(&running.package).contact_timeout;
        running.time_left(now, since, timeout)
    }

    /// The same from where the time of all its devices begins.
    pub(super) fn first_contact_left(&self, now: Now, id: CampaignId) -> Option<Duration> {
        let since = self.campaigns.get(&id)?.contact_since()?;
        self.contact_left(now, id, since)
    }

    /// Does what a campaign's schedule says of this moment, and looks at it again when it may say
    /// something else.
    pub(super) fn follow_schedule(&mut self, now: Now, id: CampaignId) {
        let Some(running) = self.campaigns.get_mut(&id) else {
            return;
        };
        let schedule = &mut running.schedule;
        let timing = schedule.timetable.timing(now.utc);
        let before = schedule.timing.replace(timing);
        let state = running.campaign.state;
        let next = match (state, timing) {
            (
                CampaignState::Scheduled,
                Timing::Open { .. } | Timing::Closed { .. } | Timing::Over,
            ) => CampaignState::Running,
            (CampaignState::Running, Timing::Ahead { .. }) => CampaignState::Scheduled,
            (_, _) => state,
        };
        running.campaign.state = next;
        if next != state {
            self.record(Record::Campaign {
                id,
                state: next,
                at: now.utc,
            });
        }
        if timing == Timing::Over {
            if before != Some(Timing::Over) {
                self.end_by_schedule(now, id);
            }
        } else if before.is_some_and(|before| !is_alike(before, timing)) {
            self.settle_all(id);
        }
        if next != state && next == CampaignState::Running {
            self.phase_opened(now, id);
            // Tasks may have ended, and phases been without any, before it began.
            self.resume_rollout(now, id);
        }
        self.offer(now, id);
        self.set_schedule_timer(now, id);
    }

    fn set_schedule_timer(&mut self, now: Now, id: CampaignId) {
        let Some(running) = self.campaigns.get(&id) else {
            return;
        };
        let ScheduleState {
            timetable,
            offer_at,
            ..
        } = &running.schedule;
        let at = (!timetable.is_always()).then(|| {
            let next = [timetable.next_change(now.utc), *offer_at];
            let next = next.into_iter().flatten().min();
            let wait = next.map_or(RECHECK, |next| next.saturating_since(now.utc));
            now.instant + wait.min(RECHECK)
        });
        self.timers.set(Timer::Schedule(id), at);
    }

    /// 每隔10分钟主动匹配下发升级计划: devices that listen, and did not answer when they were tried, are
    /// tried again at the whole ten minutes of a window, spread as those of a new campaign are.
    fn offer(&mut self, now: Now, id: CampaignId) {
        let Some(running) = self.campaigns.get_mut(&id) else {
            return;
        };
        let schedule = &mut running.schedule;
        if !schedule.timetable.has_windows() {
            return;
        }
        let is_due = schedule.offer_at.is_some_and(|at| at <= now.utc);
        let next = schedule.timetable.next_offer(now.utc);
        // Where the clock was set back, the next comes sooner than was thought.
        if is_due || schedule.offer_at.is_none() || next < schedule.offer_at {
            schedule.offer_at = next;
        }
        let is_open = matches!(schedule.timing, Some(Timing::Open { .. }));
        if !is_due || !is_open || running.gate(now).is_some() || !self.openings.is_empty() {
            return;
        }
        self.begin_sweep(id, Errand::Offer);
    }

    /// Has one tried again that listens and did not answer.
    pub(super) fn offer_again(&mut self, id: TaskId) {
        let Some(entry) = self.tasks.get(&id) else {
            return;
        };
        let is_unheard = match entry {
            TaskEntry::Idle(idle) => idle.failure.is_none(),
            TaskEntry::Running(session) => session.is_unheard(),
        };
        if is_unheard && self.is_reachable(&entry.task().endpoint) {
            self.openings.push(id);
        }
    }

    /// Its end has come: what has begun goes on, what waits ends. One that waits for its next attempt has
    /// failed.
    fn end_by_schedule(&mut self, now: Now, id: CampaignId) {
        self.settle_all(id);
        self.end_if_done(now, id);
    }
}

fn by_schedule() -> (Failure, StopMode) {
    let cause = Failure {
        reason: FailureReason::CampaignEnded,
        evidence: "the campaign's end came before it had begun".to_owned(),
    };
    (cause, StopMode::Soft)
}

/// Whether a task that waits would be told the same.
fn is_alike(before: Timing, now: Timing) -> bool {
    match (before, now) {
        (Timing::Open { .. }, Timing::Open { .. }) => true,
        (before, now) => before == now,
    }
}
