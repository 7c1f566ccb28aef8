//! What the adversary knows: names, and what captured devices and other addresses of its own sent and
//! were sent.

use std::collections::VecDeque;
use std::net::SocketAddr;

use narrowcast::coap::{Code, Message, MessageType, OptionNumber, Token};
use rand::Rng;
use rand::rngs::StdRng;

/// How much it remembers of each kind.
const REMEMBERED: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Addresses of captured devices.
    pub(crate) captured: Vec<SocketAddr>,
    /// Addresses of honest devices, and no more of them.
    pub(crate) honest: Vec<SocketAddr>,
    /// Names that may register.
    pub(crate) names: Vec<String>,
    /// What captured devices sent.
    pub(crate) sent: Recent<Vec<u8>>,
    /// Requests of the server, and where they went.
    pub(crate) asked: Recent<(SocketAddr, Message)>,
    /// Tokens of observations.
    pub(crate) tokens: Recent<Token>,
    /// Second segments of locations.
    pub(crate) locations: Recent<String>,
    /// Second segments of Package URIs.
    pub(crate) capabilities: Recent<String>,
}

impl Known {
    /// It reads a datagram that the server sent to an address of its own.
    pub(crate) fn read(&mut self, to: SocketAddr, message: Message) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if message.code == Code::CREATED
            && let Some(segment) = message.options.all(OptionNumber::LOCATION_PATH).nth(1)
        {
            self.locations.push(text(segment));
        }
        if message.kind == MessageType::Confirmable && message.code.is_request() {
            if message.options.first(OptionNumber::OBSERVE).is_some() {
                self.tokens.push(message.token);
            }
            if message.code == Code::PUT
                && let Some((_, capability)) = text(&message.payload).rsplit_once('/')
            {
                self.capabilities.push(capability.to_owned());
            }
            self.asked.push((to, message));
        }
    }
}

/// The last few of something.
#[derive(Debug)]
pub(crate) struct Recent<T>(VecDeque<T>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Clone> Recent<T> {
    pub(crate) fn push(&mut self, item: T) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(item);
    }

    pub(crate) fn any(&self, rng: &mut StdRng) -> Option<T> {
        (!self.0.is_empty()).then(|| self.0[rng.gen_range(0..self.0.len())].clone())
    }

    /// One of the newest: what is still awaited.
    pub(crate) fn newest(&self, rng: &mut StdRng) -> Option<T> {
        let back = rng.gen_range(1..=self.0.len().clamp(1, 6));
        self.0.len().checked_sub(back).map(|at| self.0[at].clone())
    }
}
