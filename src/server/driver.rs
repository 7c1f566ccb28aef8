//! One task owns the engine: it takes an input, drains the outputs, commits, then sends.
//!
//! Commits are grouped: while one is under way, the records of later inputs gather for the next. A
//! datagram waits for the records of its own input and, as it may rest on them, of the inputs before
//! it; a block of an image rests on none and leaves at once. If a commit fails the engine has gone
//! past what is true: it is thrown away with everything unsent and rebuilt from the store. To devices
//! that looks like lost datagrams, which CoAP repeats.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use crate::clock::{Instant, SystemClock};
use crate::engine::{DownloadChange, Engine, Output};
use crate::http::{
    CurrentTiers, Downloads, EngineError, EngineRequest, EngineRequests, LiveDevice, LiveView,
};
use crate::model::{Peer, Record, Transmit};
use crate::net::RECEIVE_BYTES;
use crate::store::{Store, StoreError};

use super::audit::Audit;
use super::cell_limits::CellLimits;
use super::failpoint::{Failpoint, Point};
use super::link::Link;
use super::rebuild::Rebuild;
use super::reply::{Awaited, Reply};
use super::telemetry::Telemetry;

/// How many datagrams are taken before the outputs are looked at for other inputs.
const DATAGRAMS_PER_TURN: usize = 64;

/// How many records and datagrams gather before no more input is taken, deadlines among it: a store that
/// stalls slows the inputs, and what the kernel cannot hold is lost and repeated.
const GATHERED_MAX: usize = 20_000;

/// How long to wait before the engine is rebuilt; doubled with each failure in a row, as a store that
/// fails reads and writes for each try.
const REBUILD_DELAY: Duration = Duration::from_millis(500);

/// The longest of these waits.
const REBUILD_DELAY_MAX: Duration = Duration::from_secs(8);

/// The longest sleep: a deadline further away is looked at again then.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

type CommitResult = Result<(Result<(), StoreError>, Duration), JoinError>;

/// Why the server cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum DriverError {
    /// What is durable is no longer known.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The device listener is gone.
    #[error("the CoAP socket failed: {0}")]
    Socket(#[from] std::io::Error),
    /// A part of the server panicked.
    #[error("a commit did not return: {0}")]
    Commit(#[from] JoinError),
}

/// Records to commit together, and what may only happen then.
#[derive(Debug, Default)]
struct Batch {
    records: Vec<Record>,
    downloads: Vec<DownloadChange>,
    transmits: Vec<Transmit>,
    replies: Vec<Reply>,
    /// Those that a later engine has too, once who changed them is committed.
    cell_limits: Option<CellLimits>,
}

/// What a commit under way will set free.
#[derive(Debug)]
struct InFlight {
    commit: JoinHandle<(Result<(), StoreError>, Duration)>,
    batch: Batch,
}

/// The owner of the engine.
#[derive(Debug)]
pub(super) struct Driver {
    engine: Engine,
    parts: DriverParts,
    gathered: Batch,
    in_flight: Option<InFlight>,
    deadline: Option<Instant>,
    awaited: Awaited,
    /// Commits and rebuilds that failed since the last commit that did not.
    failures_in_row: u32,
    /// After a failure, nothing is committed before this.
    commit_not_before: Option<Instant>,
}

/// What a driver works with.
#[derive(Debug)]
pub(super) struct DriverParts {
    pub(super) rebuild: Rebuild,
    pub(super) store: Arc<dyn Store>,
    pub(super) link: Link,
    pub(super) live: Arc<LiveView>,
    pub(super) tiers: CurrentTiers,
    pub(super) downloads: Arc<Downloads>,
    pub(super) requests: EngineRequests,
    pub(super) shutdown: watch::Receiver<bool>,
    pub(super) clock: SystemClock,
    pub(super) telemetry: Telemetry,
    pub(super) failpoint: Failpoint,
}

#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
enum Input {
    Readable(std::io::Result<()>),
    Request(Option<EngineRequest>),
    Fetched,
    Committed(CommitResult),
    Timeout,
    Shutdown,
}

impl Driver {
    pub(super) fn new(engine: Engine, parts: DriverParts) -> Self {
        let mut driver = Self {
            engine,
            parts,
            gathered: Batch::default(),
            in_flight: None,
            deadline: None,
            awaited: Awaited::default(),
            failures_in_row: 0,
            commit_not_before: None,
        };
        driver.take_up();
        driver
    }

    /// Takes the outputs of an engine that was made from what is committed. What it serves rests on
    /// nothing else, whatever else it has to commit.
    fn take_up(&mut self) {
        self.drain(None);
        let served = std::mem::take(&mut self.gathered.downloads);
        self.parts.downloads.replace(served);
    }

    /// Runs until it is told to stop; then what has gathered is committed and sent.
    pub(super) async fn run(mut self) -> Result<(), DriverError> {
        self.start_commit();
        self.observe();
        loop {
            match self.select().await {
                Input::Readable(readable) => {
                    readable?;
                    self.receive();
                    // Under a flood this task never waits by itself: others, and the runtime's own
                    // timers and sockets, have their turn.
                    tokio::task::yield_now().await;
                }
                Input::Request(Some(request)) => self.handle_request(request),
                Input::Committed(result) => {
                    let (result, took) = result?;
                    self.handle_committed(result, took).await?;
                }
                Input::Fetched => self.handle_fetched(),
                Input::Timeout => {
                    self.engine.handle_timeout(self.parts.clock.now());
                    self.drain(None);
                }
                Input::Request(None) | Input::Shutdown => return self.finish().await,
            }
            self.start_commit();
            self.observe();
        }
    }

    fn observe(&mut self) {
        let now = self.parts.clock.now().instant;
        let unsent = self.parts.link.unsent();
        self.parts.telemetry.observe(now, &self.engine, unsent);
    }

    async fn select(&mut self) -> Input {
        let clock = self.parts.clock;
        let now = clock.now().instant;
        let gathered = self.gathered.records.len() + self.gathered.transmits.len();
        let room = gathered < GATHERED_MAX;
        let deadlines = [
            self.deadline.filter(|_| room),
            self.commit_not_before,
            self.parts.telemetry.deadline(),
        ];
        let deadline = deadlines
            .into_iter()
            .flatten()
            .fold(now + SLEEP_MAX, Instant::min);
        let committed = async {
            match &mut self.in_flight {
                Some(in_flight) => (&mut in_flight.commit).await,
                None => std::future::pending().await,
            }
        };
        // The runtime may look at its timers late: what is due by our clock is due.
        let timeout = async {
            if deadline > now {
                tokio::time::sleep_until(clock.deadline(deadline)).await;
            }
        };
        // Datagrams last: a flood is always ready, and must starve neither timers nor operators.
        tokio::select! {
            biased;
            result = committed => Input::Committed(result),
            _ = self.parts.shutdown.wait_for(|stop| *stop) => Input::Shutdown,
            () = timeout => Input::Timeout,
            request = self.parts.requests.recv(), if room => Input::Request(request),
            () = self.parts.downloads.fetching(), if room => Input::Fetched,
            readable = self.parts.link.readable(), if room => Input::Readable(readable),
        }
    }

    /// Takes the datagrams that are there, each with its own outputs.
    fn receive(&mut self) {
        let mut buffer = [0; RECEIVE_BYTES];
        for _ in 0..DATAGRAMS_PER_TURN {
            let Some((length, address)) = self.parts.link.try_receive(&mut buffer) else {
                return;
            };
            let now = self.parts.clock.now();
            self.engine
                .handle_datagram(now, &Peer::Address(address), &buffer[..length]);
            self.drain(None);
        }
    }

    /// Tells the engine what was fetched by HTTP.
    fn handle_fetched(&mut self) {
        for (capability, end_bytes) in self.parts.downloads.take_fetched() {
            let now = self.parts.clock.now();
            self.engine.handle_fetched(now, capability, end_bytes);
            self.drain(None);
        }
    }

    fn handle_request(&mut self, request: EngineRequest) {
        match request {
            EngineRequest::Command(command, actor, answer) => {
                let now = self.parts.clock.now();
                let audit = actor.map(|actor| Audit::of_command(actor, now.utc, &command));
                let limits = CellLimits::of_command(&command);
                let result = self.engine.handle_command(now, command);
                let audit = audit.filter(|_| result.is_ok());
                self.drain_audited(Reply::Command(answer, result), audit.as_ref());
                if let Some(limits) = limits {
                    self.note_limits(limits, audit.as_ref());
                }
            }
            EngineRequest::Device(asked, actor, answer, end) => {
                let now = self.parts.clock.now();
                let result = self.engine.request_of_device(now, asked);
                let mut audit = None;
                if let Ok(id) = result {
                    self.awaited.insert(id, end);
                    audit = Some(Audit::of_request(actor, now.utc, id));
                }
                self.drain_audited(Reply::DeviceRequest(answer, result), audit.as_ref());
            }
            EngineRequest::Pace(campaign, answer) => {
                drop(answer.send(self.engine.pace(campaign)));
            }
            EngineRequest::Cells(page, answer) => {
                let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
                // Nobody waits any more: that is theirs to decide.
                drop(answer.send(self.engine.cells(page.after, limit)));
            }
            EngineRequest::Standing(endpoint, answer) => {
                let _ = answer.send(self.engine.standing(&endpoint));
            }
        }
    }

    /// The limits of cells were set: what differs goes into the commit that they count from.
    fn note_limits(&mut self, limits: CellLimits, audit: Option<&Audit>) {
        if let Some(audit) = audit {
            let in_flight = self.in_flight.as_ref();
            let in_flight = in_flight.and_then(|it| it.batch.cell_limits.as_ref());
            let before = self.gathered.cell_limits.as_ref().or(in_flight).cloned();
            let committed = || CellLimits::of_config(&self.parts.rebuild.config);
            let before = before.unwrap_or_else(committed);
            let changes = limits.changes(&before, audit.stamp());
            self.gathered.records.extend(changes);
        }
        self.gathered.cell_limits = Some(limits);
    }

    /// As [`Self::drain`]; what the audit log is told of it goes into the same commit.
    fn drain_audited(&mut self, reply: Reply, audit: Option<&Audit>) {
        let before = self.gathered.records.len();
        self.drain(Some(reply));
        let entries = audit.map(|audit| audit.entries(&self.gathered.records[before..]));
        self.gathered.records.extend(entries.into_iter().flatten());
    }

    /// Takes the outputs of one input apart: what may leave at once, and what waits for a commit.
    fn drain(&mut self, reply: Option<Reply>) {
        loop {
            match self.engine.poll_output() {
                Output::Record(record) => self.gathered.records.push(record),
                Output::Transmit(transmit) => {
                    let rests_on_nothing = self.gathered.records.is_empty()
                        && self.gathered.transmits.is_empty()
                        && self.in_flight.is_none();
                    if transmit.stateless || rests_on_nothing {
                        self.parts.link.send(&transmit);
                        if transmit.stateless {
                            self.parts.failpoint.reach_block();
                        }
                    } else {
                        self.gathered.transmits.push(transmit);
                    }
                }
                Output::Heard {
                    endpoint,
                    at,
                    awake_until,
                    lifetime,
                } => {
                    let device = LiveDevice {
                        awake_until,
                        last_seen: at,
                        lifetime_seconds: u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX),
                    };
                    self.parts.live.show_device(endpoint, device);
                }
                Output::Flapping { endpoint, flapping } => {
                    self.parts.live.show_flapping(endpoint, flapping);
                }
                Output::Progress(progress) => self.parts.live.show_progress(progress),
                Output::Download(change) => {
                    self.parts.downloads.announce(&change);
                    self.gathered.downloads.push(change);
                }
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    break;
                }
            }
        }
        self.gathered.replies.extend(reply);
    }

    fn start_commit(&mut self) {
        if self.in_flight.is_some() {
            return;
        }
        if let Some(not_before) = self.commit_not_before {
            if self.parts.clock.now().instant < not_before {
                return;
            }
            self.commit_not_before = None;
        }
        let batch = std::mem::take(&mut self.gathered);
        if batch.records.is_empty() {
            self.set_free(batch);
            return;
        }
        self.parts
            .failpoint
            .reach(Point::BeforeCommit, &batch.records);
        let (store, clock) = (Arc::clone(&self.parts.store), self.parts.clock);
        let to_commit = batch.records.clone();
        let commit = tokio::spawn(async move {
            let begun = clock.now().instant;
            let result = store.commit(to_commit).await;
            (result, clock.now().instant - begun)
        });
        self.in_flight = Some(InFlight { commit, batch });
    }

    async fn handle_committed(
        &mut self,
        result: Result<(), StoreError>,
        took: Duration,
    ) -> Result<(), DriverError> {
        let Some(done) = self.in_flight.take() else {
            return Ok(());
        };
        match result {
            Ok(()) => {
                self.failures_in_row = 0;
                let records = done.batch.records.len();
                self.parts.telemetry.committed(records, took);
                self.engine.pace_turns(took);
                self.set_free(done.batch);
                Ok(())
            }
            Err(error @ StoreError::Fatal(_)) => Err(error.into()),
            Err(error) => self.start_over(&error, done.batch.replies).await,
        }
    }

    /// What rested on these records may be seen now.
    fn set_free(&mut self, batch: Batch) {
        let Batch {
            records,
            downloads,
            transmits,
            replies,
            cell_limits,
        } = batch;
        self.parts.failpoint.reach(Point::AfterCommit, &records);
        for record in &records {
            match record {
                // It may have registered again since: the record speaks of its moment only.
                Record::Deregistered { endpoint, .. } if !self.engine.is_registered(endpoint) => {
                    self.parts.live.remove_device(endpoint);
                }
                Record::DeviceForgotten { endpoint } if !self.engine.is_registered(endpoint) => {
                    self.parts.live.forget_device(endpoint);
                }
                Record::Task(task) if task.state.is_final() => {
                    self.parts.live.remove_progress(task.id);
                }
                Record::Task(task) => {
                    let live = &self.parts.live;
                    live.progress_committed(task.id, task.bytes_served);
                }
                // What a dynamic campaign may ask for.
                Record::Device(_) | Record::Registered(_) | Record::Report { .. } => {
                    self.parts.live.note_change();
                }
                Record::Deregistered { .. }
                | Record::DeviceForgotten { .. }
                | Record::Observed(_)
                | Record::ObservationEnded { .. }
                | Record::Campaign { .. }
                | Record::Policy { .. }
                | Record::Rollout { .. }
                | Record::CampaignConsented { .. }
                | Record::CampaignArchived { .. }
                | Record::KeyRevoked { .. }
                | Record::Audit(_)
                | Record::Event(_)
                | Record::Timeline(_)
                | Record::Delivered { .. }
                | Record::DeviceRequest(_)
                | Record::DeviceRequestForgotten { .. }
                | Record::Uplink { .. }
                | Record::DeliveriesForgotten { .. } => {}
            }
        }
        if let Some(limits) = cell_limits {
            self.parts.tiers.set_limits(limits.limits());
            self.parts.rebuild.note(&limits.command());
        }
        // Before a device is told of it.
        for change in downloads {
            self.parts.downloads.apply(change);
        }
        for transmit in &transmits {
            self.parts.link.send(transmit);
        }
        self.parts.failpoint.reach(Point::AfterSend, &records);
        // Before who asks learns that it was taken up: its end may be there already.
        self.awaited.committed(&records);
        for reply in replies {
            reply.send();
        }
    }

    /// The engine has gone past what is true: another is made from what is committed. Nothing that
    /// rested on the lost records is sent. Blocks are served again at once; the next commit waits a
    /// while, longer with each failure in a row, and until then devices that register are told so.
    async fn start_over(
        &mut self,
        error: &StoreError,
        replies: Vec<Reply>,
    ) -> Result<(), DriverError> {
        tracing::error!(%error, "commit failed; rebuilding from the store");
        self.parts.telemetry.commit_failed();
        let delay = self.back_off();
        let not_before = self.parts.clock.now().instant + delay;
        self.commit_not_before = Some(not_before);
        let gathered = std::mem::take(&mut self.gathered);
        for reply in replies.into_iter().chain(gathered.replies) {
            reply.fail(not_committed(error));
        }
        // Numbers of the lost engine may be given out again.
        self.awaited = Awaited::default();
        loop {
            match self
                .parts
                .rebuild
                .engine(&*self.parts.store, self.parts.clock.now())
                .await
            {
                Ok(engine) => {
                    self.engine = engine;
                    self.engine.close_until(not_before);
                    self.parts.live.clear();
                    self.take_up();
                    return Ok(());
                }
                Err(error @ StoreError::Fatal(_)) => return Err(error.into()),
                Err(error) => {
                    tracing::error!(%error, "the store cannot be read; trying again");
                    let delay = self.back_off();
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        _ = self.parts.shutdown.wait_for(|stop| *stop) => return Err(error.into()),
                    }
                }
            }
        }
    }

    fn back_off(&mut self) -> Duration {
        let delay = REBUILD_DELAY.saturating_mul(1 << self.failures_in_row.min(8));
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        delay.min(REBUILD_DELAY_MAX)
    }

    /// Commits and sends what has gathered. A commit that fails now is for the next start to make good.
    async fn finish(mut self) -> Result<(), DriverError> {
        self.commit_not_before = None;
        loop {
            let Some(mut in_flight) = self.in_flight.take() else {
                return Ok(());
            };
            let (result, _) = (&mut in_flight.commit).await?;
            result?;
            self.set_free(in_flight.batch);
            self.start_commit();
        }
    }
}

/// What those are told whose records were in a commit that failed.
fn not_committed(error: &StoreError) -> EngineError {
    match error {
        StoreError::Full => EngineError::NoSpace,
        StoreError::NotFound
        | StoreError::Conflict(_)
        | StoreError::Fatal(_)
        | StoreError::Failed(_) => EngineError::NotCommitted(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
