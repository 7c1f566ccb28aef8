//! Cells whose air is shared: whole campaigns through the codec on both sides, judged by the devices' logs.

use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

use narrowcast::model::{
    AdmissionPolicy, AirtimePermille, FailureReason, TierLimits, WaitingRoomPolicy,
};
use narrowcast::sim::{CeLevel, Mix, Report, Scenario, Stop, UplinkPattern};

/// Runs it; nothing forbidden may happen in any run.
fn run(scenario: &Scenario) -> Report {
    let report = scenario.run().unwrap();
    assert!(report.verdict.holds(), "{:?}", report.verdict);
    report
}

/// A few days of a fleet of sleepers in four cells.
fn thirty_days_in_small(seed: u64) -> Scenario {
    Scenario {
        cells: 4,
        image_bytes: 4 * 1024,
        stop: Stop::AfterDays(4),
        ..Scenario::thirty_days(seed, 200)
    }
}

#[test]
fn a_fleet_of_sleepers_is_updated_in_days_and_a_seed_gives_one_log() {
    let report = run(&thirty_days_in_small(1));
    assert_eq!(report.succeeded, 200, "{:?}", report.failures);
    assert_eq!(report.verdict.flashed, 200);
    assert_eq!(report.lasted, Duration::from_secs(4 * 24 * 3600));
    assert!(report.blocks >= 200 * 8, "each block is served");
    assert_eq!(run(&thirty_days_in_small(1)), report);
    assert_ne!(run(&thirty_days_in_small(2)).log_sha256, report.log_sha256);
}

/// One cell of always listening devices of one level.
fn one_level(level: CeLevel, devices: usize) -> Scenario {
    let permille = |of| if level == of { 1000 } else { 0 };
    Scenario {
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
        ..Scenario::burst(3)
    }
}

#[test]
fn a_download_alone_takes_as_long_as_its_level_says_and_among_many_as_long_as_the_carrier() {
    for (level, alone_ms, carrier_ms) in [
        // Of 20 blocks: what one device alone takes at least and at most, and what the carrier takes.
        (CeLevel::Ce0, 6_000..25_000, 117 * 20),
        (CeLevel::Ce1, 20_000..90_000, 512 * 20),
        (CeLevel::Ce2, 150_000..500_000, 5_120 * 20),
    ] {
        let one = run(&one_level(level, 1)).download_median[&level].as_millis();
        assert!(alone_ms.contains(&one), "{level:?} alone: {one} ms");
        let many = run(&one_level(level, 30));
        assert_eq!(many.succeeded, 30);
        let last = many.succeeded_after[29].as_millis();
        assert!(last > 30 * carrier_ms, "{level:?}: {last} ms");
    }
}

/// The burst between 8 and 9 h, with fewer devices and a shorter package for slower cells.
fn burst_in_small(seed: u64, admission: AdmissionPolicy, room: WaitingRoomPolicy) -> Scenario {
    let scenario = Scenario {
        devices: 200,
        image_bytes: 20 * 1000,
        admission,
        ..Scenario::burst(seed)
    };
    scenario.with_waiting_room(room)
}

#[test]
fn a_waiting_room_and_airtime_shorten_the_campaign_of_a_burst_and_spare_it_failures() {
    let plain = run(&burst_in_small(
        1,
        AdmissionPolicy::default(),
        WaitingRoomPolicy::OFF,
    ));
    let airtime = AdmissionPolicy {
        airtime: NonZeroU16::new(150).map(AirtimePermille),
        ..AdmissionPolicy::default()
    };
    let held = run(&burst_in_small(1, airtime, Scenario::FOUR_HOURS));
    assert_eq!((plain.succeeded, held.succeeded), (200, 200));
    let t95 = |report: &Report| report.updated_percent(95).unwrap();
    assert!(t95(&plain) > 2 * t95(&held));
    assert!(plain.failed_attempts() > 5 * held.failed_attempts());
    let causes = plain.failures.keys().copied().collect::<Vec<_>>();
    assert!(
        causes.contains(&FailureReason::ConnectionLost),
        "{causes:?}"
    );
}
