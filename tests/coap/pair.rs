//! Two endpoints, a link between them, and one virtual clock.

use std::collections::BTreeMap;
use std::time::Duration;

use narrowcast::clock::Instant;
use narrowcast::coap::{Endpoint, EndpointConfig, Event};
use narrowcast::model::Peer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::lockstep::address;

/// What the link does to a datagram, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link {
    pub(crate) loss: u32,
    pub(crate) duplication: u32,
    /// The delay lies between nothing and this; order is kept only by chance.
    pub(crate) delay_max: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Server,
    Device,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Server => Self::Device,
            Self::Device => Self::Server,
        }
    }

    pub(crate) fn peer(self) -> Peer {
        match self {
            Self::Server => address(5683),
            Self::Device => address(40_000),
        }
    }
}

pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) server: Endpoint,
    pub(crate) device: Endpoint,
    link: Link,
    rng: StdRng,
    /// By time of arrival, then by order of sending.
    under_way: BTreeMap<(Instant, u64), (Side, Vec<u8>)>,
    sent: u64,
}

impl Pair {
    pub(crate) fn new(seed: u64, link: Link) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut endpoint = |unproved_answer_bytes_max| {
            let config = EndpointConfig {
                unproved_answer_bytes_max,
                ..EndpointConfig::default()
            };
            Endpoint::new(config, StdRng::seed_from_u64(rng.r#gen()))
        };
        // Modules answer their server as it asks.
        let server = endpoint(EndpointConfig::default().unproved_answer_bytes_max);
        let device = endpoint(usize::MAX);
        Self {
            now: Instant::ORIGIN,
            server,
            device,
            link,
            rng,
            under_way: BTreeMap::new(),
            sent: 0,
        }
    }

    pub(crate) fn endpoint(&mut self, side: Side) -> &mut Endpoint {
        match side {
            Side::Server => &mut self.server,
            Side::Device => &mut self.device,
        }
    }

    /// Gives what the endpoints want to send to the link.
    pub(crate) fn flush(&mut self) {
        for side in [Side::Server, Side::Device] {
            while let Some(transmit) = self.endpoint(side).poll_transmit() {
                assert_eq!(transmit.peer, side.other().peer());
                let datagram = transmit.datagram.to_vec();
                let copies = if self.percent(self.link.duplication) {
                    2
                } else {
                    1
                };
                for _ in 0..copies {
                    if self.percent(self.link.loss) {
                        continue;
                    }
                    let delay = self.rng.gen_range(Duration::ZERO..=self.link.delay_max);
                    self.sent += 1;
                    self.under_way.insert(
                        (self.now + delay, self.sent),
                        (side.other(), datagram.clone()),
                    );
                }
            }
        }
    }

    /// Goes on to the next arrival or deadline; `None` when nothing will ever happen again.
    pub(crate) fn step(&mut self) -> Option<Vec<(Side, Event)>> {
        self.flush();
        let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
        let deadlines = [self.server.poll_timeout(), self.device.poll_timeout()];
        let next = deadlines.into_iter().chain([arrival]).flatten().min()?;
        self.now = self.now.max(next);
        let now = self.now;
        while let Some(entry) = self.under_way.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let (to, datagram) = entry.remove();
            let from = to.other().peer();
            self.endpoint(to).handle_datagram(now, &from, &datagram);
        }
        let mut events = Vec::new();
        for side in [Side::Server, Side::Device] {
            let endpoint = self.endpoint(side);
            if endpoint
                .poll_timeout()
                .is_some_and(|deadline| deadline <= now)
            {
                endpoint.handle_timeout(now);
            }
            while let Some(event) = endpoint.poll_event() {
                events.push((side, event));
            }
        }
        Some(events)
    }

    fn percent(&mut self, percent: u32) -> bool {
        self.rng.gen_range(0..100) < percent
    }
}
