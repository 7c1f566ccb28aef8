//! A UDP socket that sends a datagram's two parts without joining them.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use crate::model::Datagram;

use super::ReceiveDrops;

/// The largest datagram that is read whole; CoAP over UDP stays below it (RFC 7252 §4.6).
pub const DATAGRAM_BYTES_MAX: usize = 2048;

/// What a datagram is read into: one byte more tells one that was cut from one that is whole.
pub const RECEIVE_BYTES: usize = DATAGRAM_BYTES_MAX + 1;

/// What is asked of the kernel as a receive buffer: a default one holds some 270 small datagrams, and
/// a burst above that is lost.
const RECEIVE_BUFFER_BYTES: usize = 32 * 1024 * 1024;

/// A bound UDP socket.
#[derive(Debug)]
pub struct UdpEndpoint {
    socket: UdpSocket,
    local_address: SocketAddr,
    receive_buffer_bytes: usize,
}

impl UdpEndpoint {
    /// Binds to `address`; port 0 takes a free one. Asks for a large receive buffer and takes what the
    /// kernel allows.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        socket.set_nonblocking(true)?;
        // Without the privilege to go above the system's limit, the limit is what there is.
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        socket.bind(&SockAddr::from(address))?;
        let receive_buffer_bytes = socket.recv_buffer_size()?;
        let socket = UdpSocket::from_std(socket.into())?;
        let local_address = socket.local_addr()?;
        Ok(Self {
            socket,
            local_address,
            receive_buffer_bytes,
        })
    }

    /// The real address, with the port that was taken.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// What the kernel granted, in bytes.
    pub fn receive_buffer_bytes(&self) -> usize {
        self.receive_buffer_bytes
    }

    /// The kernel's count of what did not fit into the receive buffer.
    ///
    /// # Errors
    /// Where the system does not show it.
    pub fn receive_drops(&self) -> io::Result<ReceiveDrops> {
        ReceiveDrops::of(&self.socket, self.local_address.is_ipv6())
    }

    /// Waits until a datagram may be there.
    ///
    /// # Errors
    /// Where the socket is unusable.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Takes a datagram that is there.
    ///
    /// # Errors
    /// `WouldBlock` where there is none.
    pub fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.try_recv_from(buffer)
    }

    /// Sends at once or not at all: a full send buffer is a lost datagram, which CoAP repeats.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn try_send(&self, datagram: &Datagram, to: SocketAddr) -> io::Result<usize> {
        // Not by way of the runtime: that takes a new socket for full until it has first looked at it.
        let socket = SockRef::from(&self.socket);
        let to = SockAddr::from(to);
        if datagram.body.is_empty() {
            return socket.send_to(&datagram.head, &to);
        }
        let parts = [IoSlice::new(&datagram.head), IoSlice::new(&datagram.body)];
        socket.send_to_vectored(&parts, &to)
    }
}

/// Whether an address names no host that a device could reach.
pub fn is_wildcard(address: SocketAddr) -> bool {
    match address {
        SocketAddr::V4(v4) => *v4.ip() == Ipv4Addr::UNSPECIFIED,
        SocketAddr::V6(v6) => *v6.ip() == Ipv6Addr::UNSPECIFIED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_socket_sends_its_first_datagram() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let peer = std::net::UdpSocket::bind(any).unwrap();
        let endpoint = UdpEndpoint::bind(any).unwrap();
        let datagram = Datagram {
            head: b"first".to_vec(),
            ..Datagram::default()
        };
        let sent = endpoint.try_send(&datagram, peer.local_addr().unwrap());
        assert_eq!(sent.unwrap(), 5);
        let mut buffer = [0; 16];
        assert_eq!(peer.recv(&mut buffer).unwrap(), 5);
    }
}
