//! A device's LwM2M presence, as it is kept and persisted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::words::words;
use super::{EndpointName, Peer};
use crate::clock::Utc;

/// Where a registration lies in the registry: an index, so that an Update is found without a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationSlot(pub u32);

words! {
    /// The versions of LwM2M that are spoken.
    pub enum Lwm2mVersion {
        /// 1.0.
        V1_0 = "1.0",
        /// 1.1 (and 1.2 clients, which are served as 1.1).
        V1_1 = "1.1",
    }
}

/// The binding that a device registered with (LwM2M Core §6.2.1.2): UDP, and whether in queue mode.
/// Transports other than UDP are noted and not used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BindingMode {
    /// Requests go out only while the device is awake after a message of its own.
    pub queue_mode: bool,
}

/// One live registration.
#[derive(Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its place in the registry.
    pub slot: RegistrationSlot,
    /// The random part of its location: who knows it may update it (over NoSec).
    pub secret: u128,
    /// The device.
    pub endpoint: EndpointName,
    /// Where the device was last heard.
    pub peer: Peer,
    /// Its version of LwM2M.
    pub version: Lwm2mVersion,
    /// How it may be reached.
    pub binding: BindingMode,
    /// `lt`.
    pub lifetime: Duration,
    /// The Register payload, as sent; interned, as whole fleets send the same.
    pub links: Arc<str>,
    /// When it registered.
    pub registered_at: Utc,
    /// When it ends unless updated. Persisted only with another change, so it may lag.
    pub expires_at: Utc,
}

impl fmt::Debug for Registration {
    /// Without the secret: the location is a capability.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("slot", &self.slot)
            .field("endpoint", &self.endpoint)
            .field("peer", &self.peer)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// An observation that must outlive a restart: devices persist its token and notify on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObservation {
    /// The CoAP token, 8 bytes.
    pub token: [u8; 8],
    /// Whose it is. It belongs to the endpoint, never to an address.
    pub endpoint: EndpointName,
    /// What is observed, e.g. `/5/0/3`.
    pub path: String,
}
