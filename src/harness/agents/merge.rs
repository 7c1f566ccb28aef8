//! Brings what several agents tell into one order: that of time between agents, and within each the
//! order in which it told.

use std::collections::VecDeque;

use crate::clock::Instant;
use crate::sim::FleetEvent;

/// The most events that wait for those of another agent; as many as ten thousand devices make in
/// minutes.
const WAITING_MAX: usize = 1_000_000;

/// Events that are handed on at once.
const PORTION: usize = 4096;

/// More wait than may: an agent is too far behind the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// What has been told and waits.
#[derive(Debug)]
pub(super) struct Merge {
    lanes: Vec<Lane>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Lane {
    events: VecDeque<(Instant, FleetEvent)>,
    /// All that it told before is there.
    until: Instant,
    /// It tells no more, and nobody waits for it.
    has_ended: bool,
}

impl Merge {
    pub(super) fn new(agents: usize) -> Self {
        Self {
            lanes: (0..agents).map(|_| Lane::default()).collect(),
            waiting: 0,
        }
    }

    /// What an agent tells next, and until when that is all.
    ///
    /// # Errors
    /// Where it does not fit.
    pub(super) fn push(
        &mut self,
        agent: usize,
        until: Instant,
        events: Vec<FleetEvent>,
    ) -> Result<(), Full> {
        let Some(lane) = self.lanes.get_mut(agent) else {
            return Ok(());
        };
        self.waiting += events.len();
        for event in events {
            // What one of its loops tells late comes after what another has told.
            lane.until = lane.until.max(at(&event));
            lane.events.push_back((lane.until, event));
        }
        lane.until = lane.until.max(until);
        if self.waiting > WAITING_MAX {
            return Err(Full);
        }
        Ok(())
    }

    /// An agent tells no more.
    pub(super) fn end(&mut self, agent: usize) {
        if let Some(lane) = self.lanes.get_mut(agent) {
            lane.has_ended = true;
        }
    }

    /// The agent of those that have not ended that is the furthest behind.
    pub(super) fn slowest(&self) -> Option<usize> {
        let open = self.lanes.iter().enumerate();
        let open = open.filter(|(_, lane)| !lane.has_ended);
        open.min_by_key(|(_, lane)| lane.until)
            .map(|(agent, _)| agent)
    }

    /// Until when every agent has told all; the last that was told where all have ended.
    pub(super) fn until(&self) -> Instant {
        let open = self.lanes.iter().filter(|lane| !lane.has_ended);
        let open = open.map(|lane| lane.until).min();
        let last = self.lanes.iter().map(|lane| lane.until).max();
        open.or(last).unwrap_or_default()
    }

    /// Hands on what waits for nobody any more.
    pub(super) fn drain(&mut self, sink: &mut dyn FnMut(&[FleetEvent])) {
        let until = self.until();
        let mut portion = Vec::new();
        while let Some(event) = self.pop(until) {
            portion.push(event);
            if portion.len() == PORTION {
                sink(&portion);
                portion.clear();
            }
        }
        if !portion.is_empty() {
            sink(&portion);
        }
    }

    fn pop(&mut self, until: Instant) -> Option<FleetEvent> {
        let first = self
            .lanes
            .iter_mut()
            .filter(|lane| lane.events.front().is_some_and(|(at, _)| *at <= until))
            .min_by_key(|lane| lane.events.front().map(|(at, _)| *at))?;
        let (_, event) = first.events.pop_front()?;
        self.waiting -= 1;
        Some(event)
    }
}

const fn at(event: &FleetEvent) -> Instant {
    match event {
        FleetEvent::Log(line) => line.at,
        FleetEvent::Coap(sample) => sample.at,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::sim::{CoapKind, CoapSample};

    fn instant(ms: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(ms))
    }

    fn event(device: usize, ms: u64) -> FleetEvent {
        let (at, kind) = (instant(ms), CoapKind::Sent);
        FleetEvent::Coap(CoapSample { at, device, kind })
    }

    fn drained(merge: &mut Merge) -> Vec<FleetEvent> {
        let mut all = Vec::new();
        merge.drain(&mut |events| all.extend_from_slice(events));
        all
    }

    #[test]
    fn what_one_tells_waits_until_the_other_has_told_as_much() {
        let mut merge = Merge::new(2);
        let told = vec![event(0, 10), event(0, 30)];
        merge.push(0, instant(40), told).unwrap();
        assert_eq!(drained(&mut merge), []);
        merge.push(1, instant(25), vec![event(1, 20)]).unwrap();
        assert_eq!(merge.until(), instant(25));
        assert_eq!(drained(&mut merge), [event(0, 10), event(1, 20)]);
        merge.end(1);
        assert_eq!(drained(&mut merge), [event(0, 30)]);
        merge.end(0);
        assert_eq!(merge.until(), instant(40));
    }

    #[test]
    fn what_is_told_late_keeps_its_place_among_what_its_agent_told() {
        let mut merge = Merge::new(1);
        let told = vec![event(0, 10), event(1, 9), event(0, 11)];
        merge.push(0, instant(12), told.clone()).unwrap();
        assert_eq!(drained(&mut merge), told);
    }

    #[test]
    fn more_than_may_wait_is_full_and_who_is_behind_is_named() {
        let mut merge = Merge::new(2);
        merge.push(1, instant(5), Vec::new()).unwrap();
        let many = || vec![event(0, 10); WAITING_MAX / 2];
        merge.push(0, instant(10), many()).unwrap();
        merge.push(0, instant(10), many()).unwrap();
        let one_more = merge.push(0, instant(10), vec![event(0, 10)]);
        assert_eq!((one_more, merge.slowest()), (Err(Full), Some(1)));
    }

    proptest! {
        /// However agents' messages fall, all comes out once, each agent's in its order, and between
        /// agents in that of time.
        #[test]
        fn all_comes_out_once_and_in_order(
            steps in vec((0..3_usize, vec(0..50_u64, 0..5), any::<bool>()), 0..30),
        ) {
            let (mut merge, mut out) = (Merge::new(3), Vec::new());
            let (mut clocks, mut told) = ([0_u64; 3], vec![Vec::new(); 3]);
            for (agent, gaps, drain) in steps {
                let mut events = Vec::new();
                for gap in gaps {
                    clocks[agent] += gap;
                    events.push(event(agent, clocks[agent]));
                }
                told[agent].extend(events.clone());
                merge.push(agent, instant(clocks[agent]), events).unwrap();
                if drain {
                    out.extend(drained(&mut merge));
                }
            }
            (0..3).for_each(|agent| merge.end(agent));
            out.extend(drained(&mut merge));
            prop_assert!(out.is_sorted_by_key(at));
            for (agent, told) in told.into_iter().enumerate() {
                let of_agent = |it: &&FleetEvent| matches!(it, FleetEvent::Coap(sample) if sample.device == agent);
                let of_agent: Vec<_> = out.iter().filter(of_agent).cloned().collect();
                prop_assert_eq!(of_agent, told);
            }
        }
    }
}
