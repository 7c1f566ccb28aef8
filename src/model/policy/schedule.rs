//! When a campaign may begin something.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Utc;

/// Start, end and 推送时段 of a campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// Nothing begins before; `None`: with the activation.
    #[serde(with = "unix_ms")]
    pub start_at: Option<Utc>,
    /// From then on nothing begins, what waits ends, and what runs goes on to its end.
    #[serde(with = "unix_ms")]
    pub end_at: Option<Utc>,
    /// Something begins only while one of these is open; none: at any time.
    pub windows: Vec<PushWindow>,
}

impl Schedule {
    /// The most windows of a campaign: one for each day of the week.
    pub const WINDOWS_MAX: usize = 7;

    /// What the audit log is told of it, by name.
    pub fn told(&self) -> Vec<(&'static str, String)> {
        let time = |time: Option<Utc>| time.map_or_else(|| "none".to_owned(), |at| at.to_string());
        let mut windows: Vec<String> = self.windows.iter().map(ToString::to_string).collect();
        if windows.is_empty() {
            windows.push("none".to_owned());
        }
        vec![
            ("start_at", time(self.start_at)),
            ("end_at", time(self.end_at)),
            ("window", windows.join("; ")),
        ]
    }
}

/// 推送时段: whole hours of each of some days, by the local clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushWindow {
    /// As in the time zone database: `Asia/Shanghai`.
    pub time_zone: String,
    /// 0 to 23.
    pub from_hour: u8,
    /// 0 to 24, exclusive; where it is not after `from_hour`, of the next day.
    pub to_hour: u8,
    /// On which days it begins.
    pub weekdays: Weekdays,
}

impl fmt::Display for PushWindow {
    /// `22-06 Asia/Shanghai`, and its days where it is not of each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            time_zone,
            from_hour,
            to_hour,
            weekdays,
        } = self;
        write!(f, "{from_hour:02}-{to_hour:02} {time_zone}")?;
        if *weekdays != Weekdays::ALL {
            for (day, name) in (0..).zip(Weekdays::NAMES) {
                if weekdays.contains(day) {
                    write!(f, " {name}")?;
                }
            }
        }
        Ok(())
    }
}

/// A set of days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Weekdays(u8);

impl Weekdays {
    /// Every day.
    pub const ALL: Self = Self(0x7f);

    /// The days by their English names, Monday first.
    pub const NAMES: [&str; 7] = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];

    /// The days with these numbers, 0 for Monday to 6 for Sunday.
    pub fn of(days: &[u8]) -> Self {
        let bits = days.iter().map(|day| bit(*day));
        Self(bits.fold(0, |all, day| all | day))
    }

    /// The lowest bit is Monday's.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Whether the day with this number is among them, 0 for Monday.
    pub fn contains(self, day: u8) -> bool {
        self.0 & bit(day) != 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 & Self::ALL.0 == 0
    }
}

fn bit(day: u8) -> u8 {
    1u8.checked_shl(day.into()).unwrap_or(0) & Weekdays::ALL.0
}

/// A time as milliseconds since the Unix epoch.
mod unix_ms {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::clock::Utc;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Utc>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(Utc::unix_ms).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Utc>, D::Error> {
        let time = Option::<i64>::deserialize(deserializer)?;
        Ok(time.map(Utc::from_unix_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_that_were_named() {
        let days = Weekdays::of(&[0, 6, 7, 200]);
        let named: Vec<_> = (0..10).filter(|day| days.contains(*day)).collect();
        assert_eq!(named, [0, 6]);
        assert!(Weekdays::of(&[]).is_empty());
        assert_eq!(Weekdays::from_bits(0xff), Weekdays::ALL);
    }

    #[test]
    fn a_window_is_told_in_a_line() {
        let mut window = PushWindow {
            time_zone: "Asia/Shanghai".to_owned(),
            from_hour: 22,
            to_hour: 6,
            weekdays: Weekdays::ALL,
        };
        assert_eq!(window.to_string(), "22-06 Asia/Shanghai");
        window.weekdays = Weekdays::of(&[5, 6]);
        assert_eq!(window.to_string(), "22-06 Asia/Shanghai saturday sunday");
    }

    #[test]
    fn a_schedule_is_read_as_it_was_written() {
        let schedule = Schedule {
            start_at: Some(Utc::from_unix_ms(1_795_000_000_000)),
            end_at: None,
            windows: vec![PushWindow {
                time_zone: "Asia/Shanghai".to_owned(),
                from_hour: 22,
                to_hour: 6,
                weekdays: Weekdays::of(&[4]),
            }],
        };
        let text = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule);
        assert_eq!(
            serde_json::from_str::<Schedule>("{}").unwrap(),
            Schedule::default()
        );
    }
}
