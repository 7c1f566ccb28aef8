//! Between a device and the server, to see what the two say to each other.

use std::net::{self, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use narrowcast::coap::{Code, Message, MessageId, MessageType, Request, Token};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

const OPTIONS_MAX: usize = 32;
const PATIENCE: Duration = Duration::from_secs(5);

/// Who sent it, and what.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) by_device: bool,
    pub(crate) message: Message,
}

#[derive(Debug, Default)]
struct Heard {
    device: Option<SocketAddr>,
    said: Vec<Said>,
}

/// Relays between one device, wherever it is after a reboot, and the server.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = near.local_addr().unwrap();
        let heard = Arc::default();
        let task = tokio::spawn(relay(near, far, server, Arc::clone(&heard)));
        Self {
            address,
            heard,
            task,
        }
    }

    /// What the device takes for the server.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the device was heard last.
    pub(crate) fn device(&self) -> SocketAddr {
        self.heard.lock().unwrap().device.unwrap()
    }

    /// All messages so far, in their order.
    pub(crate) fn said(&self) -> Vec<Said> {
        self.heard.lock().unwrap().said.clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(near: UdpSocket, far: UdpSocket, server: SocketAddr, heard: Arc<Mutex<Heard>>) {
    let (mut from_device, mut from_server) = ([0; 2048], [0; 2048]);
    let keep = |by_device, datagram: &[u8]| {
        let message = Message::decode(datagram, OPTIONS_MAX).unwrap();
        let said = Said { by_device, message };
        heard.lock().unwrap().said.push(said);
    };
    loop {
        tokio::select! {
            received = near.recv_from(&mut from_device) => {
                let (len, sender) = received.unwrap();
                heard.lock().unwrap().device = Some(sender);
                keep(true, &from_device[..len]);
                far.send_to(&from_device[..len], server).await.unwrap();
            }
            received = far.recv_from(&mut from_server) => {
                let (len, _) = received.unwrap();
                keep(false, &from_server[..len]);
                let device = heard.lock().unwrap().device.unwrap();
                near.send_to(&from_server[..len], device).await.unwrap();
            }
        }
    }
}

/// Asks a device itself, past the server; answers what it says.
pub(crate) fn ask(device: SocketAddr, path: &str) -> Message {
    let request = Request::new(Code::GET, path);
    let message = Message {
        kind: MessageType::Confirmable,
        code: request.code,
        id: MessageId(1),
        token: Token::EMPTY,
        options: request.options,
        payload: request.payload,
    };
    let socket = net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(&message.encode().to_vec(), device).unwrap();
    let mut answer = [0; 2048];
    let len = socket.recv(&mut answer).unwrap();
    Message::decode(&answer[..len], OPTIONS_MAX).unwrap()
}
