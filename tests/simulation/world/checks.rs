//! What must hold after every input.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use narrowcast::clock::Instant;
use narrowcast::coap::{Code, Message, OptionNumber};
use narrowcast::lwm2m::Location;
use narrowcast::model::{
    CoverageTier, FailureReason, SlotClaim, SlotHeld, TaskId, TaskState, UpdateTask,
};
use narrowcast::sim::log::DeviceEvent;

use super::World;
use crate::fleet;
use crate::server::Server;
use crate::wire::SentRequest;

/// One thing that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    /// No more devices are active in a class than it has slots, by their own logs.
    Limits,
    /// No device flashes twice, or takes a second Execute of one image.
    Flashes,
    /// At most one Execute leaves in an attempt; its copies have its message id.
    Executes,
    /// No device takes another image than the package's for whole.
    Images,
    /// What leaves is committed: a URI, an Execute, a registration's location.
    Committed,
    /// The scheduler counts every slot that is committed, and no other.
    Slots,
    /// Every task that is not over is held, and no other; a campaign's tasks add up.
    Tasks,
    /// What is final stays so, and attempts are not counted back.
    Final,
    /// No deadline is set in the past, nothing spins.
    Deadlines,
    /// Every map is within its bound.
    Bounds,
    /// No time-out comes before its time, wherever the clock on the wall jumps.
    Early,
    /// The loop guard keeps count, and bars at its limit.
    Deliveries,
    /// What an operator asks of a device leaves in one message, is done once, and ends in its time.
    Requests,
    /// An Execute is for a device that had the package not long ago.
    Believed,
    /// Nothing begins while its campaign is paused or its window closed, or before somebody has agreed.
    Gates,
    /// No Execute leaves once its campaign is halted.
    Halts,
    /// Nothing begins before its phase; and that not before the one before it is proven.
    Phases,
    /// A cell bears whoever begins in it, by its campaign's policy.
    Admission,
    /// No minute between two restarts has more that begin than it may.
    Rates,
    /// No attempt follows a failed one before its delay is over.
    Delays,
    /// A waiting room has no more devices than places, for no longer than they may, and no more pings.
    Rooms,
    /// Whoever is not done says what it waits for, since when, and until when.
    Waits,
    /// All comes to an end, and nothing stays behind.
    End,
}

/// A check that failed.
#[derive(Clone, Debug)]
pub(crate) struct Breach {
    pub(crate) check: Check,
    at: Instant,
    told: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.since_origin();
        write!(f, "{:?} at {at:?}: {}", self.check, self.told)
    }
}

/// How old the State may be on which an Execute rests: it is read, the version after it, and either
/// may have to be asked for several times.
const BELIEVED_FOR: Duration = Duration::from_secs(10 * 60);

/// So much earlier than its time a time-out may be noted: UTC is kept in milliseconds.
const EARLY: Duration = Duration::from_secs(1);

/// When a task's waits began, on the clock that does not jump.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Since {
    attempt: Instant,
    execute: Option<Instant>,
}

impl Server {
    /// Notes the first breach; what follows it may only be its consequence.
    pub(crate) fn breach(&mut self, at: Instant, check: Check, told: String) {
        self.breach.get_or_insert(Breach { check, at, told });
    }

    /// A task was committed: what is final stays as it is, and no attempt is counted back.
    pub(crate) fn check_change(&mut self, at: Instant, task: &UpdateTask) {
        let Some(before) = self.tasks.get(&task.id).cloned() else {
            return;
        };
        // An operator has a failed task tried again: its attempts are numbered on. Its campaign may be
        // stopped in the same commit.
        let is_retry = before.state == TaskState::Failed
            && matches!(task.state, TaskState::Pending | TaskState::Stopped)
            && task.attempts_before == task.attempt
            && before.attempt == task.attempt;
        if (before.state.is_final() && before.state != task.state && !is_retry)
            || before.attempt > task.attempt
        {
            self.breach(at, Check::Final, format!("{before:?} became {task:?}"));
        }
        let mut since = self.since.get(&task.id).copied().unwrap_or_default();
        if before.execute_intended_attempt != task.execute_intended_attempt {
            since.execute = Some(at);
        }
        if task.uri_intended && task.slot.is_some() {
            let deliveries = self.deliveries.entry(task.endpoint.clone()).or_default();
            deliveries.insert((task.id, task.attempt));
        }
        let failed = task.failure.is_some() && before.failure != task.failure;
        if failed {
            if let Some(failure) = &task.failure {
                *self.failures.entry(failure.reason).or_default() += 1;
            }
            self.check_time(at, task, since);
        }
        if failed || before.attempt != task.attempt || before.state != task.state {
            since.attempt = at;
        }
        self.since.insert(task.id, since);
    }

    fn check_time(&mut self, at: Instant, task: &UpdateTask, since: Since) {
        let settings = self.settings(task.campaign);
        let executed = task.execute_intended_attempt == Some(task.attempt);
        let Some(failure) = &task.failure else { return };
        let (least, begun) = if failure.reason == FailureReason::ContactTimeout {
            (settings.contact_timeout, since.attempt)
        } else if failure.reason == FailureReason::DownloadStalled {
            let floor = settings.download_stall_floor;
            (floor.min(settings.download_stall_timeout), since.attempt)
        } else if failure.reason == FailureReason::ResultTimeout && executed {
            let begun = since.execute.unwrap_or(since.attempt);
            (settings.result_timeout, begun)
        } else {
            return;
        };
        let took = at.saturating_since(begun);
        if took + EARLY < least {
            let told = format!("{} after {took:?} and not {least:?}", failure.reason);
            self.breach(at, Check::Early, told);
        }
    }

    /// What the engine holds against what is committed.
    pub(crate) fn check_state(&mut self, at: Instant) {
        if let Some(told) = self.wrong_slots() {
            self.breach(at, Check::Slots, told);
        }
        if let Some(told) = self.wrong_tasks() {
            self.breach(at, Check::Tasks, told);
        }
        self.check_conservation(at);
        self.check_rooms(at);
        if let Some(told) = self.over_bounds().or_else(|| self.too_many_requests()) {
            self.breach(at, Check::Bounds, told);
        }
    }

    fn wrong_slots(&self) -> Option<String> {
        let mut committed: BTreeMap<SlotClaim, u32> = BTreeMap::new();
        let mut may_be_granted = 0;
        for task in self.tasks.values() {
            match task.slot {
                Some(claim) if task.state.is_final() => {
                    return Some(format!("it is over and holds {claim:?}: {task:?}"));
                }
                Some(claim) => *committed.entry(claim).or_default() += 1,
                None => may_be_granted += u32::from(task.state == TaskState::Running),
            }
        }
        let mut counted: BTreeMap<SlotClaim, u32> = BTreeMap::new();
        for cell in self.engine.cells(None, usize::MAX) {
            for (tier, status) in CoverageTier::ALL.iter().zip(cell.tiers) {
                let claim = SlotClaim {
                    cell: cell.cell,
                    tier: *tier,
                };
                counted.insert(claim, status.active);
                if status.held > status.queued {
                    return Some(format!("{} are held in {claim:?}", status.held));
                }
                if status.active > status.limit {
                    return Some(format!("{} slots in {claim:?}", status.active));
                }
            }
        }
        for (claim, held) in &committed {
            let active = counted.get(claim).copied().unwrap_or_default();
            if active < *held {
                return Some(format!(
                    "{held} committed and {active} counted in {claim:?}"
                ));
            }
        }
        let (all, held): (u32, u32) = (counted.values().sum(), committed.values().sum());
        (all > held + may_be_granted)
            .then(|| format!("{all} counted, {held} committed, {may_be_granted} may be granted"))
    }

    fn wrong_tasks(&self) -> Option<String> {
        let (mut unfinished, mut closing) = (0, 0);
        for task in self.tasks.values() {
            if !self.activated.contains(&task.campaign) {
                continue;
            }
            if !task.state.is_final() {
                unfinished += 1;
            } else if task.state == TaskState::Succeeded && task.waiting_for.is_some() {
                // Its observation is being cancelled.
                closing += 1;
            }
        }
        let held = self.engine.held().tasks;
        (held < unfinished || held > unfinished + closing)
            .then(|| format!("{held} held, {unfinished} unfinished, {closing} closing"))
    }

    fn over_bounds(&self) -> Option<String> {
        let held = self.engine.held();
        let (coap, limits, devices) = (held.coap, &self.config.coap, self.config.devices_max);
        let transfers_max = limits.requests_max + limits.block2_bodies_max;
        let deadlines_max = 4 * (coap.requests + coap.block1_bodies) + 256;
        let requests = self.config.device_requests;
        let requests_max = requests.waiting_max + requests.ended_max;
        let timers_max = 3 * held.tasks + self.engine.campaigns() + 2;
        let bounds = [
            ("answers", coap.dedup_entries, limits.dedup_entries_max),
            ("exchanges", coap.requests, limits.requests_max),
            ("message ids", coap.message_ids, limits.message_ids_max),
            ("bodies", coap.block1_bodies, limits.block1_bodies_max),
            ("transfers", coap.transfers, transfers_max),
            ("observations", coap.observations, limits.observations_max),
            ("deadlines of messages", coap.deadlines, deadlines_max),
            ("operations", held.operations, limits.requests_max),
            ("tokens", held.observations, limits.observations_max),
            ("registrations", held.registrations, devices),
            ("devices", held.devices, devices),
            ("reports", held.reports, held.devices),
            ("tasks", held.tasks, self.config.tasks_max),
            ("requests of operators", held.device_requests, requests_max),
            ("downloads", held.downloads, held.tasks),
            (
                "endpoints watched",
                held.flapping_watched,
                self.config.flapping.endpoints_max,
            ),
            (
                "register rates",
                held.register_rates,
                self.config.register_rate.endpoints_max,
            ),
            ("timers", held.timers, timers_max),
            ("products", held.products, self.config.products_max),
            (
                "kinds of devices",
                held.device_kinds,
                self.config.device_kinds_max,
            ),
        ];
        let mut over = bounds.into_iter().filter(|(_, held, limit)| held > limit);
        over.next()
            .map(|(what, held, limit)| format!("{held} {what}, {limit} allowed"))
    }
}

impl World {
    pub(crate) fn breach(&mut self, check: Check, told: String) {
        self.server.breach(self.now.instant, check, told);
    }

    /// What the server did with an input.
    pub(super) fn check_server(&mut self) {
        let at = self.now.instant;
        if self.server.deadline.is_some_and(|deadline| deadline < at) {
            let deadline = self.server.deadline;
            self.breach(Check::Deadlines, format!("{deadline:?} at {at:?}"));
        }
        if std::mem::take(&mut self.server.changed) {
            self.server.check_state(at);
        }
    }

    /// What a device did, by its log.
    pub(super) fn check_devices(&mut self) {
        if self.judged == self.log.len() {
            return;
        }
        for line in &self.log[self.judged..] {
            let endpoint = fleet::endpoint(&self.devices[line.device].config);
            let mut tasks = self.server.tasks.values();
            let admitted = tasks.find_map(|it| it.slot.filter(|_| it.endpoint == endpoint));
            if let Some(claim) = admitted {
                self.judge.set_class(line.device, claim);
            } else if line.event == DeviceEvent::UriAccepted {
                // A late copy of a Write, to a device that forgot it at a reboot: what it names is
                // withdrawn, and nothing is fetched.
                continue;
            }
            self.judge.read(line);
        }
        self.judged = self.log.len();
        let verdict = self.judge.verdict();
        let told = [
            (Check::Limits, !verdict.limits_passed.is_empty()),
            (Check::Images, verdict.wrong_images > 0),
            (
                Check::Flashes,
                verdict.second_flashes + verdict.repeated_executes > 0,
            ),
        ];
        for (check, _) in told.into_iter().filter(|(_, breached)| *breached) {
            self.breach(check, format!("{verdict:?}"));
        }
    }

    /// What leaves was intended in what is committed: the URI with its slot, Execute with its attempt,
    /// and with a slot where it is held that long.
    pub(super) fn check_intent(&mut self, device: usize, request: &SentRequest) {
        let endpoint = fleet::endpoint(&self.devices[device].config);
        let mut tasks = self.server.tasks.values();
        let intended = tasks.find(|task| {
            let execute = task.execute_intended_attempt == Some(task.attempt);
            let held = task.slot.is_some();
            let slot_held = self.server.settings(task.campaign).slot_held;
            let held_for_execute = slot_held == SlotHeld::UntilResult;
            task.endpoint == endpoint
                && !task.state.is_final()
                && ((request.is_uri_write() && task.uri_intended && held)
                    || (request.is_execute() && execute && held == held_for_execute))
        });
        let attempt = intended.map(|task| (task.id, task.attempt));
        let is_halted = intended.is_some_and(|task| self.server.is_halted(task));
        if attempt.is_none() && (request.is_uri_write() || request.is_execute()) {
            let told = format!("not committed: {request:?} to device {device}");
            self.breach(Check::Committed, told);
        }
        if let (Some(attempt), true) = (attempt, request.is_execute()) {
            self.check_execute(device, attempt, request);
            if is_halted {
                let told = format!("halted, and {attempt:?} of device {device} is executed");
                self.breach(Check::Halts, told);
            }
        }
    }

    fn check_execute(&mut self, device: usize, attempt: (TaskId, u8), request: &SentRequest) {
        let ids = self.executed.entry(attempt).or_default();
        if !ids.insert(request.id) {
            return;
        }
        if ids.len() > 1 {
            let told = format!("{attempt:?} of device {device} was executed as {ids:?}");
            self.breach(Check::Executes, told);
        }
        let now = self.now.instant;
        let had = self.devices[device].had_package;
        let lately = |at: Instant| now.saturating_since(at) <= BELIEVED_FOR;
        // One digit is all that a State is, and a turned bit makes another of it. The device refuses.
        let begun = Instant::from_origin(now.since_origin().saturating_sub(BELIEVED_FOR));
        let misheard = self.chaos.misheard_since(self.devices[device].main, begun);
        if !had.is_some_and(lately) && !misheard {
            let told = format!("device {device} had the package at {had:?}, not at {now:?}");
            self.breach(Check::Believed, told);
        }
    }

    /// A location is given out once it is committed.
    pub(super) fn check_answer(&mut self, datagram: &[u8]) {
        // 2.01 in the second byte: most datagrams need not be decoded for this.
        if datagram.get(1) != Some(&Code::CREATED.0) {
            return;
        }
        let Ok(message) = Message::decode(datagram, 32) else {
            return;
        };
        let segment = message.options.all(OptionNumber::LOCATION_PATH).nth(1);
        let segment = segment.map(|segment| String::from_utf8_lossy(segment).into_owned());
        let location = segment.as_deref().and_then(Location::parse);
        if let (Some(location), Some(segment)) = (location, segment)
            && !(self.server.locations).contains(&(location.slot, location.secret))
        {
            self.breach(Check::Committed, format!("not committed: {segment}"));
        }
    }
}
