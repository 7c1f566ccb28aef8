//! When devices switch on and off for good. Sans-IO.

use std::time::Duration;

use super::document::{Devices, Stage, StageKind};
use super::error::{Fault, Field};
use super::quantity::{Rate, Time};

/// The whole course, one stage after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ramp {
    steps: Vec<Step>,
    /// How fast devices switch on, where no stage says it.
    rate: Option<Rate>,
}

/// Devices of these numbers switch on, or off, evenly over a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    on: bool,
    first: usize,
    end: usize,
    at: Duration,
    lasts: Duration,
}

impl Ramp {
    /// What `[devices]` and the stages mean together.
    pub(super) fn check(devices: &Devices, stages: &[Stage]) -> Result<Self, Fault> {
        match (devices.ramp, stages) {
            (None, []) => Ok(Self::default()),
            (Some(rate), []) => Ok(Self::at_rate(devices.count, rate)),
            (Some(_), _) => {
                let told = "goes without [[stage]]: take one of them out";
                Err(Field::of("devices").key("ramp").fault(told))
            }
            (None, stages) => Self::of_stages(devices.count, stages),
        }
    }

    fn at_rate(count: usize, rate: Rate) -> Self {
        let lasts = rate.every * u32::try_from(count).unwrap_or(u32::MAX);
        let step = Step {
            on: true,
            first: 0,
            end: count,
            at: Duration::ZERO,
            lasts,
        };
        Self {
            steps: vec![step],
            rate: Some(rate),
        }
    }

    /// The same course for another number of devices: at the same rate, or of each stage the same part
    /// in the same time.
    pub(super) fn with_devices(&self, before: usize, count: usize) -> Self {
        if let Some(rate) = self.rate {
            return Self::at_rate(count, rate);
        }
        let scaled = |number: usize| {
            let scaled = number as u128 * count as u128 / (before as u128).max(1);
            usize::try_from(scaled).unwrap_or(count)
        };
        let steps = self.steps.iter().map(|step| Step {
            first: scaled(step.first),
            end: scaled(step.end),
            ..*step
        });
        Self {
            steps: steps.collect(),
            rate: None,
        }
    }

    fn of_stages(count: usize, stages: &[Stage]) -> Result<Self, Fault> {
        let (mut steps, mut at, mut on, mut off) = (Vec::new(), Duration::ZERO, 0, 0);
        for (number, stage) in stages.iter().enumerate() {
            let field = Field::of("stage").index(number);
            let Time(lasts) = stage.lasts;
            let asked = stage.asked(count, &field)?;
            match stage.what {
                StageKind::Hold if asked.is_some() => {
                    let told = "\"hold\" moves no devices: take devices and percent out";
                    return Err(field.fault(told));
                }
                StageKind::Hold => {}
                StageKind::RampUp => {
                    let end = on + asked.unwrap_or(count - on);
                    if end > count {
                        let told = format!("only {} of {count} devices are left", count - on);
                        return Err(field.fault(told));
                    }
                    steps.push(Step {
                        on: true,
                        first: on,
                        end,
                        at,
                        lasts,
                    });
                    on = end;
                }
                StageKind::RampDown => {
                    let end = off + asked.unwrap_or(on - off);
                    if end > on {
                        let told = format!("only {} devices are switched on by then", on - off);
                        return Err(field.fault(told));
                    }
                    steps.push(Step {
                        on: false,
                        first: off,
                        end,
                        at,
                        lasts,
                    });
                    off = end;
                }
            }
            at += lasts;
        }
        if on < count {
            let told = format!(
                "the stages switch on {on} of {count} devices: add a \"ramp_up\", or lower devices.count"
            );
            return Err(Field::of("stage").fault(told));
        }
        Ok(Self { steps, rate: None })
    }

    /// When this device switches on; `None`: at a time of its own.
    pub(super) fn on(&self, index: usize) -> Option<Duration> {
        self.time(index, true)
    }

    /// When it switches off for good.
    pub(super) fn off(&self, index: usize) -> Option<Duration> {
        self.time(index, false)
    }

    fn time(&self, index: usize, on: bool) -> Option<Duration> {
        let has = |step: &&Step| step.on == on && (step.first..step.end).contains(&index);
        let step = self.steps.iter().find(has)?;
        let rank = u32::try_from(index - step.first).unwrap_or(u32::MAX);
        let of = u32::try_from(step.end - step.first).unwrap_or(u32::MAX);
        // At the least a nanosecond, as zero is a time of its own.
        Some(step.at + step.lasts / of.max(1) * rank + Duration::from_nanos(1))
    }
}

impl Stage {
    fn asked(&self, count: usize, field: &Field) -> Result<Option<usize>, Fault> {
        match (self.devices, self.percent) {
            (Some(_), Some(_)) => Err(field.fault("give devices or percent, not both")),
            (None, Some(percent @ 1..=100)) => {
                Ok(Some((count * usize::from(percent)).div_ceil(100)))
            }
            (None, Some(_)) => Err(field.key("percent").fault("must be 1 to 100")),
            (devices, None) => Ok(devices),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn stage(what: StageKind, seconds: u64, devices: Option<usize>) -> Stage {
        Stage {
            what,
            lasts: Time(s(seconds)),
            devices,
            percent: None,
        }
    }

    fn ramp(stages: &[Stage]) -> Result<Ramp, Fault> {
        let devices = Devices {
            count: 10,
            ramp: None,
        };
        Ramp::check(&devices, stages)
    }

    #[test]
    fn devices_go_up_hold_and_go_down_one_after_the_other() {
        let ramp = ramp(&[
            stage(StageKind::RampUp, 10, Some(5)),
            stage(StageKind::Hold, 100, None),
            stage(StageKind::RampUp, 10, None),
            stage(StageKind::RampDown, 20, Some(2)),
        ])
        .unwrap();
        let tick = Duration::from_nanos(1);
        assert_eq!(ramp.on(0), Some(tick));
        assert_eq!(ramp.on(4), Some(s(8) + tick));
        assert_eq!(ramp.on(5), Some(s(110) + tick));
        assert_eq!(ramp.off(1), Some(s(130) + tick));
        assert_eq!(ramp.off(2), None);
    }

    #[test]
    fn stages_that_do_not_add_up_are_faults() {
        let few = ramp(&[stage(StageKind::RampUp, 1, Some(9))]).unwrap_err();
        assert!(few.message.contains("9 of 10"), "{few:?}");
        let many = ramp(&[stage(StageKind::RampUp, 1, Some(11))]).unwrap_err();
        assert!(many.message.contains("only 10 of 10"), "{many:?}");
        let down = [
            stage(StageKind::RampUp, 1, None),
            stage(StageKind::RampDown, 1, Some(11)),
        ];
        assert!(ramp(&down).unwrap_err().message.contains("only 10"));
    }
}
