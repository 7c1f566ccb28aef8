//! The verification of a signed archive, with the keys of its manufacturer.

use bytes::Bytes;

use crate::http::error::{Problem, kinds};
use crate::http::{HttpState, PackageClaims, VerifiedPackage};
use crate::model::Manufacturer;
use crate::store::{Page, StoredKey};

/// Keys of one manufacturer that are tried: several may be active while one replaces another.
const KEYS_TRIED_MAX: u32 = 64;

/// A manufacturer's keys.
pub(in crate::http) async fn find_keys(
    state: &HttpState,
    manufacturer: &Manufacturer,
) -> Result<Vec<StoredKey>, Problem> {
    let page = Page {
        after: None,
        limit: KEYS_TRIED_MAX,
    };
    Ok(state.store.keys(Some(manufacturer), page).await?)
}

/// Verifies on a thread that may block: hashing 100 MiB takes a while.
pub(in crate::http) async fn verify_archive(
    state: &HttpState,
    archive: Bytes,
    keys: Vec<StoredKey>,
    claims: PackageClaims,
) -> Result<(PackageClaims, VerifiedPackage), Problem> {
    let verifier = state.verifier.clone();
    let verification = tokio::task::spawn_blocking(move || {
        let verified = verifier.verify(&archive, &keys, &claims);
        (claims, verified)
    });
    let (claims, verified) = verification
        .await
        .map_err(|_| Problem::new(kinds::INTERNAL, "the verification did not end"))?;
    let verified = verified.map_err(|refusal| {
        Problem::of_refusal(kinds::PACKAGE_REFUSED, refusal).with_field("file")
    })?;
    Ok((claims, verified))
}
