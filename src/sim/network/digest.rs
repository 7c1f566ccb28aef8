//! The SHA-256 of an event log that is not kept.

use std::fmt::{self, Write};

use sha2::{Digest, Sha256};

use crate::model::Sha256Digest;

/// Text beyond which it is hashed, in bytes.
const BUFFER_BYTES: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct LogDigest {
    hash: Sha256,
    buffer: String,
    /// Text that was not taken yet, where it is wanted.
    kept: Option<String>,
}

impl LogDigest {
    pub(super) fn line(&mut self, line: fmt::Arguments<'_>) {
        let begins = self.buffer.len();
        // A String takes whatever is written.
        let _ = writeln!(self.buffer, "{line}");
        if let Some(kept) = &mut self.kept {
            kept.push_str(&self.buffer[begins..]);
        }
        if self.buffer.len() > BUFFER_BYTES {
            self.hash.update(&self.buffer);
            self.buffer.clear();
        }
    }

    /// The text is wanted from now on.
    pub(super) fn keep(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// The text since it was taken last.
    pub(super) fn take(&mut self) -> String {
        self.kept.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Of all lines so far.
    pub(super) fn sha256(&self) -> Sha256Digest {
        let hash = self.hash.clone().chain_update(&self.buffer);
        Sha256Digest(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_whole_text() {
        let (mut digest, mut text) = (LogDigest::default(), String::new());
        for number in 0..2_000 {
            digest.line(format_args!("line {number}"));
            text += &format!("line {number}\n");
        }
        assert!(text.len() > 2 * BUFFER_BYTES);
        assert_eq!(digest.sha256().0, Sha256::digest(&text).as_slice());
    }
}
