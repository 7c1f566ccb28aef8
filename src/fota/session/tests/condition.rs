//! What a campaign asks of a device before it waits for a slot.

use std::time::Duration;

use super::bench::{Bench, Device, NEW, new_task, secs, wanted};
use crate::fota::{Contact, End, Said, Terms};
use crate::lwm2m::{Answer, Path, path};
use crate::model::{
    FailureReason, Phase, Preconditions, TaskState, TimelineStep, UnknownValue, WaitingFor,
};

const ASKED: Preconditions = Preconditions {
    battery_percent_min: Some(30),
    rsrp_dbm_min: Some(-110),
    sinr_db_min: Some(0),
    free_kib_min: Some(512),
    unknown: UnknownValue::Allow,
};

fn bench(device: Device, preconditions: Preconditions) -> Bench {
    let terms = Terms {
        preconditions,
        ..Terms::default()
    };
    let mut bench = Bench::with(device, wanted(), terms, new_task());
    bench.run();
    bench
}

fn waits(bench: &Bench) -> bool {
    bench.committed.waiting_for == Some(WaitingFor::Condition)
}

fn evidence(bench: &Bench) -> Vec<&str> {
    let unmet = |entry: &&(TimelineStep, String)| entry.0 == TimelineStep::ConditionUnmet;
    let steps = bench.timeline.iter().filter(unmet);
    steps.map(|(_, detail)| detail.as_str()).collect()
}

#[test]
fn a_device_that_has_all_goes_on_and_what_was_read_is_told() {
    let bench = bench(Device::default(), ASKED);
    assert_eq!(
        bench.operations(),
        [
            "read /5/0/3",
            "read /3/0/3",
            "read /4/0/8",
            "read /4/0/2",
            "read /4/0/11",
            "read /3/0/9",
            "read /3/0/10",
            "observe /5/0/3",
            "write /5/0/1",
        ]
    );
    let negotiated = bench
        .timeline
        .iter()
        .find(|it| it.0 == TimelineStep::Negotiated);
    let told = "asked for: /3/0/9 = 80 %; /4/0/2 = -97 dBm; /4/0/11 = 9 dB; /3/0/10 = 4096 KiB";
    assert!(negotiated.unwrap().1.ends_with(told), "{negotiated:?}");
}

fn said(bench: &Bench, age: Duration, numbers: &[(Path, i64)]) -> Said {
    let mut said = Said::default();
    for (path, value) in numbers {
        said.note(bench.now.instant, *path, *value, age);
    }
    said
}

const SENT: [(Path, i64); 5] = [
    (path::CELL_ID, 4711),
    (path::RADIO_SIGNAL_STRENGTH, -90),
    (path::SIGNAL_SNR, 20),
    (path::BATTERY_LEVEL, 70),
    (path::MEMORY_FREE, 900),
];

#[test]
fn what_a_device_has_just_sent_is_taken_instead_of_reading_it() {
    let terms = Terms {
        preconditions: ASKED,
        ..Terms::default()
    };
    for (age, is_taken) in [(0, true), (120, true), (180, false)] {
        let mut bench = Bench::with(Device::default(), wanted(), terms.clone(), new_task());
        let said = said(&bench, secs(age), &SENT);
        bench.session.handle_said(bench.now, &said);
        bench.run();
        for (path, _) in SENT {
            assert_eq!(
                bench.count(&format!("read {path}")) == 0,
                is_taken,
                "{path}"
            );
        }
        let cell = bench.requested.or(bench.slot).map(|claim| claim.cell.0);
        assert_eq!(cell, Some(if is_taken { 4711 } else { 21103 }));
        let notes = bench
            .timeline
            .iter()
            .filter(|it| it.0 == TimelineStep::Note);
        let notes: Vec<_> = notes.map(|it| it.1.as_str()).collect();
        let told = notes
            .iter()
            .any(|it| it.contains("/3/0/9 = 70, /3/0/10 = 900"));
        assert_eq!(told, is_taken, "{notes:?}");
    }
}

#[test]
fn a_device_that_says_what_it_lacked_goes_on_at_once_and_is_asked_the_next_time() {
    let device = Device {
        battery_percent: Some(3),
        ..Device::default()
    };
    let mut bench = bench(device, ASKED);
    assert!(waits(&bench));
    let reads = bench.count("read /3/0/9");
    let low = said(&bench, secs(0), &[(path::BATTERY_LEVEL, 29)]);
    bench.session.handle_said(bench.now, &low);
    bench.contact(Contact::Uplink);
    bench.run();
    assert!(waits(&bench));
    let enough = said(&bench, secs(0), &[(path::BATTERY_LEVEL, 30)]);
    bench.session.handle_said(bench.now, &enough);
    bench.contact(Contact::Uplink);
    bench.run();
    assert!(!waits(&bench), "{:?}", bench.log);
    assert_eq!(bench.count("read /3/0/9"), reads);
}

#[test]
fn nothing_is_read_that_is_not_asked_for() {
    let bench = bench(Device::default(), Preconditions::default());
    assert_eq!(bench.count("read /3/0/9") + bench.count("read /3/0/10"), 0);
}

#[test]
fn what_a_device_lacks_keeps_it_waiting_with_the_evidence_and_without_a_slot() {
    let low = |change: fn(&mut Device)| {
        let mut device = Device::default();
        change(&mut device);
        let bench = bench(device, ASKED);
        assert!(waits(&bench), "{:?}", bench.log);
        assert_eq!(bench.count("request slot"), 0);
        let task = &bench.committed;
        assert_eq!(
            (task.state, task.phase),
            (TaskState::Running, Phase::Negotiating)
        );
        assert!(task.until.is_some());
        evidence(&bench).join("|")
    };
    let least = "at least 30 % is asked for";
    assert_eq!(
        low(|it| it.battery_percent = Some(29)),
        format!("/3/0/9 = 29 %, {least}")
    );
    assert_eq!(
        low(|it| it.rsrp = Some(-111)),
        "/4/0/2 = -111 dBm, at least -110 dBm is asked for"
    );
    assert_eq!(
        low(|it| it.sinr = Some(-1)),
        "/4/0/11 = -1 dB, at least 0 dB is asked for"
    );
    assert_eq!(
        low(|it| it.free_kib = Some(511)),
        "/3/0/10 = 511 KiB, at least 512 KiB is asked for"
    );
    let both = low(|it| (it.battery_percent, it.free_kib) = (Some(3), Some(1)));
    assert!(
        both.contains("/3/0/9 = 3 %") && both.contains("; /3/0/10 = 1 KiB"),
        "{both}"
    );
}

#[test]
fn external_power_makes_up_for_a_low_battery() {
    for (status, goes_on) in [
        (1, true),
        (2, true),
        (5, true),
        (0, false),
        (3, false),
        (4, false),
    ] {
        let device = Device {
            battery_percent: Some(5),
            battery_status: Some(status),
            ..Device::default()
        };
        let bench = bench(device, ASKED);
        assert_eq!(!waits(&bench), goes_on, "{status}");
        assert_eq!(bench.count("read /3/0/20"), 1);
    }
}

#[test]
fn what_cannot_be_read_counts_as_met_and_is_told_so_unless_the_campaign_waits_for_it() {
    let device = Device {
        battery_percent: None,
        battery_status: None,
        free_kib: None,
        sinr: None,
        ..Device::default()
    };
    let allowed = bench(device.clone(), ASKED);
    assert!(!waits(&allowed));
    let negotiated = allowed
        .timeline
        .iter()
        .find(|it| it.0 == TimelineStep::Negotiated);
    let told = &negotiated.unwrap().1;
    let unknown = "/3/0/9 is unknown, at least 30 % is asked for, which counts as met";
    assert!(told.contains(unknown), "{told}");
    let asked = Preconditions {
        unknown: UnknownValue::Wait,
        ..ASKED
    };
    let bench = bench(device, asked);
    assert!(waits(&bench));
    assert_eq!(
        evidence(&bench),
        [
            "/3/0/9 is unknown, at least 30 % is asked for; /4/0/11 is unknown, at least 0 dB is asked \
          for; /3/0/10 is unknown, at least 512 KiB is asked for"
        ]
    );
}

#[test]
fn a_device_that_does_not_answer_in_time_has_no_known_value() {
    let terms = Terms {
        preconditions: ASKED,
        ..Terms::default()
    };
    let mut bench = Bench::with(Device::default(), wanted(), terms, new_task());
    bench.run_to("read /3/0/9");
    bench.answer(Answer::TimedOut);
    bench.pass(secs(180));
    bench.contact(Contact::Uplink);
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 1, "{:?}", bench.log);
}

#[test]
fn it_is_looked_at_again_at_its_next_contact_in_the_same_attempt() {
    let low = Device {
        battery_percent: Some(10),
        ..Device::default()
    };
    let mut bench = bench(low, ASKED);
    bench.asleep();
    bench.pass(secs(3600));
    bench.contact(Contact::Uplink);
    bench.run();
    assert!(waits(&bench));
    assert_eq!(bench.count("read /3/0/9"), 2);
    assert_eq!(evidence(&bench).len(), 1, "the same is not told twice");
    bench.device.battery_percent = Some(31);
    bench.asleep();
    bench.pass(secs(3600));
    bench.contact(Contact::Uplink);
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 1);
    assert_eq!(bench.committed.attempt, 1);
    bench.notify(1);
    bench.block(512);
    bench.notify(2);
    bench.run();
    bench.device.version = Some(NEW);
    bench.device.result = Some(1);
    bench.notify(0);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
}

#[test]
fn a_chatty_device_is_not_read_at_each_word() {
    let low = Device {
        battery_percent: Some(10),
        ..Device::default()
    };
    let mut bench = bench(low, ASKED);
    for _ in 0..17 {
        bench.pass(secs(60));
        bench.contact(Contact::Uplink);
        bench.run();
    }
    assert_eq!(bench.count("read /3/0/9"), 1 + 5);
}

#[test]
fn its_time_is_over_whenever_it_is_heard_and_over_restarts() {
    for restarts in [false, true] {
        let low = Device {
            battery_percent: Some(10),
            ..Device::default()
        };
        let mut bench = bench(low, ASKED);
        for hour in 1..24 {
            bench.asleep();
            bench.pass(secs(3600));
            if restarts && hour % 5 == 0 {
                bench.restart();
                bench.asleep();
            }
            assert!(bench.end.is_none(), "hour {hour}");
            bench.contact(Contact::Uplink);
            bench.run();
        }
        assert!(waits(&bench));
        bench.pass(secs(3600));
        assert_eq!(bench.failure(), FailureReason::ConditionUnmet);
        let failure = bench.committed.failure.clone().unwrap();
        assert!(failure.evidence.contains("/3/0/9 = 10 %"), "{failure:?}");
    }
}

#[test]
fn one_that_sleeps_shows_that_it_waits_for_its_condition_also_after_a_restart() {
    let low = Device {
        free_kib: Some(0),
        ..Device::default()
    };
    let mut bench = bench(low, ASKED);
    bench.asleep();
    let until = bench.committed.until;
    bench.pass(secs(600));
    bench.restart();
    bench.asleep();
    assert!(waits(&bench), "{:?}", bench.committed);
    assert_eq!(bench.committed.until, until);
}
