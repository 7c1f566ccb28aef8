//! `[server]` and `[campaign]`, with the bounds that the server's own interface has. Sans-IO.

use std::num::NonZeroU16;
use std::time::Duration;

use super::document::{
    Admission, Campaign, Limits, OneOrMore, Phase, Retry, Server, WaitingRoom, Window,
};
use super::error::{Fault, Field};
use super::quantity::Time;
use super::{CampaignPlan, ServerPlan};
use crate::campaign::Windows;
use crate::engine::EngineConfig;
use crate::model::{
    AdmissionMode, AdmissionPolicy, AirtimePermille, Backoff, CampaignPolicy, Conditions,
    ErrorThreshold, Governors, PhaseMembers, PushWindow, RetryPacing, RetryPolicy, Rollout,
    RolloutPhase, Schedule, TierLimits, WaitingRoomPolicy, Weekdays,
};

const PHASES_MAX: usize = 20;
const WEEK_SECONDS: u32 = 7 * 24 * 3600;
/// One that speaks once a day is not missed after a day.
const CONTACT_TIMEOUT: Duration = Duration::from_secs(2 * 24 * 3600);

pub(super) fn server(table: &Server) -> Result<ServerPlan, Fault> {
    let field = Field::of("server");
    let default = EngineConfig::default();
    if table.starts_per_minute_max == Some(0) {
        let told = "must be 1 or more; without it as many begin as cells bear";
        return Err(field.key("starts_per_minute_max").fault(told));
    }
    let limits = table
        .limits
        .map_or(default.tier_limits, |it: Limits| TierLimits {
            tier0: it.tier0,
            tier1: it.tier1,
            tier2: it.tier2,
            unknown: it.unknown,
        });
    let asked = admission(table.admission.as_ref(), &field)?;
    let contact_timeout = table.contact_timeout.map(|Time(timeout)| timeout);
    Ok(ServerPlan {
        limits,
        admission: asked.unwrap_or_default(),
        stretch_max: table.stretch_max.unwrap_or(default.stretch_max),
        starts_per_minute_max: table.starts_per_minute_max,
        waiting_room: waiting_room(table.waiting_room, &field)?.unwrap_or_default(),
        contact_timeout: contact_timeout.unwrap_or(CONTACT_TIMEOUT),
    })
}

pub(super) fn campaign(table: Campaign) -> Result<CampaignPlan, Fault> {
    let field = Field::of("campaign");
    let (retry, pacing) = retry(&table.retry, &field.key("retry"))?;
    if table.starts_per_minute_max == Some(0) {
        let told = "must be 1 or more; without it as many begin as cells bear";
        return Err(field.key("starts_per_minute_max").fault(told));
    }
    let threshold = table.error_threshold;
    if let Some(threshold) = &threshold
        && (threshold.failed_percent_max > 100 || threshold.ended_min == 0)
    {
        let told = "failed_percent_max must be 0 to 100, and ended_min 1 or more";
        return Err(field.key("error_threshold").fault(told));
    }
    let every = table.retry_failed_every.map(|Time(every)| every);
    if every.is_some_and(|every| every < Duration::from_secs(60)) {
        return Err(field
            .key("retry_failed_every")
            .fault("must be 1 minute or more"));
    }
    Ok(CampaignPlan {
        image_bytes: table.image_bytes.bytes,
        at: table.at.0,
        retry,
        admission: admission(table.admission.as_ref(), &field)?,
        retry_failed_every: every,
        policy: CampaignPolicy {
            schedule: schedule(table.window, &field.key("window"))?,
            rollout: Rollout {
                phases: phases(&table.phases, &field.key("phases"))?,
                ..Rollout::default()
            },
            retry: pacing,
            waiting_room: waiting_room(table.waiting_room, &field)?,
            governors: Governors {
                starts_per_minute_max: table.starts_per_minute_max,
                error_threshold: threshold.map(|it| ErrorThreshold {
                    failed_percent_max: it.failed_percent_max,
                    ended_min: it.ended_min,
                    action: it.action,
                }),
            },
            conditions: Conditions {
                preconditions: table.preconditions.unwrap_or_default(),
                ..Conditions::default()
            },
        },
    })
}

fn admission(table: Option<&Admission>, of: &Field) -> Result<Option<AdmissionPolicy>, Fault> {
    let field = of.key("admission");
    let Some(Admission {
        mode,
        airtime_permille,
    }) = table
    else {
        return Ok(None);
    };
    let mode = AdmissionMode::from_word(mode).ok_or_else(|| {
        let told = format!("must be one of {}", AdmissionMode::WORDS.join(", "));
        field.key("mode").fault(told)
    })?;
    let airtime = match airtime_permille.map(NonZeroU16::new) {
        None => None,
        Some(Some(permille)) if permille.get() <= 1000 => Some(AirtimePermille(permille)),
        Some(_) => return Err(field.key("airtime_permille").fault("must be 1 to 1000")),
    };
    Ok(Some(AdmissionPolicy { mode, airtime }))
}

fn waiting_room(
    table: Option<WaitingRoom>,
    of: &Field,
) -> Result<Option<WaitingRoomPolicy>, Fault> {
    let Some(table) = table else {
        return Ok(None);
    };
    let default = WaitingRoomPolicy::default();
    let policy = WaitingRoomPolicy {
        hold_seconds_max: table.hold_seconds_max.unwrap_or(default.hold_seconds_max),
        pings_max: table.pings_max.unwrap_or(default.pings_max),
        places_per_cell: table.places_per_cell.unwrap_or(default.places_per_cell),
    };
    match policy.fault() {
        Some((key, most)) => {
            let told = format!("must be 0 to {most}");
            Err(of.key("waiting_room").key(key).fault(told))
        }
        None => Ok(Some(policy)),
    }
}

fn retry(table: &Retry, field: &Field) -> Result<(RetryPolicy, RetryPacing), Fault> {
    let (policy, pacing) = (RetryPolicy::default(), RetryPacing::default());
    if table.retries_max > RetryPolicy::RETRIES_MAX {
        let told = format!("must be 0 to {}", RetryPolicy::RETRIES_MAX);
        return Err(field.key("retries_max").fault(told));
    }
    if table.jitter_percent.is_some_and(|percent| percent > 100) {
        return Err(field.key("jitter_percent").fault("must be 0 to 100"));
    }
    for (key, seconds) in [
        ("delay_seconds", table.delay_seconds),
        ("delay_seconds_max", table.delay_seconds_max),
    ] {
        if seconds.is_some_and(|seconds| seconds > WEEK_SECONDS) {
            let told = format!("must be 0 to {WEEK_SECONDS}");
            return Err(field.key(key).fault(told));
        }
    }
    let backoff = table.backoff.as_deref().map(|word| {
        Backoff::from_word(word).ok_or_else(|| {
            let told = format!("must be one of {}", Backoff::WORDS.join(", "));
            field.key("backoff").fault(told)
        })
    });
    let delay = table.delay_seconds.map(u64::from).map(Duration::from_secs);
    Ok((
        RetryPolicy {
            retries_max: table.retries_max,
            delay: delay.unwrap_or(policy.delay),
        },
        RetryPacing {
            backoff: backoff.transpose()?.unwrap_or(pacing.backoff),
            jitter_percent: table.jitter_percent.unwrap_or(pacing.jitter_percent),
            delay_seconds_max: table.delay_seconds_max.unwrap_or(pacing.delay_seconds_max),
        },
    ))
}

fn schedule(windows: Option<OneOrMore<Window>>, field: &Field) -> Result<Schedule, Fault> {
    let tables = windows.map(OneOrMore::into_vec).unwrap_or_default();
    let windows = tables.into_iter().map(|table| {
        let mut days = Vec::new();
        for day in &table.weekdays {
            let found = (0..).zip(Weekdays::NAMES).find(|(_, name)| name == day);
            let (number, _) = found.ok_or_else(|| {
                let told = format!("must be of {}", Weekdays::NAMES.join(", "));
                field.key("weekdays").fault(told)
            })?;
            days.push(number);
        }
        Ok(PushWindow {
            time_zone: table.time_zone,
            from_hour: table.from_hour,
            to_hour: table.to_hour,
            weekdays: if days.is_empty() {
                Weekdays::ALL
            } else {
                Weekdays::of(&days)
            },
        })
    });
    let windows = windows.collect::<Result<Vec<_>, Fault>>()?;
    Windows::parse(&windows).map_err(|fault| field.fault(fault.to_string()))?;
    Ok(Schedule {
        windows,
        ..Schedule::default()
    })
}

fn phases(tables: &[Phase], field: &Field) -> Result<Vec<RolloutPhase>, Fault> {
    if tables.len() > PHASES_MAX {
        return Err(field.fault(format!("at most {PHASES_MAX} phases")));
    }
    let phases = tables.iter().enumerate().map(|(number, phase)| {
        let field = field.index(number);
        let members = match (phase.count, phase.percent) {
            (Some(count @ 1..), None) => PhaseMembers::Count(count),
            (None, Some(percent @ 1..=100)) => PhaseMembers::Percent(percent),
            _ => {
                return Err(field.fault("give count (1 or more) or percent (1 to 100)"));
            }
        };
        if !(1..=100).contains(&phase.success_percent_min) || phase.failed_percent_max > 100 {
            let told = "success_percent_min must be 1 to 100, and failed_percent_max 0 to 100";
            return Err(field.fault(told));
        }
        Ok(RolloutPhase {
            members,
            success_percent_min: phase.success_percent_min,
            failed_percent_max: phase.failed_percent_max,
            on_errors: phase.on_errors,
            soak_hours: phase.soak_hours,
            approval_required: false,
        })
    });
    phases.collect()
}
