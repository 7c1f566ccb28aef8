//! The waiting room: a device that waits for a slot is asked again and again whether it is there, so that it
//! stays awake. It has no slot by that.
//!
//! ```text
//! handle_room ─► ping ─► handle_pong ─► ping ... ─┬─► a slot is granted
//!                  └─► no answer: it sleeps       ├─► the hold, or the pings, are over
//!                                                 └─► another has its place (handle_room_lost)
//! ```

use std::time::Duration;

use crate::clock::{Instant, Now, Utc};
use crate::model::{TimelineStep, WaitingRoomPolicy};

use super::super::action::Action;
use super::deadlines::Stage;
use super::{Presence, Session};

/// No device is pinged more often, however short it listens.
const PING_EVERY_MIN: Duration = Duration::from_secs(1);

/// A place in the waiting room.
#[derive(Debug)]
pub(super) struct Room {
    ends_at: Instant,
    until: Utc,
    pings_max: u32,
    pings_before: u32,
}

impl Session {
    /// How many pings the attempt has cost.
    pub const fn pings(&self) -> u32 {
        self.pings
    }

    /// Whether its device has a place in a waiting room.
    pub const fn is_kept_awake(&self) -> bool {
        self.room.is_some()
    }

    /// Whether its device was kept awake before a restart, and may be for a while longer. If not, that hold
    /// is over.
    pub fn goes_on_in_room(&mut self, now: Now, policy: WaitingRoomPolicy) -> bool {
        let goes_on = self.task.held_since.is_some()
            && policy.is_on()
            && !self.hold_left(now, policy).is_zero()
            && self.pings < policy.pings_max;
        if !goes_on {
            self.end_hold();
            self.flush();
        }
        goes_on
    }

    /// How long a hold may go on that begins now, or began before a restart. Not at all where the clock on
    /// the wall was set back behind its beginning.
    fn hold_left(&self, now: Now, policy: WaitingRoomPolicy) -> Duration {
        let hold_max = policy.hold_max();
        match self.task.held_since {
            Some(since) if since > now.utc => Duration::ZERO,
            Some(since) => (since + hold_max).saturating_since(now.utc),
            None => hold_max,
        }
    }

    /// Goes on after a restart: who was held has had a ping whenever one was due.
    pub(super) fn resume_hold(&mut self, now: Now) {
        self.pings = self.task.pings;
        if let Some(since) = self.task.held_since {
            let held = if since > now.utc {
                Duration::from_secs(WaitingRoomPolicy::HOLD_SECONDS_MAX.into())
            } else {
                now.utc.saturating_since(since)
            };
            let pings = held.as_millis() / self.ping_every().as_millis();
            let pings = u32::try_from(pings).unwrap_or(u32::MAX);
            self.pings = self.pings.saturating_add(pings);
        }
    }

    /// Its device has a place in the waiting room of its cell.
    pub fn handle_room(&mut self, now: Now, policy: WaitingRoomPolicy) {
        let waits = self.stage == Stage::Slot && self.claim.is_some() && !self.progress.slot;
        let left = self.hold_left(now, policy);
        let may_be_held = waits && !self.is_away() && !left.is_zero() && !self.was_held;
        if self.room.is_some() || !may_be_held || self.closing.is_some() {
            return;
        }
        if self.task.held_since.is_none() {
            self.task.held_since = Some(now.utc);
            self.task.pings = self.pings;
        }
        let until = now.utc + left;
        self.room = Some(Room {
            ends_at: now.instant + left,
            until,
            pings_max: policy.pings_max,
            pings_before: self.pings,
        });
        self.ping_later(now);
        let every = self.ping_every().as_secs();
        let detail = format!("kept awake until {until} at the latest, by a ping each {every} s");
        self.timeline(TimelineStep::Held, detail);
        self.wait(now, self.slot_wait());
        self.dirty = true;
        self.flush();
    }

    /// It was given its place late: where it is kept awake, it is asked now whether it is still there.
    pub fn ping_at_once(&mut self, now: Now) {
        if self.room.is_some() {
            self.deadlines.ping = Some(now.instant);
            self.ping_if_due(now);
            self.flush();
        }
    }

    /// Another has its place.
    pub fn handle_room_lost(&mut self, now: Now) {
        self.end_room(now, "another that had waited for longer has its place");
        self.flush();
    }

    /// It answered a ping.
    pub fn handle_pong(&mut self, now: Now) {
        if self.room.is_none() {
            return;
        }
        self.is_heard(now);
        self.presence = Presence::Listening;
        self.ping_later(now);
    }

    /// Pings, or lets it sleep; whether that was due.
    pub(super) fn ping_if_due(&mut self, now: Now) -> bool {
        if self.deadlines.ping.is_none_or(|at| at > now.instant) {
            return false;
        }
        self.deadlines.ping = None;
        let Some(room) = &self.room else {
            return true;
        };
        if room.ends_at <= now.instant {
            self.end_room(now, "no slot was free in that time");
        } else if self.pings >= room.pings_max {
            let pings_max = room.pings_max;
            self.end_room(now, &format!("no slot was free by {pings_max} pings"));
        } else {
            self.pings += 1;
            self.actions.push_back(Action::Ping);
        }
        true
    }

    /// The device speaks, and so stays awake: it need not be asked for a while.
    pub(super) fn ping_later(&mut self, now: Now) {
        if let Some(room) = &self.room {
            let next = now.instant + self.ping_every();
            // The answer to a ping may come behind the end of the hold.
            self.deadlines.ping = Some(next.min(room.ends_at).max(now.instant));
        }
    }

    /// It has a slot, or has left the queue, or sleeps: whoever keeps the places knows.
    pub(super) fn leave_room(&mut self) {
        if self.room.take().is_some() {
            self.end_hold();
        }
        self.deadlines.ping = None;
    }

    /// What a hold has cost is kept; the next is a new one.
    pub(super) fn end_hold(&mut self) {
        if self.task.held_since.take().is_some() {
            self.task.pings = self.pings;
            self.dirty = true;
        }
    }

    /// The device spoke of itself: where it is not held, it may be for the whole time.
    pub(super) fn woke_by_itself(&mut self) {
        self.was_held = false;
        if self.room.is_none() {
            self.end_hold();
        }
    }

    /// It sleeps, so nothing kept it awake.
    pub(super) fn asleep_in_room(&mut self) {
        if let Some(room) = &self.room {
            let pings = self.pings - room.pings_before;
            let detail = format!("it fell asleep all the same, after {pings} pings");
            self.timeline(TimelineStep::HoldEnded, detail);
            self.leave_room();
        }
    }

    /// Until when it is kept awake.
    pub(super) fn room_until(&self) -> Option<Utc> {
        self.room.as_ref().map(|room| room.until)
    }

    fn end_room(&mut self, now: Now, why: &str) {
        let Some(room) = self.room.take() else {
            return;
        };
        self.deadlines.ping = None;
        self.was_held = true;
        self.end_hold();
        let pings = self.pings - room.pings_before;
        let detail = format!("{why} ({pings} pings): it waits for its next contact");
        self.timeline(TimelineStep::HoldEnded, detail);
        self.actions.push_back(Action::LeaveRoom);
        self.wait(now, self.slot_wait());
        self.dirty = true;
    }

    /// Three fifths of the time for which it listens, so that an answer has the rest to come.
    fn ping_every(&self) -> Duration {
        (self.terms.settings.awake_time * 3 / 5).max(PING_EVERY_MIN)
    }
}
