//! `/api/v1/keys`: the manufacturers' public keys.

mod create;
mod list;

pub(super) use create::*;
pub(super) use list::*;

use serde::Serialize;
use utoipa::ToSchema;

use super::fields;
use crate::store::StoredKey;

/// A manufacturer's public key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(super) struct KeyView {
    /// SHA-256 of the SPKI, hexadecimal.
    id: String,
    /// 厂商名称.
    manufacturer: String,
    /// `RSA`.
    algorithm: String,
    /// Modulus length.
    bits: u32,
    /// `active`: it verifies new uploads.
    state: &'static str,
    /// SPKI in PEM.
    public_key_pem: String,
    /// When it was entered.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<StoredKey> for KeyView {
    fn from(key: StoredKey) -> Self {
        Self {
            id: key.id,
            manufacturer: key.manufacturer.to_string(),
            algorithm: key.algorithm,
            bits: key.bits,
            // Keys cannot be retired or revoked yet: every key that is there is active.
            state: "active",
            public_key_pem: key.public_key_pem,
            created_at: fields::time(key.created_at),
        }
    }
}
