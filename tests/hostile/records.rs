//! DTLS records (RFC 6347 §4.1): those that OpenSSL wrote, and those that nobody should.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use narrowcast::clock::SystemClock;
use rand::rngs::StdRng;
use rand::{Rng, RngCore};

/// Content types (RFC 6347 §4.1, RFC 9146 §4).
pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;
pub(crate) const HEARTBEAT: u8 = 24;
pub(crate) const TLS12_CID: u8 = 25;

const KEY: &str = "00112233445566778899aabbccddeeff";
const IDENTITY: &str = "meter";
const CIPHER: &str = "PSK-AES128-CCM8:@SECLEVEL=0";
/// How many records of application data a session has.
const READINGS: usize = 8;
/// The longest that a session takes on a busy machine.
const SESSION_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// A record in the clear, of DTLS 1.2.
pub(crate) fn record(content: u8, epoch: u16, sequence: u64, fragment: &[u8]) -> Vec<u8> {
    let length = u16::try_from(fragment.len()).unwrap();
    let mut record = vec![content, 0xfe, 0xfd];
    record.extend(epoch.to_be_bytes());
    record.extend(&sequence.to_be_bytes()[2..]);
    record.extend(length.to_be_bytes());
    record.extend(fragment);
    record
}

/// The same record with other numbers.
pub(crate) fn renumbered(datagram: &[u8], epoch: u16, sequence: u64) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    datagram[3..5].copy_from_slice(&epoch.to_be_bytes());
    datagram[5..11].copy_from_slice(&sequence.to_be_bytes()[2..]);
    datagram
}

/// A piece of a handshake message (RFC 6347 §4.2.2) that claims these lengths.
pub(crate) fn fragment(kind: u8, length: u32, number: u16, offset: u32, bytes: &[u8]) -> Vec<u8> {
    let mut fragment = vec![kind];
    fragment.extend(&length.to_be_bytes()[1..]);
    fragment.extend(number.to_be_bytes());
    fragment.extend(&offset.to_be_bytes()[1..]);
    fragment.extend(&u32::try_from(bytes.len()).unwrap().to_be_bytes()[1..]);
    fragment.extend(bytes);
    fragment
}

/// A ClientHello (RFC 6347 §4.2.1) for PSK with AES-CCM-8, with this cookie.
pub(crate) fn client_hello(rng: &mut StdRng, sequence: u64, cookie: &[u8]) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.resize(34, 0);
    rng.fill_bytes(&mut body[2..]);
    body.push(0);
    body.push(u8::try_from(cookie.len()).unwrap());
    body.extend(cookie);
    // TLS_PSK_WITH_AES_128_CCM_8, no compression, and a connection id of no bytes (RFC 9146 §3).
    body.extend([0, 2, 0xc0, 0xa8, 1, 0, 0, 5, 0, 54, 0, 1, 0]);
    let length = u32::try_from(body.len()).unwrap();
    let number = u16::from(!cookie.is_empty());
    let hello = fragment(1, length, number, 0, &body);
    record(HANDSHAKE, 0, sequence, &hello)
}

/// A record with up to four changes, which begins as it did.
pub(crate) fn mutant(rng: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut datagram = seeds[rng.gen_range(0..seeds.len())].clone();
    for _ in 0..rng.gen_range(1..=4) {
        let at = rng.gen_range(1..=datagram.len());
        match rng.gen_range(0..4) {
            0 => datagram.truncate(at),
            1 => datagram.insert(at, rng.r#gen()),
            2 => {
                let piece = datagram[at..].repeat(rng.gen_range(1..4));
                datagram.splice(at.., piece);
            }
            _ => {
                if let Some(byte) = datagram.get_mut(at) {
                    *byte = rng.r#gen();
                }
            }
        }
    }
    datagram.truncate(1400);
    datagram
}

/// A program that ends with the test.
#[derive(Debug)]
pub(crate) struct Program(Child);

impl Program {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let child = Command::new(name)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap_or_else(|error| panic!("{name}: {error}")))
    }

    /// A client that shakes hands with this address, in one of several ways.
    pub(crate) fn shaking_hands_with(server: SocketAddr, way: usize) -> Self {
        let at = server.to_string();
        let client = ["s_client", "-connect", &at];
        let psk = ["-psk", KEY, "-psk_identity", IDENTITY, "-cipher", CIPHER];
        let uri = format!("coaps://{server}/.well-known/core");
        let coap = ["-B", "2", "-k", KEY, "-u", IDENTITY, &uri];
        match way % 4 {
            0 => Self::start("openssl", &[&client, &psk[..], &["-dtls1_2"]].concat()),
            // Of a certificate, and with a hello that takes several records.
            1 => Self::start(
                "openssl",
                &[&client[..], &["-dtls", "-mtu", "256"]].concat(),
            ),
            2 => Self::start("coap-client-openssl", &coap),
            _ => Self::start("coap-client-gnutls", &coap),
        }
    }

    /// Ends it; what it has said.
    pub(crate) fn end(mut self) -> String {
        let _ = self.0.kill();
        let stdout = self.0.stdout.take().unwrap();
        let said = std::io::read_to_string(stdout).unwrap();
        let _ = self.0.wait();
        said
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The datagrams of a client in one session of OpenSSL with itself: a ClientHello, the same with the
/// server's cookie, the rest of the handshake, and application data.
pub(crate) fn session() -> Vec<Vec<u8>> {
    let listen = ["s_server", "-dtls1_2", "-listen", "-nocert", "-psk", KEY];
    let at = ["-cipher", CIPHER, "-accept", "127.0.0.1:0"];
    let mut server = Program::start("openssl", &[&listen[..], &at].concat());
    let lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let address = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("ACCEPT ")?.parse::<SocketAddr>().ok())
        .unwrap();
    let [front, back] = [(); 2].map(|()| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(POLL)).unwrap();
        socket
    });
    back.connect(address).unwrap();
    let mut client = Program::shaking_hands_with(front.local_addr().unwrap(), 0);
    let readings = client.0.stdin.take().unwrap();
    relay(&front, &back, readings)
}

/// Carries datagrams both ways until all readings have come; those of the client.
fn relay(front: &UdpSocket, back: &UdpSocket, mut readings: ChildStdin) -> Vec<Vec<u8>> {
    let clock = SystemClock::new();
    let started = clock.now().instant;
    let mut taken: Vec<Vec<u8>> = Vec::new();
    let mut buffer = [0; 2048];
    let mut client = None;
    let mut left = READINGS;
    writeln!(readings, "a reading").unwrap();
    while left > 0 {
        let waited = clock.now().instant.saturating_since(started);
        assert!(waited < SESSION_MAX, "{left} readings are missing");
        if let Some((length, from)) = received(front.recv_from(&mut buffer)) {
            client = Some(from);
            back.send(&buffer[..length]).unwrap();
            taken.push(buffer[..length].to_vec());
            if buffer[0] == APPLICATION_DATA {
                left -= 1;
                writeln!(readings, "another reading").unwrap();
            }
        }
        if let Some((length, _)) = received(back.recv_from(&mut buffer))
            && let Some(client) = client
        {
            front.send_to(&buffer[..length], client).unwrap();
        }
    }
    taken
}

fn received<T>(result: std::io::Result<T>) -> Option<T> {
    match result {
        Ok(received) => Some(received),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}
