//! When a device speaks that speaks once a day.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use crate::clock::Instant;

/// A device that speaks once a day, at a time that it draws anew each day. Days are counted from the
/// clock's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyUplink {
    /// The first time of day.
    pub from: Duration,
    /// Before this time of day; not before `from`.
    pub to: Duration,
    /// How long a day lasts: [`Self::DAY`], or less where devices live faster than the clock.
    pub day: Duration,
}

impl DailyUplink {
    /// 24 hours.
    pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// Between these times of a day of 24 hours.
    pub const fn between(from: Duration, to: Duration) -> Self {
        let day = Self::DAY;
        Self { from, to, day }
    }

    /// When it speaks next: on the day of `now` where its time is still to come, else on the next day.
    pub(super) fn next(self, now: Instant, rng: &mut StdRng) -> Instant {
        let today = now.since_origin().as_nanos() / self.day.as_nanos().max(1);
        let today = u32::try_from(today).unwrap_or(u32::MAX);
        let time_of_day = now.since_origin().saturating_sub(self.day * today);
        let day = if time_of_day < self.from {
            today
        } else {
            today.saturating_add(1)
        };
        let latest = self.to.max(self.from + Duration::from_nanos(1));
        Instant::from_origin(self.day * day + rng.gen_range(self.from..latest))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_daily_uplink_comes_each_day_within_its_hour() {
        let mut rng = StdRng::seed_from_u64(1);
        let daily = DailyUplink::between(8 * HOUR, 9 * HOUR);
        let mut now = Instant::ORIGIN;
        for day in 0..50 {
            now = daily.next(now, &mut rng);
            let midnight = Instant::from_origin(DailyUplink::DAY * day);
            let time_of_day = now.saturating_since(midnight);
            assert!(
                (8 * HOUR..9 * HOUR).contains(&time_of_day),
                "day {day}: {now:?}"
            );
        }
    }

    #[test]
    fn one_moment_a_day_is_a_daily_uplink_too() {
        let mut rng = StdRng::seed_from_u64(1);
        let daily = DailyUplink::between(HOUR, HOUR);
        let first = daily.next(Instant::ORIGIN, &mut rng);
        assert_eq!(first, Instant::from_origin(HOUR));
        assert_eq!(daily.next(first, &mut rng), Instant::from_origin(25 * HOUR));
    }

    #[test]
    fn a_day_may_be_shorter_than_that_of_the_clock() {
        let mut rng = StdRng::seed_from_u64(1);
        let minute = HOUR / 60;
        let daily = DailyUplink {
            day: 24 * minute,
            ..DailyUplink::between(8 * minute, 8 * minute)
        };
        let first = daily.next(Instant::ORIGIN, &mut rng);
        assert_eq!(first, Instant::from_origin(8 * minute));
        assert_eq!(
            daily.next(first, &mut rng),
            Instant::from_origin(32 * minute)
        );
    }
}
