//! 推送时段: the hours in which a campaign may begin something, by the clocks where its devices are.
//!
//! A window is a set of local hours, nothing more: where clocks are put forward it is shorter, where
//! they are put back it is longer. The rules of the time zones are those that the program was built
//! with; no file of the machine is read.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::clock::Utc;
use crate::model::{PushWindow, Weekdays};

const HOUR_MS: i64 = 60 * 60 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;
const TEN_MINUTES_MS: i64 = 10 * 60 * 1000;

/// How far ahead a change is looked for. A window of one weekday comes each week, but for one that
/// clocks put forward leave out.
const AHEAD_MS: i64 = 28 * DAY_MS;

/// A window that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWindow {
    /// The time zone's name is in no list.
    #[error("{0:?} is no time zone; one is named as `Asia/Shanghai`")]
    UnknownTimeZone(String),
    /// A day has hours 0 to 23, and ends at 24.
    #[error("hours are 0 to 23, and 24 for the end of the day")]
    NotAnHour,
    /// It is empty, or means all hours and does not say so.
    #[error("a window is at least one hour long; 0 to 24 is the whole day")]
    Empty,
    /// It begins on no day.
    #[error("names no day of the week")]
    NoWeekday,
}

/// The windows of a campaign; it is open while one of them is. Without any it is always open.
#[derive(Clone, Debug, Default)]
pub struct Windows(Vec<Window>);

#[derive(Clone, Debug)]
struct Window {
    time_zone: TimeZone,
    from_hour: u8,
    /// At or before `from_hour`: it ends on the next day.
    to_hour: u8,
    weekdays: Weekdays,
}

impl Windows {
    /// From what an operator chose.
    ///
    /// # Errors
    /// Where one of them is no window.
    pub fn parse(windows: &[PushWindow]) -> Result<Self, InvalidWindow> {
        let windows = windows.iter().map(Window::parse);
        Ok(Self(windows.collect::<Result<_, _>>()?))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something may begin at this time.
    pub fn is_open(&self, at: Utc) -> bool {
        let at = at.unix_ms();
        self.0.is_empty() || self.0.iter().any(|window| window.is_open(at))
    }

    /// The first moment after `at` at which it is open, where it is closed now, or the reverse; `None`
    /// where that never comes.
    pub fn next_change(&self, at: Utc) -> Option<Utc> {
        let is_open = self.is_open(at);
        let end = at.unix_ms().saturating_add(AHEAD_MS);
        let mut ms = at.unix_ms();
        loop {
            let borders = self.0.iter().map(|window| window.next_border(ms));
            ms = borders.min().filter(|next| *next <= end)?;
            if self.is_open(Utc::from_unix_ms(ms)) != is_open {
                return Some(Utc::from_unix_ms(ms));
            }
        }
    }

    /// The next of the whole ten minutes, by the clock of the first window.
    pub fn next_ten_minutes(&self, at: Utc) -> Utc {
        let at = at.unix_ms();
        let offset_ms = self.0.first().map_or(0, |window| window.offset_ms(at));
        let past = (at + offset_ms).rem_euclid(TEN_MINUTES_MS);
        Utc::from_unix_ms(at + TEN_MINUTES_MS - past)
    }
}

impl Window {
    fn parse(window: &PushWindow) -> Result<Self, InvalidWindow> {
        let PushWindow {
            time_zone,
            from_hour,
            to_hour,
            weekdays,
        } = window;
        if *from_hour > 23 || *to_hour > 24 {
            return Err(InvalidWindow::NotAnHour);
        }
        if from_hour == to_hour {
            return Err(InvalidWindow::Empty);
        }
        if weekdays.is_empty() {
            return Err(InvalidWindow::NoWeekday);
        }
        let found = TimeZoneDatabase::bundled().get(time_zone);
        Ok(Self {
            time_zone: found.map_err(|_| InvalidWindow::UnknownTimeZone(time_zone.clone()))?,
            from_hour: *from_hour,
            to_hour: *to_hour,
            weekdays: *weekdays,
        })
    }

    fn is_open(&self, at_ms: i64) -> bool {
        let local_ms = at_ms + self.offset_ms(at_ms);
        let day = local_ms.div_euclid(DAY_MS);
        let hour = local_ms.rem_euclid(DAY_MS) / HOUR_MS;
        let (from, to) = (i64::from(self.from_hour), i64::from(self.to_hour));
        if from < to {
            (from..to).contains(&hour) && self.begins_on(day)
        } else {
            (hour >= from && self.begins_on(day)) || (hour < to && self.begins_on(day - 1))
        }
    }

    /// Where it may change next: at one of its hours, or where the clocks are set.
    fn next_border(&self, at_ms: i64) -> i64 {
        let offset_ms = self.offset_ms(at_ms);
        let local_ms = at_ms + offset_ms;
        let midnight = local_ms - local_ms.rem_euclid(DAY_MS);
        let next = |hour: u8| {
            let at = midnight + i64::from(hour % 24) * HOUR_MS;
            let is_past = at <= local_ms;
            at + if is_past { DAY_MS } else { 0 } - offset_ms
        };
        let border = next(self.from_hour).min(next(self.to_hour));
        let set = self.time_zone.following(timestamp(at_ms)).next();
        set.map_or(border, |set| border.min(set.timestamp().as_millisecond()))
    }

    fn offset_ms(&self, at_ms: i64) -> i64 {
        i64::from(self.time_zone.to_offset(timestamp(at_ms)).seconds()) * 1000
    }

    /// Whether it begins on this day since 1970-01-01, which was a Thursday.
    fn begins_on(&self, day: i64) -> bool {
        let weekday = (day + 3).rem_euclid(7);
        u8::try_from(weekday).is_ok_and(|weekday| self.weekdays.contains(weekday))
    }
}

/// The nearest that has a date.
fn timestamp(unix_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(unix_ms).unwrap_or(if unix_ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE_MS: i64 = 60 * 1000;

    fn at(text: &str) -> Utc {
        let timestamp: Timestamp = text.parse().unwrap();
        Utc::from_unix_ms(timestamp.as_millisecond())
    }

    fn window(time_zone: &str, from_hour: u8, to_hour: u8) -> PushWindow {
        PushWindow {
            time_zone: time_zone.to_owned(),
            from_hour,
            to_hour,
            weekdays: Weekdays::ALL,
        }
    }

    fn windows(all: &[PushWindow]) -> Windows {
        Windows::parse(all).unwrap()
    }

    /// The openings and closings that follow, in order.
    fn changes(windows: &Windows, from: &str, count: usize) -> Vec<String> {
        let mut now = at(from);
        (0..count)
            .map(|_| {
                now = windows.next_change(now).unwrap();
                let word = if windows.is_open(now) {
                    "opens"
                } else {
                    "closes"
                };
                format!("{word} {}", now.to_string().replace(":00.000Z", "Z"))
            })
            .collect()
    }

    #[test]
    fn a_window_across_midnight_is_of_the_day_on_which_it_begins() {
        let friday = PushWindow {
            weekdays: Weekdays::of(&[4]),
            ..window("Asia/Shanghai", 22, 6)
        };
        // 2026-11-27 is a Friday.
        assert_eq!(
            changes(&windows(&[friday]), "2026-11-21T00:00:00Z", 3),
            [
                "opens 2026-11-27T14:00Z",
                "closes 2026-11-27T22:00Z",
                "opens 2026-12-04T14:00Z"
            ]
        );
    }

    #[test]
    fn hours_are_whole_ones_of_the_local_clock_where_that_is_half_an_hour_off() {
        let kolkata = windows(&[window("Asia/Kolkata", 1, 2)]);
        assert_eq!(
            changes(&kolkata, "2026-11-21T00:00:00Z", 2),
            ["opens 2026-11-21T19:30Z", "closes 2026-11-21T20:30Z"]
        );
        let kathmandu = windows(&[window("Asia/Kathmandu", 0, 24)]);
        let offer = kathmandu.next_ten_minutes(at("2026-11-21T00:04:59Z"));
        assert_eq!(offer, at("2026-11-21T00:05:00Z"));
        assert_eq!(
            kathmandu.next_ten_minutes(offer),
            at("2026-11-21T00:15:00Z")
        );
    }

    #[test]
    fn clocks_put_forward_shorten_a_window_and_clocks_put_back_lengthen_it() {
        // At 02:00 it is 03:00.
        let spring = "2026-03-29T00:00:00Z";
        let berlin = |from, to| windows(&[window("Europe/Berlin", from, to)]);
        assert_eq!(
            changes(&berlin(1, 4), spring, 2),
            ["closes 2026-03-29T02:00Z", "opens 2026-03-29T23:00Z"]
        );
        // The hour that is left out does not come.
        assert_eq!(
            changes(&berlin(2, 3), spring, 2),
            ["opens 2026-03-30T00:00Z", "closes 2026-03-30T01:00Z"]
        );
        // At 03:00 it is 02:00 again.
        let autumn = "2026-10-24T22:30:00Z";
        assert_eq!(
            changes(&berlin(1, 4), autumn, 2),
            ["opens 2026-10-24T23:00Z", "closes 2026-10-25T03:00Z"]
        );
        assert_eq!(
            changes(&berlin(2, 3), autumn, 2),
            ["opens 2026-10-25T00:00Z", "closes 2026-10-25T02:00Z"]
        );
    }

    #[test]
    fn several_windows_are_open_while_one_of_them_is() {
        let two = windows(&[window("Asia/Shanghai", 1, 3), window("Asia/Shanghai", 2, 5)]);
        assert_eq!(
            changes(&two, "2026-11-21T00:00:00Z", 2),
            ["opens 2026-11-21T17:00Z", "closes 2026-11-21T21:00Z"]
        );
    }

    #[test]
    fn what_is_always_open_never_changes() {
        let none = Windows::default();
        let all = windows(&[window("Europe/Berlin", 0, 24)]);
        for always in [none, all] {
            assert!(always.is_open(at("2026-03-29T00:59:59Z")));
            assert_eq!(always.next_change(at("2026-03-28T00:00:00Z")), None);
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        let no_day = PushWindow {
            weekdays: Weekdays::of(&[]),
            ..window("UTC", 1, 2)
        };
        for (window, fault) in [
            (window("UTC", 3, 3), InvalidWindow::Empty),
            (window("UTC", 24, 3), InvalidWindow::NotAnHour),
            (window("UTC", 3, 25), InvalidWindow::NotAnHour),
            (no_day, InvalidWindow::NoWeekday),
            (
                window("Asia/Atlantis", 1, 2),
                InvalidWindow::UnknownTimeZone("Asia/Atlantis".to_owned()),
            ),
        ] {
            assert_eq!(Windows::parse(&[window]).unwrap_err(), fault);
        }
    }

    /// A zone around a day on which its clocks are set, as its lawmakers published it: when, and how
    /// many minutes ahead of UTC it is before and after.
    const SETTINGS: [(&str, &str, i64, i64); 7] = [
        ("Europe/Berlin", "2026-03-29T01:00:00Z", 60, 120),
        ("Europe/Berlin", "2026-10-25T01:00:00Z", 120, 60),
        ("America/New_York", "2026-11-01T06:00:00Z", -240, -300),
        // Half an hour.
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z", 660, 630),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z", 630, 660),
        // At midnight, into the day before.
        ("America/Sao_Paulo", "2018-02-18T02:00:00Z", -120, -180),
        ("Asia/Kolkata", "2026-06-01T00:00:00Z", 330, 330),
    ];

    /// Each local minute on a list: whether it is in the window, from the list of the minutes before.
    fn is_listed(windows: &[PushWindow], local_minute: i64) -> bool {
        windows.iter().any(|window| {
            let to_hour = if window.to_hour <= window.from_hour {
                window.to_hour + 24
            } else {
                window.to_hour
            };
            let hours = i64::from(window.from_hour) * 60..i64::from(to_hour) * 60;
            let today = local_minute.div_euclid(1440);
            (today - 1..=today).any(|day| {
                let weekday = u8::try_from((day + 3).rem_euclid(7)).unwrap();
                window.weekdays.contains(weekday) && hours.contains(&(local_minute - day * 1440))
            })
        })
    }

    fn any_window(time_zone: &'static str) -> impl Strategy<Value = PushWindow> {
        (0..24u8, 0..=24u8, 1..128u8).prop_filter_map("an hour long", move |(from, to, days)| {
            (from != to).then(|| PushWindow {
                weekdays: Weekdays::from_bits(days),
                ..window(time_zone, from, to)
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn windows_agree_with_a_clock_read_each_minute(
            (setting, chosen) in (0..SETTINGS.len()).prop_flat_map(|index| {
                let chosen = prop::collection::vec(any_window(SETTINGS[index].0), 1..3);
                (Just(index), chosen)
            }),
        ) {
            let (_, set_at, before, after) = SETTINGS[setting];
            let set_at = at(set_at).unix_ms() / MINUTE_MS;
            let parsed = windows(&chosen);
            let listed = |minute: i64| {
                let offset = if minute < set_at { before } else { after };
                is_listed(&chosen, minute + offset)
            };
            let mut expected = None;
            for minute in (set_at - 2160..set_at + 2160).rev() {
                let now = Utc::from_unix_ms(minute * MINUTE_MS);
                prop_assert_eq!(parsed.is_open(now), listed(minute), "{}", now);
                if minute + 1 < set_at + 2160 && listed(minute + 1) != listed(minute) {
                    expected = Some(Utc::from_unix_ms((minute + 1) * MINUTE_MS));
                }
                if let Some(expected) = expected {
                    for offset_ms in [0, 1, MINUTE_MS - 1] {
                        let now = Utc::from_unix_ms(minute * MINUTE_MS + offset_ms);
                        prop_assert_eq!(parsed.next_change(now), Some(expected), "{}", now);
                    }
                }
            }
        }
    }
}
