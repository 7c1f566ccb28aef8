use super::*;
use crate::campaign::Windows;
use crate::clock::Utc;
use crate::harness::Judged;
use crate::harness::result::Mode;
use crate::harness::threshold::Threshold;
use crate::model::{CellId, CoverageTier, PushWindow, TierLimits, Weekdays};
use crate::sim::log::DeviceEvent;
use crate::sim::{AtRest, CeLevel};

const IMAGE: Sha256Digest = Sha256Digest([7; 32]);

/// Midnight UTC.
const EPOCH: Utc = Utc::from_unix_ms(1_795_219_200_000);

fn config() -> ObserverConfig {
    ObserverConfig {
        name: "a test".to_owned(),
        mode: Mode::Simulate,
        seed: 7,
        scenario_toml: String::new(),
        started_at: None,
        epoch: EPOCH,
        limits: TierLimits::default(),
        image: Some(IMAGE),
        target_version: Some("2.0.0".to_owned()),
        at_rest: AtRest::Active,
        windows: None,
        bucket: Duration::from_secs(60),
        thresholds: Vec::new(),
    }
}

fn infos(count: usize) -> Vec<DeviceInfo> {
    let info = |index: usize| {
        let (level, tier) = match index % 3 {
            0 => (CeLevel::Ce0, CoverageTier::Tier0),
            1 => (CeLevel::Ce1, CoverageTier::Tier1),
            _ => (CeLevel::Ce2, CoverageTier::Tier2),
        };
        let cell = CellId(1);
        DeviceInfo {
            endpoint: format!("device-{index}"),
            cell,
            level,
            class: SlotClaim { cell, tier },
            mix: 0,
        }
    };
    (0..count).map(info).collect()
}

fn observer(devices: usize, expressions: &[(&str, &str)]) -> Observer {
    let thresholds = expressions
        .iter()
        .map(|(metric, expression)| Threshold::parse(metric, expression).unwrap());
    let thresholds = thresholds.collect();
    Observer::new(
        infos(devices),
        ObserverConfig {
            thresholds,
            ..config()
        },
    )
}

fn at(second: u64) -> Instant {
    Instant::from_origin(Duration::from_secs(second))
}

fn see(observer: &mut Observer, second: u64, device: usize, event: DeviceEvent) {
    observer.line(&LogLine {
        at: at(second),
        device,
        event,
    });
}

fn booted() -> DeviceEvent {
    DeviceEvent::Booted {
        version: "1.0.0".to_owned(),
    }
}

fn flashed(version: &str) -> DeviceEvent {
    DeviceEvent::Flashed {
        version: version.to_owned(),
    }
}

/// From the URI on: a minute's download, an install of ten seconds.
fn update(observer: &mut Observer, from: u64, device: usize) {
    see(observer, from, device, DeviceEvent::UriAccepted);
    see(
        observer,
        from + 60,
        device,
        DeviceEvent::Downloaded { sha256: IMAGE },
    );
    see(observer, from + 61, device, DeviceEvent::ExecuteAccepted);
    see(observer, from + 70, device, flashed("2.0.0"));
    see(
        observer,
        from + 71,
        device,
        DeviceEvent::UpdateEnded { result: 1 },
    );
}

fn judged(result: &RunResult) -> Vec<(Judged, Option<f64>)> {
    let thresholds = result.thresholds.iter();
    thresholds
        .map(|threshold| (threshold.judged, threshold.observed))
        .collect()
}

#[test]
fn an_update_is_timed_counted_and_told_step_by_step() {
    let mut observer = observer(
        2,
        &[
            ("device.register", "max==5s"),
            ("device.download{ce=0}", "max==60s"),
            ("device.update", "max==71s"),
            ("campaign.success_rate", "rate==0.5"),
            ("device.lost_update", "count==0"),
            ("cell.active{tier=0}", "max==1"),
            ("device.retry_gap", "min>120s"),
        ],
    );
    for device in [0, 1] {
        see(&mut observer, 5, device, booted());
        see(&mut observer, 10, device, DeviceEvent::Registered);
    }
    update(&mut observer, 100, 0);
    observer.advance(at(600));
    let live = observer.snapshot();
    assert_eq!(live.in_state(DeviceState::Updated), 1);
    assert_eq!(live.in_state(DeviceState::Registered), 1);
    let result = observer.finish(End::AllDone);
    let held = (Judged::Held, true);
    let found = judged(&result)
        .into_iter()
        .map(|(judged, of)| (judged, of.is_some()));
    let mut expected = vec![held; 6];
    expected.push((Judged::NoData, false));
    assert_eq!(
        found.collect::<Vec<_>>(),
        expected,
        "{:?}",
        result.thresholds
    );
    assert_eq!(result.exit_code(), 99, "no data is broken");
    assert_eq!(
        (result.devices, result.updated, result.duration_ms),
        (2, 1, 600_000)
    );
    assert_eq!(result.series.updated, [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(result.series.states["registered"][..3], [2, 1, 1]);
    assert_eq!(result.series.active["0"][..4], [0, 1, 1, 0]);
    let [slow] = &result.slowest[..] else {
        panic!("{:?}", result.slowest);
    };
    assert_eq!(
        (slow.endpoint.as_str(), slow.took_ms, slow.updated),
        ("device-0", 71_000, true)
    );
    let steps: Vec<_> = slow.steps.iter().map(|step| step.step.word()).collect();
    let expected = [
        "booted",
        "registered",
        "download_began",
        "downloaded",
        "execute_taken",
        "flashed",
        "updated",
    ];
    assert_eq!(steps, expected);
}

#[test]
fn scheduler_invariants_that_are_broken_break_their_thresholds() {
    let mut observer = observer(
        6,
        &[
            ("cell.active{tier=2}", "max<=1"),
            ("device.double_execute", "count==0"),
            ("device.second_flash", "count==0"),
            ("device.retry_gap", "min>=120s"),
            ("device.lost_update", "count==0"),
        ],
    );
    for device in [2, 5] {
        see(&mut observer, 10, device, DeviceEvent::UriAccepted);
    }
    update(&mut observer, 100, 0);
    see(&mut observer, 180, 0, DeviceEvent::ExecuteAccepted);
    see(&mut observer, 181, 0, flashed("2.0.0"));
    see(
        &mut observer,
        182,
        0,
        DeviceEvent::UpdateEnded { result: 1 },
    );
    see(
        &mut observer,
        200,
        2,
        DeviceEvent::DownloadFailed { result: 5 },
    );
    see(&mut observer, 300, 2, DeviceEvent::UriAccepted);
    let result = observer.finish(End::AllDone);
    let broken = |observed: f64| (Judged::Broken, Some(observed));
    assert_eq!(
        judged(&result),
        [
            broken(2.0),
            broken(1.0),
            broken(1.0),
            broken(100e6),
            broken(2.0)
        ]
    );
    let failure = FailureCount {
        said_by: SaidBy::Device,
        cause: "result_5".to_owned(),
        count: 1,
    };
    assert_eq!(result.failures, [failure]);
}

#[test]
fn who_begins_outside_of_the_windows_is_counted_and_who_goes_on_is_not() {
    let windows = Windows::parse(&[PushWindow {
        time_zone: "Etc/UTC".to_owned(),
        from_hour: 0,
        to_hour: 1,
        weekdays: Weekdays::ALL,
    }]);
    let thresholds = vec![Threshold::parse("cell.active_outside_window", "max==0").unwrap()];
    let config = ObserverConfig {
        windows: Some(windows.unwrap()),
        thresholds,
        ..config()
    };
    let mut observer = Observer::new(infos(3), config);
    see(&mut observer, 3590, 0, DeviceEvent::UriAccepted);
    see(&mut observer, 3601, 1, DeviceEvent::UriAccepted);
    see(&mut observer, 7200, 0, DeviceEvent::PowerCut);
    see(&mut observer, 7300, 0, DeviceEvent::UriAccepted);
    let of = |observer: &Observer| {
        let threshold = &observer.config.thresholds[0];
        threshold.judge(observer.metrics()).observed
    };
    assert_eq!(
        of(&observer),
        Some(0.0),
        "within, in its grace, and the same attempt"
    );
    see(
        &mut observer,
        7400,
        0,
        DeviceEvent::DownloadFailed { result: 4 },
    );
    see(&mut observer, 7500, 0, DeviceEvent::UriAccepted);
    assert_eq!(of(&observer), Some(1.0));
    see(
        &mut observer,
        7600,
        0,
        DeviceEvent::DownloadFailed { result: 4 },
    );
    see(&mut observer, 7700, 2, DeviceEvent::UriAccepted);
    assert_eq!(of(&observer), Some(1.0), "one at a time");
}

#[test]
fn another_version_than_the_target_is_no_success() {
    let mut observer = observer(1, &[("campaign.success_rate", "rate==0")]);
    see(&mut observer, 1, 0, DeviceEvent::UriAccepted);
    see(&mut observer, 2, 0, flashed("1.9.9"));
    see(&mut observer, 3, 0, DeviceEvent::UpdateEnded { result: 1 });
    let result = observer.finish(End::DurationOver);
    assert_eq!(result.exit_code(), 0, "{:?}", result.thresholds);
    assert_eq!(result.failures[0].cause, "version_mismatch");
    assert_eq!(result.series.states["failed"], [1]);
}

#[test]
fn coap_and_the_servers_cpu_are_set_against_blocks() {
    let mut observer = observer(
        1,
        &[
            ("coap.retransmit_ratio", "rate==0.25"),
            ("block.received", "rate==1"),
            ("server.cpu_per_block", "value==500"),
            ("server.rss", "max==3MiB"),
            ("coap.round_trip", "max==2s"),
        ],
    );
    let sample = |cpu_ms, mib: u64| ServerSample {
        cpu: Duration::from_millis(cpu_ms),
        rss_bytes: mib << 20,
    };
    observer.server(at(0), sample(1000, 3));
    for second in 0..10 {
        for sample in [
            CoapSample::Sent,
            CoapSample::RoundTrip(Duration::from_secs(2)),
            CoapSample::BlockReceived { size_bytes: 512 },
        ] {
            observer.coap(at(second), 0, sample);
        }
    }
    for _ in 0..2 {
        observer.coap(at(10), 0, CoapSample::Sent);
        observer.coap(at(10), 0, CoapSample::Retransmitted);
        observer.coap(at(10), 0, CoapSample::Retransmitted);
    }
    observer.server(at(10), sample(1005, 2));
    let before = Live::default();
    let rates = observer.snapshot().rates_since(&before);
    assert_eq!((rates.blocks, rates.block_bytes), (1.0, 512.0));
    assert_eq!(rates.retransmitted_share, 0.25);
    let result = observer.finish(End::DurationOver);
    assert_eq!(result.exit_code(), 0, "{:?}", result.thresholds);
    assert_eq!(result.series.server_cpu_ms, [5]);
    assert_eq!(result.series.block_bytes, [5120]);
}

#[test]
fn each_device_is_told_with_the_time_of_its_stages_and_why_it_failed() {
    let mut observer = observer(2, &[]);
    see(&mut observer, 10, 0, booted());
    see(&mut observer, 14, 0, DeviceEvent::Registered);
    see(&mut observer, 100, 0, DeviceEvent::UriAccepted);
    see(
        &mut observer,
        130,
        0,
        DeviceEvent::DownloadFailed { result: 5 },
    );
    observer.attempt_failed(at(131), Some(0), FailureReason::IntegrityCheckFailed);
    update(&mut observer, 300, 0);
    let size_bytes = 512;
    observer.coap(at(301), 0, CoapSample::BlockReceived { size_bytes });
    observer.coap(at(302), 0, CoapSample::Retransmitted);
    let rows: Vec<_> = observer.devices().collect();
    let seconds = |second| Some(Duration::from_secs(second));
    let expected = DeviceRow {
        endpoint: "device-0",
        mix: 0,
        cell: 1,
        ce: 0,
        state: DeviceState::Updated,
        attempts: 2,
        register: seconds(4),
        wait: seconds(86),
        download: seconds(60),
        rest: seconds(1),
        install: seconds(10),
        update: seconds(271),
        blocks: 1,
        block_bytes: 512,
        retransmitted: 1,
        failed_with: Some(Cause::Result(5)),
        server_says: Some(Cause::Server(FailureReason::IntegrityCheckFailed)),
    };
    assert_eq!(rows[0], expected);
    assert_eq!((rows[1].state, rows[1].wait), (DeviceState::Off, None));
    let mixes = ["a,b"];
    let lines: Vec<_> = crate::harness::devices_csv(&observer, &mixes).collect();
    assert_eq!(lines.len(), 3);
    let row =
        "device-0,\"a,b\",1,0,updated,2,4.000,86.000,60.000,1.000,10.000,271.000,1,512,1,result_5,";
    assert!(lines[1].starts_with(row), "{}", lines[1]);
    let columns = lines[0].split(',').count();
    // The mix's name has a comma.
    assert_eq!(lines[2].split(',').count(), columns + 1);
}

#[test]
fn the_slowest_are_told_the_slowest_first_and_no_more_than_twenty() {
    let mut observer = observer(90, &[]);
    for device in 0..90 {
        see(
            &mut observer,
            device,
            device as usize,
            DeviceEvent::UriAccepted,
        );
    }
    let ended = DeviceEvent::UpdateEnded { result: 1 };
    for device in 0..90u64 {
        see(
            &mut observer,
            1000 + 3 * device,
            device as usize,
            ended.clone(),
        );
    }
    let result = observer.finish(End::AllDone);
    let took: Vec<_> = result
        .slowest
        .iter()
        .map(|slow| slow.took_ms / 1000)
        .collect();
    let expected: Vec<_> = (70..90).rev().map(|device| 1000 + 2 * device).collect();
    assert_eq!(took, expected);
}

#[test]
fn a_result_is_read_as_it_was_written_and_another_form_is_refused() {
    let mut observer = observer(3, &[("device.update", "max<2m")]);
    for device in 0..3 {
        update(&mut observer, 10 * (1 + device as u64), device);
    }
    let result = observer.finish(End::Aborted {
        threshold: "x".to_owned(),
    });
    assert_eq!(result.exit_code(), 99);
    let text = result.to_json().unwrap();
    assert_eq!(RunResult::from_json(&text).unwrap(), result);
    let other = String::from_utf8(text)
        .unwrap()
        .replacen("\"schema\":1", "\"schema\":2", 1);
    let fault = RunResult::from_json(other.as_bytes())
        .unwrap_err()
        .to_string();
    assert!(fault.contains("form 2"), "{fault}");
}
