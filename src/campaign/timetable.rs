//! Start, windows and end of a campaign as one question: may it begin something now?

use std::time::Duration;

use crate::clock::Utc;
use crate::model::{Schedule, WaitingFor};

use super::{InvalidWindow, Windows};

/// A schedule that cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// It ends before it begins.
    #[error("is not after start_at")]
    EndsFirst,
    /// More windows than there may be.
    #[error("at most {} windows", Schedule::WINDOWS_MAX)]
    TooManyWindows,
    /// One of them is no window.
    #[error(transparent)]
    Window(#[from] InvalidWindow),
    /// No window opens between start and end.
    #[error("no window opens between start_at and end_at")]
    NeverOpen,
}

/// What a schedule says of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// The start lies ahead.
    Ahead {
        /// The first moment at which something may begin.
        opens_at: Utc,
    },
    /// Something may begin.
    Open {
        /// Until then; `None`: for ever.
        until: Option<Utc>,
    },
    /// Between two windows.
    Closed {
        /// When the next opens; `None`: not before the end.
        opens_at: Option<Utc>,
    },
    /// The end has come.
    Over,
}

/// A [`Schedule`], ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Timetable {
    start_at: Option<Utc>,
    end_at: Option<Utc>,
    windows: Windows,
}

impl Timetable {
    /// How many openings and closings are looked at: an hour a week for a year's worth of days.
    const OPENINGS_MAX: usize = 1000;

    /// From what an operator chose.
    ///
    /// # Errors
    /// Where it can never be kept.
    pub fn parse(schedule: &Schedule) -> Result<Self, InvalidSchedule> {
        let Schedule {
            start_at,
            end_at,
            windows,
        } = schedule;
        if let (Some(start), Some(end)) = (start_at, end_at)
            && end <= start
        {
            return Err(InvalidSchedule::EndsFirst);
        }
        if windows.len() > Schedule::WINDOWS_MAX {
            return Err(InvalidSchedule::TooManyWindows);
        }
        let timetable = Self {
            start_at: *start_at,
            end_at: *end_at,
            windows: Windows::parse(windows)?,
        };
        if let (Some(start), Some(end)) = (start_at, end_at)
            && timetable
                .opens_from(*start)
                .is_none_or(|opens_at| opens_at >= *end)
        {
            return Err(InvalidSchedule::NeverOpen);
        }
        Ok(timetable)
    }

    /// One whose end has come.
    pub fn over() -> Self {
        Self {
            end_at: Some(Utc::from_unix_ms(i64::MIN)),
            ..Self::default()
        }
    }

    /// From then on nothing begins.
    pub const fn end_at(&self) -> Option<Utc> {
        self.end_at
    }

    /// Whether something may begin at any time.
    pub fn is_always(&self) -> bool {
        self.start_at.is_none() && self.end_at.is_none() && self.windows.is_empty()
    }

    /// Whether something may begin only in some hours.
    pub fn has_windows(&self) -> bool {
        !self.windows.is_empty()
    }

    /// What it says of `now`.
    pub fn timing(&self, now: Utc) -> Timing {
        if self.end_at.is_some_and(|end| end <= now) {
            return Timing::Over;
        }
        if let Some(start) = self.start_at
            && start > now
        {
            let opens_at = self.opens_from(start).unwrap_or(start);
            return Timing::Ahead { opens_at };
        }
        let change = self.windows.next_change(now);
        if self.windows.is_open(now) {
            let until = [change, self.end_at].into_iter().flatten().min();
            Timing::Open { until }
        } else {
            let before_end = |opens_at: &Utc| self.end_at.is_none_or(|end| *opens_at < end);
            Timing::Closed {
                opens_at: change.filter(before_end),
            }
        }
    }

    /// What is waited for until something may begin, and until when; `None`: it may now.
    pub fn waiting_for(&self, now: Utc) -> Option<(WaitingFor, Option<Utc>)> {
        match self.timing(now) {
            Timing::Open { .. } => None,
            Timing::Ahead { opens_at } => Some((WaitingFor::Start, Some(opens_at))),
            Timing::Closed { opens_at } => Some((WaitingFor::Window, opens_at.or(self.end_at))),
            Timing::Over => Some((WaitingFor::Window, None)),
        }
    }

    /// The first moment after `now` at which it may say something else; `None`: never.
    pub fn next_change(&self, now: Utc) -> Option<Utc> {
        match self.timing(now) {
            Timing::Ahead { .. } => self.start_at,
            Timing::Open { until } => until,
            Timing::Closed { opens_at } => opens_at.or(self.end_at),
            Timing::Over => None,
        }
    }

    /// When something could have begun for so long from `since` on; `None`: not before the end, or never.
    pub fn after_open(&self, since: Utc, time: Duration) -> Option<Utc> {
        let (mut at, mut left) = (since, time);
        for _ in 0..Self::OPENINGS_MAX {
            match self.timing(at) {
                Timing::Open { until } => {
                    let end = at + left;
                    let Some(until) = until.filter(|until| *until < end) else {
                        return self.end_at.is_none().then_some(end);
                    };
                    left = left.saturating_sub(until.saturating_since(at));
                    at = until;
                }
                Timing::Ahead { opens_at }
                | Timing::Closed {
                    opens_at: Some(opens_at),
                } => at = opens_at,
                Timing::Closed { opens_at: None } | Timing::Over => return None,
            }
        }
        None
    }

    /// When devices that listen and have not spoken are offered the update again: at the whole ten
    /// minutes (每隔10分钟主动匹配), by the local clock. `None` while nothing may begin until then.
    pub fn next_offer(&self, now: Utc) -> Option<Utc> {
        let Timing::Open { until } = self.timing(now) else {
            return None;
        };
        let next = self.windows.next_ten_minutes(now);
        until.is_none_or(|until| next < until).then_some(next)
    }

    /// The first moment from `start` on that is in a window.
    fn opens_from(&self, start: Utc) -> Option<Utc> {
        if self.windows.is_open(start) {
            Some(start)
        } else {
            self.windows.next_change(start)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PushWindow, Weekdays};

    fn at(text: &str) -> Utc {
        let timestamp: jiff::Timestamp = text.parse().unwrap();
        Utc::from_unix_ms(timestamp.as_millisecond())
    }

    /// 22:00 to 02:00 in Shanghai, 14:00 to 18:00 UTC.
    fn night(start_at: Option<&str>, end_at: Option<&str>) -> Schedule {
        Schedule {
            start_at: start_at.map(at),
            end_at: end_at.map(at),
            windows: vec![PushWindow {
                time_zone: "Asia/Shanghai".to_owned(),
                from_hour: 22,
                to_hour: 2,
                weekdays: Weekdays::ALL,
            }],
        }
    }

    #[test]
    fn a_campaign_is_ahead_then_open_and_closed_by_turns_and_then_over() {
        let schedule = night(Some("2026-11-21T15:30:00Z"), Some("2026-11-22T15:00:00Z"));
        let timetable = Timetable::parse(&schedule).unwrap();
        let first = at("2026-11-21T15:30:00Z");
        let second = at("2026-11-22T14:00:00Z");
        let end = at("2026-11-22T15:00:00Z");
        for (now, timing, change) in [
            (
                "2026-11-21T14:30:00Z",
                Timing::Ahead { opens_at: first },
                Some(first),
            ),
            (
                "2026-11-21T15:30:00Z",
                Timing::Open {
                    until: Some(at("2026-11-21T18:00:00Z")),
                },
                Some(at("2026-11-21T18:00:00Z")),
            ),
            (
                "2026-11-21T18:00:00Z",
                Timing::Closed {
                    opens_at: Some(second),
                },
                Some(second),
            ),
            (
                "2026-11-22T14:00:00Z",
                Timing::Open { until: Some(end) },
                Some(end),
            ),
            ("2026-11-22T15:00:00Z", Timing::Over, None),
        ] {
            assert_eq!(timetable.timing(at(now)), timing, "{now}");
            assert_eq!(timetable.next_change(at(now)), change, "{now}");
        }
    }

    #[test]
    fn a_start_outside_of_the_windows_opens_with_the_next_of_them() {
        let schedule = night(Some("2026-11-21T08:00:00Z"), None);
        let timetable = Timetable::parse(&schedule).unwrap();
        let opens_at = at("2026-11-21T14:00:00Z");
        let before = at("2026-11-20T00:00:00Z");
        assert_eq!(timetable.timing(before), Timing::Ahead { opens_at });
        let started = at("2026-11-21T08:00:00Z");
        assert_eq!(timetable.next_change(before), Some(started));
        let opens_at = Some(opens_at);
        assert_eq!(timetable.timing(started), Timing::Closed { opens_at });
    }

    #[test]
    fn where_no_window_opens_before_the_end_there_is_no_opening_to_wait_for() {
        let timetable = Timetable::parse(&night(None, Some("2026-11-22T10:00:00Z"))).unwrap();
        let last = at("2026-11-21T20:00:00Z");
        assert_eq!(timetable.timing(last), Timing::Closed { opens_at: None });
        assert_eq!(timetable.next_change(last), timetable.end_at());
    }

    #[test]
    fn offers_are_made_at_the_whole_ten_minutes_of_the_window() {
        let timetable = Timetable::parse(&night(None, None)).unwrap();
        let offer = |now| timetable.next_offer(at(now));
        assert_eq!(
            offer("2026-11-21T14:00:00Z"),
            Some(at("2026-11-21T14:10:00Z"))
        );
        assert_eq!(
            offer("2026-11-21T17:49:59Z"),
            Some(at("2026-11-21T17:50:00Z"))
        );
        assert_eq!(offer("2026-11-21T17:50:00Z"), None);
        assert_eq!(offer("2026-11-21T20:00:00Z"), None);
    }

    #[test]
    fn only_open_time_counts_and_none_is_over_before_the_end() {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        let timetable = Timetable::parse(&night(None, None)).unwrap();
        let since = at("2026-11-21T15:00:00Z");
        for (hours, after) in [
            (1, "2026-11-21T16:00:00Z"),
            (4, "2026-11-22T15:00:00Z"),
            (24, "2026-11-27T15:00:00Z"),
        ] {
            assert_eq!(timetable.after_open(since, hours * HOUR), Some(at(after)));
        }
        let ends = Timetable::parse(&night(None, Some("2026-12-21T15:00:00Z"))).unwrap();
        assert_eq!(ends.after_open(since, HOUR), None);
    }

    #[test]
    fn what_can_never_be_kept_is_refused() {
        let parse = |start, end| Timetable::parse(&night(Some(start), Some(end))).unwrap_err();
        let noon = "2026-11-21T12:00:00Z";
        assert_eq!(parse(noon, noon), InvalidSchedule::EndsFirst);
        assert_eq!(
            parse(noon, "2026-11-21T14:00:00Z"),
            InvalidSchedule::NeverOpen
        );
        let mut many = night(None, None);
        many.windows = vec![many.windows[0].clone(); Schedule::WINDOWS_MAX + 1];
        let refused = Timetable::parse(&many).unwrap_err();
        assert_eq!(refused, InvalidSchedule::TooManyWindows);
    }

    #[test]
    fn without_a_schedule_something_may_always_begin() {
        let timetable = Timetable::parse(&Schedule::default()).unwrap();
        assert!(timetable.is_always());
        let now = at("2026-11-21T12:00:01Z");
        assert_eq!(timetable.timing(now), Timing::Open { until: None });
        assert_eq!(timetable.next_change(now), None);
        assert_eq!(timetable.next_offer(now), Some(at("2026-11-21T12:10:00Z")));
    }
}
