//! Admission modes: what is active in a whole cell, by the devices' own log.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use narrowcast::engine::EngineConfig;
use narrowcast::model::{
    AdmissionMode, AdmissionPolicy, AirtimePermille, CellId, CoverageTier, RetryPolicy, SlotClaim,
    TaskState, TierBorders,
};
use narrowcast::sim::AtRest;
use narrowcast::sim::log::DeviceEvent;

use crate::world::World;
use crate::{fleet, slots};

const DEVICES: usize = 42;

fn policy(mode: AdmissionMode, airtime_permille: u16) -> AdmissionPolicy {
    AdmissionPolicy {
        mode,
        airtime: NonZeroU16::new(airtime_permille).map(AirtimePermille),
    }
}

/// All devices of [`fleet::mixed`]'s cells and tiers, updated under a policy.
fn updated(seed: u64, admission: AdmissionPolicy) -> World {
    let config = EngineConfig {
        admission,
        stretch_max: 2,
        ..fleet::engine_config()
    };
    let devices = fleet::mixed(DEVICES).into_iter().map(|mut device| {
        device.quirks = Default::default();
        device
    });
    let mut world = World::new(seed, config, devices.collect());
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
    let verdict = world.verdict();
    assert!(verdict.holds(), "{verdict:?}");
    world
}

/// What was active in a cell by tier, each time that one began, that one counted.
struct Moment(BTreeMap<CoverageTier, u32>);

impl Moment {
    fn all(&self) -> u32 {
        self.0.values().sum()
    }

    fn lowest_limit(&self) -> u32 {
        let limits = self.0.keys().map(|tier| fleet::LIMITS.of(*tier));
        limits.min().unwrap()
    }

    fn airtime(&self) -> f64 {
        let shares = self.0.iter();
        shares
            .map(|(tier, active)| f64::from(*active) / f64::from(fleet::LIMITS.of(*tier)))
            .sum()
    }
}

fn moments(world: &World) -> Vec<Moment> {
    let of_downloads = world.server.config.admission.airtime.is_some();
    let classes: Vec<SlotClaim> = fleet::mixed(DEVICES)
        .iter()
        .map(|device| device.class(&TierBorders::default()))
        .collect();
    let mut active: BTreeMap<CellId, BTreeSet<usize>> = BTreeMap::new();
    let mut moments = Vec::new();
    for line in &world.log {
        let cell = classes[line.device].cell;
        let here = active.entry(cell).or_default();
        // Who installs takes no airtime.
        let has_ended = matches!(
            line.event,
            DeviceEvent::UpdateEnded { .. } | DeviceEvent::DownloadFailed { .. }
        );
        // Who installs takes no airtime.
        let is_at_rest = of_downloads && matches!(line.event, DeviceEvent::Downloaded { .. });
        if has_ended || is_at_rest {
            here.remove(&line.device);
        }
        if line.event == DeviceEvent::UriAccepted && here.insert(line.device) {
            let mut by_tier = BTreeMap::new();
            for device in here.iter() {
                *by_tier.entry(classes[*device].tier).or_default() += 1;
            }
            moments.push(Moment(by_tier));
        }
    }
    assert_eq!(moments.len(), DEVICES);
    moments
}

/// Who was admitted last need not begin last: so only the highest limit can be told from outside.
fn per_cell_holds(moment: &Moment) -> bool {
    let limits = moment.0.keys().map(|tier| fleet::LIMITS.of(*tier));
    moment.all() <= limits.max().unwrap()
}

fn strictest_holds(moment: &Moment) -> bool {
    moment.all() <= moment.lowest_limit()
}

fn airtime_holds(moment: &Moment) -> bool {
    moment.all() == 1 || moment.airtime() <= 1.0 + 1e-9
}

#[test]
fn per_cell_counts_the_whole_cell() {
    for seed in 0..5 {
        let world = updated(seed, policy(AdmissionMode::PerCell, 0));
        assert!(moments(&world).iter().all(per_cell_holds));
    }
}

#[test]
fn strictest_counts_the_whole_cell_against_the_lowest_limit() {
    for seed in 0..5 {
        let world = updated(seed, policy(AdmissionMode::Strictest, 0));
        assert!(moments(&world).iter().all(strictest_holds));
    }
}

#[test]
fn airtime_bounds_what_all_tiers_take_together() {
    for seed in 0..5 {
        let world = updated(seed, policy(AdmissionMode::PerClass, 1000));
        assert!(moments(&world).iter().all(airtime_holds));
        let mixes = moments(&world).iter().any(|moment| moment.0.len() > 1);
        assert!(mixes, "tiers do run beside each other");
    }
}

#[test]
fn the_default_lets_every_tier_be_full_which_these_rules_would_tell() {
    let world = updated(0, AdmissionPolicy::default());
    let moments = moments(&world);
    for holds in [per_cell_holds, strictest_holds, airtime_holds] {
        assert!(!moments.iter().all(holds));
    }
}

#[test]
fn a_restart_keeps_the_rule() {
    let admission = policy(AdmissionMode::Strictest, 0);
    let config = EngineConfig {
        admission,
        ..fleet::engine_config()
    };
    let mut world = World::new(7, config, fleet::mixed(DEVICES));
    let id = world.campaign_for_all(RetryPolicy::default());
    for _ in 0..4 {
        world.run_for(std::time::Duration::from_secs(45));
        world.restart();
    }
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
    assert!(moments(&world).iter().all(strictest_holds));
}

#[test]
fn a_campaign_says_how_its_own_devices_are_admitted() {
    let devices = fleet::mixed(DEVICES).into_iter().map(|mut device| {
        device.quirks = Default::default();
        device
    });
    let mut world = World::new(9, fleet::engine_config(), devices.collect());
    world.admission = Some(policy(AdmissionMode::Strictest, 0));
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(std::time::Duration::from_secs(60));
    // What the campaign wants is known after a restart too.
    world.restart();
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
    assert!(moments(&world).iter().all(strictest_holds));
}

#[test]
fn a_budget_of_airtime_is_one_of_downloads() {
    let config = EngineConfig {
        admission: policy(AdmissionMode::PerClass, 1000),
        ..fleet::engine_config()
    };
    let mut world = World::new(10, config, slots::slow_installers(9));
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), 9);
    assert_eq!(slots::installing_at_once(&world), 9);
    let verdict = world.verdict_with(AtRest::Done);
    assert!(verdict.holds(), "{verdict:?}");
}
