//! A hundred simulated meters in three cells and every tier, each with the habits of some real module.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use narrowcast::model::{CellId, CoverageTier, SlotClaim, TierLimits, TransmissionPreset};
use narrowcast::sim::log::{DeviceEvent, LogLine};
use narrowcast::sim::{DeviceConfig, Habits, Radio};

use crate::rest::{MANUFACTURER, MODEL, TARGET_VERSION};

pub(crate) const METERS: usize = 100;

/// So low that meters of every tier have to queue.
pub(crate) const LIMITS: TierLimits = TierLimits {
    tier0: 5,
    tier1: 2,
    tier2: 1,
    unknown: 1,
};

const CELLS: [u32; 3] = [21_103, 21_104, 21_105];

pub(crate) fn meters(server: SocketAddr) -> Vec<DeviceConfig> {
    (0..METERS).map(|index| meter(index, server)).collect()
}

/// The class of each meter, in their order.
pub(crate) fn classes() -> Vec<SlotClaim> {
    (0..METERS).map(class).collect()
}

pub(crate) fn endpoint(index: usize) -> String {
    format!("meter-{index:03}")
}

fn meter(index: usize, server: SocketAddr) -> DeviceConfig {
    let class = class(index);
    // Seven kinds, so that each is in every tier.
    let habits = Habits::in_turn(index);
    let (rsrp, sinr) = match class.tier {
        CoverageTier::Tier0 => (Some(-95), Some(12)),
        CoverageTier::Tier1 => (Some(-110), Some(2)),
        CoverageTier::Tier2 => (Some(-121), Some(-6)),
        CoverageTier::Unknown => (Some(-95), None),
    };
    DeviceConfig {
        manufacturer: MANUFACTURER.to_owned(),
        model: MODEL.to_owned(),
        next_version: TARGET_VERSION.to_owned(),
        radio: Radio {
            cell_id: Some(class.cell.0),
            rsrp,
            sinr,
        },
        queue_mode: index.is_multiple_of(11),
        quirks: habits.quirks,
        notify: habits.notify,
        transmission: TransmissionPreset::Loopback,
        szx: u8::try_from(2 + index % 5).unwrap(),
        update_interval: Duration::from_secs(2),
        retry: Duration::from_millis(500),
        start_spread: Duration::from_secs(10),
        install: Duration::from_millis(800 + 400 * (index as u64 % 5)),
        reboot: Duration::from_millis(200),
        ..DeviceConfig::new(endpoint(index), server)
    }
}

fn class(index: usize) -> SlotClaim {
    let tier = match index % 10 {
        0..=5 => CoverageTier::Tier0,
        6..=7 => CoverageTier::Tier1,
        8 => CoverageTier::Unknown,
        _ => CoverageTier::Tier2,
    };
    SlotClaim {
        cell: CellId(CELLS[index % CELLS.len()]),
        tier,
    }
}

/// How many meters have come how far, by their own log.
#[derive(Debug, Default)]
pub(crate) struct Milestones {
    reached: [BTreeSet<usize>; 5],
    refused: Vec<String>,
}

impl Milestones {
    pub(crate) fn read(&mut self, line: &LogLine) {
        let milestone = match &line.event {
            DeviceEvent::Registered => 0,
            DeviceEvent::RegistrationRefused { code } => {
                let meter = endpoint(line.device);
                self.refused
                    .push(format!("{meter} with {code} at {:?}", line.at));
                return;
            }
            DeviceEvent::UriAccepted => 1,
            DeviceEvent::Downloaded { .. } => 2,
            DeviceEvent::ExecuteAccepted => 3,
            DeviceEvent::UpdateEnded { .. } => 4,
            DeviceEvent::DownloadFailed { .. }
            | DeviceEvent::DownloadResumed { .. }
            | DeviceEvent::Booted { .. }
            | DeviceEvent::RegistrationUnanswered
            | DeviceEvent::DownlinkTaken { .. }
            | DeviceEvent::RebootTaken { .. }
            | DeviceEvent::Flashed { .. }
            | DeviceEvent::ObservationsForgotten
            | DeviceEvent::PowerCut
            | DeviceEvent::SwitchedOff
            | DeviceEvent::Bricked
            | DeviceEvent::BootFailed { .. }
            | DeviceEvent::RolledBack { .. }
            | DeviceEvent::InstallResumed
            | DeviceEvent::OldVersionKept
            | DeviceEvent::DownloadRestarted
            | DeviceEvent::PortChanged
            | DeviceEvent::SignalTold { .. } => return,
        };
        self.reached[milestone].insert(line.device);
    }

    /// How many have registered, taken the URI, downloaded, executed, ended.
    pub(crate) fn by_kind(&self) -> [usize; 5] {
        self.reached.each_ref().map(BTreeSet::len)
    }

    /// Meters whose registration the server has acknowledged. None ever deregisters.
    pub(crate) fn registered(&self) -> Vec<String> {
        self.reached[0].iter().copied().map(endpoint).collect()
    }

    /// Meters whose Update was refused: the server had forgotten what it acknowledged. One that was
    /// never answered only met the server dead each time that it was repeated.
    pub(crate) fn refused(&self) -> &[String] {
        &self.refused
    }
}
