//! When a delivery is tried again, and what an answer makes of it. Told the time and the lots; it waits for
//! nothing itself.

use std::time::Duration;

use crate::clock::Utc;
use crate::model::{DeliveryState, WebhookDelivery};

/// What came of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The receiver answered with this HTTP status.
    Status(u16),
    /// It did not, and why.
    None(String),
}

/// How often a delivery is tried, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetrySchedule {
    /// The wait after the first try; each further one is twice as long.
    pub(super) first: Duration,
    /// The longest wait.
    pub(super) most: Duration,
    /// How long after what it tells of a delivery is tried; once at least.
    pub(super) give_up_after: Duration,
}

impl RetrySchedule {
    /// Whether a delivery is to be tried that was to wait until then. So is one that would wait for longer
    /// than any does: the clock was set back.
    pub(super) fn is_due(&self, next_at: Option<Utc>, now: Utc) -> bool {
        let longest = self.most + self.most / 5;
        next_at.is_none_or(|at| at <= now || at > now + longest)
    }

    /// Notes what came of a try in the delivery. `lot` is from 0 to 1: waits are up to a fifth longer by it,
    /// so that not all receivers of a network that comes back are called at once.
    pub(super) fn settle(
        &self,
        delivery: &mut WebhookDelivery,
        answer: Answer,
        now: Utc,
        lot: f64,
    ) {
        delivery.attempts = delivery.attempts.saturating_add(1);
        delivery.last_at = Some(now);
        delivery.next_at = None;
        let taken = matches!(answer, Answer::Status(200..=299));
        (delivery.answer_status, delivery.error) = match answer {
            Answer::Status(status) => (Some(status), String::new()),
            Answer::None(error) => (None, error),
        };
        if taken {
            delivery.state = DeliveryState::Delivered;
            return;
        }
        delivery.next_at = self.next_at(delivery, now, lot);
        delivery.state = match delivery.next_at {
            Some(_) => DeliveryState::Pending,
            None => DeliveryState::Dead,
        };
    }

    /// When it is tried next, the last time exactly when its time is over; `None`: never again.
    fn next_at(&self, delivery: &WebhookDelivery, now: Utc, lot: f64) -> Option<Utc> {
        let deadline = delivery.created_at + self.give_up_after;
        if now >= deadline {
            return None;
        }
        let doublings = delivery.attempts.saturating_sub(1).min(30);
        let wait = self.first.saturating_mul(1 << doublings).min(self.most);
        let wait = wait + wait.mul_f64(lot.clamp(0.0, 1.0) / 5.0);
        Some((now + wait).min(deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn schedule() -> RetrySchedule {
        RetrySchedule {
            first: Duration::from_secs(5),
            most: Duration::from_secs(6 * HOUR),
            give_up_after: Duration::from_secs(7 * 24 * HOUR),
        }
    }

    fn at(seconds: u64) -> Utc {
        Utc::from_unix_ms(0) + Duration::from_secs(seconds)
    }

    fn delivery() -> WebhookDelivery {
        WebhookDelivery {
            number: 1,
            message_id: "7".to_owned(),
            body: String::new(),
            in_order: true,
            state: DeliveryState::Pending,
            attempts: 0,
            created_at: at(0),
            last_at: None,
            next_at: None,
            answer_status: None,
            error: String::new(),
        }
    }

    /// A virtual clock: each try happens when it is due.
    fn tries(answer: &Answer, lot: f64) -> (Vec<Utc>, WebhookDelivery) {
        let (mut delivery, mut now, mut tries) = (delivery(), at(0), Vec::new());
        loop {
            tries.push(now);
            schedule().settle(&mut delivery, answer.clone(), now, lot);
            match delivery.next_at {
                Some(next) if tries.len() < 1000 => now = next,
                Some(_) | None => return (tries, delivery),
            }
        }
    }

    #[test]
    fn a_receiver_that_is_away_is_called_ever_less_often_for_seven_days_and_then_no_more() {
        let (tries, delivery) = tries(&Answer::None("refused".to_owned()), 0.0);
        assert_eq!(tries[..5], [at(0), at(5), at(15), at(35), at(75)]);
        assert_eq!(tries.last(), Some(&at(7 * 24 * HOUR)));
        let waits = tries.windows(2).map(|two| two[1].saturating_since(two[0]));
        let longest = waits.max().unwrap();
        assert_eq!(longest, Duration::from_secs(6 * HOUR));
        assert!((35..50).contains(&tries.len()), "{}", tries.len());
        assert_eq!(delivery.state, DeliveryState::Dead);
        assert_eq!(usize::try_from(delivery.attempts).unwrap(), tries.len());
        assert_eq!(delivery.error, "refused");
    }

    #[test]
    fn waits_are_drawn_apart_and_never_shorter() {
        let (plain, _) = tries(&Answer::Status(500), 0.0);
        let (apart, _) = tries(&Answer::Status(500), 1.0);
        assert_eq!(apart[1], at(6));
        assert!(
            plain
                .iter()
                .zip(&apart)
                .all(|(plain, apart)| plain <= apart)
        );
        assert_eq!(plain.last(), apart.last());
    }

    #[test]
    fn nobody_waits_for_longer_because_the_clock_was_set_back() {
        let mut delivery = delivery();
        delivery.attempts = 40;
        delivery.created_at = at(1000 * HOUR);
        let now = at(1000 * HOUR);
        schedule().settle(&mut delivery, Answer::Status(500), now, 1.0);
        let next_at = delivery.next_at;
        assert_eq!(next_at, Some(now + Duration::from_secs(6 * HOUR * 6 / 5)));
        assert!(!schedule().is_due(next_at, now));
        assert!(schedule().is_due(next_at, now + Duration::from_secs(8 * HOUR)));
        assert!(schedule().is_due(next_at, at(999 * HOUR)), "set back");
        assert!(schedule().is_due(None, now));
    }

    #[test]
    fn any_2xx_takes_it_and_nothing_else_does() {
        for status in [200, 202, 204, 299] {
            let (tries, delivery) = tries(&Answer::Status(status), 0.5);
            assert_eq!((tries.len(), delivery.state), (1, DeliveryState::Delivered));
            assert_eq!(delivery.answer_status, Some(status));
        }
        for status in [199, 300, 301, 302, 307, 308, 400, 404, 429, 500, 503] {
            let mut delivery = delivery();
            schedule().settle(&mut delivery, Answer::Status(status), at(0), 0.0);
            assert_eq!(delivery.state, DeliveryState::Pending, "{status}");
        }
    }

    #[test]
    fn what_is_old_already_is_tried_once() {
        let late = at(8 * 24 * HOUR);
        for (status, state) in [(500, DeliveryState::Dead), (200, DeliveryState::Delivered)] {
            let mut delivery = delivery();
            schedule().settle(&mut delivery, Answer::Status(status), late, 0.0);
            assert_eq!(delivery.state, state);
        }
    }
}
