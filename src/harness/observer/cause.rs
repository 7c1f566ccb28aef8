//! Why an attempt failed.

use std::fmt;

use crate::harness::result::SaidBy;
use crate::model::FailureReason;

/// Why an attempt failed, and by whose word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It ended with this Update Result, by the device's own log.
    Result(u8),
    /// The device's power went within it.
    PowerCut,
    /// The device was switched off within it.
    SwitchedOff,
    /// The device comes back no more.
    Bricked,
    /// The device reports success, and runs another version.
    VersionMismatch,
    /// The server says so.
    Server(FailureReason),
}

impl Cause {
    /// By whose word.
    pub const fn said_by(self) -> SaidBy {
        match self {
            Self::Result(_)
            | Self::PowerCut
            | Self::SwitchedOff
            | Self::Bricked
            | Self::VersionMismatch => SaidBy::Device,
            Self::Server(_) => SaidBy::Server,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Result(result) => write!(f, "result_{result}"),
            Self::PowerCut => f.write_str("power_cut"),
            Self::SwitchedOff => f.write_str("switched_off"),
            Self::Bricked => f.write_str("bricked"),
            Self::VersionMismatch => f.write_str("version_mismatch"),
            Self::Server(reason) => f.write_str(reason.word()),
        }
    }
}
