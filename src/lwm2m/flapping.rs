//! Endpoints whose registration is taken over again and again: two devices carry one endpoint name, and
//! each Register of one throws out the other (LwM2M Core §7.3.1 wants names to be unique).
//!
//! # What counts as a takeover
//!
//! A Register that replaces a live registration, where it comes
//! - from another IP address or another identity than the registration had, or
//! - from an address and port that have registered, or were replaced, within the window.
//!
//! Another port alone is no sign: an NB-IoT device behind a NAT wakes up under another one each time, and
//! it does not come back to one that it had. Two duplicates behind one NAT do, while their bindings last.
//! A device that reboots in an update may have another address afterwards, even twice: that stays below
//! the limit. Updates and notifications never count, as a location or a token proves who sends them; nor
//! does what is forbidden, so that a stranger flags nobody who is registered over a secured session. A
//! Register that is refused only because the name registers too often counts: the two are still there.
//!
//! What is not told apart: duplicates behind one NAT that gives each wake a new port, and duplicates of
//! one credential, which over secured sessions are one [`Peer`] wherever they are.
//!
//! # After a restart
//!
//! Nothing is stored. The registrations are, so the first Register after a restart is compared already:
//! duplicates that go on are flagged again once they have taken over more than `takeovers_max` times, as
//! at first, within one window.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::{Instant, Now, Utc};
use crate::model::{EndpointName, Peer};

/// When an endpoint is flapping, and how many are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlappingConfig {
    /// More takeovers than this within the window flag the endpoint; at least 1.
    pub takeovers_max: usize,
    /// How long a takeover counts, and how long after the last one the flag stays.
    pub window: Duration,
    /// The most endpoints that are watched. For one more, the least recently moved is forgotten, and its
    /// flag with it.
    pub endpoints_max: usize,
}

impl Default for FlappingConfig {
    fn default() -> Self {
        Self {
            takeovers_max: 3,
            window: Duration::from_secs(10 * 60),
            endpoints_max: 100_000,
        }
    }
}

/// An endpoint that is flagged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flapping {
    /// Since when.
    pub since: Utc,
    /// From where it has registered lately, oldest first.
    pub peers: Vec<Peer>,
}

/// What a Register in place of another means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replacement {
    /// It counts as a takeover.
    pub takeover: bool,
    /// With it the endpoint is flagged.
    pub begun: bool,
    /// A flagged endpoint that was forgotten for it.
    pub forgotten: Option<EndpointName>,
}

/// So many peers of an endpoint are remembered.
const PEERS_MAX: usize = 8;

/// So many old endpoints are forgotten at one Register, which adds one at the most.
const FORGOTTEN_AT_ONCE_MAX: usize = 4;

/// Counts takeovers by endpoint, and says who is flapping.
#[derive(Debug)]
pub struct FlappingDetector {
    config: FlappingConfig,
    watched: HashMap<EndpointName, Watched>,
    /// The least recently moved first.
    by_moved: BTreeSet<(Instant, EndpointName)>,
    /// Flagged endpoints, by when that is over.
    flagged: BTreeSet<(Instant, EndpointName)>,
}

#[derive(Debug)]
struct Watched {
    moved_at: Instant,
    /// Who registered or was replaced, and when; oldest first.
    peers: VecDeque<(Peer, Instant)>,
    /// As many as it takes to flag, oldest first.
    takeovers: VecDeque<Instant>,
    flag: Option<Flag>,
}

#[derive(Clone, Copy, Debug)]
struct Flag {
    since: Utc,
    until: Instant,
}

impl FlappingDetector {
    /// A detector that has seen nothing.
    pub fn new(config: FlappingConfig) -> Self {
        Self {
            config,
            watched: HashMap::new(),
            by_moved: BTreeSet::new(),
            flagged: BTreeSet::new(),
        }
    }

    /// `peer` has registered an endpoint that `replaced` had registered.
    pub fn record_replacement(
        &mut self,
        now: Now,
        endpoint: &EndpointName,
        replaced: &Peer,
        peer: &Peer,
    ) -> Replacement {
        if replaced == peer {
            return Replacement::default();
        }
        self.forget_old(now.instant);
        let forgotten = self.make_room(endpoint);
        let window = self.config.window;
        let watched = self.watch(now.instant, endpoint);
        let since = |at: Instant| now.instant.saturating_since(at);
        watched.peers.retain(|(_, at)| since(*at) < window);
        watched.takeovers.retain(|at| since(*at) < window);
        let returns = watched.peers.iter().any(|(known, _)| known == peer);
        let takeover = returns || place(replaced) != place(peer);
        watched.note_peer(now.instant, replaced);
        watched.note_peer(now.instant, peer);
        let begun = takeover && self.count_takeover(now, endpoint);
        Replacement {
            takeover,
            begun,
            forgotten,
        }
    }

    /// Whether an endpoint is flagged.
    pub fn is_flapping(&self, endpoint: &EndpointName) -> bool {
        let watched = self.watched.get(endpoint);
        watched.is_some_and(|watched| watched.flag.is_some())
    }

    /// What is known of an endpoint that is flagged.
    pub fn flapping(&self, endpoint: &EndpointName) -> Option<Flapping> {
        let watched = self.watched.get(endpoint)?;
        let flag = watched.flag?;
        Some(Flapping {
            since: flag.since,
            peers: watched.peers.iter().map(|(peer, _)| peer.clone()).collect(),
        })
    }

    /// Takes the flag off one endpoint that has had a window without a takeover; to be called until there
    /// is none.
    pub fn pop_settled(&mut self, now: Instant) -> Option<EndpointName> {
        let (until, _) = self.flagged.first()?;
        if *until > now {
            return None;
        }
        let (_, endpoint) = self.flagged.pop_first()?;
        if let Some(watched) = self.watched.get_mut(&endpoint) {
            watched.flag = None;
        }
        Some(endpoint)
    }

    /// When to call [`Self::pop_settled`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.flagged.first().map(|(until, _)| *until)
    }

    /// The endpoint was taken away: nothing is remembered of it. Returns whether it was flagged.
    pub fn forget(&mut self, endpoint: &EndpointName) -> bool {
        let Some(watched) = self.watched.remove(endpoint) else {
            return false;
        };
        self.by_moved.remove(&(watched.moved_at, endpoint.clone()));
        if let Some(flag) = watched.flag {
            self.flagged.remove(&(flag.until, endpoint.clone()));
        }
        watched.flag.is_some()
    }

    /// How many endpoints are watched.
    pub fn watched(&self) -> usize {
        self.watched.len()
    }

    /// How many are flagged.
    pub fn flagged(&self) -> usize {
        self.flagged.len()
    }

    /// Counts a takeover; returns whether it flags the endpoint.
    fn count_takeover(&mut self, now: Now, endpoint: &EndpointName) -> bool {
        let FlappingConfig {
            takeovers_max,
            window,
            endpoints_max: _,
        } = self.config;
        let Some(watched) = self.watched.get_mut(endpoint) else {
            return false;
        };
        watched.takeovers.push_back(now.instant);
        if watched.takeovers.len() <= takeovers_max {
            return false;
        }
        watched.takeovers.pop_front();
        let until = now.instant + window;
        let before = watched.flag;
        let since = before.map_or(now.utc, |flag| flag.since);
        watched.flag = Some(Flag { since, until });
        if let Some(before) = before {
            self.flagged.remove(&(before.until, endpoint.clone()));
        }
        self.flagged.insert((until, endpoint.clone()));
        before.is_none()
    }

    /// The endpoint's own entry, which has moved just now.
    fn watch(&mut self, now: Instant, endpoint: &EndpointName) -> &mut Watched {
        let watched = self
            .watched
            .entry(endpoint.clone())
            .or_insert_with(|| Watched {
                moved_at: now,
                peers: VecDeque::new(),
                takeovers: VecDeque::new(),
                flag: None,
            });
        let before = std::mem::replace(&mut watched.moved_at, now);
        self.by_moved.remove(&(before, endpoint.clone()));
        self.by_moved.insert((now, endpoint.clone()));
        watched
    }

    /// Forgets some endpoints that have not moved for a window. A flag ends no later, by
    /// [`Self::pop_settled`].
    fn forget_old(&mut self, now: Instant) {
        for _ in 0..FORGOTTEN_AT_ONCE_MAX {
            match self.by_moved.first() {
                Some((moved_at, endpoint))
                    if now.saturating_since(*moved_at) >= self.config.window
                        && !self.is_flapping(endpoint) =>
                {
                    let endpoint = endpoint.clone();
                    self.forget(&endpoint);
                }
                Some(_) | None => return,
            }
        }
    }

    /// Forgets the least recently moved where there is no room; returns it where it was flagged.
    fn make_room(&mut self, endpoint: &EndpointName) -> Option<EndpointName> {
        let has_room = self.watched.len() < self.config.endpoints_max;
        if has_room || self.watched.contains_key(endpoint) {
            return None;
        }
        let (_, oldest) = self.by_moved.first().cloned()?;
        self.forget(&oldest).then_some(oldest)
    }
}

impl Watched {
    fn note_peer(&mut self, now: Instant, peer: &Peer) {
        self.peers.retain(|(known, _)| known != peer);
        if self.peers.len() >= PEERS_MAX {
            self.peers.pop_front();
        }
        self.peers.push_back((peer.clone(), now));
    }
}

/// What of a peer a NAT's next port leaves as it is: its IP address, or its identity.
fn place(peer: &Peer) -> Result<IpAddr, &Peer> {
    match peer {
        Peer::Address(address) => Ok(address.ip()),
        Peer::Secured(_) => Err(peer),
    }
}

#[cfg(test)]
mod tests;
