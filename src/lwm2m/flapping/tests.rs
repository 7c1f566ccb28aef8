use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::model::Identity;

const WINDOW_SECONDS: u64 = 600;

/// One endpoint, and who has registered it.
struct Bench {
    detector: FlappingDetector,
    held: Option<Peer>,
}

impl Bench {
    fn new() -> Self {
        Self {
            detector: detector(10),
            held: None,
        }
    }

    fn register(&mut self, second: u64, peer: Peer) -> Replacement {
        let held = self.held.replace(peer.clone());
        let held = held.unwrap_or_else(|| peer.clone());
        (self.detector).record_replacement(at(second), &name(0), &held, &peer)
    }

    /// At which of these Registers the endpoint is flagged.
    fn flagged_at(&mut self, registers: impl IntoIterator<Item = (u64, Peer)>) -> Vec<u64> {
        let mut flagged = Vec::new();
        for (second, peer) in registers {
            while self.detector.pop_settled(at(second).instant).is_some() {}
            if self.register(second, peer).begun {
                flagged.push(second);
            }
        }
        flagged
    }
}

fn detector(endpoints_max: usize) -> FlappingDetector {
    FlappingDetector::new(FlappingConfig {
        endpoints_max,
        ..FlappingConfig::default()
    })
}

fn name(number: u32) -> EndpointName {
    EndpointName::parse(&format!("meter-{number}")).unwrap()
}

fn at(second: u64) -> Now {
    Now::default() + Duration::from_secs(second)
}

fn peer(ip: u8, port: u16) -> Peer {
    Peer::Address(SocketAddr::from(([10, 0, 0, ip], port)))
}

fn secured(identity: &str) -> Peer {
    Peer::Secured(Identity::new(identity))
}

#[test]
fn the_fourth_takeover_within_ten_minutes_flags_until_ten_minutes_have_none() {
    let mut bench = Bench::new();
    let registers = (0..5).map(|n| (n * 100, peer(1 + (n % 2) as u8, 1)));
    assert_eq!(bench.flagged_at(registers), [400]);
    let flapping = bench.detector.flapping(&name(0)).unwrap();
    assert_eq!(flapping.since, at(400).utc);
    assert_eq!(flapping.peers, [peer(2, 1), peer(1, 1)]);
    assert!(!bench.register(500, peer(2, 1)).begun, "it is already");
    assert_eq!(bench.detector.poll_timeout(), Some(at(1100).instant));
    assert_eq!(bench.detector.pop_settled(at(1099).instant), None);
    assert_eq!(bench.detector.pop_settled(at(1100).instant), Some(name(0)));
    assert_eq!(bench.detector.flapping(&name(0)), None);
    assert_eq!(bench.detector.poll_timeout(), None);
}

#[test]
fn takeovers_that_are_far_apart_do_not_add_up() {
    let mut bench = Bench::new();
    let registers = (0..50).map(|n| (n * 201, peer(1 + (n % 2) as u8, 1)));
    assert_eq!(bench.flagged_at(registers), [] as [u64; 0]);
}

#[test]
fn a_device_that_wakes_under_a_new_port_each_time_is_not_flagged() {
    let mut bench = Bench::new();
    let registers = (0..200).map(|n| (n * 10, peer(1, 1_000 + n as u16)));
    assert_eq!(bench.flagged_at(registers), [] as [u64; 0]);
}

#[test]
fn a_device_that_registers_again_from_where_it_was_is_not_flagged() {
    let mut bench = Bench::new();
    let registers = (0..200).map(|n| (n, peer(1, 1)));
    assert_eq!(bench.flagged_at(registers), [] as [u64; 0]);
    assert_eq!(bench.detector.watched(), 0);
}

#[test]
fn a_device_whose_port_comes_round_after_the_window_is_not_flagged() {
    let mut bench = Bench::new();
    let registers = (0..100).map(|n| (n * 150, peer(1, 1 + (n % 5) as u16)));
    assert_eq!(bench.flagged_at(registers), [] as [u64; 0]);
}

#[test]
fn a_device_that_boots_twice_into_new_addresses_is_not_flagged() {
    let mut bench = Bench::new();
    let moves = [
        (0, peer(1, 1)),
        (100, peer(2, 1)),
        (160, peer(2, 2)),
        (220, peer(3, 1)),
        (280, peer(3, 2)),
    ];
    assert_eq!(bench.flagged_at(moves), [] as [u64; 0]);
}

#[test]
fn duplicates_behind_one_nat_are_known_by_the_ports_that_they_come_back_to() {
    let mut bench = Bench::new();
    let registers = (0..8).map(|n| (n * 20, peer(1, 1 + (n % 2) as u16)));
    // The first change of the port is none: so may a device that woke up.
    assert_eq!(bench.flagged_at(registers), [100]);
}

#[test]
fn who_a_notification_moved_in_between_still_comes_back() {
    let mut bench = Bench::new();
    let mut flagged = 0;
    for round in 0..6 {
        flagged += u64::from(bench.register(round * 20, peer(1, 2)).begun);
        // The other one's token brings its registration to it.
        bench.held = Some(peer(1, 1));
    }
    assert_eq!(flagged, 1);
}

#[test]
fn another_identity_is_a_takeover_and_one_identity_is_one_peer() {
    let mut bench = Bench::new();
    let registers = (0..20).map(|n| (n, secured("meter")));
    assert_eq!(bench.flagged_at(registers), [] as [u64; 0]);
    let registers = (20..26).map(|n| {
        let other = n % 2 == 0;
        (n, if other { peer(1, 1) } else { secured("meter") })
    });
    assert_eq!(bench.flagged_at(registers), [23]);
}

#[test]
fn for_one_endpoint_more_the_least_recently_moved_is_forgotten_with_its_flag() {
    let mut detector = detector(2);
    let mut take_over = |number: u32, second: u64, ip: u8| {
        let (from, to) = (peer(ip, 1), peer(ip + 1, 1));
        detector.record_replacement(at(second), &name(number), &from, &to)
    };
    assert!((0..4).any(|n| take_over(0, n, n as u8).begun));
    assert_eq!(take_over(1, 10, 0).forgotten, None);
    assert_eq!(take_over(0, 11, 9).forgotten, None);
    assert_eq!(take_over(2, 12, 0).forgotten, None, "1 was not flagged");
    assert_eq!(take_over(1, 13, 0).forgotten, Some(name(0)));
    assert_eq!((detector.watched(), detector.flagged()), (2, 0));
    assert!(!detector.is_flapping(&name(0)));
}

#[test]
fn what_has_not_moved_for_a_window_is_forgotten() {
    let mut detector = detector(1_000);
    let mut replace = |number: u32, second: u64| {
        let ends = (peer(1, 1), peer(1, 2));
        detector.record_replacement(at(second), &name(number), &ends.0, &ends.1);
        detector.watched()
    };
    for number in 0..100 {
        replace(number, 0);
    }
    assert_eq!(replace(100, WINDOW_SECONDS - 1), 101);
    let left = (0..50).map(|number| replace(200 + number, WINDOW_SECONDS));
    assert_eq!(left.last(), Some(51));
}

#[test]
fn a_device_that_was_taken_away_is_forgotten() {
    let mut bench = Bench::new();
    bench.flagged_at((0..5).map(|n| (n, peer(1 + n as u8, 1))));
    assert!(bench.detector.forget(&name(0)));
    assert!(!bench.detector.forget(&name(0)));
    assert_eq!((bench.detector.watched(), bench.detector.flagged()), (0, 0));
}

proptest! {
    /// Whoever is flagged has had more takeovers in one window than are allowed, and loses the flag one
    /// window after the last; what is held stays within its bounds.
    #[test]
    fn a_flag_begins_with_the_fourth_takeover_and_ends_a_window_after_the_last(
        registers in prop::collection::vec((0_u32..6, 0_u8..3, 1_u16..3, 0_u64..300), 1..300),
    ) {
        let mut detector = detector(4);
        let mut held: HashMap<EndpointName, Peer> = HashMap::new();
        let mut takeovers: HashMap<EndpointName, Vec<u64>> = HashMap::new();
        let mut second = 0;
        for (number, ip, port, later) in registers {
            second += later;
            while detector.pop_settled(at(second).instant).is_some() {}
            let (endpoint, peer) = (name(number), peer(ip, port));
            let Some(replaced) = held.insert(endpoint.clone(), peer.clone()) else { continue };
            let was_flapping = detector.is_flapping(&endpoint);
            let result = detector.record_replacement(at(second), &endpoint, &replaced, &peer);
            let counted = takeovers.entry(endpoint.clone()).or_default();
            if result.takeover {
                counted.push(second);
            }
            let within = counted.iter().filter(|at| second - **at < WINDOW_SECONDS).count();
            prop_assert!(!result.begun || within > 3);
            prop_assert!(!was_flapping || detector.is_flapping(&endpoint));
            if detector.is_flapping(&endpoint) {
                let last = counted.last().copied().unwrap_or_default();
                prop_assert!(second - last < WINDOW_SECONDS);
            }
            prop_assert!(detector.watched() <= 4 && detector.flagged() <= detector.watched());
            prop_assert_eq!(detector.by_moved.len(), detector.watched());
            let peers = detector.watched.get(&endpoint).map_or(0, |it| it.peers.len());
            prop_assert!(peers <= PEERS_MAX);
        }
    }
}
