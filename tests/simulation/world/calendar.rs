//! When a campaign may begin something, reckoned apart from the product, for zones without summer time.

use narrowcast::clock::Utc;
use narrowcast::model::{PushWindow, Schedule};

/// By how many minutes their clocks are ahead of UTC.
pub(crate) const ZONES: [(&str, i64); 3] = [
    ("Asia/Kolkata", 330),
    ("Asia/Shanghai", 480),
    ("America/Bogota", -300),
];

/// Whether something may begin now, or might a moment ago: what arrives as a window closes may come first.
pub(super) fn is_open(schedule: &Schedule, now: Utc) -> bool {
    let moment_ago = Utc::from_unix_ms(now.unix_ms() - 1);
    [now, moment_ago].into_iter().any(|at| {
        let has_begun = schedule.start_at.is_none_or(|start| start <= at);
        let mut windows = schedule.windows.iter();
        has_begun
            && !is_over(schedule, at)
            && (schedule.windows.is_empty() || windows.any(|window| is_in(window, at)))
    })
}

pub(super) fn is_over(schedule: &Schedule, now: Utc) -> bool {
    schedule.end_at.is_some_and(|end| end <= now)
}

fn is_in(window: &PushWindow, at: Utc) -> bool {
    let mut zones = ZONES.iter();
    let zone = zones.find(|(name, _)| *name == window.time_zone);
    let Some((_, ahead_minutes)) = zone else {
        // One that has summer time: it has tests of its own.
        return true;
    };
    let local_hours = (at.unix_ms().div_euclid(60_000) + ahead_minutes).div_euclid(60);
    let (day, hour) = (local_hours.div_euclid(24), local_hours.rem_euclid(24));
    // 1970-01-01 was a Thursday.
    let begins_on = |day: i64| {
        let weekday = u8::try_from((day + 3).rem_euclid(7)).expect("below 7");
        window.weekdays.contains(weekday)
    };
    let (from, to) = (i64::from(window.from_hour), i64::from(window.to_hour));
    if from < to {
        (from..to).contains(&hour) && begins_on(day)
    } else {
        hour >= from && begins_on(day) || hour < to && begins_on(day - 1)
    }
}
