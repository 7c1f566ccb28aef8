//! The secret that a commander and its agents share, and what is reckoned with it. Sans-IO.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The shortest secret, in bytes: who hears a handshake may try secrets at home, and must not find it.
pub const SECRET_BYTES_MIN: usize = 32;

/// Bytes of a tag.
pub(super) const TAG_BYTES: usize = 32;

/// A tag of HMAC-SHA256 (RFC 2104).
pub(super) type Tag = [u8; TAG_BYTES];

/// It is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has {bytes} bytes, and a secret has {SECRET_BYTES_MIN} at least")]
pub struct SecretTooShort {
    /// How many it has.
    pub bytes: usize,
}

/// What both sides hold and neither sends. Wiped from memory when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The content of a file, without white space at its end: editors put a line break there.
    ///
    /// # Errors
    /// Where it is shorter than [`SECRET_BYTES_MIN`].
    pub fn new(content: &[u8]) -> Result<Self, SecretTooShort> {
        let secret = content.trim_ascii_end();
        let bytes = secret.len();
        if bytes < SECRET_BYTES_MIN {
            return Err(SecretTooShort { bytes });
        }
        Ok(Self(Zeroizing::new(secret.to_vec())))
    }

    /// A value that only who holds the secret can know, for one use (`label`) and one handshake.
    pub(super) fn derived(&self, label: &str, transcript: &[u8]) -> Zeroizing<Tag> {
        let mut mac = Key::new(&self.0);
        mac.0.update(label.as_bytes());
        mac.0.update(&[0]);
        mac.0.update(transcript);
        Zeroizing::new(mac.0.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A key of one direction of one connection.
#[derive(Clone)]
pub(super) struct Key(Hmac<Sha256>);

impl Key {
    pub(super) fn new(key: &[u8]) -> Self {
        // A key of any length is one (RFC 2104 §2), so that this never takes the other way.
        Self(Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&[0; 64].into())))
    }

    /// The tag of these parts one after another; all but the last have a fixed length.
    pub(super) fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_32_bytes_and_a_line_break_is_none_of_them() {
        let short = Secret::new(&[b"x".repeat(31), b"\n".to_vec()].concat());
        assert_eq!(short.unwrap_err(), SecretTooShort { bytes: 31 });
        let plain = Secret::new(&b"x".repeat(32)).unwrap();
        let with_break = Secret::new(&[b"x".repeat(32), b"\r\n".to_vec()].concat()).unwrap();
        assert_eq!(plain.derived("a", b"t"), with_break.derived("a", b"t"));
        assert_ne!(plain.derived("a", b"t"), plain.derived("b", b"t"));
        assert_eq!(format!("{plain:?}"), "Secret");
    }

    /// Test case 2 of RFC 4231 §4.3.
    #[test]
    fn tags_are_those_of_hmac_sha256() {
        let tag = Key::new(b"Jefe").tag(&[b"what do ya ", b"want for nothing?"]);
        assert_eq!(
            hex::encode(tag),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
