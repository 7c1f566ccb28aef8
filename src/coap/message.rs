//! The parts of a message, and requests and responses apart from their message layer.

use std::fmt;

use bytes::Bytes;

use super::{OptionNumber, Options};

/// RFC 7252 §3, T.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// CON.
    Confirmable,
    /// NON.
    NonConfirmable,
    /// ACK.
    Acknowledgement,
    /// RST.
    Reset,
}

/// RFC 7252 §3, Message ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u16);

/// RFC 7252 §5.3.1: 0 to 8 bytes that pair a response with its request.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    len: u8,
    bytes: [u8; 8],
}

impl Token {
    /// The token of zero bytes.
    pub const EMPTY: Self = Self {
        len: 0,
        bytes: [0; 8],
    };

    /// How many bytes it has, 0 to 8.
    pub(super) const fn len(self) -> u8 {
        self.len
    }

    /// A token of up to 8 bytes; `None` where there are more.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut token = Self {
            len: u8::try_from(bytes.len()).ok()?,
            bytes: [0; 8],
        };
        token.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(token)
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl From<[u8; 8]> for Token {
    fn from(bytes: [u8; 8]) -> Self {
        Self { len: 8, bytes }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", hex::encode(self.as_slice()))
    }
}

/// RFC 7252 §3, Code: class and detail, written `c.dd`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);

impl Code {
    /// 0.00: an empty message.
    pub const EMPTY: Self = Self::new(0, 0);
    /// 0.01.
    pub const GET: Self = Self::new(0, 1);
    /// 0.02.
    pub const POST: Self = Self::new(0, 2);
    /// 0.03.
    pub const PUT: Self = Self::new(0, 3);
    /// 0.04.
    pub const DELETE: Self = Self::new(0, 4);
    /// 2.01.
    pub const CREATED: Self = Self::new(2, 1);
    /// 2.02.
    pub const DELETED: Self = Self::new(2, 2);
    /// 2.03.
    pub const VALID: Self = Self::new(2, 3);
    /// 2.04.
    pub const CHANGED: Self = Self::new(2, 4);
    /// 2.05.
    pub const CONTENT: Self = Self::new(2, 5);
    /// 2.31 (RFC 7959 §2.9.1).
    pub const CONTINUE: Self = Self::new(2, 31);
    /// 4.00.
    pub const BAD_REQUEST: Self = Self::new(4, 0);
    /// 4.01.
    pub const UNAUTHORIZED: Self = Self::new(4, 1);
    /// 4.02.
    pub const BAD_OPTION: Self = Self::new(4, 2);
    /// 4.03.
    pub const FORBIDDEN: Self = Self::new(4, 3);
    /// 4.04.
    pub const NOT_FOUND: Self = Self::new(4, 4);
    /// 4.05.
    pub const METHOD_NOT_ALLOWED: Self = Self::new(4, 5);
    /// 4.06.
    pub const NOT_ACCEPTABLE: Self = Self::new(4, 6);
    /// 4.08 (RFC 7959 §2.9.2).
    pub const REQUEST_ENTITY_INCOMPLETE: Self = Self::new(4, 8);
    /// 4.12.
    pub const PRECONDITION_FAILED: Self = Self::new(4, 12);
    /// 4.13.
    pub const REQUEST_ENTITY_TOO_LARGE: Self = Self::new(4, 13);
    /// 4.15.
    pub const UNSUPPORTED_CONTENT_FORMAT: Self = Self::new(4, 15);
    /// 5.00.
    pub const INTERNAL_SERVER_ERROR: Self = Self::new(5, 0);
    /// 5.01.
    pub const NOT_IMPLEMENTED: Self = Self::new(5, 1);
    /// 5.03.
    pub const SERVICE_UNAVAILABLE: Self = Self::new(5, 3);
    /// 5.05.
    pub const PROXYING_NOT_SUPPORTED: Self = Self::new(5, 5);

    /// The code `class.detail`.
    pub const fn new(class: u8, detail: u8) -> Self {
        Self(class << 5 | detail)
    }

    /// The class: 0 request, 2 success, 4 client error, 5 server error.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// The detail.
    pub const fn detail(self) -> u8 {
        self.0 & 0x1f
    }

    /// Whether it is a method: 0.01 to 0.31.
    pub const fn is_request(self) -> bool {
        self.class() == 0 && self.detail() != 0
    }

    /// Whether it is a response code: classes 2, 4 and 5.
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }

    /// Whether it is a method that changes nothing: GET (RFC 7252 §5.1), FETCH (RFC 8132 §1.2).
    pub const fn is_safe(self) -> bool {
        const FETCH: Code = Code::new(0, 5);
        self.0 == Self::GET.0 || self.0 == FETCH.0
    }

    /// Whether it is a success: class 2.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({self})")
    }
}

/// RFC 7252 §12.3 and the LwM2M registry. Unknown numbers are values like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentFormat(pub u16);

impl ContentFormat {
    /// text/plain;charset=utf-8.
    pub const TEXT: Self = Self(0);
    /// application/link-format.
    pub const LINK_FORMAT: Self = Self(40);
    /// application/octet-stream.
    pub const OPAQUE: Self = Self(42);
    /// application/cbor.
    pub const CBOR: Self = Self(60);
    /// application/senml+json.
    pub const SENML_JSON: Self = Self(110);
    /// application/senml+cbor.
    pub const SENML_CBOR: Self = Self(112);
    /// text/plain as early LwM2M drafts numbered it.
    pub const OLD_TEXT: Self = Self(1541);
    /// TLV as early LwM2M drafts numbered it.
    pub const OLD_TLV: Self = Self(1542);
    /// JSON as early LwM2M drafts numbered it; other modules use it for opaque data.
    pub const OLD_JSON: Self = Self(1543);
    /// application/vnd.oma.lwm2m+tlv.
    pub const TLV: Self = Self(11542);
    /// application/vnd.oma.lwm2m+json.
    pub const JSON: Self = Self(11543);
}

/// One message as it stands on the wire (RFC 7252 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// CON, NON, ACK or RST.
    pub kind: MessageType,
    /// Method, response code, or 0.00.
    pub code: Code,
    /// Pairs an ACK or RST with its message, and tells duplicates.
    pub id: MessageId,
    /// Pairs a response with its request.
    pub token: Token,
    /// Sorted options.
    pub options: Options,
    /// What follows the marker; empty where there is none.
    pub payload: Bytes,
}

/// A request apart from its message layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub code: Code,
    /// All options.
    pub options: Options,
    /// The whole body: Block1 pieces are put together below.
    pub payload: Bytes,
}

impl Request {
    /// A request with this method for a path like `/5/0/3`.
    pub fn new(code: Code, path: &str) -> Self {
        let mut options = Options::default();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            options.push(OptionNumber::URI_PATH, segment.to_owned());
        }
        Self {
            code,
            options,
            payload: Bytes::new(),
        }
    }

    /// With a body and its format.
    #[must_use]
    pub fn with_payload(mut self, format: ContentFormat, payload: impl Into<Bytes>) -> Self {
        self.options
            .push_uint(OptionNumber::CONTENT_FORMAT, format.0.into());
        self.payload = payload.into();
        self
    }

    /// With one more `Uri-Query`, e.g. `ep=urn:imei:1`.
    #[must_use]
    pub fn with_query(mut self, query: &str) -> Self {
        self.options.push(OptionNumber::URI_QUERY, query.to_owned());
        self
    }

    /// The path's segments; `None` where one is not UTF-8.
    pub fn path(&self) -> Option<Vec<&str>> {
        self.texts(OptionNumber::URI_PATH)
    }

    /// The queries; `None` where one is not UTF-8.
    pub fn queries(&self) -> Option<Vec<&str>> {
        self.texts(OptionNumber::URI_QUERY)
    }

    fn texts(&self, number: OptionNumber) -> Option<Vec<&str>> {
        self.options
            .all(number)
            .map(|value| std::str::from_utf8(value).ok())
            .collect()
    }

    /// The format of the body.
    pub fn content_format(&self) -> Option<ContentFormat> {
        content_format(&self.options)
    }
}

/// A response apart from its message layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The response code.
    pub code: Code,
    /// All options.
    pub options: Options,
    /// The body: for a block, a shared slice of the image.
    pub payload: Bytes,
}

impl Response {
    /// A response with nothing but its code.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            options: Options::default(),
            payload: Bytes::new(),
        }
    }

    /// With a body and its format.
    #[must_use]
    pub fn with_payload(mut self, format: ContentFormat, payload: impl Into<Bytes>) -> Self {
        self.options
            .push_uint(OptionNumber::CONTENT_FORMAT, format.0.into());
        self.payload = payload.into();
        self
    }

    /// With a diagnostic text (RFC 7252 §5.5.2).
    #[must_use]
    pub fn with_diagnostic(mut self, text: &'static str) -> Self {
        self.payload = Bytes::from_static(text.as_bytes());
        self
    }

    /// The format of the body.
    pub fn content_format(&self) -> Option<ContentFormat> {
        content_format(&self.options)
    }

    /// No message with this response is longer, in bytes: header, token, options each with the longest
    /// head, marker, payload (RFC 7252 §3).
    pub(super) fn bytes_max(&self) -> usize {
        const HEADER_AND_TOKEN: usize = 4 + 8;
        const OPTION_HEAD: usize = 5;
        let options = self.options.iter();
        let options: usize = options.map(|(_, value)| OPTION_HEAD + value.len()).sum();
        HEADER_AND_TOKEN + options + 1 + self.payload.len()
    }
}

fn content_format(options: &Options) -> Option<ContentFormat> {
    options
        .uint(OptionNumber::CONTENT_FORMAT)
        .and_then(|n| u16::try_from(n).ok())
        .map(ContentFormat)
}
