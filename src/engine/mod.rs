//! The whole, still sans-IO: datagrams and commands in; records, datagrams and the next deadline out.
//!
//! ```text
//!   handle_datagram ─► coap::Endpoint ─► routes ─┬─► registrations   /rd
//!                                                ├─► send            /dp
//!                                                ├─► download        /fw
//!                                                ├─► operations      answers, notifications
//!                                                └─► device_requests answers to operators
//!   handle_command ──► campaigns ─► tasks ◄──────────────┘
//!                                     │  fota::Session, one for each running task
//!                                     └─► scheduler, operations, records
//! ```
//!
//! After each input, drain [`Engine::poll_output`] to [`Output::Timeout`]: only then is the state
//! consistent.

mod campaigns;
mod command;
mod config;
mod consent;
mod deliveries;
mod device_requests;
mod download;
mod failures;
mod flapping;
mod gates;
mod held;
mod introductions;
mod joining;
mod openings;
mod operations;
mod output;
mod pace;
mod products;
mod registrations;
mod removal;
mod restore;
mod retries;
mod revocation;
mod rollout;
mod routes;
mod schedule;
mod send;
mod soak;
mod stops;
mod sweeps;
mod tasks;
mod timers;
mod uplinks;
mod waiting_room;

use std::collections::{BTreeMap, HashMap, VecDeque};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

pub use command::{
    CellStatus, Command, CommandError, EndedCampaign, EndedTasks, TaskProgress, TierStatus,
};
pub use config::{EngineConfig, Onboarding};
pub use device_requests::DeviceRequestLimits;
pub use download::{DownloadChange, ServedImage, uri_file_name};
pub use held::Held;
pub use output::Output;
pub use pace::PaceReport;
pub use restore::Resumption;
pub use uplinks::UplinkLimits;

pub use crate::scheduler::Standing;

use crate::campaign::LoopGuard;
use crate::clock::{Instant, Now};
use crate::coap::{self, Event};
use crate::fota::Said;
use crate::lwm2m::{FlappingDetector, RegisterRate, Registry};
use crate::model::{
    CampaignId, DeviceReport, DownloadCapability, EndpointName, PauseReason, Peer, Record, TaskId,
};
use crate::scheduler::{CellScheduler, SchedulerConfig};

use campaigns::RunningCampaign;
use device_requests::{DeviceRequests, NoAnswer};
use download::Download;
use openings::TaskQueue;
use operations::Operations;
use products::{DeviceKind, Products};
use sweeps::Sweeps;
use tasks::TaskEntry;
use timers::Timers;
use waiting_room::Pings;

/// The server's core. It performs no I/O and reads no clock.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    rng: StdRng,
    coap: coap::Endpoint,
    registry: Registry,
    known: HashMap<EndpointName, DeviceKind>,
    products: Products,
    reports: HashMap<EndpointName, DeviceReport>,
    campaigns: BTreeMap<CampaignId, RunningCampaign>,
    tasks: BTreeMap<TaskId, TaskEntry>,
    task_of: HashMap<EndpointName, TaskId>,
    downloads: HashMap<DownloadCapability, Download>,
    scheduler: CellScheduler,
    loop_guard: LoopGuard,
    flapping: FlappingDetector,
    register_rate: RegisterRate,
    operations: Operations,
    pings: Pings,
    device_requests: DeviceRequests,
    timers: Timers,
    /// What devices of tasks that have not begun said of themselves.
    said: HashMap<TaskId, Said>,
    /// Of tasks with a slot.
    marks: HashMap<TaskId, pace::Mark>,
    /// Tasks whose session may have actions to carry out.
    ready: VecDeque<TaskId>,
    /// Tasks of reachable devices that are to be tried without waiting for a message.
    openings: TaskQueue,
    /// When the next of them are tried, at the earliest.
    opening_not_before: Instant,
    sweeps: Sweeps,
    /// Devices whose Register was answered, and who are to be asked for what is not known of them.
    introductions: VecDeque<EndpointName>,
    outputs: VecDeque<Output>,
    /// Until then nothing can be committed.
    closed_until: Option<Instant>,
    counters: EngineCounters,
}

/// What the engine has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineCounters {
    /// Registers that were accepted.
    pub registers: u64,
    /// Registration updates that were accepted.
    pub registration_updates: u64,
    /// Deregistrations.
    pub deregisters: u64,
    /// Registration requests that were refused.
    pub registrations_refused: u64,
    /// Of these: Registers of devices that had registered too often of late.
    pub registers_too_often: u64,
    /// Registrations whose lifetime ran out.
    pub registrations_expired: u64,
    /// Registers that took a live registration over from another peer.
    pub takeovers: u64,
    /// Endpoints that were taken over so often that they were flagged.
    pub endpoints_flagged: u64,
    /// Sends that were understood.
    pub sends: u64,
    /// Sends from where nobody is registered.
    pub sends_unknown: u64,
    /// Sends from where several devices are registered.
    pub sends_ambiguous: u64,
    /// Sends of registered devices that were not understood.
    pub sends_malformed: u64,
    /// Messages of devices' own data that were kept.
    pub uplinks: u64,
    /// Messages of devices' own data that were longer than is kept.
    pub uplinks_too_long: u64,
    /// Blocks of images served, and of pushed ones taken.
    pub blocks: u64,
    /// Bytes of images served, and of pushed ones taken.
    pub block_bytes: u64,
    /// Attempts that ended well.
    pub attempts_succeeded: u64,
    /// Attempts that ended badly.
    pub attempts_failed: u64,
    /// Slots granted.
    pub slots_granted: u64,
    /// Tasks that had to queue for a slot.
    pub slots_queued: u64,
    /// Pings to devices that wait for one.
    pub pings: u64,
    /// Devices that were entered beyond [`EngineConfig::devices_max`]: their Registers are answered
    /// 5.03.
    pub devices_left_out: u64,
    /// Deliveries that the loop guard had no room to count.
    pub deliveries_uncounted: u64,
}

impl Engine {
    /// An engine that knows nothing yet. `seed` must not be guessable: tokens, locations and download
    /// capabilities come from it.
    pub fn new(config: EngineConfig, seed: [u8; 32]) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let mut scheduler = SchedulerConfig {
            limits: config.tier_limits,
            overrides: config.cell_limits.clone(),
            queue_max: config.tasks_max,
            passed_over_max: config.passed_over_max,
            stretch_max: config.stretch_max,
            starts_per_minute_max: config.starts_per_minute_max,
            seed: 0,
        };
        let register_rate = RegisterRate::new(config.register_rate, rng.next_u64());
        Self {
            coap: coap::Endpoint::new(config.coap.clone(), fork(&mut rng)),
            registry: Registry::new(config.registry, fork(&mut rng)),
            scheduler: {
                scheduler.seed = rng.next_u64();
                CellScheduler::new(scheduler)
            },
            rng,
            known: HashMap::new(),
            reports: HashMap::new(),
            campaigns: BTreeMap::new(),
            tasks: BTreeMap::new(),
            task_of: HashMap::new(),
            downloads: HashMap::new(),
            loop_guard: LoopGuard::new(config.loop_guard),
            flapping: FlappingDetector::new(config.flapping),
            register_rate,
            products: Products::new(&config),
            operations: Operations::default(),
            pings: Pings::default(),
            device_requests: DeviceRequests::default(),
            timers: Timers::default(),
            said: HashMap::new(),
            marks: HashMap::new(),
            ready: VecDeque::new(),
            openings: TaskQueue::default(),
            opening_not_before: Instant::ORIGIN,
            sweeps: Sweeps::new(config.sweep_turn),
            introductions: VecDeque::new(),
            outputs: VecDeque::new(),
            closed_until: None,
            counters: EngineCounters::default(),
            config,
        }
    }

    /// Takes one datagram.
    pub fn handle_datagram(&mut self, now: Now, peer: &Peer, datagram: &[u8]) {
        self.start_due(now);
        self.coap.handle_datagram(now.instant, peer, datagram);
        self.pump(now);
    }

    /// Carries out an operator's command.
    ///
    /// # Errors
    /// Where it cannot be done; then nothing has changed.
    pub fn handle_command(&mut self, now: Now, command: Command) -> Result<(), CommandError> {
        self.start_due(now);
        let result = self.carry_out(now, command);
        self.pump(now);
        result
    }

    fn carry_out(&mut self, now: Now, command: Command) -> Result<(), CommandError> {
        match command {
            Command::AddDevices(devices) => {
                self.add_devices(devices);
                Ok(())
            }
            Command::SetProduct(product) => self.set_product(now, product),
            Command::RemoveProduct(profile) => {
                self.remove_product(profile);
                Ok(())
            }
            Command::RunCampaign {
                campaign,
                package,
                image,
                installed,
                tasks,
                ended,
            } => {
                let running =
                    self.running_campaign(now, campaign, package, image, installed, ended);
                self.run_campaign(now, running, tasks)
            }
            Command::AddTasks { campaign, tasks } => self.add_tasks(now, campaign, tasks),
            Command::StopCampaign { id, mode } => self.stop_campaign(now, id, mode),
            Command::StopTask {
                campaign,
                task,
                mode,
            } => self.stop_task(now, campaign, task, mode),
            Command::RetryTasks {
                campaign,
                tasks,
                ended,
            } => self.retry_tasks(now, campaign, tasks, ended),
            Command::Consent {
                campaign,
                task,
                granted,
                by,
            } => self.consent(now, campaign, task, granted, &by),
            Command::PauseCampaign { id, halted: false } => {
                self.pause_campaign(now, id, PauseReason::Operator)
            }
            Command::PauseCampaign { id, halted: true } => {
                self.pause_campaign(now, id, PauseReason::Halted)
            }
            Command::HaltCampaigns => {
                self.halt_all(now);
                Ok(())
            }
            Command::ResumeCampaign(id) => self.resume_paused(now, id),
            Command::ApprovePhase(id) => self.approve_phase(now, id),
            Command::SetSchedule { id, schedule } => self.set_schedule(now, id, schedule),
            Command::RevokeKey { id, change } => {
                self.revoke_key(now, id, change);
                Ok(())
            }
            Command::SetCellLimits { limits, overrides } => {
                let granted = self.scheduler.set_limits(limits, overrides);
                self.grant_all(now, granted);
                Ok(())
            }
            Command::LiftBar(endpoint) => self.lift_bar(endpoint),
            Command::RemoveDevice(endpoint) => self.remove_device(now, endpoint),
            Command::CancelDeviceRequest { endpoint, id } => {
                self.cancel_device_request(now, &endpoint, id)
            }
        }
    }

    /// Lets time pass to `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        self.start_due(now);
        self.coap.handle_timeout(now.instant);
        self.expire_registrations(now);
        while let Some(timer) = self.timers.pop_due(now.instant) {
            self.handle_timer(now, timer);
            self.pump(now);
        }
        self.pump(now);
    }

    /// The next thing to do. Drain until [`Output::Timeout`].
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| {
            let deadlines = [
                self.coap.poll_timeout(),
                self.registry.poll_timeout(),
                self.timers.next(),
                self.scheduler.poll_timeout(),
            ];
            Output::Timeout(deadlines.into_iter().flatten().min())
        })
    }

    /// What was counted since the engine was made.
    pub fn counters(&self) -> &EngineCounters {
        &self.counters
    }

    /// What the message layer counted.
    pub fn coap_counters(&self) -> &coap::Counters {
        self.coap.counters()
    }

    /// How many devices are registered.
    pub fn registrations(&self) -> usize {
        self.registry.len()
    }

    /// Brings every event and every session's action to its end, then hands out the datagrams: behind
    /// the records of the same input.
    fn pump(&mut self, now: Now) {
        loop {
            if let Some(event) = self.coap.poll_event() {
                self.handle_event(now, event);
            } else if let Some(task) = self.ready.pop_front() {
                self.apply_actions(now, task);
            } else if let Some(endpoint) = self.introductions.pop_front() {
                self.introduce(now, &endpoint);
            } else if let Some(endpoint) = self.device_requests.next_turn() {
                self.take_turn(now, &endpoint);
            } else if let Some(task) = self.scheduler.next_for_room() {
                self.offer_room(now, task);
            } else if !self.sweep_some(now) {
                break;
            }
        }
        while let Some(transmit) = self.coap.poll_transmit() {
            self.outputs.push_back(Output::Transmit(transmit));
        }
    }

    /// Whose turn to start has come by now starts before anybody else asks.
    fn start_due(&mut self, now: Now) {
        let granted = self.scheduler.handle_timeout(now.instant);
        self.grant_all(now, granted);
    }

    fn handle_event(&mut self, now: Now, event: Event) {
        match event {
            Event::Request {
                peer,
                reply_to,
                request,
            } => {
                self.handle_request(now, &peer, &reply_to, &request);
            }
            Event::Response {
                id,
                peer: _,
                response,
            } => {
                if !self.device_answered(now, id, &response) {
                    self.handle_response(now, id, &response);
                }
            }
            Event::Notification {
                peer,
                token,
                response,
            } => {
                self.handle_notification(now, &peer, token, &response);
            }
            Event::NotificationBegun { peer, token, first } => {
                self.fetch_notification(now, &peer, token, first);
            }
            Event::TimedOut { id, peer: _ } => {
                if !self.device_not_answered(now, id, NoAnswer::TimedOut) {
                    self.handle_no_answer(now, id, false);
                }
            }
            Event::Reset { id, peer: _ } => {
                if !self.device_not_answered(now, id, NoAnswer::Reset) {
                    self.handle_no_answer(now, id, true);
                }
            }
            Event::Broken { id, .. } => {
                if !self.device_not_answered(now, id, NoAnswer::Broken) {
                    self.handle_broken(now, id);
                }
            }
            Event::BlockTaken {
                id, taken_bytes, ..
            } => self.handle_block_taken(now, id, taken_bytes),
            // Only a device's side sends notifications: it is of a ping.
            Event::Delivered { id, peer: _ } => self.ping_answered(now, id),
        }
    }

    fn record(&mut self, record: Record) {
        self.outputs.push_back(Output::Record(record));
    }

    fn new_capability(&mut self) -> DownloadCapability {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        DownloadCapability(bytes)
    }
}

/// An independent generator, so that what one part draws does not shift what another does.
fn fork(rng: &mut StdRng) -> StdRng {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    StdRng::from_seed(seed)
}
