//! What the engine wants done.

use std::time::Duration;

use crate::clock::{Instant, Utc};
use crate::lwm2m::Flapping;
use crate::model::{EndpointName, Record, Transmit};

use super::{DownloadChange, TaskProgress};

/// One thing for the driver to do. What comes after a record in the outputs of one input is sent only
/// when that record is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A change to commit before anything that follows it is sent.
    Record(Record),
    /// A datagram to send.
    Transmit(Transmit),
    /// For the live view: a registered device was heard.
    Heard {
        /// Who.
        endpoint: EndpointName,
        /// When.
        at: Utc,
        /// Until when it listens; `None` where it always does.
        awake_until: Option<Instant>,
        /// Its registration's lifetime.
        lifetime: Duration,
    },
    /// For the live view: whether several devices register under one name.
    Flapping {
        /// The name.
        endpoint: EndpointName,
        /// `None`: not, or no longer.
        flapping: Option<Flapping>,
    },
    /// For the live view: how far a download is.
    Progress(TaskProgress),
    /// For listeners beside CoAP: what may be fetched. A capability may be served only once the records
    /// before it are committed, and one that is withdrawn is unknown only then.
    Download(DownloadChange),
    /// Nothing is left to do before this instant; `None`: before the next input.
    Timeout(Option<Instant>),
}
