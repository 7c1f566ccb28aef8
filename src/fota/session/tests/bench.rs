//! The bench: a session, a clock, a device, and all that the session asked for.

use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Instant, Now, Utc};
use crate::coap::Code;
use crate::fota::{Action, Contact, End, Session, Terms, Wanted};
use crate::lwm2m::{Answer, Operation, Path, Value, path};
use crate::model::{
    CampaignId, DeviceReport, DownloadCapability, EndpointName, Failure, FailureReason,
    FirmwareVersion, Image, SlotClaim, SlotHeld, StopMode, TaskId, TimelineStep, UpdateTask,
    WaitingFor, WaitingRoomPolicy,
};

pub(super) const OLD: &str = "V1";
pub(super) const NEW: &str = "V2";
pub(super) const SIZE_BYTES: u64 = 2048;

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a device would say if it were asked. `None` is 4.04.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) state: i64,
    pub(super) result: Option<i64>,
    pub(super) version: Option<&'static str>,
    pub(super) cell: Option<i64>,
    pub(super) rsrp: Option<i64>,
    pub(super) sinr: Option<i64>,
    pub(super) delivery_method: Option<i64>,
    pub(super) battery_percent: Option<i64>,
    pub(super) battery_status: Option<i64>,
    pub(super) free_kib: Option<i64>,
    pub(super) execute: Answer,
    pub(super) write: Answer,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            state: 0,
            result: Some(0),
            version: Some(OLD),
            cell: Some(21103),
            rsrp: Some(-97),
            sinr: Some(9),
            delivery_method: None,
            battery_percent: Some(80),
            battery_status: Some(0),
            free_kib: Some(4096),
            execute: Answer::Done,
            write: Answer::Done,
        }
    }
}

impl Device {
    pub(super) fn answer(&self, operation: &Operation) -> Answer {
        let integer = |value: Option<i64>| {
            value.map_or(Answer::Refused(Code::NOT_FOUND), |value| {
                Answer::Value(Value::Integer(value))
            })
        };
        match operation {
            Operation::Read(path::FIRMWARE_STATE) | Operation::Observe(path::FIRMWARE_STATE) => {
                integer(Some(self.state))
            }
            Operation::Read(path::FIRMWARE_UPDATE_RESULT)
            | Operation::Observe(path::FIRMWARE_UPDATE_RESULT) => integer(self.result),
            Operation::Read(path::DEVICE_FIRMWARE_VERSION) => self
                .version
                .map_or(Answer::Refused(Code::NOT_FOUND), |version| {
                    Answer::Value(Value::Text(version.to_owned()))
                }),
            Operation::Read(path::CELL_ID) => integer(self.cell),
            Operation::Read(path::RADIO_SIGNAL_STRENGTH) => integer(self.rsrp),
            Operation::Read(path::SIGNAL_SNR) => integer(self.sinr),
            Operation::Read(path::BATTERY_LEVEL) => integer(self.battery_percent),
            Operation::Read(path::BATTERY_STATUS) => integer(self.battery_status),
            Operation::Read(path::MEMORY_FREE) => integer(self.free_kib),
            Operation::WriteText { .. } | Operation::WritePackage(_) => self.write.clone(),
            Operation::Read(path::FIRMWARE_DELIVERY_METHOD) => integer(self.delivery_method),
            Operation::Execute(_) => self.execute.clone(),
            Operation::CancelObservation(_) => Answer::Done,
            Operation::Read(_) | Operation::Observe(_) => Answer::Refused(Code::NOT_FOUND),
        }
    }
}

/// The short name of an operation, as the scripts expect it.
pub(super) fn name(operation: &Operation) -> String {
    match operation {
        Operation::Read(path) => format!("read {path}"),
        Operation::WriteText { path, text } if text.is_empty() => format!("empty {path}"),
        Operation::WriteText { .. } | Operation::WritePackage(_) => {
            format!("write {}", operation.path())
        }
        Operation::Execute(path) => format!("execute {path}"),
        Operation::Observe(path) => format!("observe {path}"),
        Operation::CancelObservation(path) => format!("cancel {path}"),
    }
}

pub(super) struct Bench {
    pub(super) now: Now,
    pub(super) session: Session,
    pub(super) device: Device,
    pub(super) wanted: Wanted,
    pub(super) terms: Terms,
    /// The task as of the last commit.
    pub(super) committed: UpdateTask,
    pub(super) outstanding: Option<Operation>,
    /// Operations in order, and other actions by short names between them.
    pub(super) log: Vec<String>,
    pub(super) timeline: Vec<(TimelineStep, String)>,
    pub(super) report: DeviceReport,
    pub(super) slot: Option<SlotClaim>,
    pub(super) requested: Option<SlotClaim>,
    /// A ping is under way.
    pub(super) pinged: bool,
    pub(super) serving: bool,
    pub(super) end: Option<End>,
}

pub(super) fn wanted() -> Wanted {
    Wanted {
        target_version: FirmwareVersion::parse(NEW).unwrap(),
        source_versions: Vec::new(),
        precedence: None,
        not_after: None,
        image_size_bytes: SIZE_BYTES,
        image: Image::from(Bytes::from_static(&[7; SIZE_BYTES as usize])),
        uri_base: "coap://203.0.113.5:5683/fw/".to_owned(),
        uri_suffix: String::new(),
    }
}

pub(super) fn new_task() -> UpdateTask {
    let endpoint = EndpointName::parse("urn:imei:860000000000001").unwrap();
    UpdateTask::new(TaskId(1), CampaignId(1), endpoint, Utc::from_unix_ms(0))
}

pub(super) fn start() -> Now {
    Now {
        instant: Instant::from_origin(secs(1000)),
        utc: Utc::from_unix_ms(1_700_000_000_000),
    }
}

impl Bench {
    pub(super) fn new(device: Device) -> Self {
        Self::with(device, wanted(), Terms::default(), new_task())
    }

    pub(super) fn with(device: Device, wanted: Wanted, terms: Terms, task: UpdateTask) -> Self {
        let now = start();
        let session = open(now, &task, &wanted, &terms);
        let mut bench = Self {
            now,
            session,
            device,
            wanted,
            terms,
            slot: task.slot,
            committed: task,
            outstanding: None,
            log: Vec::new(),
            timeline: Vec::new(),
            report: DeviceReport::default(),
            requested: None,
            pinged: false,
            serving: false,
            end: None,
        };
        bench.drain();
        bench
    }

    /// Everything in memory is lost; the task is as of the last commit.
    pub(super) fn restart(&mut self) {
        self.outstanding = None;
        self.requested = None;
        self.pinged = false;
        self.slot = self.committed.slot;
        self.serving = false;
        self.log.clear();
        self.session = open(self.now, &self.committed, &self.wanted, &self.terms);
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        while let Some(action) = self.session.poll_action() {
            assert!(self.end.is_none(), "{action:?} after the end");
            self.act(action);
        }
        if self.end.is_none() {
            // At a gate it waits for its campaign, for as long as that takes.
            let at_gate = self.session.task().waiting_for == Some(WaitingFor::Paused);
            let waits = self.session.poll_timeout().is_some() || at_gate;
            assert!(waits, "stuck: {:?}", self.session);
            assert!(self.session.task().waiting_for.is_some(), "no reason shown");
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Commit => {
                self.committed = self.session.task().clone();
                self.log.push("commit".to_owned());
            }
            Action::Timeline { step, detail } => self.timeline.push((step, detail)),
            Action::Report(report) => self.report = report,
            Action::Operate(operation) => {
                assert!(self.outstanding.is_none(), "two operations outstanding");
                self.is_intended(&operation);
                self.log.push(name(&operation));
                self.outstanding = Some(operation);
            }
            Action::AbandonOperation => {
                assert!(self.outstanding.take().is_some(), "nothing to abandon");
                self.log.push("abandon".to_owned());
            }
            Action::RequestSlot(claim) => {
                self.log.push("request slot".to_owned());
                self.requested = Some(claim);
            }
            Action::ReleaseSlot => {
                self.log.push("release slot".to_owned());
                self.requested = None;
                self.slot = None;
            }
            Action::Ping => {
                self.log.push("ping".to_owned());
                self.pinged = true;
            }
            Action::LeaveRoom => {
                self.log.push("leave room".to_owned());
                self.pinged = false;
            }
            Action::ServeDownload(capability) => {
                assert_eq!(self.committed.capability, Some(capability));
                self.log.push("serve".to_owned());
                self.serving = true;
            }
            Action::WithdrawDownload(_) => {
                self.log.push("withdraw".to_owned());
                self.serving = false;
            }
            Action::CountDelivery => self.log.push("count".to_owned()),
            Action::End(end) => self.end = Some(end),
        }
    }

    /// What changes a device is committed, with its slot, before it leaves.
    fn is_intended(&self, operation: &Operation) {
        let task = &self.committed;
        match operation {
            // A cancellation goes out when nothing is served any more.
            Operation::WriteText { text, .. } if text.is_empty() => assert!(!self.serving),
            Operation::Execute(path::FIRMWARE_CANCEL) => assert!(!self.serving),
            Operation::WriteText { path, .. } if *path != path::FIRMWARE_PACKAGE_URI => {}
            Operation::WriteText { .. } | Operation::WritePackage(_) => {
                assert!(
                    task.uri_intended && task.slot.is_some(),
                    "no intent to write"
                );
            }
            Operation::Execute(_) => {
                assert_eq!(task.execute_intended_attempt, Some(task.attempt));
                let holds = self.terms.slot_held() == SlotHeld::UntilResult;
                assert_eq!(task.slot.is_some(), holds, "a slot for Execute");
            }
            Operation::Read(_) | Operation::Observe(_) | Operation::CancelObservation(_) => {}
        }
    }

    /// Answers the outstanding operation.
    pub(super) fn answer(&mut self, answer: Answer) {
        self.outstanding
            .take()
            .expect("an operation is outstanding");
        self.session.handle_answer(self.now, answer);
        self.drain();
    }

    /// The device answers one operation, or the scheduler grants; false where neither is due.
    pub(super) fn turn(&mut self) -> bool {
        if let Some(operation) = &self.outstanding {
            let answer = self.device.answer(operation);
            self.now = self.now + Duration::from_millis(500);
            self.answer(answer);
            true
        } else if let Some(claim) = self.requested.take() {
            self.slot = Some(claim);
            self.session.handle_grant(self.now);
            self.drain();
            true
        } else {
            false
        }
    }

    /// Until the session waits for something that the device does of itself.
    pub(super) fn run(&mut self) {
        for _ in 0..100 {
            if !self.turn() {
                return;
            }
        }
        panic!("the session never waits: {:?}", self.log);
    }

    /// Until an operation of this name is outstanding.
    pub(super) fn run_to(&mut self, wanted: &str) {
        for _ in 0..100 {
            if self.outstanding.as_ref().map(name).as_deref() == Some(wanted) {
                return;
            }
            assert!(self.turn(), "{wanted} never comes: {:?}", self.log);
        }
        panic!("{wanted} never comes: {:?}", self.log);
    }

    /// To the point where the URI is accepted and the first block was served.
    pub(super) fn run_to_download(&mut self) {
        self.run();
        self.notify(1);
        self.block(512);
    }

    /// To the point where the device has answered Execute.
    pub(super) fn run_to_executed(&mut self) {
        self.run_to_download();
        self.notify(2);
        self.run();
    }

    pub(super) fn notify(&mut self, state: i64) {
        self.device.state = state;
        let value = Value::Integer(state);
        self.session
            .handle_notification(self.now, path::FIRMWARE_STATE, &value);
        self.drain();
    }

    pub(super) fn notify_other(&mut self, path: Path, value: i64) {
        self.session
            .handle_notification(self.now, path, &Value::Integer(value));
        self.drain();
    }

    pub(super) fn block(&mut self, end_offset_bytes: u64) {
        self.session.handle_block(self.now, end_offset_bytes);
        self.drain();
    }

    /// The device has taken the pushed package up to here.
    pub(super) fn taken(&mut self, bytes: u64) {
        self.session.handle_block_taken(self.now, bytes);
        self.drain();
    }

    pub(super) fn contact(&mut self, contact: Contact) {
        self.session.handle_contact(self.now, contact);
        self.drain();
    }

    pub(super) fn asleep(&mut self) {
        self.session.handle_asleep(self.now);
        self.drain();
    }

    /// It has a place in the waiting room.
    pub(super) fn room(&mut self, policy: WaitingRoomPolicy) {
        self.session.handle_room(self.now, policy);
        self.drain();
    }

    /// It answers a ping.
    pub(super) fn pong(&mut self) {
        assert!(std::mem::take(&mut self.pinged), "nothing to answer");
        self.session.handle_pong(self.now);
        self.drain();
    }

    pub(super) fn hold(&mut self) {
        self.session.handle_hold(self.now);
        self.drain();
    }

    pub(super) fn release(&mut self) {
        self.session.handle_release(self.now);
        self.drain();
    }

    pub(super) fn stop(&mut self) {
        self.stop_as(StopMode::Hard);
    }

    pub(super) fn stop_as(&mut self, mode: StopMode) {
        let cause = Failure {
            reason: FailureReason::Stopped,
            evidence: "an operator stopped the campaign".to_owned(),
        };
        self.session.handle_stop(self.now, cause, mode);
        self.drain();
    }

    /// Lets time pass; every deadline in it comes at its time.
    pub(super) fn pass(&mut self, duration: Duration) {
        let until = self.now.instant + duration;
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now + at.saturating_since(self.now.instant);
            self.session.handle_timeout(self.now);
            self.drain();
        }
        self.now = self.now + until.saturating_since(self.now.instant);
    }

    /// Lets time pass until the next deadline.
    pub(super) fn pass_to_deadline(&mut self) {
        let at = self.session.poll_timeout().expect("a deadline");
        self.pass(at.saturating_since(self.now.instant));
    }

    pub(super) fn count(&self, entry: &str) -> usize {
        self.log.iter().filter(|logged| *logged == entry).count()
    }

    /// What was asked of the device, without the rest.
    pub(super) fn operations(&self) -> Vec<&str> {
        const OPERATIONS: [&str; 6] = ["read", "write", "empty", "execute", "observe", "cancel"];
        self.log
            .iter()
            .map(String::as_str)
            .filter(|entry| {
                OPERATIONS
                    .iter()
                    .any(|operation| entry.starts_with(operation))
            })
            .collect()
    }

    pub(super) fn position(&self, entry: &str) -> usize {
        self.log
            .iter()
            .position(|logged| logged == entry)
            .unwrap_or_else(|| panic!("no {entry} in {:?}", self.log))
    }

    pub(super) fn steps(&self) -> Vec<TimelineStep> {
        self.timeline.iter().map(|(step, _)| *step).collect()
    }

    pub(super) fn failure(&self) -> FailureReason {
        match &self.end {
            Some(End::Failed(failure)) => failure.reason,
            other => panic!("not failed: {other:?}, {:?}", self.log),
        }
    }
}

fn open(now: Now, task: &UpdateTask, wanted: &Wanted, terms: &Terms) -> Session {
    Session::open(
        now,
        task.clone(),
        wanted.clone(),
        terms.clone(),
        DeviceReport::default(),
        DownloadCapability([7; 16]),
    )
}
