//! Observations that we made, and which notification is newer (RFC 7641 §3).

use std::collections::HashMap;
use std::time::Duration;

use super::{Full, Token};
use crate::clock::Instant;

/// RFC 7641 §3.4: after this long any notification is newer, whatever its number.
const ALWAYS_NEWER_AFTER: Duration = Duration::from_secs(128);

/// The live observations by token. A token has 64 random bits, so that it alone says which: the
/// device may have another address by now.
#[derive(Debug)]
pub(super) struct Observations {
    newest: HashMap<Token, Option<Newest>>,
    observations_max: usize,
}

/// The freshest notification so far.
#[derive(Clone, Copy, Debug)]
struct Newest {
    sequence: u32,
    received_at: Instant,
}

impl Observations {
    /// With room for `observations_max`.
    pub(super) fn new(observations_max: usize) -> Self {
        Self {
            newest: HashMap::new(),
            observations_max,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.newest.len()
    }

    /// Takes notifications with this token from now on; the next one is fresh whatever its number.
    pub(super) fn add(&mut self, token: Token) -> Result<(), Full> {
        if self.newest.len() >= self.observations_max && !self.newest.contains_key(&token) {
            return Err(Full);
        }
        self.newest.insert(token, None);
        Ok(())
    }

    /// Takes no more notifications with this token.
    pub(super) fn remove(&mut self, token: Token) {
        self.newest.remove(&token);
    }

    /// Takes no more notifications with this token unless one has come already.
    pub(super) fn remove_if_silent(&mut self, token: Token) {
        if let Some(None) = self.newest.get(&token) {
            self.newest.remove(&token);
        }
    }

    /// Whether notifications with this token are wanted.
    pub(super) fn contains(&self, token: Token) -> bool {
        self.newest.contains_key(&token)
    }

    /// Whether a notification is newer than all before; if so it is the newest from now on.
    pub(super) fn advance(&mut self, now: Instant, token: Token, sequence: u32) -> bool {
        let Some(newest) = self.newest.get_mut(&token) else {
            return false;
        };
        let is_fresh = newest.is_none_or(|newest| {
            is_newer(newest.sequence, sequence) || now - newest.received_at > ALWAYS_NEWER_AFTER
        });
        if is_fresh {
            *newest = Some(Newest {
                sequence,
                received_at: now,
            });
        }
        is_fresh
    }
}

/// RFC 7641 §3.4: serial number arithmetic over 24 bits.
const fn is_newer(first: u32, second: u32) -> bool {
    first < second && second - first < 1 << 23 || first > second && first - second > 1 << 23
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_follows_rfc_7641_section_3_4() {
        for (first, second, newer) in [
            (1, 2, true),
            (2, 1, false),
            (2, 2, false),
            (0xff_ffff, 0, true),
            (0, 0xff_ffff, false),
            (0, (1 << 23) - 1, true),
            (0, 1 << 23, false),
            (1 << 23, 0, false),
            ((1 << 23) + 1, 0, true),
        ] {
            assert_eq!(is_newer(first, second), newer, "{first} {second}");
        }
    }

    #[test]
    fn after_128_seconds_any_notification_is_fresh() {
        let token = Token::from([1; 8]);
        let mut observations = Observations::new(1);
        observations.add(token).unwrap();
        let at = |seconds| Instant::from_origin(Duration::from_secs(seconds));
        assert!(observations.advance(at(0), token, 100));
        assert!(!observations.advance(at(128), token, 5));
        assert!(observations.advance(at(129), token, 5));
        assert!(!observations.advance(at(129), token, 5));
    }

    #[test]
    fn the_number_is_bounded_and_an_unknown_token_is_never_fresh() {
        let mut observations = Observations::new(1);
        observations.add(Token::from([1; 8])).unwrap();
        assert_eq!(observations.add(Token::from([1; 8])), Ok(()));
        assert_eq!(observations.add(Token::from([2; 8])), Err(Full));
        assert!(!observations.advance(Instant::ORIGIN, Token::from([2; 8]), 1));
    }
}
