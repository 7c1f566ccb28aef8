//! A datagram to send: a small head, and for blocks a shared slice of the image.

use bytes::Bytes;

use super::Peer;

/// The bytes of one datagram in two parts, so that a block's body is never copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Datagram {
    /// Header, token, options, payload marker, and any short payload.
    pub head: Vec<u8>,
    /// What follows the head; empty where all is in the head.
    pub body: Bytes,
}

impl Datagram {
    /// Length on the wire, in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Whether nothing would be sent.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }

    /// Head and body as one run of bytes: for tests, encryption and simulated links.
    pub fn to_vec(&self) -> Vec<u8> {
        [self.head.as_slice(), &self.body].concat()
    }
}

/// A datagram and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The receiver.
    pub peer: Peer,
    /// What it is sent.
    pub datagram: Datagram,
    /// Whether the datagram says nothing that a record could take back: a block of an immutable
    /// image. It may leave at once, before any commit that is under way.
    pub stateless: bool,
}
