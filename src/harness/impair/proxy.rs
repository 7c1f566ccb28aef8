//! The sockets of the proxy and the time of what is between them.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::mpsc;

use super::clients::{Clients, Upstream};
use super::under_way::UnderWay;
use crate::clock::{Instant, SystemClock};
use crate::model::Datagram;
use crate::net::{Delivery, Direction, Impairer, Impairment, PassCounters, UdpEndpoint};

/// The largest UDP payload there is, in bytes.
const PAYLOAD_BYTES_MAX: usize = 65_535;

/// How many of the server's datagrams wait to be looked at; the sockets' own buffers hold the rest.
const ANSWERS_WAITING: usize = 1024;

/// How a [`Proxy`] is to be.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Where clients send to; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The server.
    pub target: SocketAddr,
    /// Each client's path.
    pub impairment: Impairment,
    /// How many client addresses it keeps at once. One more takes the place of one that was silent for
    /// five minutes, or is refused.
    pub clients_max: usize,
    /// How much may be under way, in bytes; what is more is lost.
    pub under_way_bytes_max: usize,
    /// Where all chance comes from: the n-th client has the same path each time.
    pub seed: u64,
}

/// What went through a [`Proxy`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProxyCounters {
    /// Client addresses that it keeps.
    pub clients: usize,
    /// Datagrams of clients for which there was no place.
    pub refused: u64,
    /// Datagrams that were lost as too much was under way.
    pub overflowed: u64,
    /// Datagrams that the system would not send.
    pub unsent: u64,
    /// How often a client got another address.
    pub rebinds: u64,
    /// To the server.
    pub uplink: PassCounters,
    /// To clients.
    pub downlink: PassCounters,
}

/// Why a proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// A UDP proxy with a bad path in it.
#[derive(Debug)]
pub struct Proxy {
    near: UdpEndpoint,
    target: SocketAddr,
    impairment: Arc<Impairment>,
    clock: SystemClock,
    seed: u64,
    clients: Clients,
    /// How many clients there were.
    introduced: u64,
    under_way: UnderWay<Arrival>,
    answers: (mpsc::Sender<Answer>, mpsc::Receiver<Answer>),
    refused: u64,
    overflowed: u64,
    unsent: u64,
}

/// Where a datagram under way arrives.
#[derive(Debug)]
enum Arrival {
    /// At the server, from this client by this mapping.
    Server(SocketAddr, u32),
    /// At this client.
    Client(SocketAddr),
}

/// A datagram of the server's, and to whom by which mapping.
#[derive(Debug)]
struct Answer {
    client: SocketAddr,
    mapping: u32,
    payload: Vec<u8>,
}

impl Proxy {
    /// Listens. To be called within a runtime.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub fn bind(config: ProxyConfig, clock: SystemClock) -> Result<Self, ProxyError> {
        let near = UdpEndpoint::bind(config.listen).map_err(|error| ProxyError::Listen {
            address: config.listen,
            error,
        })?;
        Ok(Self {
            near,
            target: config.target,
            impairment: Arc::new(config.impairment),
            clock,
            seed: config.seed,
            clients: Clients::new(config.clients_max),
            introduced: 0,
            under_way: UnderWay::new(config.under_way_bytes_max),
            answers: mpsc::channel(ANSWERS_WAITING),
            refused: 0,
            overflowed: 0,
            unsent: 0,
        })
    }

    /// Where it listens, with the port that was taken.
    pub fn local_address(&self) -> SocketAddr {
        self.near.local_address()
    }

    /// What went through it so far.
    pub fn counters(&self) -> ProxyCounters {
        ProxyCounters {
            clients: self.clients.len(),
            refused: self.refused,
            overflowed: self.overflowed,
            unsent: self.unsent,
            rebinds: self.clients.rebinds(),
            uplink: self.clients.counters(Direction::Uplink),
            downlink: self.clients.counters(Direction::Downlink),
        }
    }

    /// Lets datagrams through until `end`. What is under way then is not lost: it goes on when this is
    /// called again.
    ///
    /// # Errors
    /// Where the socket that clients send to is unusable.
    pub async fn run_until(&mut self, end: impl Future<Output = ()>) -> io::Result<()> {
        let mut buffer = vec![0; PAYLOAD_BYTES_MAX];
        tokio::pin!(end);
        loop {
            let now = self.clock.now().instant;
            self.arrivals(now);
            let next = self.under_way.next_at();
            let deadline = self.clock.deadline(next.unwrap_or_default());
            tokio::select! {
                () = &mut end => return Ok(()),
                () = tokio::time::sleep_until(deadline), if next.is_some() => {}
                Some(answer) = self.answers.1.recv() => self.answered(answer),
                readable = self.near.readable() => {
                    readable?;
                    self.receive(&mut buffer)?;
                }
            }
        }
    }

    /// Takes what clients have sent, so much at a time that arrivals are not late.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..64 {
            match self.near.try_receive(buffer) {
                Ok((bytes, client)) => self.asked(client, &buffer[..bytes]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn asked(&mut self, client: SocketAddr, payload: &[u8]) {
        let now = self.clock.now().instant;
        let (impairment, seed) = (&self.impairment, self.seed.wrapping_add(self.introduced));
        let introduced = &mut self.introduced;
        let known = self.clients.heard(now, client, || {
            *introduced += 1;
            Impairer::new(Arc::clone(impairment), now, seed)
        });
        let Some(known) = known else {
            self.refused += 1;
            return;
        };
        for copy in known.path.handle_uplink(now, payload.len()) {
            self.send_off(copy, Arrival::Server(client, copy.mapping), payload);
        }
    }

    fn answered(&mut self, answer: Answer) {
        let now = self.clock.now().instant;
        let Some(client) = self.clients.get_mut(answer.client) else {
            return;
        };
        let payload = &answer.payload;
        for copy in client
            .path
            .handle_downlink(now, answer.mapping, payload.len())
        {
            self.send_off(copy, Arrival::Client(answer.client), payload);
        }
    }

    fn send_off(&mut self, copy: Delivery, arrival: Arrival, payload: &[u8]) {
        let mut payload = payload.to_vec();
        copy.damage(&mut payload);
        if !self.under_way.push(copy.at, arrival, payload) {
            self.overflowed += 1;
        }
    }

    fn arrivals(&mut self, now: Instant) {
        while let Some((arrival, payload)) = self.under_way.pop(now) {
            let datagram = Datagram {
                head: payload,
                ..Datagram::default()
            };
            let sent = match arrival {
                Arrival::Client(client) => self.near.try_send(&datagram, client).map(|_| ()),
                Arrival::Server(client, mapping) => self.pass_on(client, mapping, &datagram),
            };
            if sent.is_err() {
                self.unsent += 1;
            }
        }
    }

    /// Sends from the client's own socket. One that a later mapping has overtaken goes out by that.
    fn pass_on(&mut self, client: SocketAddr, mapping: u32, datagram: &Datagram) -> io::Result<()> {
        let Some(known) = self.clients.get_mut(client) else {
            return Ok(());
        };
        let upstream = match &mut known.upstream {
            Some(upstream) if upstream.mapping >= mapping => upstream,
            slot => slot.insert(open(self.target, client, mapping, self.answers.0.clone())?),
        };
        upstream.socket.try_send(datagram, self.target)?;
        Ok(())
    }
}

/// A socket towards the server for one mapping of a client, and who reads it.
fn open(
    target: SocketAddr,
    client: SocketAddr,
    mapping: u32,
    answers: mpsc::Sender<Answer>,
) -> io::Result<Upstream> {
    let any = match target {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = Arc::new(UdpEndpoint::bind(any)?);
    let read = Arc::clone(&socket);
    let reader = tokio::spawn(async move {
        while read.readable().await.is_ok() {
            let payload = match take(&read) {
                Ok((payload, from)) if from == target => payload,
                // Nobody else has a client's ear.
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return,
            };
            let answer = Answer {
                client,
                mapping,
                payload,
            };
            if answers.send(answer).await.is_err() {
                return;
            }
        }
    });
    Ok(Upstream {
        mapping,
        socket,
        reader: reader.abort_handle(),
    })
}

/// A datagram that is there. The buffer is large and is not kept while its reader waits.
fn take(socket: &UdpEndpoint) -> io::Result<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; PAYLOAD_BYTES_MAX];
    let (bytes, from) = socket.try_receive(&mut buffer)?;
    Ok((buffer[..bytes].to_vec(), from))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::UdpSocket;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;
    use crate::net::{NatMapping, OneWay};

    const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    /// The runtime's clock stands still but for what is waited for, so this is no wait.
    const LONG: Duration = Duration::from_secs(3600);

    struct Running {
        address: SocketAddr,
        end: oneshot::Sender<()>,
        task: JoinHandle<ProxyCounters>,
    }

    impl Running {
        fn start(target: SocketAddr, impairment: Impairment, clients_max: usize) -> Self {
            let config = ProxyConfig {
                listen: ANY.into(),
                target,
                impairment,
                clients_max,
                under_way_bytes_max: 4_096,
                seed: 1,
            };
            let mut proxy = Proxy::bind(config, SystemClock::new()).unwrap();
            let (end, ended) = oneshot::channel();
            Self {
                address: proxy.local_address(),
                end,
                task: tokio::spawn(async move {
                    let ended = async { ended.await.unwrap() };
                    proxy.run_until(ended).await.unwrap();
                    proxy.counters()
                }),
            }
        }

        async fn client(&self) -> UdpSocket {
            let client = UdpSocket::bind(ANY).await.unwrap();
            client.connect(self.address).await.unwrap();
            client
        }

        async fn end(self) -> ProxyCounters {
            self.end.send(()).unwrap();
            self.task.await.unwrap()
        }
    }

    async fn server() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind(ANY).await.unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    async fn heard(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2048];
        let (bytes, from) = timeout(LONG, socket.recv_from(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        (buffer[..bytes].to_vec(), from)
    }

    #[tokio::test(start_paused = true)]
    async fn each_client_gets_the_answers_to_its_own_and_nothing_from_strangers() {
        let (server, target) = server().await;
        let proxy = Running::start(target, Impairment::default(), 9);
        let (one, other) = (proxy.client().await, proxy.client().await);
        one.send(b"one").await.unwrap();
        let (datagram, of_one) = heard(&server).await;
        assert_eq!(datagram, b"one");
        other.send(b"other").await.unwrap();
        let (_, of_other) = heard(&server).await;
        assert_ne!(of_one, of_other);
        let stranger = UdpSocket::bind(ANY).await.unwrap();
        stranger.send_to(b"from a stranger", of_one).await.unwrap();
        server.send_to(b"for the other", of_other).await.unwrap();
        server.send_to(b"for the one", of_one).await.unwrap();
        assert_eq!(heard(&one).await.0, b"for the one");
        assert_eq!(heard(&other).await.0, b"for the other");
        let counters = proxy.end().await;
        assert_eq!((counters.clients, counters.downlink.delivered), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn both_ways_take_their_delays() {
        let (server, target) = server().await;
        let after = |seconds| OneWay {
            delay: Duration::from_secs(seconds),
            ..OneWay::default()
        };
        let impairment = Impairment {
            uplink: after(3),
            downlink: after(5),
            ..Impairment::default()
        };
        let proxy = Running::start(target, impairment, 9);
        let (client, clock) = (proxy.client().await, SystemClock::new());
        let passed_s = || clock.now().instant.since_origin().as_secs();
        client.send(b"?").await.unwrap();
        let (_, from) = heard(&server).await;
        assert_eq!(passed_s(), 3);
        server.send_to(b"!", from).await.unwrap();
        heard(&client).await;
        assert_eq!(passed_s(), 8);
        proxy.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_was_silent_too_long_comes_from_another_port() {
        let (server, target) = server().await;
        let impairment = Impairment {
            nat: NatMapping {
                timeout: Some(Duration::from_secs(30)),
                ..NatMapping::default()
            },
            ..Impairment::default()
        };
        let proxy = Running::start(target, impairment, 9);
        let client = proxy.client().await;
        client.send(b"1").await.unwrap();
        let (_, before) = heard(&server).await;
        tokio::time::advance(Duration::from_secs(31)).await;
        server.send_to(b"too late", before).await.unwrap();
        client.send(b"2").await.unwrap();
        let (_, after) = heard(&server).await;
        assert_ne!(before, after);
        server.send_to(b"in time", after).await.unwrap();
        assert_eq!(heard(&client).await.0, b"in time");
        assert_eq!(proxy.end().await.rebinds, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_there_is_no_room_for_is_lost_and_counted() {
        let (server, target) = server().await;
        let slow = OneWay {
            delay: Duration::from_secs(3),
            ..OneWay::default()
        };
        let proxy = Running::start(target, Impairment::both_ways(slow), 2);
        let clients = [
            proxy.client().await,
            proxy.client().await,
            proxy.client().await,
        ];
        for client in &clients {
            client.send(&[0; 1_400]).await.unwrap();
        }
        // Two of three clients, and of each one of two datagrams.
        clients[0].send(&[1; 1_400]).await.unwrap();
        clients[1].send(&[1; 1_400]).await.unwrap();
        heard(&server).await;
        heard(&server).await;
        let counters = proxy.end().await;
        assert_eq!((counters.refused, counters.overflowed), (1, 2));
    }
}
