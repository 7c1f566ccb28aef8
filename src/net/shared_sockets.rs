//! A few sockets that speak for many addresses: each is bound to a port of every address of the
//! machine, and says with each datagram which of them it is from.
//!
//! Peers of CoAP are told apart by address and port. A socket for each would need as many file
//! descriptors as there are peers; this way one has as many peers as the machine has addresses, and
//! all of 127.0.0.0/8 are the machine's.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mio::event::Events;
use mio::net::UdpSocket;
use mio::{Interest, Poll, Token, Waker};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// What is asked of the kernel as each socket's receive buffer.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// What a datagram, or several that the kernel has joined, is read into.
const SLOT_BYTES: usize = 64 * 1024;

/// The waker's token; sockets have their index.
const WAKER: Token = Token(usize::MAX);

/// Sockets, and which of them have something to read.
#[derive(Debug)]
pub struct SharedSockets {
    poll: Poll,
    events: Events,
    sockets: Vec<SharedSocket>,
    readable: VecDeque<usize>,
}

#[derive(Debug)]
struct SharedSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    port: u16,
    is_readable: bool,
}

/// Ends a wait from another thread.
#[derive(Clone, Debug)]
pub struct SocketsWaker(Arc<Waker>);

impl SocketsWaker {
    /// # Errors
    /// What the kernel said.
    pub fn wake(&self) -> io::Result<()> {
        self.0.wake()
    }
}

/// Where datagrams are read into: as many as one call of the kernel gives.
#[derive(Debug)]
pub struct Batch {
    buffer: Vec<u8>,
    metas: Vec<RecvMeta>,
    filled: usize,
}

/// A datagram that came.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// Which of the machine's addresses it was sent to.
    pub to: IpAddr,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl SharedSockets {
    /// Binds `count` sockets to the next of these ports that are free, of all addresses of one family; 0
    /// is any free port.
    ///
    /// # Errors
    /// Where there are no more file descriptors or ports.
    pub fn bind(
        is_ipv6: bool,
        count: usize,
        ports: &mut dyn Iterator<Item = u16>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut sockets = Vec::with_capacity(count);
        for index in 0..count {
            let mut socket = SharedSocket::bind_next(is_ipv6, ports)?;
            let token = Token(index);
            poll.registry()
                .register(&mut socket.socket, token, Interest::READABLE)?;
            sockets.push(socket);
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(count.clamp(16, 1024)),
            sockets,
            readable: VecDeque::new(),
        })
    }

    /// The port of each socket.
    pub fn ports(&self) -> Vec<u16> {
        self.sockets.iter().map(|socket| socket.port).collect()
    }

    /// Something for other threads to end [`Self::wait`] with. To be made once.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn waker(&self) -> io::Result<SocketsWaker> {
        let waker = Waker::new(self.poll.registry(), WAKER)?;
        Ok(SocketsWaker(Arc::new(waker)))
    }

    /// Waits for a datagram, for the waker, or for `timeout` to pass; not at all where a socket has not
    /// been read to its end.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.readable.is_empty() {
            timeout
        } else {
            Some(Duration::ZERO)
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        for event in &self.events {
            let index = event.token().0;
            let Some(socket) = self.sockets.get_mut(index) else {
                continue;
            };
            if !std::mem::replace(&mut socket.is_readable, true) {
                self.readable.push_back(index);
            }
        }
        Ok(())
    }

    /// Reads one batch from the next readable socket, in turn, and answers which; `None` where all are
    /// read to their end.
    pub fn receive(&mut self, batch: &mut Batch) -> Option<usize> {
        while let Some(index) = self.readable.pop_front() {
            let Some(socket) = self.sockets.get_mut(index) else {
                continue;
            };
            // An error is "nothing there", or of a datagram sent before: the next wait says more.
            if socket.receive(batch).is_ok() {
                self.readable.push_back(index);
                return Some(index);
            }
            socket.is_readable = false;
        }
        None
    }

    /// Sends at once or not at all.
    ///
    /// # Errors
    /// What the kernel said; `NotFound` where there is no such socket.
    pub fn send(
        &self,
        socket: usize,
        from: IpAddr,
        to: SocketAddr,
        contents: &[u8],
    ) -> io::Result<()> {
        let socket = self.sockets.get(socket);
        let socket = socket.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents,
            segment_size: None,
            src_ip: Some(from),
        };
        let reference = UdpSockRef::from(&socket.socket);
        socket.state.try_send(reference, &transmit)
    }
}

impl SharedSocket {
    fn bind_next(is_ipv6: bool, ports: &mut dyn Iterator<Item = u16>) -> io::Result<Self> {
        for port in ports {
            match Self::bind(is_ipv6, port) {
                Err(error) if port != 0 && error.kind() == io::ErrorKind::AddrInUse => {}
                bound => return bound,
            }
        }
        let told = "the range has no more free ports";
        Err(io::Error::new(io::ErrorKind::AddrNotAvailable, told))
    }

    fn bind(is_ipv6: bool, port: u16) -> io::Result<Self> {
        let any = if is_ipv6 {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))
        } else {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
        };
        let socket = Socket::new(Domain::for_address(any), Type::DGRAM, Some(Protocol::UDP))?;
        if is_ipv6 {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        // Above the system's limit, the limit is what there is.
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        socket.bind(&SockAddr::from(any))?;
        let socket = UdpSocket::from_std(socket.into());
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let port = socket.local_addr()?.port();
        Ok(Self {
            socket,
            state,
            port,
            is_readable: false,
        })
    }

    fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        batch.filled = 0;
        let mut slots: Vec<_> = batch
            .buffer
            .chunks_exact_mut(SLOT_BYTES)
            .map(IoSliceMut::new)
            .collect();
        let reference = UdpSockRef::from(&self.socket);
        batch.filled = self.state.recv(reference, &mut slots, &mut batch.metas)?;
        Ok(())
    }
}

impl Batch {
    /// An empty one. What it never reads into costs no memory.
    pub fn new() -> Self {
        Self {
            buffer: vec![0; BATCH_SIZE * SLOT_BYTES],
            metas: vec![RecvMeta::default(); BATCH_SIZE],
            filled: 0,
        }
    }

    /// What was read.
    pub fn datagrams(&self) -> impl Iterator<Item = Received<'_>> {
        let slots = self.buffer.chunks_exact(SLOT_BYTES);
        let filled = self.metas.iter().zip(slots).take(self.filled);
        filled.flat_map(|(meta, slot)| {
            let joined = slot.get(..meta.len).unwrap_or_default();
            // One length of several that the kernel has joined; the last may be shorter.
            joined.chunks(meta.stride.max(1)).filter_map(|bytes| {
                Some(Received {
                    from: meta.addr,
                    to: meta.dst_ip?,
                    bytes,
                })
            })
        })
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_port() -> impl Iterator<Item = u16> {
        std::iter::repeat(0)
    }

    #[test]
    fn the_ports_are_those_of_the_range_that_are_free_until_there_are_no_more() {
        let taken = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let first = taken.local_addr().unwrap().port();
        let mut ports = first..=first.saturating_add(40);
        let sockets = SharedSockets::bind(false, 2, &mut ports).unwrap();
        assert!(
            sockets.ports().iter().all(|port| *port > first),
            "{:?}",
            sockets.ports()
        );
        let error = SharedSockets::bind(false, 1, &mut (first..=first)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn one_socket_speaks_and_hears_for_many_addresses() {
        let peer = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = peer.local_addr().unwrap();
        let mut sockets = SharedSockets::bind(false, 2, &mut any_port()).unwrap();
        let ports = sockets.ports();
        let addresses = [[127, 1, 0, 1], [127, 1, 200, 7]].map(IpAddr::from);
        let mut buffer = [0; 16];
        for (socket, from) in [(0, addresses[0]), (0, addresses[1]), (1, addresses[0])] {
            sockets.send(socket, from, server, b"up").unwrap();
            let (length, seen) = peer.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"up");
            assert_eq!(seen, SocketAddr::new(from, ports[socket]));
            peer.send_to(&[b'd', u8::try_from(socket).unwrap()], seen)
                .unwrap();
        }
        let mut batch = Batch::new();
        let mut heard = Vec::new();
        while heard.len() < 3 {
            sockets.wait(Some(Duration::from_secs(5))).unwrap();
            let Some(socket) = sockets.receive(&mut batch) else {
                continue;
            };
            heard.extend(batch.datagrams().map(|datagram| {
                assert_eq!(datagram.from, server);
                assert_eq!(usize::from(datagram.bytes[1]), socket);
                (socket, datagram.to)
            }));
        }
        heard.sort_unstable();
        assert_eq!(
            heard,
            [(0, addresses[0]), (0, addresses[1]), (1, addresses[0])]
        );
    }

    #[test]
    fn a_waker_ends_a_wait() {
        let mut sockets = SharedSockets::bind(false, 1, &mut any_port()).unwrap();
        let waker = sockets.waker().unwrap();
        waker.wake().unwrap();
        sockets.wait(None).unwrap();
        assert_eq!(sockets.receive(&mut Batch::new()), None);
    }
}
