//! The commander: waits for its agents and gives each its part.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::handshake::Role;
use super::link::{Heard, Joined, Link, LinkError};
use super::message::{Assignment, Control, Message};
use super::remote::{Member, RemoteDevices};
use super::secret::Secret;
use crate::harness::scenario::Scenario;

/// Agents of a run at the most.
pub const AGENTS_MAX: usize = 64;

/// Connections that shake hands at once.
const HANDSHAKES_MAX: usize = 64;

/// Messages of agents that wait to be read.
const HEARD_MAX: usize = 64;

/// How long agents may take to prepare.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// How long the system is left alone that could not accept a connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Why agents could not be had.
#[derive(Debug, thiserror::Error)]
pub enum CommanderError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// Somebody would have nothing to do.
    #[error(
        "a cell's devices stay with one agent, so that who is active at once is exact: \
         {agents} agents need as many cells, and the scenario has {cells}"
    )]
    TooFewCells {
        /// How many were asked for.
        agents: usize,
        /// How many cells there are.
        cells: usize,
    },
    /// They did not come.
    #[error("{here} of {agents} agents came within {} s", wait.as_secs())]
    Missing {
        /// So many came.
        here: usize,
        /// So many should.
        agents: usize,
        /// How long they were waited for.
        wait: Duration,
    },
    /// One was lost before the run began.
    #[error("agent {agent} ({address}) was lost before the run began: {why}")]
    Lost {
        /// Its number.
        agent: usize,
        /// From where it came.
        address: SocketAddr,
        /// Why.
        why: LinkError,
    },
    /// One cannot do its part.
    #[error("agent {agent} ({address}) cannot begin: {why}")]
    Failed {
        /// Its number.
        agent: usize,
        /// From where it came.
        address: SocketAddr,
        /// Why.
        why: String,
    },
}

/// What happens while agents are waited for.
#[derive(Debug)]
pub enum Arrival {
    /// One came.
    Joined {
        /// From where.
        address: SocketAddr,
        /// So many are there now.
        here: usize,
    },
    /// One that was there went.
    Left {
        /// From where it had come.
        address: SocketAddr,
        /// So many are there now.
        here: usize,
    },
    /// Somebody came who is no agent of this commander's.
    Refused {
        /// From where.
        address: SocketAddr,
        /// Why.
        why: LinkError,
        /// So many were refused so far.
        refused: u64,
    },
    /// An agent is ready.
    Ready {
        /// Its number.
        agent: usize,
        /// From where it came.
        address: SocketAddr,
        /// How many devices it has.
        devices: usize,
        /// Of how many cells.
        cells: usize,
    },
}

/// What agents are to run.
#[derive(Debug)]
pub struct Order<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The LwM2M server, as agents reach it.
    pub server: SocketAddr,
    /// From which all chance comes.
    pub seed: u64,
    /// How many times faster devices' own timers run.
    pub speed: u16,
    /// Whether devices fetch from the address in a URI, not from their server.
    pub follows_uris: bool,
}

/// Where agents come to.
#[derive(Debug)]
pub struct Commander {
    listener: TcpListener,
    address: SocketAddr,
    secret: Secret,
}

struct Here {
    address: SocketAddr,
    link: Link,
}

impl Commander {
    /// Listens.
    ///
    /// # Errors
    /// Where that cannot be.
    pub async fn listen(address: SocketAddr, secret: Secret) -> Result<Self, CommanderError> {
        let failed = |error| CommanderError::Listen { address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            secret,
        })
    }

    /// Where it listens, with the port that was taken.
    pub const fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for so many agents and gives each its part. Who comes later finds nobody.
    ///
    /// # Errors
    /// Where they do not come in time, or one cannot do its part.
    pub async fn gather(
        self,
        agents: usize,
        wait: Duration,
        order: &Order<'_>,
        told: &mut dyn FnMut(Arrival),
    ) -> Result<RemoteDevices, CommanderError> {
        let cells = order.scenario.cells.len();
        if agents > cells {
            return Err(CommanderError::TooFewCells { agents, cells });
        }
        let (teller, mut heard) = mpsc::channel(HEARD_MAX);
        let here = self.wait_for(agents, wait, (teller, &mut heard), told);
        let here = here.await?;
        let members = assign(here, order).await;
        ready(members, heard, order, told).await
    }

    async fn wait_for(
        self,
        agents: usize,
        wait: Duration,
        (teller, heard): (mpsc::Sender<Heard>, &mut mpsc::Receiver<Heard>),
        told: &mut dyn FnMut(Arrival),
    ) -> Result<BTreeMap<usize, Here>, CommanderError> {
        let mut shaking = JoinSet::new();
        let mut here: BTreeMap<usize, Here> = BTreeMap::new();
        let (mut came, mut refused) = (0, 0);
        let mut over = pin!(sleep(wait));
        while here.len() < agents {
            tokio::select! {
                () = &mut over => {
                    let here = here.len();
                    return Err(CommanderError::Missing { here, agents, wait });
                }
                accepted = self.listener.accept(), if shaking.len() < HANDSHAKES_MAX => {
                    let Ok((stream, address)) = accepted else {
                        sleep(ACCEPT_AGAIN).await;
                        continue;
                    };
                    let secret = self.secret.clone();
                    shaking.spawn(async move {
                        (address, Joined::shake(stream, Role::Commander, secret).await)
                    });
                }
                Some(Ok((address, joined))) = shaking.join_next() => match joined {
                    Ok(joined) => {
                        let link = joined.run(came, teller.clone());
                        here.insert(came, Here { address, link });
                        came += 1;
                        told(Arrival::Joined { address, here: here.len() });
                    }
                    Err(why) => {
                        refused += 1;
                        told(Arrival::Refused { address, why, refused });
                    }
                },
                Some(Heard { from, .. }) = heard.recv() => {
                    // Nobody has been asked anything: who speaks is going, or goes.
                    if let Some(Here { address, .. }) = here.remove(&from) {
                        told(Arrival::Left { address, here: here.len() });
                    }
                }
            }
        }
        dismiss(shaking).await;
        Ok(here)
    }
}

/// Tells who shook hands too late that there are enough.
async fn dismiss(mut shaking: JoinSet<(SocketAddr, Result<Joined, LinkError>)>) {
    while let Some(shaken) = shaking.try_join_next() {
        if let Ok((_, Ok(joined))) = shaken {
            joined.dismiss(Control::NotNeeded).await;
        }
    }
}

/// Gives each agent its cells.
async fn assign(here: BTreeMap<usize, Here>, order: &Order<'_>) -> Vec<Member> {
    let agents = here.len();
    let parts = order.scenario.parts(agents);
    let mut members = Vec::new();
    for ((connection, Here { address, link }), cells) in here.into_iter().zip(parts) {
        let agent = members.len() + 1;
        let assignment = Assignment {
            agent,
            agents,
            scenario: order.scenario.text.clone(),
            seed: order.seed,
            server: order.server,
            speed: order.speed,
            follows_uris: order.follows_uris,
            cells,
        };
        link.send(Control::Assign(assignment)).await;
        members.push(Member::new(agent, connection, address, link, cells));
    }
    members
}

/// Waits until all can start.
async fn ready(
    mut members: Vec<Member>,
    mut heard: mpsc::Receiver<Heard>,
    order: &Order<'_>,
    told: &mut dyn FnMut(Arrival),
) -> Result<RemoteDevices, CommanderError> {
    while let Some(behind) = members.iter().find(|it| it.devices.is_none()) {
        let (agent, address) = (behind.agent, behind.address);
        let next = timeout(READY_WITHIN, heard.recv()).await;
        let Ok(Some(Heard { from, what })) = next else {
            return Err(CommanderError::Lost {
                agent,
                address,
                why: LinkError::Silent,
            });
        };
        let Some(member) = members.iter_mut().find(|it| it.connection == from) else {
            continue;
        };
        let (agent, address) = (member.agent, member.address);
        let lost = |why| CommanderError::Lost {
            agent,
            address,
            why,
        };
        match what.map_err(lost)? {
            Message::Control(Control::Ready { devices }) if member.devices.is_none() => {
                member.devices = Some(devices);
                told(Arrival::Ready {
                    agent,
                    address,
                    devices,
                    cells: member.cells.count,
                });
            }
            Message::Control(Control::Failed { why }) => {
                return Err(CommanderError::Failed {
                    agent,
                    address,
                    why,
                });
            }
            Message::Control(_) | Message::Events { .. } => {
                return Err(lost(LinkError::NoMessage));
            }
        }
    }
    Ok(RemoteDevices::new(members, heard, order.scenario))
}
