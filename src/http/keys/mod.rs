//! `/api/v1/keys`: the manufacturers' public keys.

mod affected;
mod create;
mod list;
mod retire;
mod revoke;
mod show;

pub(super) use create::*;
pub(super) use list::*;
pub(super) use retire::*;
pub(super) use revoke::*;
pub(super) use show::*;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::TokenName;
use super::error::{Problem, kinds};
use super::{HttpState, fields};
use crate::model::{KeyChange, KeyState};
use crate::store::StoredKey;

/// A manufacturer's public key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(super) struct KeyView {
    /// SHA-256 of the SPKI, hexadecimal.
    id: String,
    /// 厂商名称.
    manufacturer: String,
    /// What it signs: `firmware`.
    purpose: &'static str,
    /// `RSA` or `ECDSA_256K1`.
    algorithm: String,
    /// Modulus length, or the length of the curve's order.
    bits: u32,
    /// `active`: it verifies new uploads; `retired`: what it verified before stays usable; `revoked`:
    /// nothing that it signed is installed.
    state: &'static str,
    /// SPKI in PEM.
    public_key_pem: String,
    /// When it was entered.
    #[schema(format = DateTime)]
    created_at: String,
    /// The name of the token that it was entered with, where it was kept.
    created_by: Option<String>,
    /// By whom it was retired, when and why.
    retired: Option<KeyChangeView>,
    /// By whom it was revoked, when and why.
    revoked: Option<KeyChangeView>,
}

/// Who took something away from a key, when and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyChange)]
struct KeyChangeView {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// The name of the token that it was done with.
    by: String,
    /// The reason given.
    reason: String,
}

/// Why a key is retired or revoked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyReason)]
pub(super) struct Reason {
    /// 1 to 200 characters, for those who ask later.
    reason: String,
}

impl Reason {
    /// The change of a key that this request asks for.
    fn change(self, state: &HttpState, token: TokenName) -> Result<KeyChange, Problem> {
        fields::title("reason", &self.reason, KeyChange::REASON_CHARS_MAX)?;
        Ok(KeyChange {
            at: state.now_utc(),
            by: token.0,
            reason: self.reason,
        })
    }
}

impl From<StoredKey> for KeyView {
    fn from(key: StoredKey) -> Self {
        Self {
            state: key.state().word(),
            id: key.id,
            manufacturer: key.manufacturer.to_string(),
            purpose: key.purpose.word(),
            algorithm: key.algorithm,
            bits: key.bits,
            public_key_pem: key.public_key_pem,
            created_at: fields::time(key.created_at),
            created_by: key.created_by,
            retired: key.retired.map(KeyChangeView::from),
            revoked: key.revoked.map(KeyChangeView::from),
        }
    }
}

impl From<KeyChange> for KeyChangeView {
    fn from(change: KeyChange) -> Self {
        Self {
            at: fields::time(change.at),
            by: change.by,
            reason: change.reason,
        }
    }
}

/// Nothing that a revoked key signed is installed.
pub(super) fn check_not_revoked(key: &StoredKey) -> Result<(), Problem> {
    match &key.revoked {
        Some(change) => {
            let detail = format!(
                "the key {} was revoked by {} at {}: {}",
                key.id,
                change.by,
                fields::time(change.at),
                change.reason
            );
            Err(Problem::new(kinds::KEY_REVOKED, detail))
        }
        None => Ok(()),
    }
}

/// Nothing new is taken that a retired or revoked key signed.
pub(super) fn check_active(key: &StoredKey) -> Result<(), Problem> {
    check_not_revoked(key)?;
    if key.state() == KeyState::Active {
        return Ok(());
    }
    let detail = format!("it was signed with the key {}, which is retired", key.id);
    Err(Problem::new(kinds::KEY_RETIRED, detail))
}

async fn find_key(state: &HttpState, id: &str) -> Result<StoredKey, Problem> {
    let found = state.store.key(id).await;
    found.map_err(|error| Problem::of_store(error, format_args!("key '{id}'")))
}

/// A key has no way back, and none to where it is.
fn already(key: &StoredKey) -> Problem {
    let detail = format!("the key {} is {} already", key.id, key.state());
    Problem::new(kinds::INVALID_KEY_TRANSITION, detail)
}
