//! All tasks of a campaign are gone through, so many a turn: a campaign of a million neither keeps devices
//! waiting for their answers, nor fills a commit.
//!
//! What a campaign has come to, that it is halted or stopped say, is committed with the first turn at the
//! latest and counts for all its tasks from then on. Whatever brings up a task whose turn has not come tells
//! it first ([`Engine::settle_first`]), so nothing begins meanwhile. After a restart all are gone through
//! again: what was to become of them is read off the campaign.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use crate::clock::{Instant, Now};
use crate::model::{CampaignId, TaskId};

use super::Engine;
use super::joining::Latecomers;
use super::timers::Timer;

/// How many tasks of one campaign are gone through before another campaign has its turn.
const PORTION: usize = 100;

/// The longest time between two turns, however long the store takes.
const TURN_MAX: Duration = Duration::from_secs(5);

/// What a campaign's tasks are gone through for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Errand {
    /// To do what the campaign's state, phase, schedule and consent mean for each.
    Settle,
    /// The campaign has another end, and with it the wait for consent.
    ConsentEnd,
    /// Devices that were not heard have had their time.
    Overdue,
    /// Devices that listen, and did not answer, are tried again.
    Offer,
}

type Key = (CampaignId, Errand);

/// How far an errand is.
#[derive(Debug, Default)]
struct Sweep {
    /// The last task that had its turn.
    through: Option<TaskId>,
    /// Those behind it that were told before their turn.
    met: BTreeSet<TaskId>,
    /// Those that were given a slot before they were told whether they may begin: it is kept for them.
    granted: VecDeque<TaskId>,
    /// How often it began anew.
    begun: u64,
    latecomers: Option<Latecomers>,
}

/// The errands under way.
#[derive(Debug)]
pub(super) struct Sweeps {
    under_way: BTreeMap<Key, Sweep>,
    /// Which had the last portion.
    last: Option<Key>,
    /// How many tasks may still be gone through in this turn.
    left: usize,
    /// When the next turn begins.
    next_turn: Instant,
    turn: Duration,
}

impl Sweeps {
    pub(super) fn new(turn: Duration) -> Self {
        Self {
            under_way: BTreeMap::new(),
            last: None,
            left: 0,
            next_turn: Instant::ORIGIN,
            turn,
        }
    }

    /// How many errands are under way.
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// The next errand after the last, in turn.
    fn next(&self) -> Option<Key> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut behind = self.under_way.range((after, Bound::Unbounded));
        let (key, _) = behind.next().or_else(|| self.under_way.first_key_value())?;
        Some(*key)
    }

    /// A campaign is over.
    pub(super) fn forget(&mut self, id: CampaignId) {
        let errands = (id, Errand::Settle)..=(id, Errand::Offer);
        let keys: Vec<Key> = self.under_way.range(errands).map(|(key, _)| *key).collect();
        for key in keys {
            self.under_way.remove(&key);
        }
    }

    /// Its devices have other times to be heard.
    pub(super) fn forget_overdue(&mut self, id: CampaignId) {
        self.under_way.remove(&(id, Errand::Overdue));
    }

    /// Whether a task of a campaign has yet to be told what that came to.
    fn is_ahead(&self, campaign: CampaignId, task: TaskId) -> bool {
        let sweep = self.under_way.get(&(campaign, Errand::Settle));
        sweep.is_some_and(|it| it.through < Some(task) && !it.met.contains(&task))
    }
}

impl Engine {
    /// How far apart turns are, given how long a commit takes: the store has as much time for devices.
    pub fn pace_turns(&mut self, commit: Duration) {
        self.sweeps.turn = (commit * 2).clamp(self.config.sweep_turn, TURN_MAX);
    }

    /// Has all tasks of a campaign told what that came to.
    pub(super) fn settle_all(&mut self, id: CampaignId) {
        self.begin_sweep(id, Errand::Settle);
    }

    /// Goes through all tasks of a campaign, from the first; what was under way begins anew.
    pub(super) fn begin_sweep(&mut self, id: CampaignId, errand: Errand) {
        if !self.campaigns.contains_key(&id) {
            return;
        }
        let latecomers = (errand == Errand::Overdue).then(|| self.latecomers(id));
        let sweep = self.sweeps.under_way.entry((id, errand)).or_default();
        sweep.through = None;
        sweep.met.clear();
        sweep.begun += 1;
        sweep.latecomers = latecomers.flatten();
    }

    /// Tells a task what its campaign came to, where its turn has not come.
    pub(super) fn settle_first(&mut self, now: Now, id: TaskId) {
        if self.sweeps.under_way.is_empty() {
            return;
        }
        let Some(campaign) = self.tasks.get(&id).map(|entry| entry.task().campaign) else {
            return;
        };
        if !self.sweeps.is_ahead(campaign, id) {
            return;
        }
        let sweep = self.sweeps.under_way.get_mut(&(campaign, Errand::Settle));
        if let Some(sweep) = sweep {
            sweep.met.insert(id);
        }
        self.settle(now, id);
    }

    /// Tells those whose devices are being told to fetch or to install, and have not answered: what is sent
    /// again until then would reach the device before their turn. They are no more than there are slots.
    pub(super) fn settle_telling(&mut self, now: Now) {
        for task in self.operations.telling() {
            self.settle_wholly(now, task);
        }
    }

    /// As [`Self::settle_first`], to the end: what the task holds by then it may hold.
    pub(super) fn settle_wholly(&mut self, now: Now, id: TaskId) {
        if !self.sweeps.under_way.is_empty() {
            self.settle_first(now, id);
            self.apply_actions(now, id);
        }
    }

    /// Whether a task that was given a slot has yet to be told whether it may begin: it is told in its
    /// turn, which comes next, and not now, as one that may not gives its slot to the next, and so on.
    pub(super) fn is_kept_for(&mut self, id: TaskId) -> bool {
        if self.sweeps.under_way.is_empty() {
            return false;
        }
        let Some(campaign) = self.tasks.get(&id).map(|entry| entry.task().campaign) else {
            return false;
        };
        if !self.sweeps.is_ahead(campaign, id) {
            return false;
        }
        let sweep = self.sweeps.under_way.get_mut(&(campaign, Errand::Settle));
        if let Some(sweep) = sweep {
            sweep.granted.push_back(id);
        }
        true
    }

    /// Goes through some tasks; `false` where none is left, or the turn is over.
    pub(super) fn sweep_some(&mut self, now: Now) -> bool {
        let Some(key) = self.sweeps.next() else {
            return false;
        };
        if now.instant >= self.sweeps.next_turn {
            self.sweeps.left = self.config.sweep_tasks_per_turn.max(1);
            self.sweeps.next_turn = now.instant + self.sweeps.turn;
        }
        if self.sweeps.left == 0 {
            let at = self.sweeps.next_turn;
            self.timers.set(Timer::Sweeps, Some(at));
            return false;
        }
        let portion = self.sweeps.left.min(PORTION);
        self.sweeps.last = Some(key);
        // One at the least, so that this ends.
        let done = self.sweep_portion(now, key, portion).max(1);
        self.sweeps.left -= done.min(portion);
        self.plan_openings(now);
        true
    }

    /// How many tasks it went through.
    fn sweep_portion(&mut self, now: Now, key: Key, portion: usize) -> usize {
        let mut done = 0;
        while done < portion
            && let Some(task) = self.next_granted(key)
        {
            done += 1;
            self.settle_wholly(now, task);
            if self.scheduler.slot(task).is_some() {
                self.grant(now, task);
            }
        }
        let (Some(running), Some(sweep)) =
            (self.campaigns.get(&key.0), self.sweeps.under_way.get(&key))
        else {
            self.sweeps.under_way.remove(&key);
            return done;
        };
        let (begun, wanted) = (sweep.begun, portion - done);
        let after = sweep.through.map_or(Bound::Unbounded, Bound::Excluded);
        let tasks = running.tasks.range((after, Bound::Unbounded));
        let tasks: Vec<TaskId> = tasks.take(wanted).copied().collect();
        let is_last = tasks.len() < wanted;
        for task in tasks {
            done += 1;
            let sweep = self.sweeps.under_way.get_mut(&key);
            // It may end, or begin anew, by what becomes of a task.
            let Some(sweep) = sweep.filter(|sweep| sweep.begun == begun) else {
                return done;
            };
            sweep.through = Some(task);
            if !sweep.met.remove(&task) {
                self.run_errand(now, key, task);
            }
        }
        let sweep = self.sweeps.under_way.get(&key);
        if is_last && sweep.is_some_and(|it| it.begun == begun && it.granted.is_empty()) {
            self.end_sweep(now, key);
        }
        done
    }

    fn next_granted(&mut self, key: Key) -> Option<TaskId> {
        self.sweeps.under_way.get_mut(&key)?.granted.pop_front()
    }

    fn run_errand(&mut self, now: Now, (campaign, errand): Key, task: TaskId) {
        match errand {
            Errand::Settle => self.settle(now, task),
            Errand::ConsentEnd => self.consent_anew(now, task),
            Errand::Offer => self.offer_again(task),
            Errand::Overdue => {
                let sweep = self.sweeps.under_way.get_mut(&(campaign, errand));
                let mut latecomers = sweep.and_then(|it| it.latecomers.take());
                self.fail_unheard(now, task, latecomers.as_mut());
                let sweep = self.sweeps.under_way.get_mut(&(campaign, errand));
                if let Some(sweep) = sweep {
                    sweep.latecomers = latecomers;
                }
            }
        }
    }

    fn end_sweep(&mut self, now: Now, key: Key) {
        let (campaign, errand) = key;
        let sweep = self.sweeps.under_way.remove(&key);
        match errand {
            Errand::Settle => {
                self.refusal_told(now, campaign);
                self.end_if_done(now, campaign);
            }
            Errand::Overdue => {
                if let Some(latecomers) = sweep.and_then(|it| it.latecomers) {
                    let again = now.instant + latecomers.left();
                    self.timers.set(Timer::Contact(campaign), Some(again));
                }
            }
            Errand::ConsentEnd | Errand::Offer => {}
        }
    }

    /// Does what a campaign came to for one of its tasks.
    fn settle(&mut self, now: Now, id: TaskId) {
        let Some(entry) = self.tasks.get(&id) else {
            return;
        };
        let running = self.campaigns.get(&entry.task().campaign);
        if let Some((cause, mode)) = running.and_then(|it| it.closed_to_tasks(now)) {
            self.stop_one(now, id, &cause, mode);
        }
        self.settle_refusal(now, id);
        // What has begun, and goes on, may wait for something else now.
        self.task_gate_changed(now, id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use bytes::Bytes;

    use super::super::joining::tests::{CAMPAIGN, at, campaign, ended, engine, package, task};
    use super::*;
    use crate::coap::{Code, Message, MessageId, MessageType, Request, Token};
    use crate::engine::{Command, EndedTasks, EngineConfig, Onboarding, Output, Resumption};
    use crate::model::{
        Campaign, CampaignState, CampaignStop, Failure, FailureReason, PauseReason, Peer, Record,
        Restored, RolloutState, StopMode, TaskState, UpdateTask, WaitingFor,
    };

    /// Of an engine that goes through 500 at a turn.
    const TASKS: u64 = 1200;

    fn tasks(numbers: std::ops::RangeInclusive<u64>) -> Vec<UpdateTask> {
        numbers.map(|number| task(number, at(0))).collect()
    }

    fn run(engine: &mut Engine, campaign: Campaign, tasks: Vec<UpdateTask>) {
        let command = Command::RunCampaign {
            campaign,
            package: package(),
            image: Bytes::from_static(b"x"),
            installed: Default::default(),
            tasks,
            ended: EndedTasks::default(),
        };
        engine.handle_command(at(0), command).unwrap();
        ended(engine);
    }

    fn stop(mode: StopMode) -> Command {
        Command::StopCampaign { id: CAMPAIGN, mode }
    }

    fn halt() -> Command {
        Command::PauseCampaign {
            id: CAMPAIGN,
            halted: true,
        }
    }

    fn records(engine: &mut Engine) -> Vec<Record> {
        let mut records = Vec::new();
        loop {
            match engine.poll_output() {
                Output::Record(record) => records.push(record),
                Output::Timeout(_) => return records,
                Output::Transmit(_)
                | Output::Heard { .. }
                | Output::Flapping { .. }
                | Output::Progress(_)
                | Output::Download(_) => {}
            }
        }
    }

    /// The last of each task.
    fn last_of_tasks(records: Vec<Record>) -> BTreeMap<u64, UpdateTask> {
        let task = |record| {
            if let Record::Task(task) = record {
                Some((task.id.0, task))
            } else {
                None
            }
        };
        records.into_iter().filter_map(task).collect()
    }

    fn next_turn(engine: &mut Engine) -> Option<Now> {
        let mut now = at(0);
        match engine.poll_output() {
            Output::Timeout(Some(at)) if engine.held().sweeps > 0 => {
                now = now + at.saturating_since(now.instant);
                engine.handle_timeout(now);
                Some(now)
            }
            Output::Timeout(_)
            | Output::Record(_)
            | Output::Transmit(_)
            | Output::Heard { .. }
            | Output::Flapping { .. }
            | Output::Progress(_)
            | Output::Download(_) => None,
        }
    }

    fn finish(engine: &mut Engine) {
        while next_turn(engine).is_some() {
            records(engine);
        }
    }

    fn register(engine: &mut Engine, now: Now, number: u64) {
        let request = Request::new(Code::POST, "/rd")
            .with_query("lwm2m=1.0")
            .with_query(&format!("ep=d{number}"))
            .with_query("lt=600");
        let register = Message {
            kind: MessageType::Confirmable,
            code: request.code,
            id: MessageId(u16::try_from(number).unwrap()),
            token: Token::EMPTY,
            options: request.options,
            payload: Bytes::from_static(b"</3/0>,</4/0>,</5/0>"),
        };
        let peer = Peer::Address(SocketAddr::from(([10, 0, 0, 1], 40_000)));
        engine.handle_datagram(now, &peer, &register.encode().to_vec());
    }

    fn allowing() -> Engine {
        let config = EngineConfig {
            download_base: Some("coap://192.0.2.1/fw/".to_owned()),
            onboarding: Onboarding::Allow,
            ..EngineConfig::default()
        };
        Engine::new(config, [1; 32])
    }

    #[test]
    fn a_large_campaign_is_stopped_some_tasks_at_a_turn_each_once() {
        let mut engine = engine(2000);
        run(&mut engine, campaign(false), tasks(1..=TASKS));
        engine.handle_command(at(0), stop(StopMode::Soft)).unwrap();
        // That it is stopped comes first.
        let first = records(&mut engine);
        assert!(matches!(
            first[0],
            Record::Campaign {
                state: CampaignState::Stopped,
                ..
            }
        ));
        assert!(matches!(first[1], Record::Rollout { .. }));
        let mut turns = vec![last_of_tasks(first).into_keys().collect::<Vec<_>>()];
        while next_turn(&mut engine).is_some() {
            let of_turn = ended(&mut engine);
            assert!(of_turn.iter().all(|it| it.1 == TaskState::Stopped));
            turns.push(of_turn.into_iter().map(|it| it.0).collect());
        }
        let sizes: Vec<usize> = turns.iter().map(Vec::len).collect();
        assert_eq!(sizes, [500, 500, 200]);
        assert_eq!(turns.concat(), (1..=TASKS).collect::<Vec<_>>());
        assert_eq!((engine.campaigns(), engine.held().tasks), (0, 0));
    }

    #[test]
    fn at_its_end_a_large_campaign_ends_some_tasks_at_a_turn() {
        let mut engine = engine(2000);
        let mut ending = campaign(false);
        ending.policy.schedule.end_at = Some(at(0).utc + Duration::from_millis(1));
        run(&mut engine, ending, tasks(1..=TASKS));
        let mut turns = Vec::new();
        engine.handle_timeout(at(1));
        turns.push(ended(&mut engine).len());
        while next_turn(&mut engine).is_some() {
            turns.push(ended(&mut engine).len());
        }
        assert_eq!(turns, [500, 500, 200]);
        assert_eq!(engine.campaigns(), 0);
    }

    #[test]
    fn devices_that_were_not_heard_fail_some_at_a_turn() {
        let mut engine = engine(2000);
        run(&mut engine, campaign(false), tasks(1..=TASKS));
        let timeout = engine.config.product.contact_timeout.as_secs();
        engine.handle_timeout(at(timeout));
        let mut turns = vec![ended(&mut engine)];
        while next_turn(&mut engine).is_some() {
            turns.push(ended(&mut engine));
        }
        let sizes: Vec<usize> = turns.iter().map(Vec::len).collect();
        assert_eq!(sizes, [500, 500, 200]);
        assert!(turns.concat().iter().all(|it| it.1 == TaskState::Failed));
        assert_eq!(engine.campaigns(), 0);
    }

    #[test]
    fn a_task_whose_turn_has_not_come_does_not_begin() {
        for (command, waits) in [(halt(), true), (stop(StopMode::Soft), false)] {
            let mut engine = allowing();
            run(&mut engine, campaign(false), tasks(1..=TASKS));
            engine.handle_command(at(0), command).unwrap();
            let told = last_of_tasks(records(&mut engine));
            assert!(!told.contains_key(&TASKS));
            register(&mut engine, at(0), TASKS);
            let task = last_of_tasks(records(&mut engine)).remove(&TASKS);
            let task = task.expect("it is told first");
            assert_eq!(task.attempt, 0);
            let halted = (TaskState::Pending, Some(WaitingFor::Paused));
            let stopped = (TaskState::Stopped, None);
            let expected = if waits { halted } else { stopped };
            assert_eq!((task.state, task.waiting_for), expected);
            // And not once more in its turn.
            while next_turn(&mut engine).is_some() {
                assert!(!last_of_tasks(records(&mut engine)).contains_key(&TASKS));
            }
        }
    }

    #[test]
    fn what_is_halted_again_before_all_were_told_that_it_goes_on_stays_so() {
        let mut engine = allowing();
        run(&mut engine, campaign(false), tasks(1..=TASKS));
        engine.handle_command(at(0), halt()).unwrap();
        for number in [1, TASKS] {
            register(&mut engine, at(0), number);
        }
        finish(&mut engine);
        records(&mut engine);
        let resume = Command::ResumeCampaign(CAMPAIGN);
        engine.handle_command(at(1), resume).unwrap();
        let told = last_of_tasks(records(&mut engine));
        assert_eq!(told.into_keys().collect::<Vec<_>>(), [1]);
        engine.handle_command(at(1), halt()).unwrap();
        for seconds in 1..10 {
            engine.handle_timeout(at(seconds));
            let tasks = last_of_tasks(records(&mut engine));
            let waits = |it: &UpdateTask| it.attempt == 0 && it.waiting_for.is_some();
            assert!(tasks.values().all(waits));
        }
        assert_eq!(engine.held().sweeps, 0);
        // And it does go on.
        let resume = Command::ResumeCampaign(CAMPAIGN);
        engine.handle_command(at(10), resume).unwrap();
        let mut begun = BTreeMap::new();
        for seconds in 10..13 {
            engine.handle_timeout(at(seconds));
            begun.extend(last_of_tasks(records(&mut engine)));
        }
        assert!([1, TASKS].iter().all(|number| begun[number].attempt == 1));
    }

    #[test]
    fn tasks_that_a_restart_left_end_as_the_others_did() {
        let cause = Failure {
            reason: FailureReason::KeyRevoked,
            evidence: "lost".to_owned(),
        };
        let stop = CampaignStop {
            mode: StopMode::Hard,
            cause: cause.clone(),
        };
        let stopped = Campaign {
            state: CampaignState::Stopped,
            activated_at: Some(at(0).utc),
            rollout: RolloutState {
                stop: Some(stop),
                paused: Some(PauseReason::Halted),
                ..RolloutState::default()
            },
            ..campaign(false)
        };
        let begun = UpdateTask {
            state: TaskState::Running,
            attempt: 1,
            ..task(TASKS, at(0))
        };
        let mut left = tasks(1..=TASKS - 1);
        left.push(begun);
        let restored = Restored {
            campaigns: vec![stopped],
            packages: vec![package()],
            tasks: left,
            last_task: TaskId(TASKS),
            ..Restored::default()
        };
        let resumption = Resumption {
            image: Some(Bytes::from_static(b"x")),
            ..Resumption::default()
        };
        let mut engine = engine(2000);
        engine.restore(at(0), restored, [(CAMPAIGN, resumption)].into());
        let mut ends = last_of_tasks(records(&mut engine));
        while next_turn(&mut engine).is_some() {
            ends.extend(last_of_tasks(records(&mut engine)));
        }
        assert_eq!(ends.len() as u64, TASKS);
        for task in ends.values() {
            assert_eq!(task.state, TaskState::Stopped);
            assert_eq!(task.failure.as_ref(), Some(&cause));
        }
        assert_eq!(engine.campaigns(), 0);
    }

    #[test]
    fn a_device_whose_stopped_task_waits_for_its_turn_is_free_for_another_campaign() {
        let mut engine = engine(4000);
        run(&mut engine, campaign(false), tasks(1..=TASKS));
        engine.handle_command(at(0), stop(StopMode::Hard)).unwrap();
        records(&mut engine);
        let other = Campaign {
            id: CampaignId(2),
            ..campaign(false)
        };
        let again = UpdateTask {
            id: TaskId(TASKS + 1),
            campaign: CampaignId(2),
            ..task(TASKS, at(0))
        };
        run(&mut engine, other, vec![again]);
        finish(&mut engine);
        assert_eq!((engine.campaigns(), engine.held().tasks), (1, 1));
    }

    #[test]
    fn a_small_campaign_does_not_wait_for_a_large_one() {
        let mut engine = engine(4000);
        run(&mut engine, campaign(false), tasks(1..=TASKS));
        let small = Campaign {
            id: CampaignId(2),
            ..campaign(false)
        };
        let few = tasks(TASKS + 1..=TASKS + 5).into_iter();
        let of_small = |task| UpdateTask {
            campaign: CampaignId(2),
            ..task
        };
        run(&mut engine, small, few.map(of_small).collect());
        for id in [CAMPAIGN, CampaignId(2)] {
            let mode = StopMode::Soft;
            let stop = Command::StopCampaign { id, mode };
            engine.handle_command(at(0), stop).unwrap();
        }
        assert_eq!(ended(&mut engine).len(), 500);
        next_turn(&mut engine);
        let told = last_of_tasks(records(&mut engine));
        assert_eq!(told.len(), 500);
        assert!((TASKS + 1..=TASKS + 5).all(|number| told.contains_key(&number)));
    }

    #[test]
    fn turns_are_as_far_apart_as_the_store_needs() {
        let mut engine = engine(2000);
        engine.pace_turns(Duration::from_secs(1));
        run(&mut engine, campaign(false), tasks(1..=TASKS));
        engine.handle_command(at(0), stop(StopMode::Soft)).unwrap();
        records(&mut engine);
        assert_eq!(next_turn(&mut engine), Some(at(2)));
    }
}
