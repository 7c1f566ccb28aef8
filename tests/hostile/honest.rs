//! Peers that do what they should, all the time, and note how long they wait.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use narrowcast::clock::SystemClock;
use narrowcast::coap::{Code, Message, MessageId, MessageType, Request, Response, Token};

use crate::coap::{decode, location, piggybacked, post, register};
use crate::download::Downloader;
use crate::figures::{Kind, Shared};
use crate::http::{Connection, request};
use crate::server::{Server, resident_kib};

/// The device that only prolongs.
pub(crate) const CANARY: &str = "canary-1";

/// How the names begin of those that register, one after the other: none does so too often.
pub(crate) const NEWCOMER: &str = "newcomer-";
pub(crate) const NEWCOMERS: u32 = 512;

/// RFC 7252 §4.8.
const ACK_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_RETRANSMIT: u32 = 4;

/// Between two requests of one peer.
const PACE: Duration = Duration::from_millis(2);
const OPERATOR_PACE: Duration = Duration::from_millis(8);

/// So many Updates come between two Registers.
const UPDATES_PER_REGISTER: u32 = 100;

/// A device's socket, with the retransmission that CoAP asks of it.
#[derive(Debug)]
pub(crate) struct Client {
    socket: UdpSocket,
    next_id: u16,
    clock: SystemClock,
}

/// An answer, and what it took.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) message: Message,
    pub(crate) latency: Duration,
    pub(crate) retransmissions: u32,
}

impl Client {
    pub(crate) fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(server).unwrap();
        Self {
            socket,
            next_id: 0,
            clock: SystemClock::new(),
        }
    }

    /// Sends a request until it is answered. What the server asks meanwhile goes to `serve`.
    pub(crate) fn exchange(
        &mut self,
        request: Request,
        mut serve: impl FnMut(&Message) -> Response,
    ) -> Result<Answered, String> {
        self.next_id = self.next_id.wrapping_add(1);
        let id = MessageId(self.next_id);
        let token = Token::new(&id.0.to_be_bytes()).unwrap();
        let datagram = Message {
            kind: MessageType::Confirmable,
            code: request.code,
            id,
            token,
            options: request.options,
            payload: request.payload,
        };
        let datagram = datagram.encode().to_vec();
        let started = self.clock.now().instant;
        for retransmissions in 0..=MAX_RETRANSMIT {
            self.socket.send(&datagram).unwrap();
            let until = self.clock.now().instant + ACK_TIMEOUT * 2_u32.pow(retransmissions);
            while let Some(message) = self.receive(until.saturating_since(self.clock.now().instant))
            {
                if message.kind == MessageType::Acknowledgement && message.id == id {
                    if message.token != token {
                        return Err(format!("another's answer: {message:?}"));
                    }
                    let latency = self.clock.now().instant.saturating_since(started);
                    return Ok(Answered {
                        message,
                        latency,
                        retransmissions,
                    });
                }
                self.serve(&message, &mut serve);
            }
        }
        Err(format!("unanswered after {MAX_RETRANSMIT} retransmissions"))
    }

    /// Answers what the server asks for so long.
    pub(crate) fn serve_for(
        &mut self,
        time: Duration,
        mut serve: impl FnMut(&Message) -> Response,
    ) {
        if let Some(message) = self.receive(time) {
            self.serve(&message, &mut serve);
        }
    }

    fn serve(&self, message: &Message, serve: &mut impl FnMut(&Message) -> Response) {
        if message.kind == MessageType::Confirmable && message.code.is_request() {
            let answer = piggybacked(message, serve(message));
            self.socket.send(&answer).unwrap();
        }
    }

    fn receive(&self, within: Duration) -> Option<Message> {
        let within = within.max(Duration::from_micros(1));
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut buffer = [0; 2048];
        match self.socket.recv(&mut buffer) {
            Ok(length) => Some(decode(&buffer[..length])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// All of them, at work until this is dropped.
#[derive(Debug)]
pub(crate) struct Honest {
    pub(crate) figures: Arc<Shared>,
    /// Where the first canary's registration is.
    pub(crate) location: String,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Honest {
    pub(crate) fn start(server: &Server, downloader: Downloader) -> Self {
        let figures = Arc::new(Shared::default());
        let stop = Arc::new(AtomicBool::new(false));
        let mut canary = Client::new(server.coap);
        let registered = canary.exchange(register(CANARY), nothing).unwrap();
        let location = location(&registered.message);
        let devices = Devices {
            canary,
            location: location.clone(),
            newcomers: Client::new(server.coap),
        };
        let operator = Operator::new(server);
        let threads = vec![
            each_turn(&figures, &stop, |figures| devices.run(figures)),
            each_turn(&figures, &stop, |figures| operator.run(figures)),
            each_turn(&figures, &stop, |figures| downloader.run(figures)),
        ];
        Self {
            figures,
            location,
            stop,
            threads,
        }
    }

    /// Whether one of them has ended, which none does by itself.
    pub(crate) fn is_broken(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }
}

impl Drop for Honest {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has said so, and was found.
            let _ = thread.join();
        }
    }
}

/// Runs the turns of a peer in a thread of their own.
fn each_turn<T: FnMut() + Send + 'static>(
    figures: &Arc<Shared>,
    stop: &Arc<AtomicBool>,
    peer: impl FnOnce(Arc<Shared>) -> T,
) -> JoinHandle<()> {
    let mut turn = peer(Arc::clone(figures));
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            turn();
        }
    })
}

/// What a device answers that the server has nothing to ask of.
fn nothing(_: &Message) -> Response {
    Response::new(Code::NOT_FOUND)
}

#[derive(Debug)]
struct Devices {
    canary: Client,
    location: String,
    newcomers: Client,
}

impl Devices {
    fn run(mut self, figures: Arc<Shared>) -> impl FnMut() + Send + 'static {
        let mut updates = 0;
        move || {
            updates += 1;
            let updated = self.canary.exchange(post(&self.location), nothing);
            note(&figures, Kind::Device, Code::CHANGED, updated);
            if updates % UPDATES_PER_REGISTER == 0 {
                let number = updates / UPDATES_PER_REGISTER % NEWCOMERS;
                let register = register(&format!("{NEWCOMER}{number}"));
                let registered = self.newcomers.exchange(register, nothing);
                note(&figures, Kind::Device, Code::CREATED, registered);
            }
            thread::sleep(PACE);
        }
    }
}

/// Notes an answer; what it was, where it was the right one.
pub(crate) fn note(
    figures: &Shared,
    kind: Kind,
    code: Code,
    answered: Result<Answered, String>,
) -> Option<Message> {
    let mut figures = figures.lock();
    match answered {
        Ok(answered) => {
            figures.answered(kind, answered.latency);
            figures.retransmissions += answered.retransmissions;
            if answered.message.code == code {
                return Some(answered.message);
            }
            let other = answered.message.code;
            figures.faults.push(format!("{kind:?}: {other} for {code}"));
        }
        Err(fault) => figures.faults.push(format!("{kind:?}: {fault}")),
    }
    None
}

/// Lists devices, on a connection that is kept and on new ones by turns.
#[derive(Debug)]
struct Operator {
    http: SocketAddr,
    pid: u32,
    request: Vec<u8>,
    kept: Connection,
    clock: SystemClock,
}

impl Operator {
    fn new(server: &Server) -> Self {
        let path = "/api/v1/devices?limit=20";
        Self {
            http: server.http,
            pid: server.pid(),
            request: request("GET", path, &server.token, None),
            kept: Connection::open(server.http).unwrap(),
            clock: SystemClock::new(),
        }
    }

    fn run(mut self, figures: Arc<Shared>) -> impl FnMut() + Send + 'static {
        let mut turn = 0_u32;
        move || {
            turn += 1;
            let started = self.clock.now().instant;
            let listed = self.list(turn.is_multiple_of(2));
            let latency = self.clock.now().instant.saturating_since(started);
            let resident_kib = resident_kib(self.pid);
            {
                let mut figures = figures.lock();
                figures.answered(Kind::Operator, latency);
                figures.resident_kib_max = figures.resident_kib_max.max(resident_kib);
                if let Err(fault) = listed {
                    figures.faults.push(format!("the list of devices: {fault}"));
                }
            }
            thread::sleep(OPERATOR_PACE);
        }
    }

    fn list(&mut self, on_the_kept: bool) -> Result<(), String> {
        let mut opened;
        let connection = if on_the_kept {
            &mut self.kept
        } else {
            opened = Connection::open(self.http).map_err(|error| error.to_string())?;
            &mut opened
        };
        let sent = connection.send(&self.request);
        sent.map_err(|error| error.to_string())?;
        let answer = connection.answer()?;
        if answer.status != 200 {
            return Err(answer.head);
        }
        serde_json::from_slice::<Vec<serde_json::Value>>(&answer.body)
            .map(drop)
            .map_err(|error| error.to_string())
    }
}
