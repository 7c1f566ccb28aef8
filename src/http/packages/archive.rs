//! The verification of a signed archive, with the keys of its manufacturer.

use std::fs::File;
use std::io::{self, Write};

use crate::http::blocking::blocking;
use crate::http::error::{Problem, kinds};
use crate::http::{HttpState, PackageClaims, VerifiedPackage, VerifyFault};
use crate::model::Manufacturer;
use crate::signing::FirmwareSink;
use crate::store::{BlobError, BlobStore, IncomingBlob, Page, StoreError, StoredKey};

/// Keys of one manufacturer that are tried: several may be active while one replaces another.
const KEYS_TRIED_MAX: usize = 64;

/// How many keys are read at a time.
const KEYS_PAGE: u32 = 64;

/// A manufacturer's keys, the active ones first: who signed is told apart from a stranger, whatever
/// has become of the key.
pub(super) async fn find_keys(
    state: &HttpState,
    manufacturer: &Manufacturer,
) -> Result<Vec<StoredKey>, Problem> {
    let mut found: Vec<StoredKey> = Vec::new();
    loop {
        let page = Page {
            after: found.last().map(|key| key.id.clone()),
            limit: KEYS_PAGE,
        };
        let keys = state.store.keys(Some(manufacturer), page).await?;
        if keys.is_empty() {
            break;
        }
        found.extend(keys);
    }
    found.sort_by_key(StoredKey::state);
    found.truncate(KEYS_TRIED_MAX);
    Ok(found)
}

/// Verifies an archive that was kept.
pub(in crate::http) async fn verify_archive(
    state: &HttpState,
    archive: File,
    keys: Vec<StoredKey>,
    claims: PackageClaims,
) -> Result<VerifiedPackage, Problem> {
    let state = state.clone();
    blocking(move || verify(&state, archive, &keys, &claims, &mut io::sink())).await
}

/// Firmware files as they come, each to be kept under its own hash.
#[derive(Debug)]
struct Unpacked {
    blobs: BlobStore,
    files: Vec<IncomingBlob>,
}

impl Unpacked {
    fn new(state: &HttpState) -> Self {
        Self {
            blobs: state.package_bytes.clone(),
            files: Vec::new(),
        }
    }
}

impl FirmwareSink for Unpacked {
    fn begin_file(&mut self) -> io::Result<()> {
        self.files
            .push(self.blobs.begin().map_err(io::Error::from)?);
        Ok(())
    }

    fn write_chunk(&mut self, chunk: &[u8]) -> io::Result<()> {
        let file = self.files.last_mut().ok_or(io::ErrorKind::InvalidInput)?;
        file.write_all(chunk)
    }
}

/// Verifies an archive that has come; its firmware files come beside it.
pub(super) async fn unpack_archive(
    state: &HttpState,
    archive: &IncomingBlob,
    keys: Vec<StoredKey>,
    claims: PackageClaims,
) -> Result<(VerifiedPackage, Vec<IncomingBlob>), Problem> {
    let archive = archive.open_file().map_err(StoreError::from)?;
    let state = state.clone();
    blocking(move || {
        let mut unpacked = Unpacked::new(&state);
        let verified = verify(&state, archive, &keys, &claims, &mut unpacked)?;
        Ok((verified, unpacked.files))
    })
    .await
}

/// Reads a file that nobody has signed; its firmware files come beside it.
pub(super) async fn unpack_unsigned(
    state: &HttpState,
    upload: &IncomingBlob,
    file_name: String,
    claims: PackageClaims,
) -> Result<(VerifiedPackage, Vec<IncomingBlob>), Problem> {
    let mut upload = upload.open_file().map_err(StoreError::from)?;
    let state = state.clone();
    blocking(move || {
        let mut unpacked = Unpacked::new(&state);
        let read = state
            .verifier
            .read_unsigned(&mut upload, &file_name, &claims, &mut unpacked);
        Ok((read.map_err(refused)?, unpacked.files))
    })
    .await
}

fn verify(
    state: &HttpState,
    mut archive: File,
    keys: &[StoredKey],
    claims: &PackageClaims,
    files: &mut dyn FirmwareSink,
) -> Result<VerifiedPackage, Problem> {
    let verified = state.verifier.verify(&mut archive, keys, claims, files);
    verified.map_err(refused)
}

fn refused(fault: VerifyFault) -> Problem {
    match fault {
        VerifyFault::Refused(refusal) => {
            Problem::of_refusal(kinds::PACKAGE_REFUSED, refusal).with_field("file")
        }
        VerifyFault::Io(error) => StoreError::from(BlobError::from(error)).into(),
    }
}
