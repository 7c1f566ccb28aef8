//! When devices speak of their own accord. Sans-IO.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use rand::Rng;
use rand::rngs::StdRng;

use super::document::{Pattern, Uplink};
use super::error::{Fault, Field};
use super::quantity::{DayWindow, Time};
use crate::clock::Utc;
use crate::sim::{DailyUplink, DeviceConfig};

/// What decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UplinkPattern {
    /// Once a day, each at a time of its own.
    Uniform24h,
    /// Once a day, between these times of the run's day.
    Daily(DailyUplink),
    /// TR 45.820, Mobile Autonomous Reporting.
    Mar,
    /// Each so often.
    Every(Duration),
}

const DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

impl UplinkPattern {
    /// What a table means. Times of day are those of its time zone at the run's begin.
    pub(super) fn check(uplink: &Uplink, start: Utc, field: &Field) -> Result<Self, Fault> {
        let Uplink {
            pattern,
            window,
            time_zone,
            every,
        } = uplink;
        let is_daily = matches!(pattern, Pattern::Burst | Pattern::MidnightHerd);
        if window.is_some() && *pattern != Pattern::Burst {
            return Err(field
                .key("window")
                .fault("goes only with pattern = \"burst\""));
        }
        if time_zone.is_some() && !is_daily {
            let told = "goes only with pattern = \"burst\" or \"midnight-herd\"";
            return Err(field.key("time_zone").fault(told));
        }
        if every.is_some() != (*pattern == Pattern::Interval) {
            let told = "goes with pattern = \"interval\", and only there: every = \"1h\"";
            return Err(field.key("every").fault(told));
        }
        let origin = match time_zone {
            Some(time_zone) => time_of_day(start, time_zone)
                .map_err(|fault| field.key("time_zone").fault(fault))?,
            None => time_of_day(start, "UTC").unwrap_or_default(),
        };
        let daily = |window: DayWindow| {
            // The run's day begins at its origin, whatever the clock says there.
            let from = Duration::from_nanos(
                u64::try_from(
                    (window.from + DAY).saturating_sub(origin).as_nanos() % DAY.as_nanos(),
                )
                .unwrap_or_default(),
            );
            let to = from + (window.to - window.from);
            Self::Daily(DailyUplink::between(from, to))
        };
        Ok(match (pattern, window) {
            (Pattern::Uniform24h, _) => Self::Uniform24h,
            (Pattern::Burst, Some(window)) => daily(*window),
            (Pattern::Burst, None) => {
                let told = "is needed for pattern = \"burst\": window = \"08:00-09:00\"";
                return Err(field.key("window").fault(told));
            }
            (Pattern::MidnightHerd, _) => daily(DayWindow {
                from: Duration::ZERO,
                to: 5 * MINUTE,
            }),
            (Pattern::Mar, _) => Self::Mar,
            (Pattern::Interval, _) => match every {
                Some(Time(every)) if *every >= MINUTE => Self::Every(*every),
                Some(_) | None => {
                    return Err(field.key("every").fault("must be 1 minute or more"));
                }
            },
        })
    }

    /// The shortest time between two uplinks of a device, give or take a tenth.
    pub(super) const fn shortest(self) -> Duration {
        match self {
            Self::Uniform24h | Self::Daily(_) => DAY,
            Self::Mar => Duration::from_secs(HOUR.as_secs() / 2),
            Self::Every(every) => every,
        }
    }

    /// Gives a device its times.
    pub(super) fn give(self, config: &mut DeviceConfig, rng: &mut StdRng) {
        let at_own_time = |rng: &mut StdRng| {
            let at = Duration::from_secs(rng.gen_range(0..DAY.as_secs()));
            DailyUplink::between(at, at)
        };
        match self {
            Self::Uniform24h => config.daily_uplink = Some(at_own_time(rng)),
            Self::Daily(daily) => config.daily_uplink = Some(daily),
            Self::Mar => match rng.gen_range(0..100) {
                0..40 => config.daily_uplink = Some(at_own_time(rng)),
                40..80 => config.update_interval = 2 * HOUR,
                80..95 => config.update_interval = HOUR,
                _ => config.update_interval = HOUR / 2,
            },
            Self::Every(every) => config.update_interval = every,
        }
        if config.daily_uplink.is_none() {
            config.start_spread = config.update_interval;
        }
    }
}

/// What the clocks of a time zone say at this time.
fn time_of_day(at: Utc, time_zone: &str) -> Result<Duration, String> {
    let zone = TimeZoneDatabase::bundled().get(time_zone).map_err(|_| {
        format!("there is no time zone \"{time_zone}\"; write one such as \"Asia/Shanghai\"")
    })?;
    let timestamp = Timestamp::from_millisecond(at.unix_ms()).map_err(|it| it.to_string())?;
    let local = at.unix_ms() + i64::from(zone.to_offset(timestamp).seconds()) * 1000;
    let of_day = local.rem_euclid(i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX));
    Ok(Duration::from_millis(
        u64::try_from(of_day).unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDNIGHT: Utc = Utc::from_unix_ms(1_795_305_600_000);

    fn burst(time_zone: &str) -> Result<UplinkPattern, Fault> {
        let uplink = Uplink {
            pattern: Pattern::Burst,
            window: Some(DayWindow {
                from: 8 * HOUR,
                to: 9 * HOUR,
            }),
            time_zone: Some(time_zone.to_owned()),
            every: None,
        };
        UplinkPattern::check(&uplink, MIDNIGHT, &Field::of("uplink"))
    }

    #[test]
    fn a_window_is_of_its_own_time_zone() {
        let of = |from, to| UplinkPattern::Daily(DailyUplink::between(from, to));
        assert_eq!(burst("UTC"), Ok(of(8 * HOUR, 9 * HOUR)));
        // Eight in the morning in China is midnight in UTC, where the run begins.
        assert_eq!(burst("Asia/Shanghai"), Ok(of(Duration::ZERO, HOUR)));
        assert_eq!(burst("Asia/Tokyo"), Ok(of(23 * HOUR, 24 * HOUR)));
        assert!(
            burst("Asia/Nowhere")
                .unwrap_err()
                .message
                .contains("Nowhere")
        );
    }
}
