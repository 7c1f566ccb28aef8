//! The series of what happens often, found once.

use crate::harness::metric::{Labels, Metrics, SeriesId};

/// By coverage enhancement level, where there are three.
#[derive(Debug)]
pub(super) struct Ids {
    pub(super) sent: [SeriesId; 3],
    pub(super) retransmitted: [SeriesId; 3],
    pub(super) ratio: [SeriesId; 3],
    pub(super) gave_up: [SeriesId; 3],
    pub(super) round_trip: [SeriesId; 3],
    pub(super) blocks: [SeriesId; 3],
    pub(super) register: [SeriesId; 3],
    pub(super) download: [SeriesId; 3],
    pub(super) update: [SeriesId; 3],
    pub(super) awake: [SeriesId; 3],
    pub(super) outside: SeriesId,
    pub(super) retry_gap: SeriesId,
    pub(super) double_execute: SeriesId,
    pub(super) second_flash: SeriesId,
    pub(super) lost_update: SeriesId,
    pub(super) registration_failed: SeriesId,
}

impl Ids {
    pub(super) fn new(metrics: &mut Metrics) -> Self {
        let ce = |level: u8| Labels::of([("ce", level.to_string())]);
        let mut counters = |name| [0, 1, 2].map(|level| metrics.counter(name, ce(level)));
        let (sent, retransmitted, gave_up, blocks) = (
            counters("coap.sent"),
            counters("coap.retransmitted"),
            counters("coap.gave_up"),
            counters("block.received"),
        );
        let mut trends = |name| [0, 1, 2].map(|level| metrics.trend(name, ce(level)));
        let (round_trip, register, download, update, awake) = (
            trends("coap.round_trip"),
            trends("device.register"),
            trends("device.download"),
            trends("device.update"),
            trends("device.awake"),
        );
        let ratio = [0, 1, 2].map(|level| metrics.rate("coap.retransmit_ratio", ce(level)));
        let mut counter = |name| metrics.counter(name, Labels::none());
        Self {
            sent,
            retransmitted,
            ratio,
            gave_up,
            round_trip,
            blocks,
            register,
            download,
            update,
            awake,
            double_execute: counter("device.double_execute"),
            second_flash: counter("device.second_flash"),
            lost_update: counter("device.lost_update"),
            registration_failed: counter("registration.failed"),
            outside: metrics.gauge_at_zero("cell.active_outside_window", Labels::none()),
            retry_gap: metrics.trend("device.retry_gap", Labels::none()),
        }
    }
}
