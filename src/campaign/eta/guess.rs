//! How long things take: as they were seen, or as they are assumed.

use crate::model::CoverageTier;

use super::super::pace::{TierPace, Times};
use super::play::Group;
use super::{Assumption, CellLoad, EtaInput, Figure};

/// The blocks that figures of the radio are given for.
const BLOCK_BYTES: u64 = 512;
/// Update and reboot (radio-sim-ux.md B3, an assumption there).
const INSTALL_SECONDS: f64 = 120.0;
/// Meters report once a day.
const CONTACT_SECONDS: f64 = 24.0 * 60.0 * 60.0;
/// Without a source.
const SUCCESS_SHARE: f64 = 0.98;
/// How much of what a cell can carry is for firmware (B3).
const FIRMWARE_SHARE: f64 = 0.7;

/// A whole cell, in the unit of a budget of airtime.
const WHOLE_PERMILLE: f64 = 1000.0;

/// So many of something seen weigh more than what is assumed.
const SEEN_MIN: u64 = 3;
/// The same of blocks, of which each device fetches many.
const BLOCKS_SEEN_MIN: u64 = 50;
/// By what part devices of one tier differ where that was not seen.
const SPREAD: f64 = 0.3;
/// What comes is never quite like what was seen.
const DOUBT_MIN: f64 = 0.05;
/// By what part a figure may be wrong that was not seen.
const DOUBT: f64 = 0.4;

/// Times of devices that stand alike, as they were seen or else as they are assumed.
pub(super) fn group(input: &EtaInput<'_>, load: &CellLoad, assumed: &mut Vec<Assumption>) -> Group {
    let (pace, tier) = (input.pace, load.tier);
    let of_tier = pace.tier(tier);
    let of_cell = load.cell.and_then(|cell| pace.cell(cell, tier));
    let mut assume = |figure, tier, value| {
        assumed.push(Assumption {
            figure,
            tier,
            value,
        });
        value
    };
    if load.cell.is_none() {
        assume(Figure::CellUnknown, None, load.devices() as f64);
    }
    let seen = |of: fn(&TierPace) -> &Times, min| {
        let all = [of_cell.map(of), Some(of(of_tier))];
        let mut all = all.into_iter().flatten();
        all.find(|times| times.count() >= min).copied()
    };
    // A budget of airtime is one of downloads: slots are free when the package is there.
    let of_downloads = input.admission.airtime.is_some();
    let seen_slot = seen(|pace| &pace.slot, SEEN_MIN);
    let rest = if of_downloads {
        Guess::assumed(assume(Figure::InstallSeconds, None, INSTALL_SECONDS))
    } else {
        Guess::NONE
    };
    let slot = if let Some(times) = seen_slot {
        Guess::seen(&times)
    } else {
        let blocks = input.size_bytes.div_ceil(BLOCK_BYTES).max(1) as f64;
        let block = if let Some(times) = seen(|pace| &pace.block, BLOCKS_SEEN_MIN) {
            Guess::seen(&times)
        } else {
            let alone = assume(Figure::BlockSeconds, Some(tier), alone_seconds(tier));
            Guess::assumed(alone * crowding(input, load))
        };
        let install = if of_downloads {
            0.0
        } else {
            assume(Figure::InstallSeconds, None, INSTALL_SECONDS)
        };
        Guess {
            mean: block.mean * blocks + install,
            spread: SPREAD,
            doubt: block.doubt.max(DOUBT / 2.0),
        }
    };
    if load.sleeping > 0 {
        assume(Figure::ContactsEven, None, load.sleeping as f64);
    }
    let contact = if pace.contact().count() >= SEEN_MIN {
        Guess::seen(pace.contact())
    } else if load.sleeping > 0 {
        Guess::assumed(assume(Figure::ContactSeconds, None, CONTACT_SECONDS))
    } else {
        Guess::assumed(CONTACT_SECONDS)
    };
    let ended = of_tier.succeeded + of_tier.failed;
    let success = if ended >= SEEN_MIN {
        // One more of each, as nothing is certain.
        (of_tier.succeeded + 1) as f64 / (ended + 2) as f64
    } else {
        assume(Figure::SuccessShare, None, SUCCESS_SHARE)
    };
    Group {
        load: *load,
        slot,
        rest,
        contact,
        success,
    }
}

/// Something of which each device has its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    /// The mean, in seconds.
    pub(super) mean: f64,
    /// By what part of it devices differ.
    pub(super) spread: f64,
    /// By what part of it the mean may be wrong.
    pub(super) doubt: f64,
}

impl Guess {
    /// No time at all.
    const NONE: Self = Self {
        mean: 0.0,
        spread: 0.0,
        doubt: 0.0,
    };

    fn seen(times: &Times) -> Self {
        let spread = times.spread().unwrap_or(SPREAD);
        Self {
            mean: times.mean_seconds().unwrap_or_default(),
            spread,
            doubt: (spread / (times.count().max(1) as f64).sqrt()).max(DOUBT_MIN),
        }
    }

    fn assumed(mean: f64) -> Self {
        Self {
            mean,
            spread: SPREAD,
            doubt: DOUBT,
        }
    }
}

/// How long a block takes a device that is alone in its cell (radio-sim-ux.md A1, standalone carrier).
fn alone_seconds(tier: CoverageTier) -> f64 {
    match tier {
        CoverageTier::Tier0 => 0.49,
        CoverageTier::Tier1 | CoverageTier::Unknown => 1.6,
        CoverageTier::Tier2 => 10.0,
    }
}

/// How many times longer a block takes where so many share the cell: B3's `max(1, n·a/ρ)`.
fn crowding(input: &EtaInput<'_>, load: &CellLoad) -> f64 {
    // What part of the carrier one device takes: as many as saturate it, A1.
    let share = match load.tier {
        CoverageTier::Tier0 => 0.24,
        CoverageTier::Tier1 | CoverageTier::Unknown => 0.33,
        CoverageTier::Tier2 => 0.7,
    };
    let limit = f64::from(load.limits.of(load.tier));
    let budget = input.admission.airtime;
    let budget = budget.map_or(1.0, |budget| f64::from(budget.0.get()) / WHOLE_PERMILLE);
    let active = (limit * budget.min(1.0))
        .min(load.devices() as f64)
        .max(1.0);
    if load.cell.is_none() {
        return 1.0;
    }
    (active * share / FIRMWARE_SHARE).max(1.0)
}
