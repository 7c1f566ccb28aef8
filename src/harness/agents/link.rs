//! One connection between a commander and an agent: TCP, the handshake, then a task for each
//! direction. Either side that hears nothing for [`SILENCE_MAX`] takes the other for gone.

use std::io;
use std::time::Duration;

use rand::RngCore;
use rand::rngs::OsRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::frame::{FrameError, Opener, Sealer};
use super::handshake::{Handshake, HandshakeError, Identity, NONCE_BYTES, Role};
use super::message::{Control, Message};
use super::secret::Secret;

/// How long a handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// How long the other side may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How often a side says that it is there.
const PING_EVERY: Duration = Duration::from_secs(3);

/// Messages that wait to be sent.
const OUTGOING_MAX: usize = 16;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// Why a connection ended, or never began.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The system said so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The two do not come together.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// A frame is not the other side's.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The other side ended it.
    #[error("the connection was closed")]
    Closed,
    /// Nothing came, or nothing was taken.
    #[error("it was silent for {} s", SILENCE_MAX.as_secs())]
    Silent,
    /// What came is no message, or none that belongs there.
    #[error("it said what nobody understands")]
    NoMessage,
}

/// What came from one of several connections.
#[derive(Debug)]
pub(super) struct Heard {
    /// The connection's number.
    pub(super) from: usize,
    /// A message that is no ping, or why there are no more.
    pub(super) what: Result<Message, LinkError>,
}

/// A connection whose ends know each other.
#[derive(Debug)]
pub(super) struct Joined {
    stream: TcpStream,
    sealer: Sealer,
    opener: Opener,
}

impl Joined {
    /// Shakes hands.
    ///
    /// # Errors
    /// Where the other side is another one than it should be, or too slow.
    pub(super) async fn shake(
        mut stream: TcpStream,
        role: Role,
        secret: Secret,
    ) -> Result<Self, LinkError> {
        stream.set_nodelay(true)?;
        let mut nonce = [0; NONCE_BYTES];
        OsRng.fill_bytes(&mut nonce);
        let handshake = Handshake::new(role, secret, Identity::own(), nonce);
        let joined = timeout(HANDSHAKE_WITHIN, shake(&mut stream, handshake)).await;
        let (sealer, opener) = joined.map_err(|_| LinkError::Silent)??;
        Ok(Self {
            stream,
            sealer,
            opener,
        })
    }

    /// Whether the other side is on this machine, as far as addresses tell.
    pub(super) fn is_on_this_machine(&self) -> io::Result<bool> {
        let (own, theirs) = (
            self.stream.local_addr()?.ip(),
            self.stream.peer_addr()?.ip(),
        );
        Ok(theirs.is_loopback() || theirs == own)
    }

    /// Says one thing and closes.
    pub(super) async fn dismiss(mut self, control: Control) {
        let frame = sealed(&mut self.sealer, &Message::Control(control));
        if let Ok(frame) = frame {
            // It is told where it listens, and needs no answer.
            drop(timeout(HANDSHAKE_WITHIN, self.stream.write_all(&frame)).await);
        }
    }

    /// Has messages flow: what comes goes to `heard` under this number.
    pub(super) fn run(self, number: usize, heard: mpsc::Sender<Heard>) -> Link {
        let (read, write) = self.stream.into_split();
        let (outgoing, to_send) = mpsc::channel(OUTGOING_MAX);
        let reader = Reader {
            stream: read,
            opener: self.opener,
            bytes: vec![0; READ_BYTES],
            number,
            heard: heard.clone(),
        };
        let writer = Writer {
            stream: write,
            sealer: self.sealer,
            to_send,
        };
        Link {
            outgoing,
            reader: tokio::spawn(reader.run()),
            writer: tokio::spawn(async move {
                if let Err(error) = writer.run().await {
                    let what = Err(error);
                    // Nobody listens any more: then nobody wants to know.
                    drop(heard.send(Heard { from: number, what }).await);
                }
            }),
        }
    }
}

/// The sending end of a connection; when it is dropped, the connection ends.
#[derive(Debug)]
pub(super) struct Link {
    outgoing: mpsc::Sender<Message>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Link {
    /// Sends a message, or waits until there is room for it. One to a connection that has ended is lost:
    /// why it ended is heard.
    pub(super) async fn send(&self, control: Control) {
        drop(self.outgoing.send(Message::Control(control)).await);
    }

    /// Sends what `next` gives, as long as there is room.
    pub(super) fn send_each(&self, mut next: impl FnMut() -> Option<Message>) {
        while let Ok(place) = self.outgoing.try_reserve() {
            let Some(message) = next() else {
                return;
            };
            place.send(message);
        }
    }

    /// Sends all, and ends once the other side has ended the connection.
    pub(super) async fn finish(mut self, messages: Vec<Message>) {
        for message in messages {
            drop(self.outgoing.send(message).await);
        }
        let (closed, _) = mpsc::channel(1);
        self.outgoing = closed;
        // It ends when it has sent all, or after a silence; what was sent may be lost with a connection
        // that this side closes first.
        drop((&mut self.writer).await);
        drop(timeout(SILENCE_MAX, &mut self.reader).await);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
    }
}

async fn shake(
    stream: &mut TcpStream,
    mut handshake: Handshake,
) -> Result<(Sealer, Opener), LinkError> {
    let mut bytes = [0; 512];
    let mut answer = Ok(None);
    loop {
        if let Some(sent) = handshake.poll_transmit() {
            stream.write_all(&sent).await?;
        }
        if let Some(ends) = answer? {
            return Ok(ends);
        }
        let count = stream.read(&mut bytes).await?;
        if count == 0 {
            return Err(LinkError::Closed);
        }
        answer = handshake.handle_bytes(bytes.get(..count).unwrap_or_default());
    }
}

fn sealed(sealer: &mut Sealer, message: &Message) -> Result<Vec<u8>, LinkError> {
    let body = message.encode().map_err(|_| LinkError::NoMessage)?;
    Ok(sealer.seal(&body)?)
}

struct Writer {
    stream: OwnedWriteHalf,
    sealer: Sealer,
    to_send: mpsc::Receiver<Message>,
}

impl Writer {
    /// Until there is nothing more to send.
    async fn run(mut self) -> Result<(), LinkError> {
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                message = self.to_send.recv() => message,
                _ = pings.tick() => Some(Message::Control(Control::Ping)),
            };
            let Some(message) = message else {
                return Ok(self.stream.shutdown().await?);
            };
            let frame = sealed(&mut self.sealer, &message)?;
            let written = timeout(SILENCE_MAX, self.stream.write_all(&frame)).await;
            written.map_err(|_| LinkError::Silent)??;
        }
    }
}

struct Reader {
    stream: OwnedReadHalf,
    opener: Opener,
    bytes: Vec<u8>,
    number: usize,
    heard: mpsc::Sender<Heard>,
}

impl Reader {
    async fn run(mut self) {
        let from = self.number;
        loop {
            let what = self.next().await;
            let is_last = what.is_err();
            if self.heard.send(Heard { from, what }).await.is_err() || is_last {
                return;
            }
        }
    }

    /// The next message that is no ping.
    async fn next(&mut self) -> Result<Message, LinkError> {
        loop {
            while let Some(body) = self.opener.poll_frame()? {
                match Message::decode(&body).ok_or(LinkError::NoMessage)? {
                    Message::Control(Control::Ping) => {}
                    message @ (Message::Control(_) | Message::Events { .. }) => {
                        return Ok(message);
                    }
                }
            }
            let count = timeout(SILENCE_MAX, self.stream.read(&mut self.bytes)).await;
            let count = count.map_err(|_| LinkError::Silent)??;
            if count == 0 {
                let is_whole = self.opener.is_between_frames();
                let cut = io::ErrorKind::UnexpectedEof;
                return Err(if is_whole {
                    LinkError::Closed
                } else {
                    io::Error::from(cut).into()
                });
            }
            let bytes = self.bytes.get(..count).unwrap_or_default();
            self.opener.handle_bytes(bytes);
        }
    }
}
