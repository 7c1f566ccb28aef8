//! What a commander and an agent tell each other: the bodies of frames.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::octets::{Octets, number};
use crate::harness::scenario::CellRange;

/// The first byte of a body.
const JSON: u8 = 0;
const EVENTS: u8 = 1;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Any that is rare.
    Control(Control),
    /// What devices did, as [`super::events::EventWriter`] writes it.
    Events {
        /// On the agent's clock: all that was told before this time is told. In nanoseconds.
        until_ns: u64,
        /// The events.
        written: Vec<u8>,
    },
}

/// What is told in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "snake_case")]
pub(super) enum Control {
    /// To an agent: what to prepare.
    Assign(Assignment),
    /// To an agent that is one too many.
    NotNeeded,
    /// Of an agent: it can start.
    Ready {
        /// So many devices.
        devices: usize,
    },
    /// Of an agent: it cannot go on. To an agent: it is taken for lost.
    Failed {
        /// Why.
        why: String,
    },
    /// To an agent: time begins.
    Start,
    /// To an agent: time is over.
    Stop,
    /// Of an agent: all is told.
    Stopped,
    /// Of either: it is there.
    Ping,
}

/// What an agent is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Assignment {
    /// Its number, from 1.
    pub(super) agent: usize,
    /// Of so many.
    pub(super) agents: usize,
    /// The scenario's file.
    pub(super) scenario: String,
    /// From which all chance comes.
    pub(super) seed: u64,
    /// The LwM2M server.
    pub(super) server: SocketAddr,
    /// How many times faster devices' own timers run.
    pub(super) speed: u16,
    /// Whether devices fetch from the address in a URI, not from their server.
    pub(super) follows_uris: bool,
    /// Whose devices.
    pub(super) cells: CellRange,
}

impl Message {
    /// # Errors
    /// Where it cannot be told in JSON.
    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::Control(control) => {
                let mut body = vec![JSON];
                serde_json::to_writer(&mut body, control)?;
                Ok(body)
            }
            Self::Events { until_ns, written } => {
                let mut body = vec![EVENTS];
                number(&mut body, *until_ns);
                body.extend_from_slice(written);
                Ok(body)
            }
        }
    }

    /// `None` where it is no message.
    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let mut octets = Octets::new(body);
        match octets.byte()? {
            JSON => serde_json::from_slice(octets.rest())
                .ok()
                .map(Self::Control),
            EVENTS => Some(Self::Events {
                until_ns: octets.number()?,
                written: octets.rest().to_vec(),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back() {
        let assignment = Assignment {
            agent: 1,
            agents: 2,
            scenario: "[run]\n".to_owned(),
            seed: u64::MAX,
            server: ([127, 0, 0, 1], 5683).into(),
            speed: 60,
            follows_uris: true,
            cells: CellRange { first: 3, count: 4 },
        };
        let events = Message::Events {
            until_ns: 1 << 40,
            written: vec![1, 2, 3],
        };
        let controls = [
            Control::Assign(assignment),
            Control::Ready { devices: 7 },
            Control::Ping,
        ];
        let controls = controls.map(Message::Control);
        for message in controls.into_iter().chain([events]) {
            let body = message.encode().unwrap();
            assert_eq!(Message::decode(&body), Some(message));
        }
        for body in [
            &b""[..],
            &[2],
            &[JSON],
            b"\0{\"tell\":\"sing\"}",
            &[EVENTS, 0x80],
        ] {
            assert_eq!(Message::decode(body), None);
        }
    }
}
