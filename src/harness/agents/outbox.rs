//! What an agent's devices did and the commander has not been told yet.

use std::collections::VecDeque;

use serde::Serialize;

use super::events::EventWriter;
use crate::sim::{CoapKind, FleetEvent};

/// Bytes of events in one message.
const PORTION_BYTES: usize = 64 << 10;

/// Bytes that wait at the most: minutes of ten thousand devices.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// What an agent has told, for who compares it with the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AgentCounts {
    /// Lines of devices' logs.
    pub lines: u64,
    /// Messages of devices, without retransmissions.
    pub sent: u64,
    /// Retransmissions.
    pub retransmitted: u64,
    /// Blocks of images.
    pub blocks: u64,
}

/// Events in the order in which loops told them.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    writer: EventWriter,
    portions: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    pub(super) counts: AgentCounts,
    is_full: bool,
}

impl Outbox {
    /// What the device with this number in the scenario did.
    pub(super) fn push(&mut self, device: usize, event: &FleetEvent) {
        if self.waiting_bytes + self.writer.len() > WAITING_BYTES_MAX {
            self.is_full = true;
            return;
        }
        self.writer.push(device, event);
        match event {
            FleetEvent::Log(_) => self.counts.lines += 1,
            FleetEvent::Coap(sample) => match sample.kind {
                CoapKind::Sent => self.counts.sent += 1,
                CoapKind::Retransmitted => self.counts.retransmitted += 1,
                CoapKind::Block { .. } => self.counts.blocks += 1,
                CoapKind::RoundTrip(_) | CoapKind::GaveUp => {}
            },
        }
        if self.writer.len() >= PORTION_BYTES {
            self.close_portion();
        }
    }

    /// Something did not fit: what is told is no longer all.
    pub(super) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// What waits is as much as has happened: it may be taken to the last byte.
    pub(super) fn close_portion(&mut self) {
        let portion = self.writer.take();
        if !portion.is_empty() {
            self.waiting_bytes += portion.len();
            self.portions.push_back(portion);
        }
    }

    /// The next portion to tell.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let portion = self.portions.pop_front()?;
        self.waiting_bytes -= portion.len();
        Some(portion)
    }

    /// Whether all is told that was there when the last portion was closed.
    pub(super) fn is_empty(&self) -> bool {
        self.portions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::read_events;
    use super::*;
    use crate::clock::Instant;
    use crate::sim::CoapSample;

    #[test]
    fn all_comes_out_in_order_and_what_does_not_fit_is_known() {
        let event = |device: usize| {
            let (at, kind) = (Instant::ORIGIN, CoapKind::Sent);
            FleetEvent::Coap(CoapSample { at, device, kind })
        };
        let mut outbox = Outbox::default();
        for device in 0..50_000 {
            outbox.push(device, &event(device));
        }
        outbox.close_portion();
        let portions: Vec<_> = std::iter::from_fn(|| outbox.pop()).collect();
        assert!(portions.len() > 1 && outbox.is_empty());
        let events = portions.iter().flat_map(|it| read_events(it).unwrap());
        assert!(events.eq((0..50_000).map(event)));
        assert_eq!((outbox.counts.sent, outbox.waiting_bytes), (50_000, 0));
        let large = event(usize::MAX >> 1);
        while !outbox.is_full() {
            outbox.push(usize::MAX >> 1, &large);
        }
        assert!(outbox.waiting_bytes <= WAITING_BYTES_MAX);
        assert!(outbox.portions.len() <= WAITING_BYTES_MAX / PORTION_BYTES);
    }
}
