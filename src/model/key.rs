//! The life of a manufacturer's public key.

use super::words::words;
use crate::clock::Utc;

words! {
    /// What a key may still do. There is no way back.
    pub enum KeyState {
        /// It verifies new uploads.
        Active = "active",
        /// It verifies no new uploads; packages that it verified before stay usable.
        Retired = "retired",
        /// Its packages are blocked.
        Revoked = "revoked",
    }
}

words! {
    /// What a key signs. A key of any other purpose is not entered.
    pub enum KeyPurpose {
        /// Firmware packages.
        Firmware = "firmware",
    }
}

/// Who took something away from a key, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// When.
    pub at: Utc,
    /// The name of the token that it was done with.
    pub by: String,
    /// The reason given.
    pub reason: String,
}

impl KeyChange {
    /// The most characters of a reason.
    pub const REASON_CHARS_MAX: usize = 200;
}
