//! Looks into datagrams that leave the server.

use narrowcast::coap::{Code, Message, MessageId, OptionNumber};
use narrowcast::lwm2m::{Path, path};

/// A request of the server, as a device would see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SentRequest {
    pub(crate) id: MessageId,
    pub(crate) code: Code,
    pub(crate) path: Path,
    /// 0 to observe, 1 to end that.
    observe: Option<u32>,
}

impl SentRequest {
    /// The request in a datagram; `None` for anything else.
    pub(crate) fn decode(datagram: &[u8]) -> Option<Self> {
        let message = Message::decode(datagram, 32).unwrap();
        if !message.code.is_request() {
            return None;
        }
        let segments: Vec<String> = message
            .options
            .all(OptionNumber::URI_PATH)
            .map(|segment| String::from_utf8(segment.to_vec()).unwrap())
            .collect();
        Some(Self {
            id: message.id,
            code: message.code,
            path: Path::parse(&format!("/{}", segments.join("/")))?,
            observe: message.options.uint(OptionNumber::OBSERVE),
        })
    }

    pub(crate) fn is_execute(&self) -> bool {
        self.code == Code::POST && self.path == path::FIRMWARE_UPDATE
    }

    pub(crate) fn is_uri_write(&self) -> bool {
        self.code == Code::PUT && self.path == path::FIRMWARE_PACKAGE_URI
    }

    pub(crate) fn is_observe_of(&self, observed: Path) -> bool {
        self.path == observed && self.observe == Some(0)
    }

    pub(crate) fn is_cancellation_of(&self, observed: Path) -> bool {
        self.path == observed && self.observe == Some(1)
    }
}
