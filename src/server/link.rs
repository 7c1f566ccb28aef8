//! Where datagrams go out: a peer is an address, or one day a secured session.

use std::io;
use std::net::SocketAddr;

use crate::model::{Peer, Transmit};
use crate::net::UdpEndpoint;

/// The device listeners.
#[derive(Debug)]
pub(super) struct Link {
    udp: Option<UdpEndpoint>,
    unsent: u64,
}

impl Link {
    pub(super) fn new(udp: Option<UdpEndpoint>) -> Self {
        Self { udp, unsent: 0 }
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        match &self.udp {
            Some(udp) => udp.readable().await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn try_receive(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        match self.udp.as_ref()?.try_receive(buffer) {
            Ok(received) => Some(received),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => {
                // An ICMP error of an earlier datagram shows here; the next call goes on.
                tracing::trace!(%error, "receive");
                None
            }
        }
    }

    /// Sends, or counts what could not be sent: to CoAP that is a lost datagram.
    pub(super) fn send(&mut self, transmit: &Transmit) {
        let sent = match (&transmit.peer, &self.udp) {
            (Peer::Address(address), Some(udp)) => udp.try_send(&transmit.datagram, *address),
            (Peer::Address(_), None) | (Peer::Secured(_), _) => {
                Err(io::Error::from(io::ErrorKind::NotConnected))
            }
        };
        if let Err(error) = sent {
            self.unsent += 1;
            tracing::debug!(peer = %transmit.peer, %error, "datagram not sent");
        }
    }

    pub(super) fn unsent(&self) -> u64 {
        self.unsent
    }
}
