//! Whatever the device, the network and the server's restarts do: Execute leaves at most once in an
//! attempt, the URI is never written over a running download, and every attempt ends.

use std::sync::Arc;

use proptest::prelude::*;

use super::bench::{Bench, Device, NEW, new_task, secs, wanted};
use crate::coap::Code;
use crate::fota::{Contact, Terms};
use crate::lwm2m::{Answer, Value, path};
use crate::model::{Delivery, ObservationCancel, SlotHeld, TaskState, UpdateCancel, UpdateTask};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Input {
    /// The device answers as it is, or the scheduler grants.
    Turn,
    /// The answer is lost, or is another one.
    Answer(Answer),
    /// An answer to nothing.
    StrayAnswer,
    Become {
        state: i64,
        result: Option<i64>,
        version: Option<&'static str>,
    },
    Notify(i64),
    NotifyResult(i64),
    Contact(Contact),
    Asleep,
    Block(u64),
    Taken(u64),
    Grant,
    Pass(u64),
    Restart,
    Stop,
    /// Several devices answer to the name, or no longer.
    Hold,
    Release,
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::TimedOut),
        Just(Answer::Reset),
        Just(Answer::Done),
        Just(Answer::Unreadable),
        Just(Answer::Refused(Code::NOT_FOUND)),
        Just(Answer::Refused(Code::METHOD_NOT_ALLOWED)),
        Just(Answer::Refused(Code::SERVICE_UNAVAILABLE)),
        (-1_i64..=13).prop_map(|number| Answer::Value(Value::Integer(number))),
        Just(Answer::Value(Value::Text(String::new()))),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    let version = prop_oneof![
        4 => Just(Some("V1")),
        1 => Just(Some("V1.5")),
        1 => Just(Some(NEW)),
        1 => Just(None),
    ];
    prop_oneof![
        30 => Just(Input::Turn),
        4 => answer().prop_map(Input::Answer),
        1 => Just(Input::StrayAnswer),
        6 => (0_i64..=4, proptest::option::of(0_i64..=12), version)
            .prop_map(|(state, result, version)| Input::Become { state, result, version }),
        8 => (0_i64..=4).prop_map(Input::Notify),
        2 => (0_i64..=12).prop_map(Input::NotifyResult),
        6 => prop_oneof![
            Just(Contact::Register),
            Just(Contact::Update),
            Just(Contact::Uplink)
        ].prop_map(Input::Contact),
        3 => Just(Input::Asleep),
        6 => (1_u64..=4).prop_map(|block| Input::Block(block * 512)),
        4 => (1_u64..=4).prop_map(|block| Input::Taken(block * 512)),
        1 => Just(Input::Grant),
        6 => prop_oneof![Just(1_u64), Just(60), Just(200), Just(4000)].prop_map(Input::Pass),
        3 => Just(Input::Restart),
        1 => Just(Input::Stop),
        2 => Just(Input::Hold),
        3 => Just(Input::Release),
    ]
}

fn terms() -> impl Strategy<Value = Terms> {
    let flags = any::<[bool; 5]>();
    let words = (0..Delivery::ALL.len(), 0..UpdateCancel::ALL.len());
    (flags, words).prop_map(|(flags, (delivery, cancel))| {
        let [after_download, until_downloaded, observe, trust, named] = flags;
        let mut terms = Terms {
            names_cancel: named,
            ..Terms::default()
        };
        Arc::make_mut(&mut terms.settings).delivery = Delivery::ALL[delivery];
        Arc::make_mut(&mut terms.settings).cancel = UpdateCancel::ALL[cancel];
        if after_download {
            Arc::make_mut(&mut terms.settings).observation_cancel =
                ObservationCancel::AfterDownload;
        }
        if until_downloaded {
            Arc::make_mut(&mut terms.settings).slot_held = SlotHeld::UntilDownloaded;
        }
        Arc::make_mut(&mut terms.settings).observe_result = observe;
        Arc::make_mut(&mut terms.settings).trust_result_only = trust;
        terms
    })
}

/// What must hold at any time, counted over restarts and attempts.
#[derive(Default)]
struct Judge {
    executes: Vec<u8>,
    /// The State that an answer or a notification last brought, as the session heard it.
    last_state: Option<i64>,
    asleep: bool,
    held: bool,
}

impl Judge {
    fn watch(&mut self, bench: &mut Bench) {
        let attempt = bench.session.task().attempt;
        let task = bench.session.task();
        let durable = |task: &UpdateTask| {
            (
                (task.state, task.phase, task.attempt, task.slot),
                (
                    task.uri_intended,
                    task.execute_intended_attempt,
                    task.capability,
                ),
                (task.failure.clone(), task.note),
            )
        };
        assert_eq!(durable(task), durable(&bench.committed), "not committed");
        for entry in std::mem::take(&mut bench.log) {
            let asked = ["read", "write", "empty", "execute", "observe", "cancel"]
                .iter()
                .any(|operation| entry.starts_with(operation));
            assert!(!(asked && self.asleep), "{entry} to a sleeping device");
            assert!(!(asked && self.held), "{entry} while it is held");
            match entry.as_str() {
                "execute /5/0/2" => {
                    assert!(!self.executes.contains(&attempt), "a second Execute");
                    assert_eq!(bench.committed.execute_intended_attempt, Some(attempt));
                    self.executes.push(attempt);
                }
                "write /5/0/1" => {
                    assert_ne!(self.last_state, Some(1), "the URI over a running download");
                    assert!(bench.committed.uri_intended && bench.committed.slot.is_some());
                    assert!(bench.serving, "a URI that is not served");
                }
                "write /5/0/0" => {
                    assert!(bench.committed.uri_intended && bench.committed.slot.is_some());
                    assert!(!self.executes.contains(&attempt), "over what is installed");
                    assert_ne!(self.last_state, Some(3), "over what is installed");
                }
                _ => {}
            }
        }
        assert!(
            bench.committed.slot.is_some() || !bench.serving,
            "served without a slot"
        );
        if bench.end.is_some() {
            assert_eq!(bench.session.poll_timeout(), None);
            assert!(bench.committed.state.is_final());
            assert_eq!(
                (bench.slot, bench.requested, bench.serving),
                (None, None, false)
            );
            assert_eq!(bench.outstanding, None);
        }
    }

    fn hear(&mut self, bench: &Bench, answer: &Answer) {
        let asked = bench.outstanding.as_ref().map(super::bench::name);
        if matches!(asked.as_deref(), Some("read /5/0/3" | "observe /5/0/3"))
            && let Answer::Value(value) = answer
            && let Some(state @ 0..=3) = value.as_integer()
        {
            self.last_state = Some(state);
        }
    }

    /// What the judge goes by from now on.
    fn note(&mut self, input: &Input) {
        match input {
            Input::Asleep => self.asleep = true,
            Input::Notify(_)
            | Input::NotifyResult(_)
            | Input::Contact(_)
            | Input::Block(_)
            | Input::Taken(_) => self.asleep = false,
            Input::Restart => (self.asleep, self.held) = (false, false),
            Input::Hold => self.held = true,
            Input::Release => self.held = false,
            Input::Turn
            | Input::Answer(_)
            | Input::StrayAnswer
            | Input::Become { .. }
            | Input::Grant
            | Input::Pass(_)
            | Input::Stop => {}
        }
    }

    fn apply(&mut self, bench: &mut Bench, input: Input) {
        self.note(&input);
        match input {
            Input::Turn => {
                if let Some(operation) = &bench.outstanding {
                    let answer = bench.device.answer(operation);
                    self.hear(bench, &answer);
                }
                bench.turn();
            }
            Input::Answer(answer) => {
                if bench.outstanding.is_some() {
                    self.hear(bench, &answer);
                    bench.answer(answer);
                }
            }
            Input::StrayAnswer => {
                if bench.outstanding.is_none() {
                    bench.session.handle_answer(bench.now, Answer::Done);
                    bench.drain();
                }
            }
            Input::Become {
                state,
                result,
                version,
            } => {
                bench.device.state = state;
                bench.device.result = result;
                bench.device.version = version;
            }
            Input::Notify(state) => {
                self.last_state = Some(state);
                bench.notify(state);
            }
            Input::NotifyResult(result) => {
                bench.notify_other(path::FIRMWARE_UPDATE_RESULT, result);
            }
            Input::Contact(contact) => bench.contact(contact),
            Input::Asleep => bench.asleep(),
            Input::Taken(bytes) => bench.taken(bytes),
            Input::Block(end_offset_bytes) => bench.block(end_offset_bytes),
            Input::Grant => {
                if let Some(claim) = bench.requested.take() {
                    bench.slot = Some(claim);
                }
                bench.session.handle_grant(bench.now);
                bench.drain();
            }
            Input::Pass(seconds) => bench.pass(secs(seconds)),
            Input::Restart => bench.restart(),
            Input::Stop => bench.stop(),
            Input::Hold => bench.hold(),
            Input::Release => bench.release(),
        }
    }
}

/// With a device that says nothing more, an attempt ends by its deadlines alone.
fn runs_out(bench: &mut Bench, judge: &mut Judge) {
    for _ in 0..40 {
        if bench.end.is_some() {
            return;
        }
        bench.pass_to_deadline();
        judge.watch(bench);
    }
    panic!("never ends: {:?}", bench.session);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn execute_leaves_once_no_download_is_overwritten_and_all_ends(
        inputs in proptest::collection::vec(input(), 1..80),
        terms in terms(),
        delivery_method in proptest::option::of(0_i64..=3),
        answering in any::<bool>(),
    ) {
        let device = Device { delivery_method, ..Device::default() };
        let mut bench = Bench::with(device, wanted(), terms, new_task());
        let mut judge = Judge::default();
        judge.watch(&mut bench);
        for input in inputs {
            if bench.end.is_some() {
                if bench.committed.state != TaskState::Failed {
                    break;
                }
                // The next attempt, as a retry policy would have it.
                bench.committed.state = TaskState::Pending;
                bench.end = None;
                bench.restart();
                (judge.asleep, judge.held) = (false, false);
            } else {
                judge.apply(&mut bench, input);
            }
            judge.watch(&mut bench);
        }
        for _ in 0..if answering { 500 } else { 0 } {
            if bench.end.is_some() {
                break;
            }
            if bench.outstanding.is_some() || bench.requested.is_some() {
                judge.apply(&mut bench, Input::Turn);
            } else {
                bench.pass_to_deadline();
            }
            judge.watch(&mut bench);
        }
        prop_assert!(!answering || bench.end.is_some(), "{:?}", bench.session);
        runs_out(&mut bench, &mut judge);
    }
}
