//! What each impairment alone does to an update, from URI to the new version: as much slower as follows
//! from its own figures, and the same image.
//!
//! The path without it has a round trip of half a second and nothing else, so the time that an update
//! takes on it says how many round trips one waits for another. Times are means over many updates: of
//! what chance decides, so many that they would not stray by half of what is allowed.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use narrowcast::clock::Instant;
use narrowcast::engine::EngineConfig;
use narrowcast::model::{
    CoverageTier, ProductSettings, RetryPolicy, TaskState, TransmissionPreset,
};
use narrowcast::net::{
    BitRate, Cut, Direction, Impairer, Impairment, Jitter, NatMapping, OneWay, PassCounters,
    Probability, packet_bytes,
};
use narrowcast::sim::DeviceConfig;
use narrowcast::sim::log::DeviceEvent;

use crate::faults::on_two_threads;
use crate::fleet;
use crate::world::World;

const DEVICES: usize = 16;

const BLOCK_BYTES: usize = 512;

const BLOCKS: usize = 128;

/// Header, token, options and payload marker of a block's datagram.
const BESIDE_BLOCK_BYTES: usize = 30;

/// Of the path that everything is compared with, each way.
const DELAY: Duration = Duration::from_millis(250);

const ROUND_TRIP_S: f64 = 0.5;

/// What is no waiting for a round trip: the install.
const INSTALL_S: f64 = 10.0;

/// ACK_TIMEOUT of devices and server (TransmissionPreset::NbIot), times the middle of 1 and
/// ACK_RANDOM_FACTOR.
const FIRST_WAIT_S: f64 = 10.0 * 1.25;

const RETRY: RetryPolicy = RetryPolicy {
    retries_max: RetryPolicy::RETRIES_MAX,
    delay: Duration::from_secs(60),
};

/// What the updates of one kind took.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    /// From the first URI to the new version, in seconds.
    update_s: f64,
    /// From URI to package, or to the end of an attempt, all attempts of a device together.
    download_s: f64,
    /// Devices that run the new version.
    updated: f64,
    uplink: PassCounters,
    downlink: PassCounters,
}

fn clean() -> OneWay {
    OneWay {
        delay: DELAY,
        ..OneWay::default()
    }
}

fn engine_config() -> EngineConfig {
    EngineConfig {
        product: ProductSettings {
            read_timeout: Duration::from_secs(90 * 60),
            ..ProductSettings::default()
        },
        ..fleet::engine_config()
    }
}

fn devices(impairment: &Impairment, seed: u64) -> Vec<DeviceConfig> {
    let image = fleet::image_of(BLOCKS * BLOCK_BYTES, seed);
    // Whom its NAT hid is heard again soon; elsewhere nothing comes between the blocks.
    let update_interval = match impairment.nat.rebind_every {
        Some(_) => Duration::from_secs(120),
        None => Duration::from_secs(3_600),
    };
    // Each in a cell of its own: none waits for another.
    let device = |index| DeviceConfig {
        radio: fleet::radio(u32::try_from(index).unwrap() + 1, CoverageTier::Tier0),
        szx: 5,
        image_sha256: Some(fleet::sha256(&image)),
        transmission: TransmissionPreset::NbIot,
        block_retries: 5,
        update_interval,
        ..fleet::device(index)
    };
    (0..DEVICES).map(device).collect()
}

/// A campaign of which every device is updated, whatever its path does, unless it damages.
fn campaign(impairment: &Arc<Impairment>, seed: u64) -> Measured {
    let image = fleet::image_of(BLOCKS * BLOCK_BYTES, seed);
    let mut world = World::with_image(seed, engine_config(), devices(impairment, seed), image);
    let path = |index: usize| {
        let seed = seed * 1000 + index as u64;
        Impairer::new(Arc::clone(impairment), Instant::ORIGIN, seed)
    };
    world.paths = (0..DEVICES).map(path).collect();
    let id = world.campaign_for_all(RETRY);
    world.run_to_the_end();
    let updated = world.count(id, TaskState::Succeeded);
    // An image that comes damaged twice is not fetched again.
    let is_damaged = impairment.downlink.corrupt != Probability::NEVER;
    assert!(updated == DEVICES || is_damaged, "{updated} of {DEVICES}");
    let verdict = world.verdict();
    assert!(verdict.holds(), "{verdict:?}");
    assert_eq!(verdict.flashed, updated as u64);
    let mut measured = Measured {
        updated: updated as f64,
        ..Measured::default()
    };
    for device in 0..DEVICES {
        measured.read(&world, device);
    }
    for path in &world.paths {
        measured.uplink.add(path.counters(Direction::Uplink));
        measured.downlink.add(path.counters(Direction::Downlink));
    }
    measured
}

impl Measured {
    fn read(&mut self, world: &World, device: usize) {
        let (mut first, mut begun) = (None, None);
        for line in world.log.iter().filter(|line| line.device == device) {
            if line.event == DeviceEvent::UriAccepted {
                first.get_or_insert(line.at);
                begun = Some(line.at);
            } else if matches!(
                line.event,
                DeviceEvent::Downloaded { .. } | DeviceEvent::DownloadFailed { .. }
            ) {
                if let Some(begun) = begun.take() {
                    self.download_s += line.at.saturating_since(begun).as_secs_f64();
                }
            } else if matches!(line.event, DeviceEvent::Flashed { .. }) {
                let first: Instant = first.unwrap();
                self.update_s += line.at.saturating_since(first).as_secs_f64();
            }
        }
    }

    fn join(&mut self, other: &Self) {
        self.update_s += other.update_s;
        self.download_s += other.download_s;
        self.updated += other.updated;
        self.uplink.add(&other.uplink);
        self.downlink.add(&other.downlink);
    }
}

/// Means over the devices of so many campaigns; the counters are sums.
fn measure(impairment: Impairment, campaigns: u64) -> Measured {
    let impairment = Arc::new(impairment);
    let seeds = (1..=campaigns).collect();
    let mut all = Measured::default();
    for one in on_two_threads(seeds, |seed| campaign(&impairment, seed)) {
        all.join(&one);
    }
    let updates = (campaigns * DEVICES as u64) as f64;
    all.update_s /= updates;
    all.download_s /= updates;
    all
}

fn both_ways(way: OneWay, campaigns: u64) -> Measured {
    measure(Impairment::both_ways(way), campaigns)
}

/// The path without any impairment, and how many round trips of an update wait for each other.
fn without() -> (Measured, f64) {
    let clean = both_ways(clean(), 2);
    let round_trips = (clean.update_s - INSTALL_S) / ROUND_TRIP_S;
    // The blocks, and what is said around them.
    let blocks = BLOCKS as f64;
    assert!(
        (blocks..blocks + 12.0).contains(&round_trips),
        "{round_trips}"
    );
    (clean, round_trips)
}

#[track_caller]
fn assert_as_slow(what: &str, measured_s: f64, expected_s: f64) {
    println!("{what}: {measured_s:.1} s, by its figures {expected_s:.1} s");
    let off = (measured_s - expected_s).abs();
    assert!(
        off <= expected_s / 10.0,
        "{what}: {measured_s:.1} s and not {expected_s:.1} s"
    );
}

/// An exchange fails where its request or its answer is lost, and is repeated after a wait that doubles
/// each time (RFC 7252 §4.2): with q the part that fails, one waits the sum over k of q^k (1-q) (2^k - 1)
/// times the first wait, which is q / (1 - 2q).
#[test]
fn loss_costs_the_waits_before_what_was_lost_is_sent_again() {
    let (clean_path, round_trips) = without();
    let measured = both_ways(
        OneWay {
            loss: Probability::from_permille(100),
            ..clean()
        },
        14,
    );
    let q = 1.0 - 0.9_f64.powi(2);
    let waits_s = round_trips * FIRST_WAIT_S * q / (1.0 - 2.0 * q);
    let expected_s = clean_path.update_s + waits_s;
    assert_as_slow("10 % lost", measured.update_s, expected_s);
}

/// What only the server sends is lost: `1 - p` of all exchanges succeed.
#[test]
fn loss_of_one_direction_costs_what_that_direction_loses() {
    let (clean_path, round_trips) = without();
    let measured = measure(
        Impairment {
            uplink: clean(),
            downlink: OneWay {
                loss: Probability::from_permille(100),
                ..clean()
            },
            ..Impairment::default()
        },
        10,
    );
    assert_eq!(measured.uplink.lost, 0);
    let waits_s = round_trips * FIRST_WAIT_S * 0.1 / (1.0 - 0.2);
    let expected_s = clean_path.update_s + waits_s;
    assert_as_slow("10 % lost downlink", measured.update_s, expected_s);
}

#[test]
fn delay_costs_its_round_trip_for_each_that_waits() {
    let (clean_path, round_trips) = without();
    let measured = both_ways(
        OneWay {
            delay: DELAY + Duration::from_secs(1),
            ..clean()
        },
        1,
    );
    let expected_s = clean_path.update_s + round_trips * 2.0;
    assert_as_slow("1 s more each way", measured.update_s, expected_s);
}

#[test]
fn even_jitter_costs_nothing_on_average_and_log_normal_jitter_its_mean() {
    let (clean_path, round_trips) = without();
    let jitter = |jitter| {
        let way = OneWay {
            jitter: Some(jitter),
            ..clean()
        };
        both_ways(way, 1).update_s
    };
    let even_s = jitter(Jitter::Uniform(DELAY));
    assert_as_slow("as much more or less", even_s, clean_path.update_s);
    let (median, p95) = (Duration::from_millis(500), Duration::from_millis(1_500));
    let log_normal_s = jitter(Jitter::LogNormal { median, p95 });
    // exp(mu + sigma^2 / 2), with the 95 % quantile 1.645 sigma above mu.
    let sigma = 3.0_f64.ln() / 1.645;
    let mean_s = 0.5 * (sigma * sigma / 2.0).exp();
    let expected_s = clean_path.update_s + round_trips * 2.0 * mean_s;
    assert_as_slow("log-normal", log_normal_s, expected_s);
}

#[test]
fn a_slow_link_costs_the_time_of_all_its_bits() {
    let (clean_path, _) = without();
    let rate = BitRate::from_bits_per_second(NonZeroU64::new(4_000).unwrap());
    let way = OneWay {
        rate: Some(rate),
        ..clean()
    };
    let measured = both_ways(way, 1);
    let bits = |way: &PassCounters| {
        (packet_bytes(0) as u64 * way.sent + way.sent_bytes) as f64 * 8.0 / DEVICES as f64
    };
    // Two campaigns were measured on the path without.
    let bits = (bits(&clean_path.uplink) + bits(&clean_path.downlink)) / 2.0;
    let expected_s = clean_path.update_s + bits / rate.bits_per_second() as f64;
    assert_as_slow("4 kbit/s", measured.update_s, expected_s);
}

#[test]
fn copies_and_what_overtakes_cost_next_to_nothing() {
    let (clean_path, round_trips) = without();
    let copies = both_ways(
        OneWay {
            duplicate: Probability::from_permille(200),
            ..clean()
        },
        1,
    );
    assert!(copies.downlink.duplicated > 300);
    assert_as_slow("20 % doubled", copies.update_s, clean_path.update_s);
    let overtaken = both_ways(
        OneWay {
            reorder: Probability::from_permille(300),
            ..clean()
        },
        1,
    );
    let held_s = OneWay::default().reorder_hold.as_secs_f64();
    let expected_s = clean_path.update_s + round_trips * 2.0 * 0.3 * held_s;
    assert_as_slow("30 % held back", overtaken.update_s, expected_s);
}

/// Of a hundred seconds the first wait, and twice it, and four times it pass: what is sent again after
/// that goes through, seven first waits after it was sent first.
#[test]
fn a_cut_costs_the_waits_until_the_first_repetition_after_it() {
    let (clean_path, _) = without();
    let cut = Impairment {
        cuts: vec![Cut {
            after: Duration::from_secs(40),
            lasts: Duration::from_secs(68),
        }],
        ..Impairment::both_ways(clean())
    };
    let measured = measure(cut, 4);
    let expected_s = clean_path.update_s + 7.0 * FIRST_WAIT_S;
    assert_as_slow("a cut", measured.update_s, expected_s);
}

/// A NAT that maps anew while a request is on its way costs the answer, which goes to the old mapping,
/// and with it a first wait: that is, wherever the time at which it does falls into the first half of a
/// round trip, as half of all do. It does so in each interval of the whole download, waits among it, and
/// no wait lasts as long as an interval: with I the interval and D the download without it, a download
/// takes T = D + W * T / 2I.
///
/// Round trips differ from each other here. Were all the same, and an interval a multiple of them, then a
/// device whose answer came through once would be as lucky at every other interval.
#[test]
fn a_new_mapping_costs_the_answer_that_was_sent_to_the_old_one() {
    let uneven = OneWay {
        jitter: Some(Jitter::Uniform(DELAY)),
        ..clean()
    };
    let without_it = both_ways(uneven, 2);
    let every_s = 20.0;
    let rebinds = Impairment {
        nat: NatMapping {
            rebind_every: Some(Duration::from_secs_f64(every_s)),
            ..NatMapping::default()
        },
        ..Impairment::both_ways(uneven)
    };
    let measured = measure(rebinds, 8);
    let expected_s = without_it.download_s / (1.0 - FIRST_WAIT_S / (2.0 * every_s));
    assert_as_slow(
        "another address every 20 s",
        measured.download_s,
        expected_s,
    );
}

#[test]
fn an_mtu_above_the_blocks_costs_nothing_and_one_below_them_passes_none() {
    let (clean_path, _) = without();
    let with = |mtu_bytes| OneWay {
        mtu_bytes: Some(mtu_bytes),
        ..clean()
    };
    let measured = both_ways(with(600), 1);
    assert_as_slow("an MTU of 600", measured.update_s, clean_path.update_s);
    let mut path = Impairer::new(
        Arc::new(Impairment::both_ways(with(540))),
        Instant::ORIGIN,
        1,
    );
    assert_eq!(path.handle_uplink(Instant::ORIGIN, 100).count(), 1);
    assert_eq!(path.handle_downlink(Instant::ORIGIN, 0, 541).count(), 0);
}

/// An image with a bit turned over is fetched to its end, refused by its hash, and fetched once more: twice
/// the same is taken for a bad image (`campaign::retry`). With q the part of downloads of which some block
/// is damaged, a device downloads 1 + q times, and 1 - q² of all are updated. A bit that is turned over
/// beside the image costs a wait, where the message is no longer an answer to what was asked.
#[test]
fn damage_costs_the_whole_download_and_never_an_image() {
    let (clean_path, _) = without();
    let (campaigns, damaged) = (16, 0.003);
    let measured = measure(
        Impairment {
            uplink: clean(),
            downlink: OneWay {
                corrupt: Probability::from_permille(3),
                ..clean()
            },
            ..Impairment::default()
        },
        campaigns,
    );
    let part = BLOCK_BYTES as f64 / (BLOCK_BYTES + BESIDE_BLOCK_BYTES) as f64;
    let refused = 1.0 - (1.0 - damaged * part).powi(BLOCKS as i32);
    let downloads = 1.0 + refused;
    let waits_s = downloads * BLOCKS as f64 * damaged * (1.0 - part) * FIRST_WAIT_S;
    let expected_s = clean_path.download_s * downloads + waits_s;
    assert_as_slow("0.3 % damaged", measured.download_s, expected_s);
    let updated = measured.updated / (campaigns * DEVICES as u64) as f64;
    assert!(
        (updated - (1.0 - refused * refused)).abs() < 0.1,
        "{updated} updated"
    );
}
