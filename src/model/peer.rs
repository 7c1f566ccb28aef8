//! Who is at the other end of a datagram.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// The credential that a secured session proved: a PSK identity or a certificate's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(Arc<str>);

impl Identity {
    /// An identity as the handshake gave it.
    pub fn new(identity: &str) -> Self {
        Self(Arc::from(identity))
    }

    /// The identity's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.0)
    }
}

/// An address, or a secured identity.
///
/// Where a session is secured, the layer below maps the identity to the address that it has now, so
/// nothing above ever sees an address that a NAT may change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// Plain UDP: whoever sends from there.
    Address(SocketAddr),
    /// A secured session's other end, wherever it is.
    Secured(Identity),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Secured(identity) => write!(f, "identity {}", identity.as_str().escape_debug()),
        }
    }
}
