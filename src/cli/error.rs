//! How a command ends where it does not end well.

use std::io;
use std::path::Path;

use crate::signing::{KeyError, PayloadError, SignError, WeakPassphrase};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The arguments do not fit one another, beyond what the parser sees. Exit 2.
    #[error("{0}")]
    Usage(String),
    /// It was tried and did not work. Exit 1.
    #[error("{0}")]
    Failed(String),
    /// The command has said why already. Exit 1.
    #[error("")]
    Reported,
    /// The same, with an exit code of its own: 99 where a threshold is broken.
    #[error("")]
    Ended(u8),
}

impl CliError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) | Self::Reported => 1,
            Self::Ended(code) => *code,
        }
    }

    /// Tried, and failed for this reason.
    pub(super) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// A file that cannot be read or written; `verb` is `read` or `write`.
    pub(super) fn file(verb: &str, path: &Path, error: &io::Error) -> Self {
        Self::Failed(format!("cannot {verb} {}: {error}", path.display()))
    }

    /// Something wrong with the content of a file.
    pub(super) fn in_file(path: &Path, error: &dyn std::error::Error) -> Self {
        Self::Failed(format!("{}: {error}", path.display()))
    }
}

impl From<KeyError> for CliError {
    fn from(error: KeyError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<PayloadError> for CliError {
    fn from(error: PayloadError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<SignError> for CliError {
    fn from(error: SignError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<WeakPassphrase> for CliError {
    fn from(error: WeakPassphrase) -> Self {
        Self::Failed(error.to_string())
    }
}
