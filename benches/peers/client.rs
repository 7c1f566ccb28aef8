//! One client: a socket from an address of its own, one request at a time.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::wire::{ACK, Reader};

/// ACK_TIMEOUT without its random factor, and how often one waits twice as long (RFC 7252 §4.8).
const FIRST_WAIT: Duration = Duration::from_secs(2);
const SENT_AT_MOST: u32 = 3;

const IDS_PER_TURN: u16 = 8_192;

/// Of every client.
const PORT: u16 = 40_000;

#[derive(Debug)]
pub(crate) struct Client {
    socket: UdpSocket,
    next_id: u16,
    buffer: Box<[u8; 2048]>,
    pub(crate) retransmissions: u64,
}

impl Client {
    /// The `number`-th address of the loopback, as 127.x.y.z; always from the same port.
    /// A server remembers message ids for minutes (RFC 7252 §4.8.2): who is made again takes another
    /// `turn`.
    pub(crate) async fn new(number: u32, turn: u16, server: SocketAddr) -> Self {
        let [_, a, b, c] = (number + 0x10000).to_be_bytes();
        let socket = UdpSocket::bind((Ipv4Addr::new(127, a, b, c), PORT))
            .await
            .unwrap();
        socket.connect(server).await.unwrap();
        Self {
            socket,
            next_id: (number as u16).wrapping_add(turn.wrapping_mul(IDS_PER_TURN)),
            buffer: Box::new([0; 2048]),
            retransmissions: 0,
        }
    }

    /// The message id of the next request.
    pub(crate) fn id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    /// The answer to a confirmable request, which is sent again where none comes; `None` where none ever
    /// does.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Option<&[u8]> {
        let id = [request[2], request[3]];
        let token_len = usize::from(request[0] & 15);
        let token = &request[4..4 + token_len];
        let mut wait = FIRST_WAIT;
        let mut received = None;
        for attempt in 0..SENT_AT_MOST {
            if attempt > 0 {
                self.retransmissions += 1;
            }
            // What is not taken now is asked again.
            let _ = self.socket.send(request).await;
            let (socket, buffer) = (&self.socket, &mut self.buffer);
            let answered = timeout(wait, async {
                loop {
                    let Ok(len) = socket.recv(&mut buffer[..]).await else {
                        continue;
                    };
                    let Some(answer) = Reader::new(&buffer[..len]) else {
                        continue;
                    };
                    // An empty acknowledgement: the answer comes by itself.
                    if answer.code() == 0 {
                        continue;
                    }
                    let piggybacked = answer.kind() == ACK && buffer[2..4] == id;
                    if answer.token() == token && (piggybacked || answer.kind() != ACK) {
                        return len;
                    }
                }
            });
            if let Ok(len) = answered.await {
                received = Some(len);
                break;
            }
            wait *= 2;
        }
        let len = received?;
        // A separate answer is acknowledged (RFC 7252 §5.2.2).
        if (self.buffer[0] >> 4) & 3 == 0 {
            let acknowledgement = [0x60, 0, self.buffer[2], self.buffer[3]];
            let _ = self.socket.send(&acknowledgement).await;
        }
        Some(&self.buffer[..len])
    }

    /// Sends bytes and waits for as many, whatever they are.
    pub(crate) async fn echo(&mut self, bytes: &[u8]) -> Option<usize> {
        let _ = self.socket.send(bytes).await;
        let received = timeout(FIRST_WAIT, self.socket.recv(&mut self.buffer[..])).await;
        received.ok()?.ok()
    }
}
