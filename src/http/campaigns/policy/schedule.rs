//! Start, end and windows of a campaign, as they come and as they are shown.

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::campaign::{InvalidSchedule, Timetable};
use crate::http::error::Problem;
use crate::http::fields;
use crate::model::{PushWindow, Schedule, Weekdays};

/// 推送时段: whole hours of some days, by the local clock. Where clocks are put forward it is shorter,
/// where they are put back it is longer.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    /// As in the time zone database: `Asia/Shanghai`.
    time_zone: String,
    /// 0 to 23.
    #[schema(maximum = 23)]
    from_hour: u8,
    /// 0 to 24, at least an hour later; where it is not after `from_hour`, of the next day.
    #[schema(maximum = 24)]
    to_hour: u8,
    /// `monday` to `sunday`: on which days it begins. Left out: on each.
    #[serde(default = "each_day")]
    weekdays: Vec<String>,
}

/// One window, or a list of them, of which one has to be open; an empty list is none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum WindowField {
    /// One.
    One(Window),
    /// Several.
    Several(Vec<Window>),
}

impl<'de> Deserialize<'de> for WindowField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;
        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = WindowField;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a window or a list of windows")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WindowField, A::Error> {
                let window = Window::deserialize(MapAccessDeserializer::new(map));
                window.map(WindowField::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<WindowField, A::Error> {
                let windows = Vec::deserialize(SeqAccessDeserializer::new(list));
                windows.map(WindowField::Several)
            }
        }
        deserializer.deserialize_any(OneOrSeveral)
    }
}

/// The schedule that these fields mean.
pub(in crate::http) fn parse_schedule(
    start_at: Option<&str>,
    end_at: Option<&str>,
    window: Option<WindowField>,
) -> Result<Schedule, Problem> {
    let windows = window.map_or_else(|| Ok(Vec::new()), WindowField::parse)?;
    let time = |field, text: Option<&str>| text.map(|text| fields::timestamp(field, text));
    let schedule = Schedule {
        start_at: time("start_at", start_at).transpose()?,
        end_at: time("end_at", end_at).transpose()?,
        windows,
    };
    check_schedule(&schedule)?;
    Ok(schedule)
}

/// That it can be kept.
pub(in crate::http) fn check_schedule(schedule: &Schedule) -> Result<(), Problem> {
    let Err(fault) = Timetable::parse(schedule) else {
        return Ok(());
    };
    let field = match fault {
        InvalidSchedule::EndsFirst => "end_at",
        InvalidSchedule::TooManyWindows
        | InvalidSchedule::Window(_)
        | InvalidSchedule::NeverOpen => "window",
    };
    Err(Problem::invalid_field(field, fault))
}

impl WindowField {
    pub(in crate::http) fn parse(self) -> Result<Vec<PushWindow>, Problem> {
        let windows = match self {
            Self::One(window) => vec![window],
            Self::Several(windows) => windows,
        };
        windows.into_iter().map(Window::parse).collect()
    }

    /// Those of a schedule.
    pub(in crate::http) fn of(schedule: &Schedule) -> Option<Self> {
        match &schedule.windows[..] {
            [] => None,
            [window] => Some(Self::One(window.into())),
            windows => Some(Self::Several(windows.iter().map(Window::from).collect())),
        }
    }
}

impl Window {
    fn parse(self) -> Result<PushWindow, Problem> {
        let days = self.weekdays.iter().map(|day| {
            let names: [u8; 7] = std::array::from_fn(|number| u8::try_from(number).unwrap_or(0));
            let name = |number: u8| Weekdays::NAMES[usize::from(number)];
            fields::word("window.weekdays", day, &names, name)
        });
        Ok(PushWindow {
            weekdays: Weekdays::of(&days.collect::<Result<Vec<_>, _>>()?),
            time_zone: self.time_zone,
            from_hour: self.from_hour,
            to_hour: self.to_hour,
        })
    }
}

impl From<&PushWindow> for Window {
    fn from(window: &PushWindow) -> Self {
        let days = (0..7).zip(Weekdays::NAMES);
        let days = days.filter(|(number, _)| window.weekdays.contains(*number));
        Self {
            time_zone: window.time_zone.clone(),
            from_hour: window.from_hour,
            to_hour: window.to_hour,
            weekdays: days.map(|(_, name)| name.to_owned()).collect(),
        }
    }
}

fn each_day() -> Vec<String> {
    Weekdays::NAMES.map(str::to_owned).into()
}
