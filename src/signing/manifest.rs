//! `manifest.json`: hints about a signed package. It must say what is so, and nothing rests on it.

use serde::{Deserialize, Serialize};

use super::keys::PublicKey;
use crate::model::Sha256Digest;

const FORMAT: &str = "narrowcast-signed-package";
const VERSION: u32 = 1;

/// What the manifest says. It has no time stamp, so that the same input gives the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Manifest {
    format: String,
    version: u32,
    payload: String,
    size: u64,
    sha256: String,
    pub(super) algorithm: String,
    pub(super) key_id: String,
}

impl Manifest {
    pub(super) const FILE_NAME: &'static str = "manifest.json";

    /// What is so of a payload signed by `key`.
    pub(super) fn new(
        payload_name: &str,
        payload_size_bytes: u64,
        payload_sha256: &Sha256Digest,
        key: &PublicKey,
    ) -> Self {
        Self {
            algorithm: key.signature_algorithm(),
            key_id: key.id().to_string(),
            ..Self::unsigned(payload_name, payload_size_bytes, payload_sha256)
        }
    }

    /// What is so of a payload, whoever signed it.
    pub(super) fn unsigned(
        payload_name: &str,
        payload_size_bytes: u64,
        payload_sha256: &Sha256Digest,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            payload: payload_name.to_owned(),
            size: payload_size_bytes,
            sha256: payload_sha256.to_string(),
            algorithm: String::new(),
            key_id: String::new(),
        }
    }

    pub(super) fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// The first field that differs from `actual`.
    pub(super) fn mismatch(&self, actual: &Self) -> Option<&'static str> {
        let fields = [
            ("format", self.format == actual.format),
            ("version", self.version == actual.version),
            ("payload", self.payload == actual.payload),
            ("size", self.size == actual.size),
            ("sha256", self.sha256 == actual.sha256),
            ("algorithm", self.algorithm == actual.algorithm),
            ("keyId", self.key_id == actual.key_id),
        ];
        fields
            .into_iter()
            .find(|(_, same)| !same)
            .map(|(field, _)| field)
    }
}
