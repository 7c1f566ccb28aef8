//! What an operator asks of a device, kept until the device has been heard and has answered.

use bytes::Bytes;

use super::EndpointName;
use super::words::words;
use crate::clock::Utc;

/// The number of a request, over all devices: a later one has a higher number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceRequestId(pub u64);

words! {
    /// What is asked (LwM2M Core §6.3).
    pub enum DeviceOperation {
        /// Read an object, an instance or a resource.
        Read = "read",
        /// Replace a resource or an instance.
        Write = "write",
        /// Write the resources that are named and leave the others of the instance.
        PartialWrite = "partial_write",
        /// Execute a resource.
        Execute = "execute",
        /// List what is there, with its attributes.
        Discover = "discover",
        /// Set attributes of notifications.
        WriteAttributes = "write_attributes",
    }
}

impl DeviceOperation {
    /// Whether it changes nothing on the device: it may be asked again where no answer came.
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Read | Self::Discover)
    }
}

words! {
    /// How far a request is.
    pub enum DeviceRequestState {
        /// It waits for the device to be heard, or for others before it.
        Queued = "queued",
        /// It is on its way, or about to leave.
        Sent = "sent",
        /// The device did it.
        Done = "done",
        /// The device refused it, or answered what was not understood, or it may not be sent.
        Failed = "failed",
        /// Its time was over before it could leave.
        Expired = "expired",
        /// It left and no answer came: it may have been done. It is not sent again.
        Unknown = "unknown",
        /// An operator took it back before it left.
        Cancelled = "cancelled",
    }
}

impl DeviceRequestState {
    /// Whether nothing more comes of it.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Sent => false,
            Self::Done | Self::Failed | Self::Expired | Self::Unknown | Self::Cancelled => true,
        }
    }
}

/// A request that an operator makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDeviceRequest {
    /// Of which device.
    pub endpoint: EndpointName,
    /// What is asked.
    pub operation: DeviceOperation,
    /// Of which object, instance or resource, e.g. `/3/0/3`.
    pub path: String,
    /// Of a write, the values as a SenML CBOR pack, whatever the device will be sent; of an Execute
    /// its arguments; of Write-Attributes their query; else empty.
    pub content: Bytes,
    /// When it is no longer to be sent.
    pub expires_at: Utc,
}

/// What a device answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAnswer {
    /// The CoAP code (RFC 7252 §5.2) as its byte.
    pub coap_code: u8,
    /// The Content-Format (RFC 7252 §12.3) that it was in.
    pub content_format: Option<u16>,
    /// Of a Read, the values as a SenML CBOR pack, whatever the device sent; of a Discover its links.
    pub content: Bytes,
}

/// A request of an operator's to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRequest {
    /// Its number.
    pub id: DeviceRequestId,
    /// What was asked.
    pub asked: NewDeviceRequest,
    /// How far it is.
    pub state: DeviceRequestState,
    /// What the device answered.
    pub answer: Option<DeviceAnswer>,
    /// What there is to say beside the state; empty where it says all.
    pub detail: String,
    /// When it was made.
    pub created_at: Utc,
    /// When it came to its final state.
    pub ended_at: Option<Utc>,
}
