//! CoAP by hand: a socket that knows when the server has taken all that it was sent.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use narrowcast::coap::{
    Code, Message, MessageId, MessageType, OptionNumber, Request, Response, Token,
};

/// What a message that is looked at may have.
pub(crate) const OPTIONS_MAX: usize = 32;

/// How long a last request's answer is waited for before it is sent again, and how often that is done.
const LAST_AGAIN: Duration = Duration::from_millis(500);
const LASTS_MAX: u32 = 40;

/// Message ids of last requests; others have those below.
const LAST_IDS: u16 = 0xc000;

/// A peer with a socket of its own.
#[derive(Debug)]
pub(crate) struct Stranger {
    socket: UdpSocket,
    next_id: u16,
    next_last: u16,
}

impl Stranger {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self::from_address(Ipv4Addr::LOCALHOST.into(), server)
    }

    pub(crate) fn from_address(address: IpAddr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(LAST_AGAIN)).unwrap();
        Self {
            socket,
            next_id: 0,
            next_last: LAST_IDS,
        }
    }

    /// An id that this peer has not used of late.
    pub(crate) fn id(&mut self) -> u16 {
        self.next_id = (self.next_id + 1) % LAST_IDS;
        self.next_id
    }

    pub(crate) fn send(&self, datagram: &[u8]) {
        self.socket.send(datagram).unwrap();
    }

    /// Sends these and answers all that the server had to say to them: the server takes datagrams in
    /// their order, and the answer to a last request waits for all that those before it wait for.
    pub(crate) fn exchange(&mut self, datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
        for datagram in datagrams {
            self.send(datagram);
        }
        self.next_last = self.next_last.checked_add(1).unwrap_or(LAST_IDS);
        let [high, low] = self.next_last.to_be_bytes();
        // GET of nothing, with a token that no other request has: 4.04.
        let last = [0x44, 1, high, low, b'l', b'a', high, low];
        let mut answer_to_last = last;
        (answer_to_last[0], answer_to_last[1]) = (0x64, 0x84);
        let mut answers = Vec::new();
        let mut buffer = [0; 65_536];
        for _ in 0..LASTS_MAX {
            self.send(&last);
            loop {
                match self.socket.recv(&mut buffer) {
                    Ok(length) if buffer[..length] == answer_to_last => return answers,
                    // One that was sent again was answered again.
                    Ok(8) if buffer[4..6] == *b"la" => {}
                    Ok(length) => answers.push(buffer[..length].to_vec()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        panic!("{LASTS_MAX} last requests are unanswered");
    }

    /// What is there already.
    pub(crate) fn arrived(&self) -> Vec<Vec<u8>> {
        self.socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 65_536];
        let mut answers = Vec::new();
        while let Ok(length) = self.socket.recv(&mut buffer) {
            answers.push(buffer[..length].to_vec());
        }
        self.socket.set_nonblocking(false).unwrap();
        answers
    }

    /// The one answer to one confirmable request.
    pub(crate) fn ask(&mut self, request: Request) -> Message {
        let id = self.id();
        let answers = self.exchange(&[confirmable(id, request)]);
        let [answer] = answers.as_slice() else {
            panic!("{} answers: {}", answers.len(), short(&answers.concat()));
        };
        let answer = decode(answer);
        assert_eq!(
            (answer.kind, answer.id),
            (MessageType::Acknowledgement, MessageId(id)),
            "{answer:?}"
        );
        answer
    }

    /// Asserts that the request is answered with this code.
    #[track_caller]
    pub(crate) fn expect(&mut self, code: Code, request: Request) -> Message {
        let shown = format!("{request:?}");
        let answer = self.ask(request);
        assert_eq!(answer.code, code, "{shown:.300}");
        answer
    }

    /// Asserts that nothing is said to a datagram.
    #[track_caller]
    pub(crate) fn expect_silence(&mut self, datagram: &[u8]) {
        let answers = self.exchange(&[datagram.to_vec()]);
        let said = short(&answers.concat());
        assert!(answers.is_empty(), "{}: {said}", short(datagram));
    }

    /// Asserts that a datagram is rejected with a Reset of its id, which stands behind two bytes.
    #[track_caller]
    pub(crate) fn expect_reset(&mut self, datagram: &[u8]) {
        let answers = self.exchange(&[datagram.to_vec()]);
        let reset = vec![0x70, 0, datagram[2], datagram[3]];
        assert_eq!(answers, [reset], "{}", short(datagram));
    }

    /// Asserts that a confirmable message is rejected, and that as a non-confirmable nothing is said.
    #[track_caller]
    pub(crate) fn expect_format_error(&mut self, first: u8, code: u8, rest: &[u8]) {
        let id = self.id().to_be_bytes();
        let datagram = [&[first, code, id[0], id[1]], rest].concat();
        self.expect_reset(&datagram);
        let datagram = [&[first | 0x10, code, id[0], id[1]], rest].concat();
        self.expect_silence(&datagram);
    }
}

/// The beginning of a datagram, for a message.
pub(crate) fn short(datagram: &[u8]) -> String {
    hex::encode(&datagram[..datagram.len().min(64)])
}

/// A loopback address with a number.
pub(crate) fn loopback(number: usize) -> IpAddr {
    let [_, _, high, low] = u32::try_from(number).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 20, high, low).into()
}

pub(crate) fn confirmable(id: u16, request: Request) -> Vec<u8> {
    encode(MessageType::Confirmable, id, request)
}

pub(crate) fn non_confirmable(id: u16, request: Request) -> Vec<u8> {
    encode(MessageType::NonConfirmable, id, request)
}

fn encode(kind: MessageType, id: u16, request: Request) -> Vec<u8> {
    let message = Message {
        kind,
        code: request.code,
        id: MessageId(id),
        token: Token::new(&id.to_be_bytes()).unwrap(),
        options: request.options,
        payload: request.payload,
    };
    message.encode().to_vec()
}

/// An answer that is piggy-backed on the ACK of a request.
pub(crate) fn piggybacked(request: &Message, response: Response) -> Vec<u8> {
    let message = Message {
        kind: MessageType::Acknowledgement,
        code: response.code,
        id: request.id,
        token: request.token,
        options: response.options,
        payload: response.payload,
    };
    message.encode().to_vec()
}

/// What the server sent has to be a message.
#[track_caller]
pub(crate) fn decode(datagram: &[u8]) -> Message {
    Message::decode(datagram, OPTIONS_MAX)
        .unwrap_or_else(|error| panic!("{error}: {}", short(datagram)))
}

pub(crate) fn get(path: &str) -> Request {
    Request::new(Code::GET, path)
}

pub(crate) fn post(path: &str) -> Request {
    Request::new(Code::POST, path)
}

pub(crate) fn with_option(mut request: Request, number: u16, value: &[u8]) -> Request {
    request.options.push(OptionNumber(number), value.to_vec());
    request
}

/// A Register as LwM2M 1.0 has it.
pub(crate) fn register(endpoint: &str) -> Request {
    let mut request = post("/rd")
        .with_query("lwm2m=1.0")
        .with_query("lt=86400")
        .with_query(&format!("ep={endpoint}"));
    request.payload = "</3/0>,</5/0>".into();
    request
}

/// Where a Register's answer says that the registration is.
#[track_caller]
pub(crate) fn location(answer: &Message) -> String {
    assert_eq!(answer.code, Code::CREATED);
    answer
        .options
        .all(OptionNumber::LOCATION_PATH)
        .map(|segment| format!("/{}", String::from_utf8_lossy(segment)))
        .collect()
}
