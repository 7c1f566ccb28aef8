//! What a device sent of its own data.

use bytes::Bytes;

use super::EndpointName;
use crate::clock::Utc;

/// One message of a device on `/19/0/0` (carrier flows §3.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Whose.
    pub endpoint: EndpointName,
    /// When it came; where the device said when, that.
    pub at: Utc,
    /// The bytes as they came.
    pub payload: Bytes,
}
