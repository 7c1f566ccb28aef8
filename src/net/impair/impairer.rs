//! Sans-IO: one path, which decides what becomes of each datagram.

use std::array;
use std::iter::Flatten;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use super::impairment::{Direction, Impairment, OneWay, packet_bytes};
use crate::clock::Instant;

/// What arrives of one datagram: nothing, itself, or two of it.
pub type Deliveries = Flatten<array::IntoIter<Option<Delivery>, 2>>;

/// A copy of a datagram that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When.
    pub at: Instant,
    /// By which of its NAT's mappings: each is another address of the device's in the server's eyes.
    pub mapping: u32,
    /// Which bit of the payload is turned over.
    pub flipped_bit: Option<u32>,
}

/// What became of the datagrams of one direction, so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PassCounters {
    /// What was sent.
    pub sent: u64,
    /// Its payloads, in bytes.
    pub sent_bytes: u64,
    /// What arrives, copies included.
    pub delivered: u64,
    /// What chance lost.
    pub lost: u64,
    /// What came while the path was cut.
    pub cut: u64,
    /// What was larger than the MTU.
    pub too_large: u64,
    /// What found the queue before the link full.
    pub queue_full: u64,
    /// What was sent to a mapping that the NAT has forgotten.
    pub unmapped: u64,
    /// Copies that were made.
    pub duplicated: u64,
    /// What was held back.
    pub reordered: u64,
    /// What was damaged.
    pub corrupted: u64,
}

impl PassCounters {
    /// Adds what another path counted.
    pub const fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.sent_bytes += other.sent_bytes;
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.cut += other.cut;
        self.too_large += other.too_large;
        self.queue_full += other.queue_full;
        self.unmapped += other.unmapped;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
    }
}

/// A path between one device and its server. It keeps no datagrams: whoever asks it delivers them.
#[derive(Debug)]
pub struct Impairer {
    impairment: Arc<Impairment>,
    began: Instant,
    rng: StdRng,
    nat: Nat,
    ways: [Way; 2],
}

#[derive(Debug, Default)]
struct Nat {
    /// The mapping that stands, or stood last.
    mapping: u32,
    /// When something was last sent by it, and in which of the intervals of
    /// [`super::NatMapping::rebind_every`] it was made.
    used: Option<(Instant, u128)>,
    rebinds: u64,
}

#[derive(Debug, Default)]
struct Way {
    counters: PassCounters,
    /// When all that waits before the link has left.
    free_at: Instant,
}

impl Impairer {
    /// A path that begins now. What chance decides comes from `seed`.
    pub fn new(impairment: Arc<Impairment>, began: Instant, seed: u64) -> Self {
        Self {
            impairment,
            began,
            rng: StdRng::seed_from_u64(seed),
            nat: Nat::default(),
            ways: <[Way; 2]>::default(),
        }
    }

    /// The device sends so many bytes of UDP payload.
    pub fn handle_uplink(&mut self, now: Instant, payload_bytes: usize) -> Deliveries {
        let passed = self.pass(now, Direction::Uplink, payload_bytes);
        if passed.iter().all(Option::is_none) {
            return passed.into_iter().flatten();
        }
        let interval = self.interval(now);
        if !self.is_mapped(now) {
            if self.nat.used.is_some() {
                self.nat.mapping = self.nat.mapping.wrapping_add(1);
                self.nat.rebinds += 1;
            }
            self.nat.used = Some((now, interval));
        }
        if let Some((used_at, _)) = &mut self.nat.used {
            *used_at = now;
        }
        let mapping = self.nat.mapping;
        passed
            .map(|copy| copy.map(|copy| Delivery { mapping, ..copy }))
            .into_iter()
            .flatten()
    }

    /// The server sends so many bytes of UDP payload to the address of a mapping.
    pub fn handle_downlink(
        &mut self,
        now: Instant,
        mapping: u32,
        payload_bytes: usize,
    ) -> Deliveries {
        if mapping != self.nat.mapping || !self.is_mapped(now) {
            let counters = &mut self.ways[Direction::Downlink as usize].counters;
            counters.sent += 1;
            counters.sent_bytes += payload_bytes as u64;
            counters.unmapped += 1;
            return [None, None].into_iter().flatten();
        }
        self.pass(now, Direction::Downlink, payload_bytes)
            .map(|copy| copy.map(|copy| Delivery { mapping, ..copy }))
            .into_iter()
            .flatten()
    }

    /// The NAT forgets the mapping now: the device sends from another address next.
    pub const fn rebind(&mut self) {
        if self.nat.used.is_some() {
            self.nat.used = None;
            self.nat.mapping = self.nat.mapping.wrapping_add(1);
            self.nat.rebinds += 1;
        }
    }

    /// The path is from now on as `impairment` says; times since it began go on.
    pub fn change(&mut self, impairment: Arc<Impairment>) {
        self.impairment = impairment;
    }

    /// What became of the datagrams of one direction.
    pub const fn counters(&self, direction: Direction) -> &PassCounters {
        &self.ways[direction as usize].counters
    }

    /// The mapping that stands, or stood last.
    pub const fn mapping(&self) -> u32 {
        self.nat.mapping
    }

    /// How often the device got another address.
    pub const fn rebinds(&self) -> u64 {
        self.nat.rebinds
    }

    fn pass(
        &mut self,
        now: Instant,
        direction: Direction,
        payload_bytes: usize,
    ) -> [Option<Delivery>; 2] {
        let since = now.saturating_since(self.began);
        let mut cuts = self.impairment.cuts.iter();
        let is_cut = cuts.any(|cut| since >= cut.after && since - cut.after < cut.lasts);
        let impairment = *self.impairment.way(direction);
        let packet_bytes = packet_bytes(payload_bytes);
        let way = &mut self.ways[direction as usize];
        way.counters.sent += 1;
        way.counters.sent_bytes += payload_bytes as u64;
        if is_cut {
            way.counters.cut += 1;
            return [None, None];
        }
        if (impairment.mtu_bytes).is_some_and(|mtu| packet_bytes > usize::from(mtu)) {
            way.counters.too_large += 1;
            return [None, None];
        }
        if impairment.loss.strikes(&mut self.rng) {
            way.counters.lost += 1;
            return [None, None];
        }
        let Some(leaves) = way.leaves(now, &impairment, packet_bytes) else {
            way.counters.queue_full += 1;
            return [None, None];
        };
        let first = way.deliver(leaves, &impairment, payload_bytes, &mut self.rng);
        let second = impairment.duplicate.strikes(&mut self.rng).then(|| {
            way.counters.duplicated += 1;
            way.deliver(leaves, &impairment, payload_bytes, &mut self.rng)
        });
        [Some(first), second]
    }

    /// Whether the mapping still stands.
    fn is_mapped(&self, now: Instant) -> bool {
        let timeout = self.impairment.nat.timeout;
        self.nat.used.is_some_and(|(used_at, made_in)| {
            let idle = now.saturating_since(used_at);
            timeout.is_none_or(|timeout| idle <= timeout) && made_in == self.interval(now)
        })
    }

    fn interval(&self, now: Instant) -> u128 {
        let every = self.impairment.nat.rebind_every.map(|it| it.as_nanos());
        let since = now.saturating_since(self.began).as_nanos();
        every
            .and_then(|every| since.checked_div(every))
            .unwrap_or(0)
    }
}

impl Way {
    /// When a packet is through the link; `None` where the queue before it is full.
    fn leaves(&mut self, now: Instant, way: &OneWay, packet_bytes: usize) -> Option<Instant> {
        let Some(rate) = way.rate else {
            return Some(now);
        };
        let waiting = rate.bytes_in(self.free_at.saturating_since(now));
        if waiting > 0 && waiting + packet_bytes as u64 > u64::from(way.queue_bytes) {
            return None;
        }
        self.free_at = self.free_at.max(now) + rate.time_of(packet_bytes);
        Some(self.free_at)
    }

    fn deliver(
        &mut self,
        leaves: Instant,
        way: &OneWay,
        payload_bytes: usize,
        rng: &mut StdRng,
    ) -> Delivery {
        let delay = way
            .jitter
            .map_or(way.delay, |jitter| jitter.draw(way.delay, rng));
        let held = if way.reorder.strikes(rng) {
            self.counters.reordered += 1;
            way.reorder_hold
        } else {
            Duration::ZERO
        };
        let bits = u32::try_from(payload_bytes * 8).unwrap_or(u32::MAX);
        let flipped_bit = (bits > 0 && way.corrupt.strikes(rng)).then(|| {
            self.counters.corrupted += 1;
            rng.gen_range(0..bits)
        });
        self.counters.delivered += 1;
        Delivery {
            at: leaves + delay + held,
            mapping: 0,
            flipped_bit,
        }
    }
}

impl Delivery {
    /// Turns the bit over that arrives so.
    pub fn damage(&self, payload: &mut [u8]) {
        if let Some(bit) = self.flipped_bit
            && let Some(byte) = payload.get_mut(bit as usize / 8)
        {
            *byte ^= 1 << (bit % 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{BitRate, Cut, Jitter, NatMapping, Probability};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(ms))
    }

    fn path(impairment: Impairment) -> Impairer {
        Impairer::new(Arc::new(impairment), Instant::ORIGIN, 7)
    }

    fn uplink(way: OneWay) -> Impairer {
        path(Impairment {
            uplink: way,
            ..Impairment::default()
        })
    }

    /// When what is sent to the server at a time arrives, in milliseconds.
    fn sent(path: &mut Impairer, ms: u64, payload_bytes: usize) -> Vec<u128> {
        path.handle_uplink(at(ms), payload_bytes)
            .map(|copy| copy.at.since_origin().as_millis())
            .collect()
    }

    fn rate(text: &str) -> Option<BitRate> {
        text.parse().ok()
    }

    #[test]
    fn a_path_that_does_nothing_delivers_at_once() {
        let mut path = path(Impairment::default());
        let delivery = Delivery {
            at: at(5),
            mapping: 0,
            flipped_bit: None,
        };
        assert_eq!(
            path.handle_uplink(at(5), 100).collect::<Vec<_>>(),
            [delivery]
        );
        assert_eq!(
            path.handle_downlink(at(5), 0, 100).collect::<Vec<_>>(),
            [delivery]
        );
        assert_eq!(path.rebinds(), 0);
    }

    #[test]
    fn each_direction_loses_its_own_part() {
        let loses = |permille| OneWay {
            loss: Probability::from_permille(permille),
            ..OneWay::default()
        };
        let mut path = path(Impairment {
            uplink: loses(300),
            downlink: loses(20),
            ..Impairment::default()
        });
        let up: usize = (0..20_000)
            .map(|_| path.handle_uplink(at(0), 9).count())
            .sum();
        let down: usize = (0..20_000)
            .map(|_| path.handle_downlink(at(0), 0, 9).count())
            .sum();
        assert!(up.abs_diff(14_000) < 300, "{up}");
        assert!(down.abs_diff(19_600) < 100, "{down}");
        let lost = path.counters(Direction::Uplink).lost;
        assert_eq!(lost, 20_000 - up as u64);
    }

    #[test]
    fn what_is_larger_than_the_mtu_does_not_pass() {
        let mut path = uplink(OneWay {
            mtu_bytes: Some(128),
            ..OneWay::default()
        });
        assert_eq!(
            (sent(&mut path, 0, 100).len(), sent(&mut path, 0, 101).len()),
            (1, 0)
        );
        assert_eq!(path.counters(Direction::Uplink).too_large, 1);
    }

    #[test]
    fn a_slow_link_sends_one_after_another_and_loses_what_does_not_fit_before_it() {
        // 500 bytes with their headers take 200 ms.
        let mut path = uplink(OneWay {
            rate: rate("20kbit"),
            queue_bytes: 1_500,
            delay: SECOND,
            ..OneWay::default()
        });
        let arrived: Vec<_> = (0..5).map(|_| sent(&mut path, 0, 472)).collect();
        assert_eq!(
            arrived,
            [vec![1_200], vec![1_400], vec![1_600], vec![], vec![]]
        );
        assert_eq!(path.counters(Direction::Uplink).queue_full, 2);
        // One has left.
        assert_eq!(sent(&mut path, 200, 472), [1_800]);
        assert_eq!(sent(&mut path, 5_000, 472), [6_200]);
    }

    #[test]
    fn one_datagram_finds_room_however_large_it_is() {
        let mut path = uplink(OneWay {
            rate: rate("8kbit"),
            queue_bytes: 1,
            ..OneWay::default()
        });
        assert_eq!(sent(&mut path, 0, 972), [1_000]);
        assert_eq!(sent(&mut path, 500, 0), []);
        assert_eq!(sent(&mut path, 1_000, 972), [2_000]);
    }

    #[test]
    fn nothing_passes_while_the_path_is_cut() {
        let cut = |after, lasts| Cut {
            after: after * SECOND,
            lasts: lasts * SECOND,
        };
        let mut path = path(Impairment {
            cuts: vec![cut(10, 5), cut(20, 1)],
            ..Impairment::default()
        });
        let passes: Vec<u64> = (0..25)
            .filter(|second| {
                let now = at(second * 1000);
                path.handle_uplink(now, 9).count() + path.handle_downlink(now, 0, 9).count() == 2
            })
            .collect();
        let expected: Vec<u64> = (0..10).chain(15..20).chain(21..25).collect();
        assert_eq!(passes, expected);
    }

    #[test]
    fn a_copy_is_made_of_so_many_and_each_is_delayed_for_itself() {
        let mut path = uplink(OneWay {
            duplicate: Probability::from_permille(100),
            delay: SECOND,
            jitter: Some(Jitter::Uniform(SECOND / 2)),
            ..OneWay::default()
        });
        let all: Vec<_> = (0..10_000).map(|_| sent(&mut path, 0, 9)).collect();
        let doubled: Vec<_> = all.iter().filter(|arrived| arrived.len() == 2).collect();
        assert!(doubled.len().abs_diff(1_000) < 100, "{}", doubled.len());
        assert!(
            doubled
                .iter()
                .any(|arrived| arrived[0].abs_diff(arrived[1]) > 300)
        );
    }

    #[test]
    fn what_is_held_back_is_overtaken_by_what_is_sent_meanwhile() {
        let mut path = uplink(OneWay {
            reorder: Probability::from_permille(100),
            ..OneWay::default()
        });
        let arrived: Vec<_> = (0..10_000)
            .flat_map(|n| sent(&mut path, n * 10, 9))
            .collect();
        let overtaken = arrived.windows(2).filter(|pair| pair[1] < pair[0]).count();
        // Of two in a row that are both held back the first is not overtaken by the second.
        assert!(overtaken.abs_diff(900) < 90, "{overtaken}");
        assert!(path.counters(Direction::Uplink).reordered.abs_diff(1_000) < 100);
    }

    #[test]
    fn one_bit_of_what_is_damaged_is_turned_over() {
        let mut path = uplink(OneWay {
            corrupt: Probability::from_permille(500),
            ..OneWay::default()
        });
        let mut bits = [0_u32; 16];
        for _ in 0..2_000 {
            let mut payload = [0_u8; 2];
            for copy in path.handle_uplink(at(0), 2) {
                copy.damage(&mut payload);
            }
            let turned = u16::from_le_bytes(payload);
            assert!(turned.count_ones() <= 1);
            if turned > 0 {
                bits[turned.trailing_zeros() as usize] += 1;
            }
        }
        assert!(bits.iter().sum::<u32>().abs_diff(1_000) < 100, "{bits:?}");
        assert!(
            bits.iter().all(|times| (30..100).contains(times)),
            "{bits:?}"
        );
    }

    fn mapping(path: &mut Impairer, ms: u64) -> Option<u32> {
        path.handle_uplink(at(ms), 9)
            .map(|copy| copy.mapping)
            .next()
    }

    fn answered(path: &mut Impairer, ms: u64, mapping: u32) -> bool {
        path.handle_downlink(at(ms), mapping, 9).next().is_some()
    }

    #[test]
    fn a_device_that_was_silent_too_long_comes_from_another_address() {
        let mut path = path(Impairment {
            nat: NatMapping {
                timeout: Some(30 * SECOND),
                ..NatMapping::default()
            },
            ..Impairment::default()
        });
        assert!(!answered(&mut path, 0, 0), "nobody has sent anything");
        assert_eq!(mapping(&mut path, 0), Some(0));
        assert_eq!(mapping(&mut path, 29_000), Some(0));
        assert!(answered(&mut path, 59_000, 0));
        // What the server sends keeps no mapping.
        assert!(!answered(&mut path, 59_001, 0));
        assert_eq!(mapping(&mut path, 59_001), Some(1));
        assert!(!answered(&mut path, 59_002, 0));
        assert!(answered(&mut path, 59_002, 1));
        assert_eq!(path.rebinds(), 1);
        assert_eq!(path.counters(Direction::Downlink).unmapped, 3);
    }

    #[test]
    fn what_is_lost_on_its_way_to_the_nat_keeps_no_mapping() {
        let mut path = path(Impairment {
            nat: NatMapping {
                timeout: Some(30 * SECOND),
                ..NatMapping::default()
            },
            cuts: vec![Cut {
                after: 20 * SECOND,
                lasts: 10 * SECOND,
            }],
            ..Impairment::default()
        });
        assert_eq!(mapping(&mut path, 0), Some(0));
        assert_eq!(mapping(&mut path, 20_000), None);
        assert_eq!(mapping(&mut path, 31_000), Some(1));
    }

    #[test]
    fn a_nat_that_maps_anew_does_so_at_its_times_and_when_it_is_told_to() {
        let mut path = path(Impairment {
            nat: NatMapping {
                rebind_every: Some(10 * SECOND),
                ..NatMapping::default()
            },
            ..Impairment::default()
        });
        let mappings: Vec<_> = [0, 9_999, 10_000, 19_999, 45_000]
            .map(|ms| mapping(&mut path, ms))
            .into();
        assert_eq!(mappings, [0, 0, 1, 1, 2].map(Some));
        assert!(answered(&mut path, 49_999, 2));
        assert!(
            !answered(&mut path, 50_000, 2),
            "before the device sends again"
        );
        assert_eq!(mapping(&mut path, 51_000), Some(3));
        path.rebind();
        assert!(!answered(&mut path, 51_001, 3));
        assert_eq!((mapping(&mut path, 51_002), path.rebinds()), (Some(4), 4));
    }

    prop_compose! {
        fn one_way()(
            parts in prop::array::uniform4(0_u16..400),
            delay_ms in 0_u64..2_000,
            jitter_ms in 0_u64..3_000,
            kbit in prop::option::of(1_u32..100),
            mtu_bytes in prop::option::of(100_u16..1_500),
        ) -> OneWay {
            let [loss, duplicate, reorder, corrupt] = parts.map(Probability::from_permille);
            OneWay {
                loss, duplicate, reorder, corrupt, mtu_bytes,
                delay: Duration::from_millis(delay_ms),
                jitter: Some(Jitter::Uniform(Duration::from_millis(jitter_ms))),
                rate: kbit.and_then(|kbit| format!("{kbit}kbit").parse().ok()),
                queue_bytes: 5_000,
                ..OneWay::default()
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Each datagram is accounted for once; none arrives before it was sent; the same seed decides
        /// the same.
        #[test]
        fn every_datagram_is_accounted_for_and_a_seed_repeats_its_path(
            up in one_way(),
            down in one_way(),
            sent in prop::collection::vec((0_u64..500, 0_usize..1_400, any::<bool>()), 1..200),
            seed in any::<u64>(),
        ) {
            let impairment = Arc::new(Impairment {
                uplink: up,
                downlink: down,
                nat: NatMapping { timeout: Some(2 * SECOND), rebind_every: Some(20 * SECOND) },
                cuts: vec![Cut { after: 5 * SECOND, lasts: SECOND }],
            });
            let run = || {
                let mut path = Impairer::new(Arc::clone(&impairment), Instant::ORIGIN, seed);
                let (mut now, mut mapping, mut arrived) = (Instant::ORIGIN, 0, Vec::new());
                for (gap_ms, payload_bytes, is_up) in &sent {
                    now = now + Duration::from_millis(*gap_ms);
                    let copies: Vec<_> = if *is_up {
                        path.handle_uplink(now, *payload_bytes).collect()
                    } else {
                        path.handle_downlink(now, mapping, *payload_bytes).collect()
                    };
                    for copy in copies {
                        assert!(copy.at >= now);
                        mapping = copy.mapping;
                        arrived.push(copy);
                    }
                }
                (arrived, path)
            };
            let (arrived, path) = run();
            let mut all = *path.counters(Direction::Uplink);
            all.add(path.counters(Direction::Downlink));
            prop_assert_eq!(all.sent, sent.len() as u64);
            prop_assert_eq!(all.delivered, arrived.len() as u64);
            let ended = all.lost + all.cut + all.too_large + all.queue_full + all.unmapped;
            prop_assert_eq!(all.sent, ended + all.delivered - all.duplicated);
            prop_assert_eq!(arrived, run().0);
        }
    }
}
