//! `/api/v1/tokens`: who may use this API.

mod create;
mod delete;
mod list;

pub(super) use create::*;
pub(super) use delete::*;
pub(super) use list::*;

use rand::RngCore;
use rand::rngs::OsRng;

use super::{Role, fields, token_sha256};
use crate::clock::Utc;
use crate::store::StoredToken;

/// The most characters of a token's name.
const NAME_CHARS_MAX: usize = 50;

/// Whether a token may have this name: 1 to 50 characters, none of them a control character.
pub fn is_token_name(name: &str) -> bool {
    fields::title("name", name, NAME_CHARS_MAX).is_ok()
}

/// A token that was just made: the only time that its text is known.
pub struct NewToken {
    /// What the holder sends.
    pub text: String,
    /// What the store keeps.
    pub stored: StoredToken,
}

impl std::fmt::Debug for NewToken {
    /// Without the text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewToken")
            .field("stored", &self.stored)
            .finish_non_exhaustive()
    }
}

/// Makes a token of 256 random bits of the operating system's, `nc_` and 64 hexadecimal digits.
pub fn new_token(name: &str, role: Role, created_at: Utc) -> NewToken {
    let mut random = [0; 32];
    OsRng.fill_bytes(&mut random);
    let text = format!("nc_{}", hex::encode(random));
    let stored = StoredToken {
        name: name.to_owned(),
        role: role.word().to_owned(),
        sha256: token_sha256(&text),
        created_at,
    };
    NewToken { text, stored }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hash_of_a_token_is_kept_or_shown() {
        let token = new_token("ci", Role::Viewer, Utc::from_unix_ms(0));
        assert_eq!(token.text.len(), "nc_".len() + 64);
        assert_eq!(token.stored.sha256, token_sha256(&token.text));
        assert!(!format!("{token:?}").contains(&token.text));
    }

    #[test]
    fn two_tokens_differ() {
        let make = || new_token("ci", Role::Viewer, Utc::from_unix_ms(0)).text;
        assert_ne!(make(), make());
    }
}
