//! Devices that agents run, as the commander's run has them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::events::{nanoseconds, read_events};
use super::link::{Heard, Link, LinkError};
use super::merge::{Full, Merge};
use super::message::{Control, Message};
use crate::clock::{Instant, SystemClock};
use crate::harness::load::{Devices, LoadError};
use crate::harness::scenario::{CellRange, Scenario};
use crate::sim::{FleetEvent, FleetSink};

/// How long agents may take to switch their devices off and tell the last of it.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Cells that are named where a whole agent is lost.
const CELLS_NAMED: usize = 8;

/// Should what reads what agents tell end before they do.
const UNREAD: &str = "what agents told was not read to its end";

/// One agent of a run.
#[derive(Debug)]
pub(super) struct Member {
    /// From 1.
    pub(super) agent: usize,
    /// The number of its connection.
    pub(super) connection: usize,
    pub(super) address: SocketAddr,
    link: Link,
    pub(super) cells: CellRange,
    /// Once it is ready.
    pub(super) devices: Option<usize>,
}

impl Member {
    pub(super) const fn new(
        agent: usize,
        connection: usize,
        address: SocketAddr,
        link: Link,
        cells: CellRange,
    ) -> Self {
        Self {
            agent,
            connection,
            address,
            link,
            cells,
            devices: None,
        }
    }
}

/// The devices of all agents.
#[derive(Debug)]
pub struct RemoteDevices {
    members: Vec<Member>,
    status: Arc<Status>,
    /// What reads what agents tell; once started.
    reader: Reading,
}

#[derive(Debug)]
enum Reading {
    ToCome(Box<Reader>),
    UnderWay(JoinHandle<()>),
    Over,
}

/// What the reader says of how it goes.
#[derive(Debug, Default)]
struct Status {
    until_ns: AtomicU64,
    is_stopping: AtomicBool,
    lost: Mutex<Vec<Lost>>,
}

/// Who is lost, and why.
#[derive(Clone, Debug)]
struct Lost {
    /// Its connection, where it is one agent.
    connection: Option<usize>,
    why: String,
}

impl Status {
    fn lost(&self) -> MutexGuard<'_, Vec<Lost>> {
        // A list is whole between two pushes.
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, connection: Option<usize>, why: String) {
        self.lost().push(Lost { connection, why });
    }

    /// Why an agent is lost, if so.
    fn why_lost(&self, connection: usize) -> Option<String> {
        let lost = self.lost();
        let mut of_it = lost.iter().filter(|it| it.connection == Some(connection));
        of_it.next().map(|it| it.why.clone())
    }

    /// All that is lost, in words.
    fn told(&self) -> Option<String> {
        let lost = self.lost();
        let why: Vec<_> = lost.iter().map(|it| it.why.as_str()).collect();
        (!why.is_empty()).then(|| why.join("; "))
    }
}

impl RemoteDevices {
    pub(super) fn new(
        members: Vec<Member>,
        heard: mpsc::Receiver<Heard>,
        scenario: &Scenario,
    ) -> Self {
        let status = Arc::new(Status::default());
        let agents = members.iter().map(|member| Told::of(member, scenario));
        let reader = Reader {
            agents: agents.collect(),
            devices: scenario.device_count(),
            cells: scenario.cells.len(),
            merge: Merge::new(members.len()),
            heard,
            status: Arc::clone(&status),
        };
        Self {
            members,
            status,
            reader: Reading::ToCome(Box::new(reader)),
        }
    }
}

impl Devices for RemoteDevices {
    async fn start(&mut self, _: SystemClock, sink: FleetSink) -> Result<(), LoadError> {
        for member in &self.members {
            member.link.send(Control::Start).await;
        }
        if let Reading::ToCome(reader) = std::mem::replace(&mut self.reader, Reading::Over) {
            self.reader = Reading::UnderWay(tokio::spawn(reader.run(sink)));
        }
        Ok(())
    }

    /// Agents know the scenario and have clocks of their own.
    fn advance(&mut self, _: Duration) {}

    fn told_until(&self, now: Instant) -> Instant {
        let until_ns = self.status.until_ns.load(Ordering::Acquire);
        Instant::from_origin(Duration::from_nanos(until_ns)).min(now)
    }

    fn broken(&self) -> Option<String> {
        let is_read = !matches!(&self.reader, Reading::UnderWay(reader) if reader.is_finished());
        let told = self.status.told();
        told.or_else(|| (!is_read).then(|| UNREAD.to_owned()))
    }

    async fn stop(mut self) -> Option<String> {
        self.status.is_stopping.store(true, Ordering::Release);
        for member in &self.members {
            let lost = self.status.why_lost(member.connection);
            let control = lost.map_or(Control::Stop, |why| Control::Failed { why });
            member.link.send(control).await;
        }
        if let Reading::UnderWay(mut reader) = std::mem::replace(&mut self.reader, Reading::Over) {
            match timeout(STOP_WITHIN, &mut reader).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => self.status.lose(None, UNREAD.to_owned()),
                Err(_) => {
                    reader.abort();
                    // Its sink is dropped by then.
                    drop(reader.await);
                    let within = STOP_WITHIN.as_secs();
                    let why = format!("some agents did not stop within {within} s");
                    self.status.lose(None, why);
                }
            }
        }
        self.broken()
    }
}

/// What is known of an agent for messages, and what it has said.
#[derive(Debug)]
struct Told {
    connection: usize,
    cells: CellRange,
    /// Who it is.
    name: String,
    /// What is not known where it is lost.
    missing: String,
    /// Nothing more is taken of it.
    is_over: bool,
}

impl Told {
    fn of(member: &Member, scenario: &Scenario) -> Self {
        let CellRange { first, count } = member.cells;
        let cells = scenario.cells.iter().skip(first).take(count);
        let named: Vec<_> = cells
            .take(CELLS_NAMED)
            .map(|cell| cell.id.to_string())
            .collect();
        let more = match count.saturating_sub(CELLS_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let devices = member.devices.unwrap_or_default();
        Self {
            connection: member.connection,
            cells: member.cells,
            name: format!("agent {} ({})", member.agent, member.address),
            missing: format!(
                "its {devices} devices, those of cells {}{more}, are unaccounted for",
                named.join(", ")
            ),
            is_over: false,
        }
    }
}

/// Reads what agents tell, until all have told all.
#[derive(Debug)]
struct Reader {
    agents: Vec<Told>,
    /// Of the scenario.
    devices: usize,
    cells: usize,
    merge: Merge,
    heard: mpsc::Receiver<Heard>,
    status: Arc<Status>,
}

impl Reader {
    async fn run(mut self: Box<Self>, sink: FleetSink) {
        while self.agents.iter().any(|agent| !agent.is_over) {
            let Some(Heard { from, what }) = self.heard.recv().await else {
                return;
            };
            let place = self.agents.iter().position(|it| it.connection == from);
            let Some(place) = place.filter(|place| !self.agents[*place].is_over) else {
                continue;
            };
            match what {
                Ok(Message::Events { until_ns, written }) => self.take(place, until_ns, &written),
                Ok(Message::Control(Control::Stopped)) if self.is_stopping() => self.end(place),
                Ok(Message::Control(Control::Failed { why })) => self.lose(place, &why),
                Ok(Message::Control(_)) => self.lose(place, &LinkError::NoMessage),
                Err(error) => self.lose(place, &error),
            }
            self.merge.drain(&mut |events| sink(events));
            let until_ns = nanoseconds(self.merge.until());
            self.status.until_ns.store(until_ns, Ordering::Release);
        }
    }

    fn is_stopping(&self) -> bool {
        self.status.is_stopping.load(Ordering::Acquire)
    }

    fn take(&mut self, place: usize, until_ns: u64, written: &[u8]) {
        let cells = self.agents[place].cells;
        let is_its_own = |event: &FleetEvent| {
            let device = match event {
                FleetEvent::Log(line) => line.device,
                FleetEvent::Coap(sample) => sample.device,
            };
            device < self.devices && cells.contains(device % self.cells.max(1))
        };
        let events = read_events(written).filter(|events| events.iter().all(is_its_own));
        let Some(events) = events else {
            return self.lose(place, &LinkError::NoMessage);
        };
        let until = Instant::from_origin(Duration::from_nanos(until_ns));
        if self.merge.push(place, until, events) == Err(Full) {
            let behind = self.merge.slowest().unwrap_or(place);
            self.lose(behind, &"it is too far behind the others");
        }
    }

    fn lose(&mut self, place: usize, why: &dyn std::fmt::Display) {
        let until = self.merge.until().since_origin().as_secs();
        let Told {
            connection,
            name,
            missing,
            ..
        } = &self.agents[place];
        let why = format!("{name} was lost after {until} s: {why}; {missing}");
        self.status.lose(Some(*connection), why);
        self.end(place);
    }

    fn end(&mut self, place: usize) {
        self.agents[place].is_over = true;
        self.merge.end(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::agents::events::EventWriter;
    use crate::sim::{CoapKind, CoapSample};

    fn event(device: usize, ms: u64) -> FleetEvent {
        let (at, kind) = (
            Instant::from_origin(Duration::from_millis(ms)),
            CoapKind::Sent,
        );
        FleetEvent::Coap(CoapSample { at, device, kind })
    }

    /// A reader of two agents, each with one of two cells and two of four devices.
    struct Bench {
        teller: mpsc::Sender<Heard>,
        status: Arc<Status>,
        told: Arc<Mutex<Vec<FleetEvent>>>,
        reader: JoinHandle<()>,
    }

    impl Bench {
        fn start() -> Self {
            let (teller, heard) = mpsc::channel(16);
            let status = Arc::new(Status::default());
            let agent = |number: usize| Told {
                connection: 10 + number,
                cells: CellRange {
                    first: number,
                    count: 1,
                },
                name: format!("agent {number}"),
                missing: "2 devices".to_owned(),
                is_over: false,
            };
            let reader = Reader {
                agents: vec![agent(0), agent(1)],
                devices: 4,
                cells: 2,
                merge: Merge::new(2),
                heard,
                status: Arc::clone(&status),
            };
            let told = Arc::new(Mutex::new(Vec::new()));
            let kept = Arc::clone(&told);
            let sink: FleetSink =
                Arc::new(move |events| kept.lock().unwrap().extend_from_slice(events));
            Self {
                teller,
                status,
                told,
                reader: tokio::spawn(Box::new(reader).run(sink)),
            }
        }

        async fn say(&self, agent: usize, what: Result<Message, LinkError>) {
            let from = 10 + agent;
            self.teller.send(Heard { from, what }).await.unwrap();
        }

        async fn tell(&self, agent: usize, until_ms: u64, events: &[(usize, u64)]) {
            let mut writer = EventWriter::default();
            for (device, ms) in events {
                writer.push(*device, &event(*device, *ms));
            }
            let (until_ns, written) = (until_ms * 1_000_000, writer.take());
            self.say(agent, Ok(Message::Events { until_ns, written }))
                .await;
        }

        async fn stop(&self, agents: &[usize]) {
            self.status.is_stopping.store(true, Ordering::Release);
            for agent in agents {
                self.say(*agent, Ok(Message::Control(Control::Stopped)))
                    .await;
            }
        }

        /// What was told, and who was lost.
        async fn end(self) -> (Vec<FleetEvent>, Vec<String>) {
            self.reader.await.unwrap();
            let told = self.told.lock().unwrap().clone();
            let lost = self.status.lost().clone();
            (told, lost.into_iter().map(|it| it.why).collect())
        }
    }

    #[tokio::test]
    async fn all_that_agents_tell_comes_in_the_order_of_time_until_all_have_stopped() {
        let bench = Bench::start();
        bench.tell(0, 20, &[(0, 5), (2, 15)]).await;
        bench.tell(1, 30, &[(1, 10), (3, 25)]).await;
        bench.stop(&[1]).await;
        bench.tell(0, 40, &[(0, 35)]).await;
        bench.stop(&[0]).await;
        let (told, lost) = bench.end().await;
        let expected = [(0, 5), (1, 10), (2, 15), (3, 25), (0, 35)];
        assert_eq!(told, expected.map(|(device, ms)| event(device, ms)));
        assert!(lost.is_empty(), "{lost:?}");
    }

    #[tokio::test]
    async fn an_agent_that_tells_of_devices_that_are_not_its_own_is_lost() {
        for device in [0, 5] {
            let bench = Bench::start();
            bench.tell(1, 30, &[(1, 10), (device, 11)]).await;
            // Nothing more is taken of it, and the other goes on.
            bench.tell(1, 40, &[(1, 35)]).await;
            bench.tell(0, 50, &[(0, 45)]).await;
            bench.stop(&[0]).await;
            let (told, lost) = bench.end().await;
            assert_eq!(told, [event(0, 45)]);
            assert_eq!(lost.len(), 1);
            assert!(lost[0].starts_with("agent 1 was lost"), "{lost:?}");
        }
    }

    #[tokio::test]
    async fn what_an_agent_had_told_counts_where_it_is_lost_and_it_is_named() {
        let bench = Bench::start();
        bench.tell(0, 9000, &[(0, 5)]).await;
        bench.tell(1, 8000, &[(1, 7000)]).await;
        bench.say(1, Err(LinkError::Silent)).await;
        bench.tell(0, 10_000, &[(0, 9500)]).await;
        bench.stop(&[0]).await;
        let (told, lost) = bench.end().await;
        let expected = [(0, 5), (1, 7000), (0, 9500)];
        assert_eq!(told, expected.map(|(device, ms)| event(device, ms)));
        assert_eq!(
            lost,
            ["agent 1 was lost after 8 s: it was silent for 15 s; 2 devices"]
        );
    }

    #[tokio::test]
    async fn who_stops_without_being_told_to_is_lost() {
        let bench = Bench::start();
        bench.say(0, Ok(Message::Control(Control::Stopped))).await;
        let why = "no sockets".to_owned();
        bench
            .say(1, Ok(Message::Control(Control::Failed { why })))
            .await;
        let (_, lost) = bench.end().await;
        assert_eq!(lost.len(), 2);
        assert!(lost[1].contains("no sockets"), "{lost:?}");
    }
}
