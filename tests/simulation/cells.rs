//! Cells whose air is shared: whole campaigns through the codec on both sides, judged by the devices' logs.

use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

use narrowcast::model::{AdmissionPolicy, AirtimePermille, TierLimits, WaitingRoomPolicy};
use narrowcast::sim::{CeLevel, Mix, Report, Stop, Trial, UplinkPattern};

/// Runs it; nothing forbidden may happen in any run.
fn run(trial: &Trial) -> Report {
    let report = trial.run().unwrap();
    assert!(report.verdict.holds(), "{:?}", report.verdict);
    report
}

/// A few days of a fleet of sleepers in four cells.
fn thirty_days_in_small(seed: u64) -> Trial {
    Trial {
        cells: 4,
        image_bytes: 2 * 1024,
        stop: Stop::AfterDays(3),
        ..Trial::thirty_days(seed, 200)
    }
}

#[test]
fn a_fleet_of_sleepers_is_updated_in_days_and_a_seed_gives_one_log() {
    let report = run(&thirty_days_in_small(1));
    assert_eq!(report.succeeded, 200, "{:?}", report.failures);
    assert_eq!(report.verdict.flashed, 200);
    assert_eq!(report.lasted, Duration::from_secs(3 * 24 * 3600));
    assert!(report.blocks >= 200 * 4, "each block is served");
    assert_eq!(run(&thirty_days_in_small(1)), report);
    assert_ne!(run(&thirty_days_in_small(2)).log_sha256, report.log_sha256);
}

/// One cell of always listening devices of one level.
fn one_level(level: CeLevel, devices: usize) -> Trial {
    let permille = |of| if level == of { 1000 } else { 0 };
    Trial {
        devices,
        mix: Mix {
            ce0_permille: permille(CeLevel::Ce0),
            ce1_permille: permille(CeLevel::Ce1),
        },
        image_bytes: 20 * 512,
        uplink: UplinkPattern::AlwaysAwake,
        downlink_share_percent: NonZeroU8::new(100).unwrap(),
        limits: TierLimits {
            tier0: 50,
            tier1: 50,
            tier2: 50,
            unknown: 50,
        },
        ..Trial::burst(3)
    }
}

#[test]
fn a_download_alone_takes_as_long_as_its_level_says() {
    for (level, expected_ms) in [
        (CeLevel::Ce0, 8_000..40_000),
        (CeLevel::Ce1, 25_000..90_000),
        (CeLevel::Ce2, 150_000..500_000),
    ] {
        let report = run(&one_level(level, 1));
        let took_ms = report.download_median[&level].as_millis();
        assert!(expected_ms.contains(&took_ms), "{level:?}: {took_ms} ms");
    }
}

#[test]
fn devices_of_a_cell_slow_each_other_down_to_what_its_carrier_brings_across() {
    let alone = run(&one_level(CeLevel::Ce2, 1));
    let many = run(&one_level(CeLevel::Ce2, 40));
    assert_eq!(many.succeeded, 40);
    let median = |report: &Report| report.download_median[&CeLevel::Ce2];
    assert!(median(&many) > 2 * median(&alone));
    // 20 blocks of 5.12 s each.
    let last = many.succeeded_after.last().unwrap();
    assert!(*last > 40 * Duration::from_secs(102), "{last:?}");
}

const EIGHT: Duration = Duration::from_secs(8 * 3600);

/// A cell of a hundred whose devices all report from eight o'clock on, within so long, more than it has slots
/// for.
fn burst_in_small(
    seed: u64,
    within: Duration,
    airtime_permille: u16,
    room: WaitingRoomPolicy,
) -> Report {
    let trial = Trial {
        devices: 100,
        uplink: UplinkPattern::Burst {
            from: EIGHT,
            to: EIGHT + within,
        },
        admission: AdmissionPolicy {
            airtime: NonZeroU16::new(airtime_permille).map(AirtimePermille),
            ..AdmissionPolicy::default()
        },
        ..Trial::burst(seed)
    };
    let report = run(&trial.with_waiting_room(room));
    assert_eq!(report.succeeded, 100);
    report
}

/// From the first report on, how long it took until 95 of a hundred were updated.
fn t95(report: &Report) -> Duration {
    report.updated_percent(95).unwrap() - EIGHT
}

#[test]
fn a_waiting_room_and_airtime_shorten_the_campaign_of_a_burst_and_spare_it_failures() {
    let within = Duration::from_secs(600);
    let plain = burst_in_small(1, within, 0, WaitingRoomPolicy::OFF);
    let held = burst_in_small(1, within, 500, Trial::FOUR_HOURS);
    let (of_plain, of_held) = (t95(&plain), t95(&held));
    assert!(of_plain >= 3 * of_held, "{of_plain:?}, {of_held:?}");
    let (of_plain, of_held) = (plain.failed_attempts(), held.failed_attempts());
    assert!(of_plain > 0, "the cell is too full for what it admits");
    assert!(5 * of_held <= of_plain, "{:?}", held.failures);
    // All tiers at their limits, against what fits.
    assert_eq!(plain.downloads_peak, 50 + 10 + 1);
    assert!(held.downloads_peak <= 25);
}

/// Each of weak coverage stops the cell for most of an hour: were it first, whoever reports in that hour
/// would be too late for the day.
#[test]
fn weak_coverage_does_not_stop_its_cell_before_the_others_had_their_part() {
    let within = Duration::from_secs(3600);
    let of = |seed| t95(&burst_in_small(seed, within, 500, Trial::FOUR_HOURS));
    let both = of(3) + of(4);
    assert!(both < Duration::from_secs(10 * 3600), "{both:?}");
}
