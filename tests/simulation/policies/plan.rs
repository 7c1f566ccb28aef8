//! What operators ask of campaigns and do with them, from a seed.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use narrowcast::engine::EngineConfig;
use narrowcast::model::{
    AdmissionMode, AdmissionPolicy, AirtimePermille, Backoff, CampaignId, CampaignPolicy,
    Conditions, ErrorThreshold, Governors, OnErrors, PhaseMembers, PushWindow, RetryPacing,
    Rollout, RolloutPhase, Schedule, SlotHeld, Weekdays,
};
use narrowcast::sim::DeviceConfig;
use rand::Rng;
use rand::rngs::StdRng;

use crate::chaos::plan::{self as chaos, DEVICES, Drawn};
use crate::fleet;
use crate::link::percent;
use crate::world::{Deed, Trouble, World, ZONES};

const MINUTE: Duration = Duration::from_secs(60);

/// When operators are at work.
const WORK_MINUTES: u32 = 180;

pub(super) fn config(rng: &mut StdRng) -> EngineConfig {
    let mut config = chaos::config(rng);
    if percent(rng, 15) {
        config.starts_per_minute_max = NonZeroU32::new(rng.gen_range(1..6));
    }
    if percent(rng, 20) {
        config.admission = admission(rng, config.product.slot_held);
    }
    config.passed_over_max = rng.gen_range(1..8);
    config
}

/// More of them sleep than elsewhere, and some have to be heard again soon, or are gone.
pub(super) fn devices(drawn: &[Drawn], rng: &mut StdRng) -> Vec<DeviceConfig> {
    let devices = drawn.iter().map(|drawn| {
        let mut device = drawn.device.clone();
        if percent(rng, 40) {
            device.queue_mode = true;
            device.update_interval = Duration::from_secs(rng.gen_range(300..3_000));
            device.lifetime = 2 * device.update_interval;
        }
        device
    });
    devices.collect()
}

/// A budget of airtime is one of downloads.
pub(super) fn admission(rng: &mut StdRng, slot_held: SlotHeld) -> AdmissionPolicy {
    let airtime = (slot_held == SlotHeld::UntilDownloaded && percent(rng, 50))
        .then(|| NonZeroU16::new(rng.gen_range(300..1200)))
        .flatten();
    AdmissionPolicy {
        mode: AdmissionMode::ALL[rng.gen_range(0..AdmissionMode::ALL.len())],
        airtime: airtime.map(AirtimePermille),
    }
}

pub(super) fn policy(world: &World, rng: &mut StdRng, seed: u64) -> CampaignPolicy {
    CampaignPolicy {
        schedule: schedule(world, rng),
        rollout: rollout(rng),
        conditions: Conditions {
            // A user may put it off for less than the world lasts.
            defer_seconds_max: percent(rng, 20).then(|| rng.gen_range(600..7200)),
            ..chaos::conditions(rng)
        },
        retry: RetryPacing {
            backoff: Backoff::ALL[rng.gen_range(0..Backoff::ALL.len())],
            jitter_percent: rng.gen_range(0..=100),
            delay_seconds_max: rng.gen_range(60..1200),
        },
        waiting_room: chaos::waiting_room(seed),
        governors: governors(rng),
    }
}

fn rollout(rng: &mut StdRng) -> Rollout {
    let named = |rng: &mut StdRng| {
        let device = fleet::device(rng.gen_range(0..DEVICES));
        fleet::endpoint(&device).to_string()
    };
    let trial = percent(rng, 20).then(|| named(rng));
    let phases = if percent(rng, 50) {
        rng.gen_range(1..4)
    } else {
        0
    };
    let phases = (0..phases).map(|_| RolloutPhase {
        members: match rng.gen_range(0..3) {
            0 => PhaseMembers::Devices(vec![named(rng), named(rng)]),
            1 => PhaseMembers::Count(rng.gen_range(1..5)),
            _ => PhaseMembers::Percent(rng.gen_range(5..50)),
        },
        success_percent_min: rng.gen_range(30..=100),
        failed_percent_max: rng.gen_range(0..=60),
        on_errors: on_errors(rng),
        soak_hours: [0, 0, 1, 2][rng.gen_range(0..4)],
        approval_required: percent(rng, 25),
    });
    Rollout {
        approval_required: false,
        trial,
        phases: phases.collect(),
    }
}

fn on_errors(rng: &mut StdRng) -> OnErrors {
    if percent(rng, 85) {
        OnErrors::Pause
    } else {
        OnErrors::Stop
    }
}

fn governors(rng: &mut StdRng) -> Governors {
    Governors {
        starts_per_minute_max: percent(rng, 25).then(|| rng.gen_range(1..4)),
        error_threshold: percent(rng, 25).then(|| ErrorThreshold {
            failed_percent_max: rng.gen_range(5..60),
            ended_min: rng.gen_range(1..6),
            action: on_errors(rng),
        }),
    }
}

fn schedule(world: &World, rng: &mut StdRng) -> Schedule {
    let mut schedule = Schedule::default();
    let minutes = |rng: &mut StdRng, most| MINUTE * rng.gen_range(5..most);
    if percent(rng, 12) {
        schedule.start_at = Some(world.now.utc + minutes(rng, 90));
    }
    if percent(rng, 10) {
        schedule.end_at = Some(world.now.utc + 90 * MINUTE + minutes(rng, 240));
    }
    // Windows of which none opens before the end are refused.
    if schedule.end_at.is_none() && percent(rng, 25) {
        let windows = rng.gen_range(1..3);
        schedule.windows = (0..windows).map(|_| window(rng)).collect();
    }
    schedule
}

fn window(rng: &mut StdRng) -> PushWindow {
    let (time_zone, _) = ZONES[rng.gen_range(0..ZONES.len())];
    let from_hour = rng.gen_range(0..24);
    let hours = rng.gen_range(1..20);
    let days: Vec<u8> = (0..7).filter(|_| percent(rng, 80)).collect();
    PushWindow {
        time_zone: time_zone.to_owned(),
        from_hour,
        to_hour: (from_hour + hours) % 24,
        weekdays: if days.is_empty() {
            Weekdays::ALL
        } else {
            Weekdays::of(&days)
        },
    }
}

/// What operators do with a campaign that has just been activated.
pub(super) fn deeds(world: &mut World, rng: &mut StdRng, id: CampaignId, others: Vec<usize>) {
    let begin = |rng: &mut StdRng| MINUTE * rng.gen_range(1..WORK_MINUTES);
    for _ in 0..rng.gen_range(0..3) {
        let deed = [Deed::Pause, Deed::Halt, Deed::HaltAll][rng.gen_range(0..3)].clone();
        let at = begin(rng);
        world.plan(at, Trouble::Deed(id, deed));
        // Else whoever looks after it resumes it.
        if percent(rng, 70) {
            let after = MINUTE * rng.gen_range(1..60);
            world.plan(at + after, Trouble::Deed(id, Deed::Resume));
        }
    }
    for _ in 0..rng.gen_range(0..4) {
        let deed = [Deed::Resume, Deed::Approve][rng.gen_range(0..2)].clone();
        world.plan(begin(rng), Trouble::Deed(id, deed));
    }
    if percent(rng, 15) {
        let schedule = schedule(world, rng);
        world.plan(begin(rng), Trouble::Deed(id, Deed::Reschedule(schedule)));
    }
    for device in others {
        world.plan(begin(rng), Trouble::Deed(id, Deed::Join(vec![device])));
    }
    // Some fall silent after their update.
    for device in 0..DEVICES {
        if percent(rng, 15) {
            let silence = MINUTE * rng.gen_range(60..240);
            world.plan(begin(rng), Trouble::OutOfCoverage(device, silence));
        }
    }
    world.plan(MINUTE, Trouble::Deed(id, Deed::Care));
}
