//! What devices send of their own data on `/19/0/0` (carrier flows §3.7): committed before it is
//! acknowledged, as the device forgets it then.

use bytes::Bytes;

use crate::clock::Utc;
use crate::lwm2m::Value;
use crate::model::{EndpointName, Record, Uplink};

use super::Engine;

/// How much of devices' own data is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UplinkLimits {
    /// How many of one device's; the oldest give way. 0 counts as 1.
    pub kept_per_device: u32,
    /// The longest, in bytes. A longer one is refused where it can be (4.13 to a Send), else dropped.
    pub payload_bytes_max: usize,
}

impl Default for UplinkLimits {
    fn default() -> Self {
        Self {
            kept_per_device: 16,
            payload_bytes_max: 2048,
        }
    }
}

impl Engine {
    /// Whether it is longer than is kept.
    pub(super) fn is_too_long(&self, value: &Value) -> bool {
        bytes_of(value).len() > self.config.uplinks.payload_bytes_max
    }

    /// Keeps what a device sent, if it is short enough.
    pub(super) fn keep_uplink(&mut self, endpoint: &EndpointName, at: Utc, value: &Value) {
        if self.is_too_long(value) {
            self.counters.uplinks_too_long += 1;
            return;
        }
        let payload = bytes_of(value);
        self.counters.uplinks += 1;
        self.record(Record::Uplink {
            uplink: Uplink {
                endpoint: endpoint.clone(),
                at,
                payload,
            },
            kept: self.config.uplinks.kept_per_device.max(1),
        });
    }
}

/// Opaque data as it is; what a device sent as text or a number, as text.
fn bytes_of(value: &Value) -> Bytes {
    match value {
        Value::Opaque(bytes) => bytes.clone(),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::ObjectLink { .. } => value.as_text().unwrap_or_default().into(),
    }
}
