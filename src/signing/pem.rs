//! What kind of PEM a text is, before anything of it is decoded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::der::DerKind;

/// The largest key file that is looked at, in bytes: a 4096-bit private key has some 3,300.
pub(super) const PEM_BYTES_MAX: usize = 16 << 10;

/// So many digits of base64 tell what a key is.
const BARE_DIGITS: usize = 256;

/// A PEM text by its first label (RFC 7468 §4; the traditional ones are OpenSSL's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PemKind {
    /// `ENCRYPTED PRIVATE KEY`: PKCS#8, encrypted.
    EncryptedPkcs8,
    /// `PRIVATE KEY`: PKCS#8.
    Pkcs8,
    /// `RSA PRIVATE KEY`: PKCS#1.
    Pkcs1,
    /// `EC PRIVATE KEY`: SEC 1.
    Sec1,
    /// `RSA PRIVATE KEY` or `EC PRIVATE KEY` with `DEK-Info`: OpenSSL's traditional encryption.
    TraditionalEncrypted,
    /// `OPENSSH PRIVATE KEY`: OpenSSH's own.
    OpenSsh,
    /// Any other private key.
    OtherPrivate,
    /// `PUBLIC KEY`: SPKI.
    Spki,
    /// `RSA PUBLIC KEY`: PKCS#1.
    Pkcs1Public,
    /// `CERTIFICATE`.
    Certificate,
    /// Not PEM, or with a label that is no key's.
    Other,
}

impl PemKind {
    /// The kind of `text`. Anything that holds a private key anywhere is a private key.
    pub(super) fn of(text: &str) -> Self {
        let label = text
            .split_once("-----BEGIN ")
            .and_then(|(_, rest)| rest.split_once("-----"))
            .map_or("", |(label, _)| label);
        match label {
            "ENCRYPTED PRIVATE KEY" => Self::EncryptedPkcs8,
            "PRIVATE KEY" => Self::Pkcs8,
            "RSA PRIVATE KEY" | "EC PRIVATE KEY"
                if text.contains("DEK-Info") || text.contains("Proc-Type") =>
            {
                Self::TraditionalEncrypted
            }
            "RSA PRIVATE KEY" => Self::Pkcs1,
            "EC PRIVATE KEY" => Self::Sec1,
            "OPENSSH PRIVATE KEY" => Self::OpenSsh,
            _ if holds_private_key(text) => Self::OtherPrivate,
            "PUBLIC KEY" => Self::Spki,
            "RSA PUBLIC KEY" => Self::Pkcs1Public,
            "CERTIFICATE" => Self::Certificate,
            _ => Self::Other,
        }
    }
}

/// The text behind the `EC PARAMETERS` that `openssl ecparam -genkey` writes before the key, which
/// names its curve itself.
pub(super) fn behind_parameters(text: &str) -> &str {
    const END: &str = "-----END EC PARAMETERS-----";
    match text.split_once(END) {
        Some((head, rest)) if head.starts_with("-----BEGIN EC PARAMETERS-----") => {
            rest.trim_start()
        }
        Some(_) | None => text,
    }
}

/// Whether a private key stands anywhere in the text, in any letter case, or is all of it: in base64 as
/// between the lines of a PEM text, without them.
pub(super) fn holds_private_key(text: &str) -> bool {
    text.to_ascii_uppercase().contains("PRIVATE KEY") || is_bare_private_key(text)
}

fn is_bare_private_key(text: &str) -> bool {
    // The first bytes tell it, and the rest is a secret.
    let is_digit = |byte: &u8| !byte.is_ascii_whitespace() && *byte != b'=';
    let digits = text.bytes().filter(is_digit);
    let digits: Vec<u8> = digits.take(BARE_DIGITS).collect();
    let whole = digits.len() / 4 * 4;
    let decoded = STANDARD_NO_PAD.decode(&digits[..whole]);
    decoded.is_ok_and(|der| DerKind::of(&der).is_some_and(DerKind::is_private))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_told_by_its_first_label() {
        let kinds = [
            ("-----BEGIN PUBLIC KEY-----\n", PemKind::Spki),
            (
                "comment\n-----BEGIN RSA PUBLIC KEY-----\n",
                PemKind::Pkcs1Public,
            ),
            ("-----BEGIN CERTIFICATE-----\n", PemKind::Certificate),
            ("-----BEGIN PRIVATE KEY-----\n", PemKind::Pkcs8),
            ("-----BEGIN EC PRIVATE KEY-----\n", PemKind::Sec1),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\n", PemKind::OpenSsh),
            ("-----BEGIN DSA PRIVATE KEY-----\n", PemKind::OtherPrivate),
            ("", PemKind::Other),
            ("-----BEGIN PUBLIC KEY", PemKind::Other),
        ];
        for (text, kind) in kinds {
            assert_eq!(PemKind::of(text), kind, "{text}");
        }
    }

    #[test]
    fn a_private_key_behind_a_public_one_is_a_private_key() {
        let both = "-----BEGIN PUBLIC KEY-----\n-----BEGIN private key-----\n";
        assert_eq!(PemKind::of(both), PemKind::OtherPrivate);
    }
}
