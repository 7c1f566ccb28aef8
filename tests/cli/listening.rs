//! A device that has registered and listens: it takes what is written, and has nothing to be read.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use narrowcast::coap::{
    Code, ContentFormat, Message, MessageId, MessageType, OptionNumber, Options, Token,
};

/// The longest that anything on loopback is waited for.
const PATIENCE: Duration = Duration::from_secs(8);

/// Once it is answered 2.01, requests to it leave at once.
pub(crate) struct Listening {
    asked: Receiver<Code>,
}

impl Listening {
    /// Registers, and answers whatever comes until nobody asks any more.
    pub(crate) fn register(server: SocketAddr, endpoint: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut options = Options::default();
        options.push(OptionNumber::URI_PATH, b"rd".to_vec());
        options.push_uint(
            OptionNumber::CONTENT_FORMAT,
            ContentFormat::LINK_FORMAT.0.into(),
        );
        for query in ["lwm2m=1.0", "lt=300", "b=U", &format!("ep={endpoint}")] {
            options.push(OptionNumber::URI_QUERY, query.as_bytes().to_vec());
        }
        let register = Message {
            kind: MessageType::Confirmable,
            code: Code::POST,
            id: MessageId(1),
            token: Token::EMPTY,
            options,
            payload: b"</1/0>,</3/0>,</5/0>"[..].into(),
        };
        socket.send(&register.encode().to_vec()).unwrap();
        assert_eq!(receive(&socket).unwrap().code, Code::CREATED);
        let (sender, asked) = channel();
        thread::spawn(move || {
            while let Some(request) = receive(&socket) {
                let answer = Message {
                    kind: MessageType::Acknowledgement,
                    code: match request.code {
                        Code::PUT => Code::CHANGED,
                        _ => Code::NOT_FOUND,
                    },
                    options: Options::default(),
                    payload: Default::default(),
                    ..request.clone()
                };
                drop(socket.send(&answer.encode().to_vec()));
                let _ = sender.send(request.code);
            }
        });
        Self { asked }
    }

    /// Waits until it was asked for this.
    pub(crate) fn sees(&self, code: Code) {
        while self.asked.recv_timeout(PATIENCE).unwrap() != code {}
    }
}

fn receive(socket: &UdpSocket) -> Option<Message> {
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).ok()?;
    Message::decode(&buffer[..length], usize::MAX).ok()
}
