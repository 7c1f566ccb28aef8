//! All quantities over time of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lane::{Buckets, Keeps, Lane};
use super::{DeviceInfo, DeviceState, ServerSample};
use crate::clock::Instant;
use crate::harness::metric::{Labels, Metrics, SeriesId};
use crate::harness::result::Series;
use crate::model::{CoverageTier, SlotClaim};

/// Of how many tiers of cells it is kept how many devices were active when: 4 KiB each.
const CLASSES_FOLLOWED_MAX: usize = 2048;

/// One tier of a cell.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) claim: SlotClaim,
    pub(super) devices: u64,
    pub(super) peak: u32,
    pub(super) gauge: SeriesId,
    /// `None` where there are more than are followed.
    lane: Option<Lane>,
}

/// Sums over the whole run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) blocks: u64,
    pub(super) block_bytes: u64,
    pub(super) sent: u64,
    pub(super) retransmitted: u64,
}

#[derive(Debug)]
pub(super) struct Lanes {
    buckets: Buckets,
    totals: Totals,
    states: BTreeMap<DeviceState, Lane>,
    blocks: Lane,
    block_bytes: Lane,
    sent: Lane,
    retransmitted: Lane,
    tiers: BTreeMap<CoverageTier, Lane>,
    cpu_us: Lane,
    rss: Lane,
    last_sample: Option<ServerSample>,
}

/// The classes of these devices, in order, and where each is.
pub(super) fn classes(
    devices: &[DeviceInfo],
    metrics: &mut Metrics,
) -> (Vec<Class>, BTreeMap<SlotClaim, usize>) {
    let mut counts: BTreeMap<SlotClaim, u64> = BTreeMap::new();
    for device in devices {
        *counts.entry(device.class).or_default() += 1;
    }
    let mut places = BTreeMap::new();
    let mut classes = Vec::with_capacity(counts.len());
    for (place, (claim, devices)) in counts.into_iter().enumerate() {
        places.insert(claim, place);
        let class = Class::new(claim, place, metrics);
        classes.push(Class { devices, ..class });
    }
    (classes, places)
}

impl Class {
    /// One of no devices yet.
    pub(super) fn new(claim: SlotClaim, place: usize, metrics: &mut Metrics) -> Self {
        let labels = Labels::of([
            ("cell", claim.cell.to_string()),
            ("tier", claim.tier.word().to_owned()),
        ]);
        Self {
            claim,
            devices: 0,
            peak: 0,
            gauge: metrics.gauge_at_zero("cell.active", labels),
            lane: (place < CLASSES_FOLLOWED_MAX).then(|| Lane::new(Keeps::Max)),
        }
    }
}

impl Lanes {
    pub(super) fn new(bucket: Duration) -> Self {
        let states = DeviceState::ALL.iter();
        let tiers = CoverageTier::ALL.iter();
        Self {
            buckets: Buckets::new(bucket),
            totals: Totals::default(),
            states: states
                .map(|state| (*state, Lane::new(Keeps::Last)))
                .collect(),
            blocks: Lane::new(Keeps::Sum),
            block_bytes: Lane::new(Keeps::Sum),
            sent: Lane::new(Keeps::Sum),
            retransmitted: Lane::new(Keeps::Sum),
            tiers: tiers.map(|tier| (*tier, Lane::new(Keeps::Max))).collect(),
            cpu_us: Lane::new(Keeps::Sum),
            rss: Lane::new(Keeps::Max),
            last_sample: None,
        }
    }

    pub(super) fn advance(&mut self, at: Instant, classes: &mut [Class]) {
        let Self {
            buckets,
            totals: _,
            states,
            blocks,
            block_bytes,
            sent,
            retransmitted,
            tiers,
            cpu_us,
            rss,
            last_sample: _,
        } = self;
        buckets.advance(at, || {
            states.values_mut().for_each(Lane::halve);
            tiers.values_mut().for_each(Lane::halve);
            let of_classes = classes.iter_mut().filter_map(|class| class.lane.as_mut());
            of_classes.for_each(Lane::halve);
            for lane in [&mut *blocks, block_bytes, sent, retransmitted, cpu_us, rss] {
                lane.halve();
            }
        });
    }

    pub(super) const fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn set_state(&mut self, state: DeviceState, count: u64) {
        if let Some(lane) = self.states.get_mut(&state) {
            lane.set(self.buckets.now(), count);
        }
    }

    pub(super) fn block(&mut self, size_bytes: u64) {
        self.totals.blocks += 1;
        self.totals.block_bytes += size_bytes;
        self.blocks.add(self.buckets.now(), 1);
        self.block_bytes.add(self.buckets.now(), size_bytes);
    }

    pub(super) fn sent(&mut self, more: u64) {
        self.totals.sent += more;
        self.sent.add(self.buckets.now(), more);
    }

    pub(super) fn retransmitted(&mut self, more: u64) {
        self.totals.retransmitted += more;
        self.retransmitted.add(self.buckets.now(), more);
    }

    /// A class has so many active devices: one more, or one less.
    pub(super) fn activity(&mut self, class: &mut Class, active: u32, more: bool) {
        let now = self.buckets.now();
        if let Some(lane) = &mut class.lane {
            lane.set(now, u64::from(active));
        }
        if let Some(lane) = self.tiers.get_mut(&class.claim.tier) {
            let all = lane.current();
            lane.set(now, if more { all + 1 } else { all.saturating_sub(1) });
        }
    }

    pub(super) fn server(&mut self, sample: ServerSample) {
        let now = self.buckets.now();
        if let Some(last) = self.last_sample.replace(sample) {
            let used = sample.cpu.saturating_sub(last.cpu).as_micros();
            self.cpu_us
                .add(now, u64::try_from(used).unwrap_or(u64::MAX));
        }
        self.rss.set(now, sample.rss_bytes);
    }

    /// The series, and what became of each class.
    pub(super) fn finish(self, classes: Vec<Class>) -> (Series, Vec<(Class, Vec<u64>)>) {
        let last = self.buckets.now();
        let watched = self.last_sample.is_some();
        let of_server = |lane: Lane| {
            if watched {
                lane.finish(last)
            } else {
                Vec::new()
            }
        };
        let by_word = |word: &str, lane: Lane| (word.to_owned(), lane.finish(last));
        let classes = classes.into_iter().map(|mut class| {
            let active = class.lane.take().map(|lane| lane.finish(last));
            (class, active.unwrap_or_default())
        });
        let states: BTreeMap<String, Vec<u64>> = self
            .states
            .into_iter()
            .map(|(state, lane)| by_word(state.word(), lane))
            .collect();
        let updated = states.get(DeviceState::Updated.word());
        let series = Series {
            bucket_ms: u64::try_from(self.buckets.width().as_millis()).unwrap_or(u64::MAX),
            updated: updated.cloned().unwrap_or_default(),
            states,
            blocks: self.blocks.finish(last),
            block_bytes: self.block_bytes.finish(last),
            sent: self.sent.finish(last),
            retransmitted: self.retransmitted.finish(last),
            active: self
                .tiers
                .into_iter()
                .map(|(tier, lane)| by_word(tier.word(), lane))
                .collect(),
            server_cpu_ms: of_server(self.cpu_us).iter().map(|us| us / 1000).collect(),
            server_rss_bytes: of_server(self.rss),
        };
        (series, classes.collect())
    }
}
