//! Tasks that come to a campaign after it has begun: those that were too many for its activation, and
//! those of devices that its dynamic targets took in since.

use std::time::Duration;

use crate::clock::Now;
use crate::model::{CampaignId, TaskId, TaskState, UpdateTask};

use super::{CommandError, Engine};

/// Which tasks a campaign has been given.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// How many are still to come of those that it was activated with.
    pub(super) to_come: u64,
    /// The last one: what is given again, or is final meanwhile, is known by its number.
    pub(super) through: TaskId,
}

impl Engine {
    /// Takes up more of a campaign's tasks, in the order of their numbers.
    pub(super) fn add_tasks(
        &mut self,
        now: Now,
        id: CampaignId,
        mut tasks: Vec<UpdateTask>,
    ) -> Result<(), CommandError> {
        let Some(running) = self.campaigns.get_mut(&id) else {
            return Err(CommandError::NotActive);
        };
        let through = running.given.through;
        tasks.retain(|task| task.campaign == id && task.id > through);
        let Some(last) = tasks.last().map(|task| task.id) else {
            return Ok(());
        };
        let limit = self.config.tasks_max;
        if running.given.to_come == 0 && self.tasks.len() + tasks.len() > limit {
            return Err(CommandError::TasksFull { limit });
        }
        for task in &tasks {
            match running.given.to_come.checked_sub(1) {
                // Counted since the activation.
                Some(left) => running.given.to_come = left,
                None => running.progress.add(task.rollout_phase, TaskState::Pending),
            }
        }
        running.given.through = last;
        for task in tasks {
            let task_id = task.id;
            self.add_task(now, task);
            // One that has failed at once may be one too many.
            let running = self.campaigns.get(&id);
            if let Some((cause, mode)) = running.and_then(|it| it.closed_to_tasks(now)) {
                self.stop_one(now, task_id, &cause, mode);
            }
        }
        self.end_if_done(now, id);
        self.plan_openings(now);
        Ok(())
    }
}

/// The devices that joined a dynamic campaign: each has its own time to be heard.
#[derive(Debug)]
pub(super) struct Latecomers {
    timeout: Duration,
    left: Duration,
}

impl Latecomers {
    /// Whether the device of a task that waits has time left to be heard.
    pub(super) fn have_time(&mut self, now: Now, idle: &UpdateTask) -> bool {
        let left = (idle.since + self.timeout).saturating_since(now.utc);
        if !left.is_zero() {
            self.left = self.left.min(left);
        }
        !left.is_zero()
    }

    /// When to look again. Each time all tasks are looked at: not for each device by itself.
    pub(super) fn left(&self) -> Duration {
        self.left.max(self.timeout / 20)
    }
}

impl Engine {
    /// Those of a campaign that devices may join.
    pub(super) fn latecomers(&self, id: CampaignId) -> Option<Latecomers> {
        let running = self.campaigns.get(&id)?;
        let timeout = self.products.of_package(&running.package).contact_timeout;
        let latecomers = Latecomers {
            timeout,
            left: timeout,
        };
        running.campaign.targets.dynamic.then_some(latecomers)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;
    use crate::campaign::Progress;
    use crate::clock::{Instant, Utc};
    use crate::engine::{Command, EndedTasks, EngineConfig, Output};
    use crate::model::{
        Campaign, CampaignState, CampaignTargets, CellId, Component, CoverageTier, DeviceModel,
        DeviceType, DownloadCapability, EndpointName, ErrorThreshold, FailureReason,
        FirmwareVersion, Manufacturer, OnErrors, Package, PackageFile, PackageId, PackageKind,
        Phase, Provenance, Record, ReleaseNotes, Restored, RetryPolicy, Sha256Digest, SlotClaim,
        StopMode,
    };

    pub(in crate::engine) const CAMPAIGN: CampaignId = CampaignId(1);

    pub(in crate::engine) fn at(seconds: u64) -> Now {
        let passed = Duration::from_secs(seconds);
        Now {
            instant: Instant::from_origin(passed),
            utc: Utc::default() + passed,
        }
    }

    pub(in crate::engine) fn task(number: u64, now: Now) -> UpdateTask {
        let endpoint = EndpointName::parse(&format!("d{number}")).unwrap();
        UpdateTask::new(TaskId(number), CAMPAIGN, endpoint, now.utc)
    }

    pub(in crate::engine) fn package() -> Package {
        Package {
            id: PackageId(1),
            manufacturer: Manufacturer::parse("Acme").unwrap(),
            model: DeviceModel::parse("NB-1").unwrap(),
            device_type: DeviceType::parse("WaterMeter").unwrap(),
            protocol: "LWM2M".to_owned(),
            target_version: FirmwareVersion::parse("2").unwrap(),
            source_versions: Vec::new(),
            kind: PackageKind::Full,
            component: Component::Module,
            file: PackageFile {
                name: "a.bin".to_owned(),
                sha256: Sha256Digest([0; 32]),
                size_bytes: 1,
            },
            more_files: Vec::new(),
            archive_sha256: Sha256Digest([1; 32]),
            provenance: Provenance::Signed {
                key_id: "00".repeat(32),
            },
            sequence: None,
            not_after: None,
            release_notes: ReleaseNotes::default(),
            uploaded_at: Utc::default(),
        }
    }

    pub(in crate::engine) fn campaign(dynamic: bool) -> Campaign {
        Campaign {
            id: CAMPAIGN,
            name: String::new(),
            package: PackageId(1),
            targets: CampaignTargets {
                dynamic,
                ..CampaignTargets::default()
            },
            retry: RetryPolicy::default(),
            state: CampaignState::Draft,
            downgrade: None,
            admission: None,
            policy: Default::default(),
            rollout: Default::default(),
            created_by: String::new(),
            created_at: Utc::default(),
            activated_at: None,
            ended_at: None,
            consented_at: None,
            archived_at: None,
        }
    }

    pub(in crate::engine) fn engine(tasks_max: usize) -> Engine {
        let config = EngineConfig {
            download_base: Some("coap://192.0.2.1/fw/".to_owned()),
            tasks_max,
            ..EngineConfig::default()
        };
        Engine::new(config, [1; 32])
    }

    fn run(
        engine: &mut Engine,
        campaign: Campaign,
        numbers: &[u64],
        to_come: u64,
    ) -> Result<(), CommandError> {
        let mut ended = EndedTasks::default();
        let counts = Progress {
            pending: to_come,
            ..Progress::default()
        };
        ended.counts.join(0, counts);
        let command = Command::RunCampaign {
            campaign,
            package: package(),
            image: Bytes::from_static(b"x"),
            installed: Default::default(),
            tasks: numbers.iter().map(|number| task(*number, at(0))).collect(),
            ended,
        };
        engine.handle_command(at(0), command)
    }

    pub(in crate::engine) fn add(
        engine: &mut Engine,
        now: Now,
        numbers: &[u64],
    ) -> Result<(), CommandError> {
        let tasks = numbers.iter().map(|number| task(*number, now)).collect();
        let campaign = CAMPAIGN;
        engine.handle_command(now, Command::AddTasks { campaign, tasks })
    }

    fn stop_task(engine: &mut Engine, number: u64) {
        let command = Command::StopTask {
            campaign: CAMPAIGN,
            task: TaskId(number),
            mode: StopMode::Hard,
        };
        engine.handle_command(at(1), command).unwrap();
    }

    /// The tasks that ended since it was asked last, and how, in order.
    pub(in crate::engine) fn ended(engine: &mut Engine) -> Vec<(u64, TaskState)> {
        let mut ended = Vec::new();
        loop {
            let output = engine.poll_output();
            if let Output::Timeout(_) = output {
                return ended;
            }
            if let Output::Record(Record::Task(task)) = output
                && task.state.is_final()
            {
                ended.push((task.id.0, task.state));
            }
        }
    }

    #[test]
    fn a_campaign_whose_tasks_are_still_to_come_does_not_end() {
        let mut engine = engine(10);
        run(&mut engine, campaign(false), &[1], 2).unwrap();
        stop_task(&mut engine, 1);
        assert_eq!(ended(&mut engine), [(1, TaskState::Stopped)]);
        assert_eq!(engine.campaigns(), 1);
        add(&mut engine, at(1), &[2, 3]).unwrap();
        assert_eq!(engine.held().tasks, 2);
        stop_task(&mut engine, 2);
        stop_task(&mut engine, 3);
        assert_eq!(engine.campaigns(), 0);
    }

    #[test]
    fn what_a_campaign_was_given_before_is_passed_over() {
        let mut engine = engine(10);
        run(&mut engine, campaign(false), &[1, 2], 2).unwrap();
        stop_task(&mut engine, 1);
        add(&mut engine, at(1), &[1, 2]).unwrap();
        assert_eq!(engine.held().tasks, 1);
        add(&mut engine, at(1), &[2, 3, 4]).unwrap();
        add(&mut engine, at(1), &[3, 4]).unwrap();
        assert_eq!(engine.held().tasks, 3);
        ended(&mut engine);
        for number in 2..=4 {
            stop_task(&mut engine, number);
        }
        assert_eq!(ended(&mut engine).len(), 3);
        assert_eq!(engine.campaigns(), 0);
        assert_eq!(add(&mut engine, at(1), &[5]), Err(CommandError::NotActive));
    }

    #[test]
    fn tasks_that_come_after_the_stop_are_stopped() {
        let mut engine = engine(10);
        run(&mut engine, campaign(false), &[1], 2).unwrap();
        let command = Command::StopCampaign {
            id: CAMPAIGN,
            mode: StopMode::Hard,
        };
        engine.handle_command(at(1), command).unwrap();
        assert_eq!(ended(&mut engine), [(1, TaskState::Stopped)]);
        assert_eq!(engine.campaigns(), 1);
        add(&mut engine, at(1), &[2, 3]).unwrap();
        let stopped = [(2, TaskState::Stopped), (3, TaskState::Stopped)];
        assert_eq!(ended(&mut engine), stopped);
        assert_eq!(engine.campaigns(), 0);
    }

    #[test]
    fn a_campaign_has_room_for_all_that_is_to_come_or_does_not_begin() {
        let mut engine = engine(3);
        let full = Err(CommandError::TasksFull { limit: 3 });
        assert_eq!(run(&mut engine, campaign(false), &[1, 2], 2), full);
        run(&mut engine, campaign(true), &[1, 2], 1).unwrap();
        add(&mut engine, at(1), &[3]).unwrap();
        assert_eq!(add(&mut engine, at(1), &[4]), full);
        assert_eq!(engine.held().tasks, 3);
        stop_task(&mut engine, 1);
        add(&mut engine, at(1), &[4]).unwrap();
        assert_eq!(engine.held().tasks, 3);
    }

    #[test]
    fn a_dynamic_campaign_ends_when_it_is_stopped() {
        let mut engine = engine(10);
        run(&mut engine, campaign(true), &[], 0).unwrap();
        assert_eq!(engine.campaigns(), 1);
        add(&mut engine, at(5), &[1]).unwrap();
        stop_task(&mut engine, 1);
        assert_eq!(engine.campaigns(), 1);
        let command = Command::StopCampaign {
            id: CAMPAIGN,
            mode: StopMode::Hard,
        };
        engine.handle_command(at(6), command).unwrap();
        assert_eq!(engine.campaigns(), 0);
    }

    #[test]
    fn a_device_that_joined_has_its_own_time_to_be_heard() {
        let mut engine = engine(10);
        run(&mut engine, campaign(true), &[1], 0).unwrap();
        let timeout = engine.config.product.contact_timeout.as_secs();
        add(&mut engine, at(timeout / 2), &[2]).unwrap();
        ended(&mut engine);
        engine.handle_timeout(at(timeout));
        assert_eq!(ended(&mut engine), [(1, TaskState::Failed)]);
        engine.handle_timeout(at(timeout + timeout / 2));
        assert_eq!(ended(&mut engine), [(2, TaskState::Failed)]);
        // And whoever joins then, again.
        add(&mut engine, at(2 * timeout), &[3]).unwrap();
        engine.handle_timeout(at(2 * timeout + timeout / 2));
        assert_eq!(ended(&mut engine), []);
        engine.handle_timeout(at(3 * timeout + timeout / 2));
        assert_eq!(ended(&mut engine), [(3, TaskState::Failed)]);
    }

    #[test]
    fn an_engine_from_the_store_passes_over_what_it_had_from_there() {
        let mut engine = engine(10);
        let active = Campaign {
            state: CampaignState::Running,
            activated_at: Some(Utc::default()),
            ..campaign(true)
        };
        let restored = Restored {
            campaigns: vec![active],
            packages: vec![package()],
            tasks: vec![task(2, at(0))],
            // The third was made and has ended.
            last_task: TaskId(3),
            ..Restored::default()
        };
        let resumption = crate::engine::Resumption {
            image: Some(Bytes::from_static(b"x")),
            ..Default::default()
        };
        engine.restore(at(0), restored, [(CAMPAIGN, resumption)].into());
        add(&mut engine, at(1), &[1, 2, 3]).unwrap();
        assert_eq!(engine.held().tasks, 1);
        add(&mut engine, at(1), &[4]).unwrap();
        assert_eq!(engine.held().tasks, 2);
    }

    #[test]
    fn a_campaign_that_what_comes_stops_stops_what_comes_behind_it() {
        let mut engine = engine(20);
        let mut campaign = campaign(false);
        campaign.policy.governors.error_threshold = Some(ErrorThreshold {
            failed_percent_max: 10,
            ended_min: 5,
            action: OnErrors::Stop,
        });
        run(&mut engine, campaign, &[1], 7).unwrap();
        let mut tasks: Vec<UpdateTask> = (2..=8).map(|number| task(number, at(1))).collect();
        // Five are of a device that is at work.
        for conflict in &mut tasks[..5] {
            conflict.endpoint = EndpointName::parse("d1").unwrap();
        }
        let campaign = CAMPAIGN;
        let command = Command::AddTasks { campaign, tasks };
        engine.handle_command(at(1), command).unwrap();
        let ended = ended(&mut engine);
        let (failed, stopped) = (TaskState::Failed, TaskState::Stopped);
        assert_eq!(ended.iter().filter(|it| it.1 == failed).count(), 5);
        assert!(ended.contains(&(7, stopped)) && ended.contains(&(8, stopped)));
        assert_eq!(engine.held().tasks, 0);
        assert_eq!(engine.campaigns(), 0);
    }

    fn ending(dynamic: bool) -> Campaign {
        let mut campaign = campaign(dynamic);
        campaign.policy.schedule.end_at = Some(at(100).utc);
        campaign
    }

    #[test]
    fn a_dynamic_campaign_ends_at_its_end() {
        let mut engine = engine(10);
        run(&mut engine, ending(true), &[1], 0).unwrap();
        stop_task(&mut engine, 1);
        assert_eq!(engine.campaigns(), 1);
        ended(&mut engine);
        engine.handle_timeout(at(100));
        assert_eq!(engine.campaigns(), 0);
        assert_eq!(
            add(&mut engine, at(101), &[2]),
            Err(CommandError::NotActive)
        );
    }

    #[test]
    fn what_comes_after_the_campaigns_end_ends() {
        let mut engine = engine(10);
        run(&mut engine, ending(false), &[1], 2).unwrap();
        engine.handle_timeout(at(100));
        assert_eq!(ended(&mut engine), [(1, TaskState::Stopped)]);
        assert_eq!(engine.campaigns(), 1);
        add(&mut engine, at(101), &[2, 3]).unwrap();
        let stopped = [(2, TaskState::Stopped), (3, TaskState::Stopped)];
        assert_eq!(ended(&mut engine), stopped);
        assert_eq!(engine.campaigns(), 0);
    }

    #[test]
    fn an_image_that_is_gone_ends_hard_what_was_being_stopped_softly() {
        let mut engine = engine(10);
        let stopping = Campaign {
            state: CampaignState::Stopped,
            activated_at: Some(Utc::default()),
            ..campaign(false)
        };
        let fetching = UpdateTask {
            state: TaskState::Running,
            phase: Phase::Downloading,
            attempt: 1,
            uri_intended: true,
            stop: Some(StopMode::Soft),
            slot: Some(SlotClaim {
                cell: CellId(0),
                tier: CoverageTier::Tier0,
            }),
            capability: Some(DownloadCapability([7; 16])),
            ..task(1, at(0))
        };
        let restored = Restored {
            campaigns: vec![stopping],
            packages: vec![package()],
            tasks: vec![fetching],
            last_task: TaskId(1),
            ..Restored::default()
        };
        engine.restore(at(0), restored, BTreeMap::new());
        let (mut last, mut audited) = (None, false);
        loop {
            match engine.poll_output() {
                Output::Record(Record::Task(task)) => last = Some(task),
                Output::Record(Record::Audit(_)) => audited = true,
                Output::Timeout(_) => break,
                Output::Record(_)
                | Output::Transmit(_)
                | Output::Heard { .. }
                | Output::Flapping { .. }
                | Output::Progress(_)
                | Output::Download(_) => {}
            }
        }
        let task = last.expect("it is told");
        assert_eq!(task.stop, Some(StopMode::Hard));
        let failure = task.failure.expect("a reason");
        assert_eq!(failure.reason, FailureReason::IntegrityCheckFailed);
        // That it was stopped is told already.
        assert!(!audited);
    }
}
