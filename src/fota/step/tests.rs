//! Tables of what is decided, over all that a device can report.

use std::sync::Arc;

use super::*;

const VERSIONS: [Option<&str>; 4] = [None, Some("V1"), Some("V0"), Some("V2")];

fn version(text: &str) -> FirmwareVersion {
    FirmwareVersion::parse(text).unwrap()
}

fn wanted() -> Wanted {
    Wanted {
        target_version: version("V2"),
        source_versions: vec![version("V1")],
        precedence: None,
        not_after: None,
        image_size_bytes: 2048,
        image: Image::default(),
        uri_base: "coap://203.0.113.5:5683/fw/".to_owned(),
        uri_suffix: String::new(),
    }
}

fn reported(state: State, result: i64, running: Option<&str>) -> Reported {
    Reported {
        state: Reading::Value(state),
        version: running.map_or(Reading::Unreadable(Some(Code::NOT_FOUND)), |text| {
            Reading::Value(version(text))
        }),
        result: Reading::Value(UpdateResult::from_number(result)),
        delivery_method: Reading::Unread,
        protocols: Reading::Unread,
        cell: Reading::Value(CellId(1)),
        rsrp: Reading::Value(Rsrp { dbm: -90 }),
        sinr: Reading::Value(Sinr { db: 10 }),
        ..Reported::default()
    }
}

const FRESH: Progress = Progress {
    uri: UriWrite::NotIntended,
    may_write_uri: true,
    uri_known: false,
    download_begun: false,
    own_package: false,
    execution: Execution::NotIntended,
    executed_before: false,
    resumed: false,
    slot: true,
    state_observation: Observation::Live,
    result_observation: Observation::Absent,
    severity_told: false,
    defer_period_told: false,
    settled: false,
};

const EXECUTED: Progress = Progress {
    uri: UriWrite::Accepted,
    download_begun: true,
    own_package: true,
    execution: Execution::Open,
    ..FRESH
};

fn next(reported: &Reported, progress: &Progress) -> Step {
    step(&wanted(), &Terms::default(), reported, progress)
}

fn failure(step: &Step) -> Option<FailureReason> {
    match step {
        Step::Fail(failure) => Some(failure.reason),
        Step::Read(_)
        | Step::AwaitCondition(_)
        | Step::Tell(..)
        | Step::AwaitDeferred
        | Step::RequestSlot(_)
        | Step::Observe(_)
        | Step::CancelObservation(_)
        | Step::WriteUri
        | Step::Push
        | Step::AwaitDownload
        | Step::AwaitIdle
        | Step::Execute
        | Step::AwaitOutcome
        | Step::Settle
        | Step::Succeed(_) => None,
    }
}

/// Every progress that the flags can make.
fn all_progress() -> impl Iterator<Item = Progress> {
    const URIS: [UriWrite; 4] = [
        UriWrite::NotIntended,
        UriWrite::Uncertain,
        UriWrite::Accepted,
        UriWrite::Refused(Code::METHOD_NOT_ALLOWED),
    ];
    const EXECUTIONS: [Execution; 3] = [Execution::NotIntended, Execution::Open, Execution::Over];
    (0_u32..1 << 8).flat_map(|flags| {
        let flag = move |bit: u32| flags >> bit & 1 == 1;
        URIS.into_iter().flat_map(move |uri| {
            EXECUTIONS.into_iter().map(move |execution| Progress {
                uri,
                execution,
                may_write_uri: flag(0),
                uri_known: flag(1),
                download_begun: flag(2),
                own_package: flag(3),
                executed_before: flag(4),
                resumed: flag(5),
                slot: flag(6),
                settled: flag(7),
                ..FRESH
            })
        })
    })
}

#[test]
fn no_combination_breaks_the_rules() {
    for progress in all_progress() {
        for state in State::ALL {
            for result in -1..=13 {
                for running in VERSIONS {
                    let reported = reported(state, result, running);
                    let step = next(&reported, &progress);
                    let case = (state, result, running, progress, &step);
                    if running == Some("V2") {
                        assert!(matches!(step, Step::Succeed(_)), "{case:?}");
                    }
                    if step == Step::WriteUri {
                        assert!(matches!(state, State::Idle | State::Downloaded), "{case:?}");
                        assert_eq!(progress.execution, Execution::NotIntended, "{case:?}");
                        assert!(progress.slot && running == Some("V1"), "{case:?}");
                    }
                    if step == Step::Execute {
                        assert_eq!(state, State::Downloaded, "{case:?}");
                        assert_eq!(progress.execution, Execution::NotIntended, "{case:?}");
                        assert!(progress.own_package && progress.slot, "{case:?}");
                        assert_eq!(running, Some("V1"), "{case:?}");
                    }
                    if matches!(step, Step::Succeed(_)) && running != Some("V2") {
                        assert_eq!((state, result, running), (State::Idle, 1, None), "{case:?}");
                        assert_ne!(progress.execution, Execution::NotIntended, "{case:?}");
                    }
                    assert!(!matches!(step, Step::Read(_)), "all was read: {case:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_read_comes_in_the_seeds_order() {
    let mut reported = Reported::default();
    let progress = Progress {
        slot: false,
        state_observation: Observation::Absent,
        ..FRESH
    };
    let full = self::reported(State::Idle, 0, Some("V1"));
    assert_eq!(next(&reported, &progress), Step::Read(path::FIRMWARE_STATE));
    reported.state = full.state;
    assert_eq!(
        next(&reported, &progress),
        Step::Read(path::DEVICE_FIRMWARE_VERSION)
    );
    reported.version = full.version;
    assert_eq!(next(&reported, &progress), Step::Read(path::CELL_ID));
    reported.cell = full.cell;
    assert_eq!(
        next(&reported, &progress),
        Step::Read(path::RADIO_SIGNAL_STRENGTH)
    );
    reported.rsrp = full.rsrp;
    assert_eq!(next(&reported, &progress), Step::Read(path::SIGNAL_SNR));
    reported.sinr = full.sinr;
    let claim = SlotClaim {
        cell: CellId(1),
        tier: CoverageTier::Tier0,
    };
    assert_eq!(next(&reported, &progress), Step::RequestSlot(claim));
    let progress = Progress {
        slot: true,
        ..progress
    };
    assert_eq!(
        next(&reported, &progress),
        Step::Observe(path::FIRMWARE_STATE)
    );
    assert_eq!(next(&reported, &FRESH), Step::WriteUri);
}

#[test]
fn before_execute_state_decides() {
    let own = Progress {
        own_package: true,
        ..FRESH
    };
    let accepted = Progress {
        uri: UriWrite::Accepted,
        ..FRESH
    };
    let table = [
        (State::Idle, FRESH, Step::WriteUri),
        (State::Downloading, FRESH, Step::AwaitIdle),
        (State::Downloading, accepted, Step::AwaitDownload),
        (State::Downloaded, FRESH, Step::WriteUri),
        (State::Downloaded, accepted, Step::AwaitDownload),
        (State::Downloaded, own, Step::Execute),
        (State::Updating, FRESH, Step::AwaitOutcome),
        (State::Updating, own, Step::AwaitOutcome),
    ];
    for (state, progress, expected) in table {
        let step = next(&reported(state, 0, Some("V1")), &progress);
        assert_eq!(step, expected, "{state:?} {progress:?}");
    }
}

/// What is expected after Execute.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Waits,
    Settles,
    Fails(FailureReason),
}

/// State, result, version; what follows at first, and once it has settled.
const AFTER_EXECUTE: [(State, i64, Option<&str>, Expected, Expected); 14] = {
    use Expected::{Fails, Settles, Waits};
    use FailureReason::{
        IntegrityCheckFailed as Integrity, UpdateFailed, VerificationTimeout as Unverified,
        VersionMismatch,
    };
    use State::{Downloaded, Downloading, Idle, Updating};
    [
        (Idle, 0, Some("V1"), Settles, Fails(UpdateFailed)),
        (Idle, 1, Some("V1"), Settles, Fails(VersionMismatch)),
        (Idle, 0, None, Fails(Unverified), Fails(Unverified)),
        (Idle, 5, Some("V1"), Fails(Integrity), Fails(Integrity)),
        (Idle, 8, None, Fails(UpdateFailed), Fails(UpdateFailed)),
        (Idle, 11, Some("V1"), Waits, Waits),
        (
            Idle,
            77,
            Some("V1"),
            Fails(UpdateFailed),
            Fails(UpdateFailed),
        ),
        (Downloading, 0, Some("V1"), Waits, Waits),
        (Downloaded, 0, Some("V1"), Settles, Fails(UpdateFailed)),
        (Downloaded, 1, Some("V1"), Settles, Fails(UpdateFailed)),
        (
            Downloaded,
            8,
            Some("V1"),
            Fails(UpdateFailed),
            Fails(UpdateFailed),
        ),
        (Downloaded, 11, Some("V1"), Waits, Waits),
        (Updating, 0, Some("V1"), Waits, Waits),
        (Updating, 8, Some("V1"), Waits, Waits),
    ]
};

#[test]
fn after_execute_state_result_and_version_decide() {
    for (state, result, running, at_first, settled) in AFTER_EXECUTE {
        for (is_settled, expected) in [(false, at_first), (true, settled)] {
            let progress = Progress {
                settled: is_settled,
                ..EXECUTED
            };
            let step = next(&reported(state, result, running), &progress);
            let case = (state, result, running, is_settled, &step);
            match expected {
                Expected::Waits if result == 11 => {
                    assert_eq!(step, Step::AwaitDeferred, "{case:?}");
                }
                Expected::Waits => assert_eq!(step, Step::AwaitOutcome, "{case:?}"),
                Expected::Settles => assert_eq!(step, Step::Settle, "{case:?}"),
                Expected::Fails(reason) => assert_eq!(failure(&step), Some(reason), "{case:?}"),
            }
        }
    }
}

#[test]
fn a_rebooted_or_refusing_device_in_state_2_is_not_given_time() {
    let over = Progress {
        execution: Execution::Over,
        ..EXECUTED
    };
    let step = next(&reported(State::Downloaded, 0, Some("V1")), &over);
    assert_eq!(failure(&step), Some(FailureReason::UpdateFailed));
}

#[test]
fn up_to_date_is_said_only_where_nothing_was_done() {
    let reported = reported(State::Idle, 1, Some("V2"));
    let up_to_date = Step::Succeed(Some(SuccessNote::UpToDate));
    assert_eq!(next(&reported, &FRESH), up_to_date);
    for touched in [
        EXECUTED,
        Progress {
            uri_known: true,
            ..FRESH
        },
        Progress {
            executed_before: true,
            ..FRESH
        },
    ] {
        assert_eq!(next(&reported, &touched), Step::Succeed(None));
    }
}

#[test]
fn an_empty_list_of_source_versions_means_any() {
    let mut wanted = wanted();
    let reported = reported(State::Idle, 0, Some("V0"));
    let decide = |wanted: &Wanted| step(wanted, &Terms::default(), &reported, &FRESH);
    assert_eq!(failure(&decide(&wanted)), Some(FailureReason::NotEligible));
    wanted.source_versions.clear();
    assert_eq!(decide(&wanted), Step::WriteUri);
}

#[test]
fn a_device_is_not_taken_back_to_a_lower_sequence() {
    let decide = |running: &str, given: Option<u64>, execution: &Progress| {
        let wanted = Wanted {
            source_versions: Vec::new(),
            precedence: Some(Precedence {
                sequence: 5,
                released: Arc::new(BTreeMap::from([(version("V7"), 7), (version("V3"), 3)])),
                given,
            }),
            ..wanted()
        };
        let reported = reported(State::Idle, 0, Some(running));
        step(&wanted, &Terms::default(), &reported, execution)
    };
    // What it reports decides; what it was given, where nobody knows what it reports.
    for (running, given, is_downgrade) in [
        ("V7", None, true),
        ("V7", Some(3), true),
        ("V3", Some(7), false),
        ("V9", Some(7), true),
        ("V9", Some(5), false),
        ("V9", None, false),
    ] {
        let step = decide(running, given, &FRESH);
        if is_downgrade {
            assert_eq!(failure(&step), Some(FailureReason::NotEligible));
            let Step::Fail(failure) = step else {
                unreachable!()
            };
            assert!(failure.evidence.contains("sequence 7, the package 5"));
        } else {
            assert_eq!(step, Step::WriteUri, "{running} {given:?}");
        }
    }
    // What is being flashed already is not judged by what it came from.
    assert_eq!(
        failure(&decide("V7", None, &EXECUTED)),
        failure(&decide("V3", None, &EXECUTED))
    );
}

#[test]
fn a_url_is_told_only_to_a_device_that_does_not_say_that_it_knows_no_http() {
    let mut terms = Terms::default();
    Arc::make_mut(&mut terms.settings).download = DownloadProtocol::Http;
    let next = |protocols: Reading<Vec<i64>>| {
        let reported = Reported {
            protocols,
            ..reported(State::Idle, 0, Some("V1"))
        };
        step(&wanted(), &terms, &reported, &FRESH)
    };
    assert_eq!(next(Reading::Unread), Step::Read(path::FIRMWARE_PROTOCOLS));
    for protocols in [
        Reading::Value(vec![0, 2]),
        Reading::Unreadable(Some(Code::NOT_FOUND)),
        Reading::Unreadable(None),
    ] {
        assert_eq!(next(protocols), Step::WriteUri);
    }
    for listed in [vec![0, 1], vec![3], Vec::new()] {
        let told = next(Reading::Value(listed));
        assert_eq!(failure(&told), Some(FailureReason::UnsupportedProtocol));
    }
}

#[test]
fn protocols_are_of_interest_only_where_a_url_would_be_told() {
    let reported = Reported {
        protocols: Reading::Value(vec![0]),
        ..reported(State::Idle, 0, Some("V1"))
    };
    assert_eq!(next(&reported, &FRESH), Step::WriteUri);
    let mut terms = Terms::default();
    Arc::make_mut(&mut terms.settings).download = DownloadProtocol::Http;
    Arc::make_mut(&mut terms.settings).delivery = Delivery::Push;
    assert_eq!(step(&wanted(), &terms, &reported, &FRESH), Step::Push);
}
