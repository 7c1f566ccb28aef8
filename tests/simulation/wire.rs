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
    /// Of a write to `/5/0/1`.
    pub(crate) uri: Option<String>,
    pub(crate) payload_bytes: usize,
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
        let path = Path::parse(&format!("/{}", path.join("/")))?;
        let is_uri = message.code == Code::PUT && path == path::FIRMWARE_PACKAGE_URI;
        let uri = is_uri.then(|| String::from_utf8_lossy(&message.payload).into_owned());
        Some(Self {
            uri,
            payload_bytes: message.payload.len(),
            id: message.id,
            token: message.token,
            code: message.code,
            below: below.iter().map(|segment| format!("/{segment}")).collect(),
            path,
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
