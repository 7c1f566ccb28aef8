//! The pass-phrase of a private key.

use std::fmt;

use zeroize::Zeroizing;

/// A pass-phrase too weak for a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pass-phrase of a new key needs at least {min} characters of at least two classes \
     (A-Z, a-z, 0-9, other)",
    min = Passphrase::NEW_CHARS_MIN
)]
pub struct WeakPassphrase;

/// What opens a private key. Never shown; wiped from memory when dropped.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// The fewest characters for a new key. Keys made elsewhere under the carriers' rule (6) open
    /// all the same.
    pub const NEW_CHARS_MIN: usize = 12;

    /// Takes the text as it stands.
    pub fn new(text: impl Into<Zeroizing<String>>) -> Self {
        Self(text.into())
    }

    /// The first line of a pass-phrase file, without its line end, as `openssl -passin file:` does.
    pub fn from_file_text(text: &str) -> Self {
        let line = text.split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        Self(Zeroizing::new(line.to_owned()))
    }

    /// Whether it may protect a new key.
    ///
    /// # Errors
    /// Where it is shorter than [`Self::NEW_CHARS_MIN`] or of one class of characters only.
    pub fn check_new(&self) -> Result<(), WeakPassphrase> {
        let classes: [fn(char) -> bool; 4] = [
            |c| c.is_ascii_uppercase(),
            |c| c.is_ascii_lowercase(),
            |c| c.is_ascii_digit(),
            |c| !c.is_ascii_alphanumeric(),
        ];
        let used = classes
            .iter()
            .filter(|class| self.0.chars().any(class))
            .count();
        if self.0.chars().count() < Self::NEW_CHARS_MIN || used < 2 {
            return Err(WeakPassphrase);
        }
        Ok(())
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl PartialEq for Passphrase {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl Eq for Passphrase {}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned())
    }

    #[test]
    fn a_new_key_needs_twelve_characters_of_two_classes() {
        for strong in [
            "correct horse battery",
            "abcdefghijk1",
            "ABCDEFGHIJKl",
            "密码密码密码密码密码密码1",
        ] {
            assert_eq!(phrase(strong).check_new(), Ok(()), "{strong}");
        }
        // `Quectel123` is the sample of the carriers' manual.
        for weak in [
            "",
            "Quectel123",
            "abcdefghijk",
            "abcdefghijkl",
            "123456789012345",
            "密码1",
        ] {
            assert_eq!(phrase(weak).check_new(), Err(WeakPassphrase), "{weak}");
        }
    }

    #[test]
    fn a_file_gives_its_first_line_without_the_line_end() {
        for text in [
            "a phrase",
            "a phrase\n",
            "a phrase\r\n",
            "a phrase\nsecond line\n",
        ] {
            assert_eq!(Passphrase::from_file_text(text), phrase("a phrase"));
        }
        assert_eq!(Passphrase::from_file_text(" a \n"), phrase(" a "));
        assert!(Passphrase::from_file_text("\nx").is_empty());
    }

    #[test]
    fn debug_does_not_show_it() {
        assert!(!format!("{:?}", phrase("correct horse")).contains("horse"));
    }
}
