//! Who is registered.
//!
//! A registration is found by its slot, which its location names, or by its endpoint, which has at
//! most one. Nothing here grows with the number of devices but the two tables and the queue of
//! lifetimes; no operation looks at all devices.

mod outcome;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

pub use outcome::{RegisterError, Registered, RestoreError, UnknownLocation, Updated};

use super::expiry::ExpiryQueue;
use super::links_pool::LinksPool;
use super::peer_index::{PeerIndex, UnknownPeer};
use super::{Location, Register, RegistrationUpdate};
use crate::clock::{Instant, Now};
use crate::model::{EndpointName, Lwm2mVersion, Peer, Registration, RegistrationSlot};

/// All live registrations.
pub struct Registry {
    config: RegistryConfig,
    rng: StdRng,
    entries: Vec<Option<Entry>>,
    /// Slots below `entries.len()` that hold nothing.
    free: BTreeSet<RegistrationSlot>,
    by_endpoint: HashMap<EndpointName, RegistrationSlot>,
    by_peer: PeerIndex,
    links: LinksPool,
    expiries: ExpiryQueue,
}

/// How many registrations are held, and for how long after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryConfig {
    /// The most registrations; a further Register: 5.03.
    pub registrations_max: usize,
    /// The most different payloads of which one copy is shared.
    pub links_pool_max: usize,
    /// After a restart a registration lives at least its lifetime again, but no longer than this: the
    /// stored expiry lags, as an Update that changes nothing else is not persisted.
    pub restart_grace: Duration,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            registrations_max: 1_000_000,
            links_pool_max: 4096,
            restart_grace: Duration::from_secs(24 * 60 * 60),
        }
    }
}

struct Entry {
    registration: Registration,
    expires: Instant,
    /// The instant of its entry in the queue; others of its slot are stale.
    queued: Instant,
    /// When the device was last heard; `None` since a restart.
    heard: Option<Instant>,
}

/// By how many the table of entries grows at least.
const ENTRIES_MORE: usize = 1024;

/// Stale entries that the queue may hold beside as many as there are registrations.
const STALE_EXPIRIES_MAX: usize = 1024;

impl Registry {
    /// A registry without registrations. `rng` makes the locations, so its seed must be secret.
    pub fn new(config: RegistryConfig, mut rng: StdRng) -> Self {
        let by_peer = PeerIndex::new(rng.r#gen());
        Self {
            config,
            rng,
            entries: Vec::new(),
            free: BTreeSet::new(),
            by_endpoint: HashMap::new(),
            by_peer,
            links: LinksPool::new(config.links_pool_max),
            expiries: ExpiryQueue::default(),
        }
    }

    /// Registers a device. What its endpoint had before is replaced: a device that reboots registers
    /// anew, from wherever it is then. Only the identity that registered over a secured session may do
    /// so; whether an endpoint has credentials at all is for the caller to ask.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn register(
        &mut self,
        now: Now,
        peer: &Peer,
        register: Register<'_>,
    ) -> Result<Registered, RegisterError> {
        let Register {
            mut endpoint,
            lifetime,
            version,
            binding,
            links_text,
            links: _,
        } = register;
        let mut held = None;
        let slot = if let Some(slot) = self.by_endpoint.get(&endpoint).copied() {
            if !self
                .get(slot)
                .is_some_and(|held| may_replace(&held.peer, peer))
            {
                return Err(RegisterError::Forbidden);
            }
            held = self.entry_mut(slot).and_then(Option::take);
            if let Some(held) = &held {
                // The text of the name is shared with the table of endpoints.
                endpoint = held.registration.endpoint.clone();
            }
            slot
        } else {
            let slot = self.free_slot().ok_or(RegisterError::Full)?;
            self.by_endpoint.insert(endpoint.clone(), slot);
            slot
        };
        let secret = self.rng.r#gen();
        let links = self.links.intern(links_text);
        if let Some(held) = &held {
            self.links.release(&held.registration.links);
            self.by_peer.remove(&held.registration.peer, slot);
        }
        let registration = Registration {
            slot,
            secret,
            endpoint,
            peer: peer.clone(),
            version,
            binding,
            lifetime,
            links,
            registered_at: now.utc,
            expires_at: now.utc + lifetime,
        };
        let queued = held.as_ref().map(|held| held.queued);
        self.put(registration, now.instant + lifetime, queued);
        Ok(Registered {
            slot,
            location: Location { slot, secret },
            replaced: held.map(|held| held.registration),
        })
    }

    /// Whether a Register of this endpoint from `peer` is [`RegisterError::Forbidden`].
    pub fn forbids(&self, endpoint: &EndpointName, peer: &Peer) -> bool {
        let held = self.by_endpoint(endpoint);
        held.is_some_and(|held| !may_replace(&held.peer, peer))
    }

    /// Prolongs a registration, and notes what changed. Over NoSec the location alone proves the
    /// device, as a NAT may have moved it; a secured registration is only for its identity. An Update
    /// that comes late, but before [`Self::expire`] ended the registration, still counts.
    ///
    /// # Errors
    /// [`UnknownLocation`].
    pub fn update(
        &mut self,
        now: Now,
        peer: &Peer,
        location: &Location,
        update: RegistrationUpdate<'_>,
    ) -> Result<Updated, UnknownLocation> {
        let slot = location.slot;
        let entry = find(&mut self.entries, peer, location)?;
        let registration = &mut entry.registration;
        let moved = registration.peer != *peer;
        let mut changed = moved;
        if moved {
            self.by_peer.remove(&registration.peer, slot);
            self.by_peer.insert(peer, slot);
            registration.peer = peer.clone();
        }
        if let Some(lifetime) = update.lifetime {
            changed |= assign(&mut registration.lifetime, lifetime);
        }
        if let Some(mut binding) = update.binding {
            // Since 1.1 queue mode is said at Register and is no part of `b`.
            binding.queue_mode |=
                registration.version == Lwm2mVersion::V1_1 && registration.binding.queue_mode;
            changed |= assign(&mut registration.binding, binding);
        }
        if let Some((text, _)) = update.links
            && *registration.links != *text
        {
            self.links.release(&registration.links);
            registration.links = self.links.intern(text);
            changed = true;
        }
        registration.expires_at = now.utc + registration.lifetime;
        entry.expires = now.instant + registration.lifetime;
        if entry.expires < entry.queued {
            entry.queued = entry.expires;
            let queued = entry.queued;
            self.queue(queued, slot);
        }
        Ok(Updated {
            slot,
            changed,
            moved,
        })
    }

    /// Ends a registration at the device's wish.
    ///
    /// # Errors
    /// [`UnknownLocation`].
    pub fn deregister(
        &mut self,
        peer: &Peer,
        location: &Location,
    ) -> Result<Registration, UnknownLocation> {
        find(&mut self.entries, peer, location)?;
        self.remove(location.slot).ok_or(UnknownLocation)
    }

    /// Ends a registration at the server's wish.
    pub fn remove(&mut self, slot: RegistrationSlot) -> Option<Registration> {
        let registration = self.entry_mut(slot)?.take()?.registration;
        self.free.insert(slot);
        self.by_endpoint.remove(&registration.endpoint);
        self.by_peer.remove(&registration.peer, slot);
        self.links.release(&registration.links);
        Some(registration)
    }

    /// Notes that a device that proved itself otherwise, by a notification with a live token, is heard
    /// from `peer` now. Returns whether that is new, and so must be persisted. A device never moves
    /// into a secured session or out of one.
    pub fn move_to(&mut self, slot: RegistrationSlot, peer: &Peer) -> bool {
        let Some(Some(entry)) = self.entries.get_mut(slot.0 as usize) else {
            return false;
        };
        let held = &mut entry.registration.peer;
        if !may_use(held, peer) || *held == *peer {
            return false;
        }
        self.by_peer.remove(held, slot);
        self.by_peer.insert(peer, slot);
        *held = peer.clone();
        true
    }

    /// Takes back a stored registration after a restart. It gets a grace period, as the stored expiry
    /// lags behind the true one ([`RegistryConfig::restart_grace`]).
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore(
        &mut self,
        now: Now,
        mut registration: Registration,
    ) -> Result<(), RestoreError> {
        let index = registration.slot.0 as usize;
        if index >= self.config.registrations_max {
            return Err(RestoreError::Full);
        }
        while self.entries.len() <= index {
            self.free
                .insert(next_slot(&self.entries).ok_or(RestoreError::Full)?);
            self.entries.push(None);
        }
        if self.by_endpoint.contains_key(&registration.endpoint)
            || !self.free.remove(&registration.slot)
        {
            return Err(RestoreError::Duplicate);
        }
        // Never more than the lifetime: the clock may have been set back.
        let lifetime = registration.lifetime;
        let stored = registration.expires_at.saturating_since(now.utc);
        let remaining = stored.max(self.config.restart_grace).min(lifetime);
        registration.expires_at = now.utc + remaining;
        registration.links = self.links.intern(&registration.links);
        let (endpoint, slot) = (registration.endpoint.clone(), registration.slot);
        self.by_endpoint.insert(endpoint, slot);
        self.put(registration, now.instant + remaining, None);
        Ok(())
    }

    /// Ends and returns one registration whose lifetime is over; to be called until there is none.
    pub fn expire(&mut self, now: Instant) -> Option<Registration> {
        while let Some((at, slot)) = self.expiries.pop_due(now) {
            let Some(Some(entry)) = self.entry_mut(slot) else {
                continue;
            };
            if entry.queued != at {
                continue;
            }
            if entry.expires <= now {
                return self.remove(slot);
            }
            entry.queued = entry.expires;
            let queued = entry.queued;
            self.expiries.push(queued, slot);
        }
        None
    }

    /// When to call [`Self::expire`] next. It may then find nothing to end.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.expiries.next_due()
    }

    /// The registration in a slot.
    pub fn get(&self, slot: RegistrationSlot) -> Option<&Registration> {
        let entry = self.entries.get(slot.0 as usize)?.as_ref()?;
        Some(&entry.registration)
    }

    /// Notes that the device of a registration is heard now.
    pub fn hear(&mut self, now: Instant, slot: RegistrationSlot) -> Option<&Registration> {
        let entry = self.entry_mut(slot)?.as_mut()?;
        entry.heard = Some(now);
        Some(&entry.registration)
    }

    /// When the device of a registration was last heard; `None` where it was not since a restart.
    pub fn heard_at(&self, slot: RegistrationSlot) -> Option<Instant> {
        self.entries.get(slot.0 as usize)?.as_ref()?.heard
    }

    /// The registration of an endpoint.
    pub fn by_endpoint(&self, endpoint: &EndpointName) -> Option<&Registration> {
        self.get(*self.by_endpoint.get(endpoint)?)
    }

    /// The only registration that was last heard from a peer: for what names no location. An address
    /// proves nothing, so it serves for what may be forged without harm, and for nothing else.
    ///
    /// # Errors
    /// Where there is none, or more than one.
    pub fn by_peer(&self, peer: &Peer) -> Result<&Registration, UnknownPeer> {
        let slot = self.by_peer.only(peer)?;
        self.get(slot)
            .filter(|registration| registration.peer == *peer)
            .ok_or(UnknownPeer::Unregistered)
    }

    /// All registrations in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = &Registration> {
        let entries = self.entries.iter().flatten();
        entries.map(|entry| &entry.registration)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_endpoint.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_endpoint.is_empty()
    }

    fn entry_mut(&mut self, slot: RegistrationSlot) -> Option<&mut Option<Entry>> {
        self.entries.get_mut(slot.0 as usize)
    }

    fn free_slot(&mut self) -> Option<RegistrationSlot> {
        if self.by_endpoint.len() >= self.config.registrations_max {
            return None;
        }
        if let Some(slot) = self.free.pop_first() {
            return Some(slot);
        }
        let slot = next_slot(&self.entries)?;
        if self.entries.len() == self.entries.capacity() {
            // An eighth more, not twice as many: a million entries are 140 MB.
            self.entries
                .reserve_exact(self.entries.len() / 8 + ENTRIES_MORE);
        }
        self.entries.push(None);
        Some(slot)
    }

    /// Fills the slot. `queued` is the instant of the entry that the queue still has for it.
    fn put(&mut self, registration: Registration, expires: Instant, queued: Option<Instant>) {
        let slot = registration.slot;
        self.by_peer.insert(&registration.peer, slot);
        let still_queued = queued.filter(|queued| *queued <= expires);
        let entry = Entry {
            registration,
            expires,
            queued: still_queued.unwrap_or(expires),
            heard: None,
        };
        if let Some(place) = self.entry_mut(slot) {
            *place = Some(entry);
        }
        if still_queued.is_none() {
            self.queue(expires, slot);
        }
    }

    /// Queues a slot, and now and then drops the entries that became stale, at a constant cost each.
    fn queue(&mut self, at: Instant, slot: RegistrationSlot) {
        self.expiries.push(at, slot);
        if self.expiries.len() > 2 * self.len() + STALE_EXPIRIES_MAX {
            let entries = self.entries.iter_mut().flatten().map(|entry| {
                entry.queued = entry.expires;
                (entry.expires, entry.registration.slot)
            });
            let entries = entries.collect();
            self.expiries.rebuild(entries);
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("config", &self.config)
            .field("registrations", &self.len())
            .finish_non_exhaustive()
    }
}

fn next_slot(entries: &[Option<Entry>]) -> Option<RegistrationSlot> {
    u32::try_from(entries.len()).ok().map(RegistrationSlot)
}

fn find<'e>(
    entries: &'e mut [Option<Entry>],
    peer: &Peer,
    location: &Location,
) -> Result<&'e mut Entry, UnknownLocation> {
    let entry = entries.get_mut(location.slot.0 as usize);
    entry
        .and_then(Option::as_mut)
        .filter(|entry| location.has_secret(entry.registration.secret))
        .filter(|entry| may_use(&entry.registration.peer, peer))
        .ok_or(UnknownLocation)
}

/// Whether `peer` may register an endpoint that `held` has registered.
fn may_replace(held: &Peer, peer: &Peer) -> bool {
    match held {
        Peer::Address(_) => true,
        Peer::Secured(_) => held == peer,
    }
}

/// Whether `peer` may use a registration that `held` made, and whose secret it knows.
fn may_use(held: &Peer, peer: &Peer) -> bool {
    match (held, peer) {
        (Peer::Address(_), Peer::Address(_)) => true,
        (Peer::Secured(held), Peer::Secured(peer)) => held == peer,
        (Peer::Address(_), Peer::Secured(_)) | (Peer::Secured(_), Peer::Address(_)) => false,
    }
}

/// Sets a field; returns whether that changed it.
fn assign<T: PartialEq>(field: &mut T, value: T) -> bool {
    let changed = *field != value;
    *field = value;
    changed
}

#[cfg(test)]
mod tests;
