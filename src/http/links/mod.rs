//! `/api/v1/packages/{id}/links`: package files for modules that fetch by `AT+QFOTADL` without LwM2M.

mod create;
mod list;
mod revoke;

pub(super) use create::*;
pub(super) use list::*;
pub(super) use revoke::*;

use serde::Serialize;
use utoipa::ToSchema;

use super::error::Problem;
use super::{HttpState, fields};
use crate::clock::Utc;
use crate::model::{DownloadLink, KeyState, LinkState, Package, PackageId};
use crate::store::StoreError;

/// What links' URLs begin with, `http://HOST:PORT/fw/`; `None` where nothing listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkBases {
    /// By HTTP.
    pub http: Option<String>,
    /// By HTTPS.
    pub https: Option<String>,
}

/// A link to a package's file, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DownloadLink)]
pub(super) struct LinkView {
    /// Its number.
    id: u64,
    /// The package's number.
    package_id: u64,
    /// Which device it is for, as the operator called it.
    device: Option<String>,
    /// The last segment of its URL, under which a module stores the file.
    file_name: String,
    /// Size of the file, in bytes.
    size_bytes: u64,
    /// SHA-256 of the file, hexadecimal.
    sha256: String,
    /// `waiting`, `downloading`, `served_whole`, `expired`, `revoked` or `budget_spent`. What a module made
    /// of the file is not known.
    state: &'static str,
    /// Bytes that were sent, what was asked for twice counted twice.
    bytes_served: u64,
    /// How many it may send in all.
    budget_bytes: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it ends.
    #[schema(format = DateTime)]
    expires_at: String,
    /// When the file was first asked for.
    #[schema(format = DateTime)]
    first_fetch_at: Option<String>,
    /// When it was last asked for or sent of.
    #[schema(format = DateTime)]
    last_fetch_at: Option<String>,
    /// When its last byte that was missing had been taken.
    #[schema(format = DateTime)]
    served_whole_at: Option<String>,
    /// When it was ended by an operator.
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

impl LinkView {
    /// As it stands now; `is_blocked`: the key of its package is revoked.
    fn of(link: DownloadLink, is_blocked: bool, now: Utc) -> Self {
        let state = link.state(now);
        let is_revoked = is_blocked && state != LinkState::ServedWhole;
        let state = if is_revoked {
            LinkState::Revoked
        } else {
            state
        };
        let progress = link.progress;
        Self {
            id: link.id.0,
            package_id: link.package.0,
            device: link.device,
            file_name: link.file_name,
            size_bytes: link.size_bytes,
            sha256: link.file_sha256.to_string(),
            state: state.word(),
            bytes_served: progress.bytes_served,
            budget_bytes: link.budget_bytes,
            created_at: fields::time(link.created_at),
            expires_at: fields::time(link.expires_at),
            first_fetch_at: progress.first_fetch_at.map(fields::time),
            last_fetch_at: progress.last_fetch_at.map(fields::time),
            served_whole_at: progress.served_whole_at.map(fields::time),
            revoked_at: link.revoked_at.map(fields::time),
        }
    }
}

async fn find_package(state: &HttpState, id: u64) -> Result<Package, Problem> {
    let found = state.store.package(PackageId(id)).await;
    found.map_err(|error| Problem::of_store(error, format_args!("package {id}")))
}

/// Whether the key that the package rests on is revoked.
async fn is_blocked(state: &HttpState, package: &Package) -> Result<bool, Problem> {
    let Some(key_id) = package.key_id() else {
        return Ok(false);
    };
    match state.store.key(key_id).await {
        Ok(key) => Ok(key.state() == KeyState::Revoked),
        Err(StoreError::NotFound) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
