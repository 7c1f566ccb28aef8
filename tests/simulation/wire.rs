//! Looks into datagrams that leave the server.

use narrowcast::coap::{BlockValue, Code, Message, MessageId, OptionNumber, Token};
use narrowcast::lwm2m::{Path, path};

/// A request of the server, as a device would see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentRequest {
    pub(crate) id: MessageId,
    pub(crate) token: Token,
    pub(crate) code: Code,
    /// What stands before the path: empty, or a device's alternate path.
    pub(crate) below: String,
    pub(crate) path: Path,
    /// 0 to observe, 1 to end that.
    observe: Option<u32>,
    /// Whether it is the first block of a body, or the whole.
    first_block: bool,
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
        let is_number = |segment: &String| segment.parse::<u16>().is_ok();
        let (below, path) = segments.split_at(segments.iter().position(is_number)?);
        Some(Self {
            id: message.id,
            token: message.token,
            code: message.code,
            below: below.iter().map(|segment| format!("/{segment}")).collect(),
            path: Path::parse(&format!("/{}", path.join("/")))?,
            observe: message.options.uint(OptionNumber::OBSERVE),
            first_block: BlockValue::from_options(&message.options, OptionNumber::BLOCK1)
                .unwrap()
                .is_none_or(|block| block.num == 0),
        })
    }

    pub(crate) fn is_execute(&self) -> bool {
        self.code == Code::POST && self.path == path::FIRMWARE_UPDATE
    }

    pub(crate) fn is_uri_write(&self) -> bool {
        self.code == Code::PUT && self.path == path::FIRMWARE_PACKAGE_URI
    }

    pub(crate) fn is_package_write(&self) -> bool {
        self.code == Code::PUT && self.path == path::FIRMWARE_PACKAGE
    }

    pub(crate) const fn begins_a_body(&self) -> bool {
        self.first_block
    }

    pub(crate) fn is_read_of(&self, read: Path) -> bool {
        self.code == Code::GET && self.path == read && self.observe.is_none()
    }

    pub(crate) fn is_observe_of(&self, observed: Path) -> bool {
        self.path == observed && self.observe == Some(0)
    }

    pub(crate) fn is_cancellation_of(&self, observed: Path) -> bool {
        self.path == observed && self.observe == Some(1)
    }
}
