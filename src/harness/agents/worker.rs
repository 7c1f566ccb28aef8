//! An agent: runs its commander's part of the devices.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::events::nanoseconds;
use super::handshake::Role;
use super::link::{Heard, Joined, Link, LinkError};
use super::message::{Assignment, Control, Message};
use super::outbox::{AgentCounts, Outbox};
use super::secret::Secret;
use crate::clock::SystemClock;
use crate::harness::load::{Devices, LocalConfig, LocalDevices, Part};
use crate::harness::scenario::Scenario;
use crate::sim::{FleetEvent, FleetSink};

/// How often the commander is told.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// How often a commander is tried that is not there.
const CONNECT_AGAIN: Duration = Duration::from_millis(500);

/// Messages of the commander that wait to be read.
const HEARD_MAX: usize = 8;

/// Why an agent did not do its part to the end.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The commander is not there.
    #[error("cannot reach the commander at {address} within {} s: {error}", wait.as_secs())]
    Unreachable {
        /// Its address.
        address: SocketAddr,
        /// How long it was tried.
        wait: Duration,
        /// What the system said last.
        error: io::Error,
    },
    /// The commander is another one than it should be, or gone.
    #[error("the commander: {0}")]
    Link(#[from] LinkError),
    /// It has enough agents.
    #[error("the commander has all the agents that it needs")]
    NotNeeded,
    /// The commander does not take what it tells.
    #[error("the commander has given it up: {0}")]
    GivenUp(String),
    /// Somebody ended it, which the commander has been told.
    #[error("it was interrupted")]
    Interrupted,
    /// The part cannot be done, which the commander has been told.
    #[error("{0}")]
    Part(String),
}

/// How an agent works.
#[derive(Debug)]
pub struct AgentConfig {
    /// Where its commander listens.
    pub commander: SocketAddr,
    /// The same as the commander's.
    pub secret: Secret,
    /// How long the commander is tried that is not there.
    pub wait: Duration,
    /// From where devices speak.
    pub devices: LocalConfig,
}

/// What an agent is told of its run, for whoever watches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AgentPart {
    /// Its number, from 1.
    pub agent: usize,
    /// Of so many.
    pub agents: usize,
    /// How many devices it has.
    pub devices: usize,
    /// Of how many cells.
    pub cells: usize,
}

/// How far an agent is, for whoever watches it.
#[derive(Debug)]
pub enum AgentStep<'a> {
    /// The commander is not there yet, and tried again.
    NotThere(&'a io::Error),
    /// Both know each other; other agents may be missing still.
    Joined,
    /// It has its part.
    Prepared(AgentPart),
    /// Its devices begin.
    Started,
}

/// Finds the commander, and does its part to the end. `told` hears how far it is.
///
/// # Errors
/// Where it does not come to that end.
pub async fn work(
    config: AgentConfig,
    interrupted: impl Future<Output = ()>,
    told: &mut dyn FnMut(AgentStep<'_>),
) -> Result<(AgentPart, AgentCounts), AgentError> {
    let mut interrupted = pin!(interrupted);
    let AgentConfig {
        commander,
        secret,
        wait,
        devices,
    } = config;
    let found = async {
        let stream = connect(commander, wait, told).await?;
        let joined = Joined::shake(stream, Role::Agent, secret).await?;
        Ok::<_, AgentError>(joined)
    };
    let joined = tokio::select! {
        joined = found => joined,
        () = &mut interrupted => Err(AgentError::Interrupted),
    }?;
    told(AgentStep::Joined);
    let is_on_this_machine = joined.is_on_this_machine().map_err(LinkError::Io)?;
    let (teller, heard) = mpsc::channel(HEARD_MAX);
    let commander = Commander {
        link: joined.run(0, teller),
        heard,
        is_on_this_machine,
    };
    commander.obey(devices, interrupted, told).await
}

/// The way to it.
struct Commander {
    link: Link,
    heard: mpsc::Receiver<Heard>,
    is_on_this_machine: bool,
}

impl Commander {
    async fn obey(
        mut self,
        config: LocalConfig,
        interrupted: Pin<&mut impl Future<Output = ()>>,
        told: &mut dyn FnMut(AgentStep<'_>),
    ) -> Result<(AgentPart, AgentCounts), AgentError> {
        match self.do_part(config, interrupted, told).await {
            Ok(Done { part, counts, rest }) => {
                self.link.finish(rest).await;
                Ok((part, counts))
            }
            Err(error @ (AgentError::Part(_) | AgentError::Interrupted)) => {
                let why = error.to_string();
                let failed = Message::Control(Control::Failed { why });
                self.link.finish(vec![failed]).await;
                Err(error)
            }
            Err(
                error @ (AgentError::Unreachable { .. }
                | AgentError::Link(_)
                | AgentError::NotNeeded
                | AgentError::GivenUp(_)),
            ) => Err(error),
        }
    }

    async fn do_part(
        &mut self,
        config: LocalConfig,
        mut interrupted: Pin<&mut impl Future<Output = ()>>,
        told: &mut dyn FnMut(AgentStep<'_>),
    ) -> Result<Done, AgentError> {
        let assignment = match self.next(&mut interrupted).await? {
            Control::Assign(assignment) => assignment,
            Control::NotNeeded => return Err(AgentError::NotNeeded),
            Control::Ready { .. }
            | Control::Failed { .. }
            | Control::Start
            | Control::Stop
            | Control::Stopped
            | Control::Ping => return Err(LinkError::NoMessage.into()),
        };
        let prepared = prepare(&assignment, config, self.is_on_this_machine);
        let (part, devices) = prepared.map_err(AgentError::Part)?;
        told(AgentStep::Prepared(part));
        let ready = Control::Ready {
            devices: part.devices,
        };
        self.link.send(ready).await;
        if self.next(&mut interrupted).await? != Control::Start {
            return Err(LinkError::NoMessage.into());
        }
        told(AgentStep::Started);
        let (counts, rest) = self.run(devices, interrupted).await?;
        Ok(Done { part, counts, rest })
    }

    /// Until it says that time is over. What is told last is not sent yet.
    async fn run(
        &mut self,
        mut devices: LocalDevices,
        mut interrupted: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(AgentCounts, Vec<Message>), AgentError> {
        let outbox = Arc::new(Mutex::new(Outbox::default()));
        let sink = sink(&outbox, devices.numbers());
        // From here on time runs.
        let clock = SystemClock::new();
        let started = devices.start(clock, sink).await;
        started.map_err(|error| AgentError::Part(error.to_string()))?;
        let mut ticks = interval(TELL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let control = tokio::select! {
                control = self.next(&mut interrupted) => Some(control?),
                _ = ticks.tick() => None,
            };
            match control {
                None => {
                    devices.advance(clock.now().instant.since_origin());
                    let is_full = tell(&self.link, &outbox, clock);
                    let full = || "the commander takes less than its devices do".to_owned();
                    let broken = devices.broken().or_else(|| is_full.then(full));
                    if let Some(why) = broken {
                        return Err(AgentError::Part(why));
                    }
                }
                Some(Control::Stop) => break,
                Some(Control::Failed { why }) => return Err(AgentError::GivenUp(why)),
                Some(_) => return Err(LinkError::NoMessage.into()),
            }
        }
        drop(devices.stop().await);
        let mut outbox = lock(&outbox);
        outbox.close_portion();
        let rest = std::iter::from_fn(|| outbox.pop()).map(|written| Message::Events {
            until_ns: 0,
            written,
        });
        let rest = rest.chain([Message::Control(Control::Stopped)]).collect();
        Ok((outbox.counts, rest))
    }

    async fn next(
        &mut self,
        interrupted: &mut Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Control, AgentError> {
        let heard = tokio::select! {
            heard = self.heard.recv() => heard,
            () = interrupted.as_mut() => return Err(AgentError::Interrupted),
        };
        match heard.map(|heard| heard.what) {
            Some(Ok(Message::Control(control))) => Ok(control),
            Some(Ok(Message::Events { .. })) => Err(LinkError::NoMessage.into()),
            Some(Err(error)) => Err(error.into()),
            None => Err(LinkError::Closed.into()),
        }
    }
}

/// What an agent came to.
struct Done {
    part: AgentPart,
    counts: AgentCounts,
    /// To be told still.
    rest: Vec<Message>,
}

async fn connect(
    address: SocketAddr,
    wait: Duration,
    told: &mut dyn FnMut(AgentStep<'_>),
) -> Result<TcpStream, AgentError> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    let trying = async {
        let mut is_told = false;
        loop {
            match TcpStream::connect(address).await {
                Ok(stream) => return stream,
                Err(error) => last = error,
            }
            if !std::mem::replace(&mut is_told, true) {
                told(AgentStep::NotThere(&last));
            }
            sleep(CONNECT_AGAIN).await;
        }
    };
    let stream = timeout(wait, trying).await;
    stream.map_err(|_| AgentError::Unreachable {
        address,
        wait,
        error: last,
    })
}

/// What an assignment comes to here, of a commander on this machine or on another.
fn prepare(
    assignment: &Assignment,
    config: LocalConfig,
    is_on_this_machine: bool,
) -> Result<(AgentPart, LocalDevices), String> {
    let Assignment {
        agent,
        agents,
        scenario,
        seed,
        server,
        speed,
        follows_uris,
        cells,
    } = assignment;
    let scenario = Scenario::parse(scenario).map_err(|error| error.to_string())?;
    if server.ip().is_loopback() && !is_on_this_machine {
        return Err(format!(
            "the server is said to be at {server}, which here is another machine than the commander's: \
             its --server must be the address by which agents reach it"
        ));
    }
    if !config.is_of_family(*server) {
        return Err(format!("its addresses are not of the family of {server}"));
    }
    let part = Part {
        server: *server,
        seed: *seed,
        speed: *speed,
        follows_uris: *follows_uris,
        cells: *cells,
    };
    let devices = LocalDevices::new(&scenario, part, config);
    let part = AgentPart {
        agent: *agent,
        agents: *agents,
        devices: devices.numbers().len(),
        cells: cells.count,
    };
    Ok((part, devices))
}

/// Writes down what devices do, by their numbers in the scenario.
fn sink(outbox: &Arc<Mutex<Outbox>>, numbers: Vec<usize>) -> FleetSink {
    let outbox = Arc::clone(outbox);
    Arc::new(move |events| {
        let mut outbox = lock(&outbox);
        for event in events {
            let place = match event {
                FleetEvent::Log(line) => line.device,
                FleetEvent::Coap(sample) => sample.device,
            };
            if let Some(number) = numbers.get(place) {
                outbox.push(*number, event);
            }
        }
    })
}

/// Tells what there is room for. Whether something did not fit.
fn tell(link: &Link, outbox: &Mutex<Outbox>, clock: SystemClock) -> bool {
    let mut outbox = lock(outbox);
    outbox.close_portion();
    let now_ns = nanoseconds(clock.now().instant);
    let mut is_all_told = false;
    link.send_each(|| {
        if is_all_told {
            return None;
        }
        let written = outbox.pop().unwrap_or_default();
        is_all_told = outbox.is_empty();
        let until_ns = if is_all_told { now_ns } else { 0 };
        Some(Message::Events { until_ns, written })
    });
    outbox.is_full()
}

/// An outbox is whole between two events.
fn lock(outbox: &Mutex<Outbox>) -> MutexGuard<'_, Outbox> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::scenario::CellRange;

    fn prepared(server: &str, sources: &[&str], is_on_this_machine: bool) -> Result<usize, String> {
        let scenario =
            "[[cell]]\nid = 1\ncount = 3\n[[mix]]\nname = \"a\"\n[devices]\ncount = 30\n";
        let assignment = Assignment {
            agent: 2,
            agents: 2,
            scenario: scenario.to_owned(),
            seed: 1,
            server: server.parse().unwrap(),
            speed: 1,
            follows_uris: false,
            cells: CellRange { first: 1, count: 2 },
        };
        let config = LocalConfig {
            sources: sources.iter().map(|it| it.parse().unwrap()).collect(),
            ports: None,
            loops: 1,
        };
        prepare(&assignment, config, is_on_this_machine).map(|(part, _)| part.devices)
    }

    #[test]
    fn an_agent_takes_only_what_its_devices_can_reach() {
        assert_eq!(prepared("192.0.2.5:5683", &[], false), Ok(20));
        assert_eq!(prepared("127.0.0.1:5683", &[], true), Ok(20));
        for loopback in ["127.0.0.1:5683", "[::1]:5683"] {
            let told = prepared(loopback, &[], false).unwrap_err();
            assert!(
                told.contains(loopback) && told.contains("--server"),
                "{told}"
            );
        }
        let told = prepared("[2001:db8::5]:5683", &["192.0.2.9"], false).unwrap_err();
        assert!(told.contains("family"), "{told}");
    }
}
