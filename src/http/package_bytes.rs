//! Where package bytes lie: by their SHA-256, apart from the rows that describe them.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::Sha256Digest;
use crate::store::StoreError;

/// Content-addressed bytes of firmware files.
#[async_trait]
pub trait PackageBytes: fmt::Debug + Send + Sync + 'static {
    /// Keeps the bytes and says under which hash; bytes that are there already are left as they are.
    async fn put(&self, bytes: Bytes) -> Result<Sha256Digest, StoreError>;
    /// The bytes under a hash, which was computed again as they were read. `Failed` where the bytes
    /// no longer have it: damaged bytes are never given out.
    async fn load(&self, sha256: Sha256Digest) -> Result<Bytes, StoreError>;
}
