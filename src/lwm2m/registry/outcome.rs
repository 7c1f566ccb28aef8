//! What registering, updating, deregistering and restoring came to.

use crate::coap::Code;
use crate::lwm2m::Location;
use crate::model::{Registration, RegistrationSlot};

/// What a Register came to.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Where the registration lies.
    pub slot: RegistrationSlot,
    /// Its location, to be told to the device.
    pub location: Location,
    /// What the endpoint had before, in the same slot; its location is void now.
    pub replaced: Option<Registration>,
}

/// What an Update came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Updated {
    /// Where the registration lies.
    pub slot: RegistrationSlot,
    /// Whether anything but the expiry changed, so that it must be persisted.
    pub changed: bool,
    /// Whether the device is heard from another address now.
    pub moved: bool,
}

/// Why a Register was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// The endpoint is registered under a secured identity, and this is another peer.
    #[error("the endpoint is registered by another identity")]
    Forbidden,
    /// No room.
    #[error("too many registrations")]
    Full,
}

impl RegisterError {
    /// The response code.
    pub const fn code(self) -> Code {
        match self {
            Self::Forbidden => Code::FORBIDDEN,
            Self::Full => Code::SERVICE_UNAVAILABLE,
        }
    }
}

/// Why an Update or a Deregister was refused: the location is not, or no longer, that of a
/// registration that this peer may use. Which of these it is, nobody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such registration")]
pub struct UnknownLocation;

impl UnknownLocation {
    /// The response code.
    pub const fn code(self) -> Code {
        Code::NOT_FOUND
    }
}

/// Why a stored registration was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Its slot or its endpoint has one already.
    #[error("slot or endpoint is stored twice")]
    Duplicate,
    /// Its slot lies behind `registrations_max`.
    #[error("too many registrations")]
    Full,
}
