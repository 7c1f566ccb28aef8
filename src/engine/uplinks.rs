//! What devices send of their own data on `/19/0/0` (carrier flows §3.7): committed before it is
//! acknowledged, as the device forgets it then.

use bytes::Bytes;

use crate::clock::Utc;
use crate::lwm2m::Value;
use crate::model::{EndpointName, Record, Uplink};

use super::Engine;

/// How much of devices' own data is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UplinkLimits {
    /// How many of one device's; the oldest give way. 0 counts as 1.
    pub kept_per_device: u32,
    /// The longest, in bytes. A longer one is refused where it can be (4.13 to a Send), else dropped.
    pub payload_bytes_max: usize,
}

impl Default for UplinkLimits {
    fn default() -> Self {
        Self {
            kept_per_device: 16,
            payload_bytes_max: 2048,
        }
    }
}

impl Engine {
    /// Whether it is longer than is kept.
    pub(super) fn is_too_long(&self, value: &Value) -> bool {
        bytes_of(value).len() > self.config.uplinks.payload_bytes_max
    }

    /// Keeps what a device sent, if it is short enough.
    pub(super) fn keep_uplink(&mut self, endpoint: &EndpointName, at: Utc, value: &Value) {
        if self.is_too_long(value) {
            self.counters.uplinks_too_long += 1;
            return;
        }
        let payload = bytes_of(value);
        self.counters.uplinks += 1;
        self.record(Record::Uplink {
            uplink: Uplink {
                endpoint: endpoint.clone(),
                at,
                payload,
            },
            kept: self.config.uplinks.kept_per_device.max(1),
        });
    }
}

/// Opaque data as it is; what a device sent as text or a number, as text.
fn bytes_of(value: &Value) -> Bytes {
    match value {
        Value::Opaque(bytes) => bytes.clone(),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::ObjectLink { .. } => value.as_text().unwrap_or_default().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::clock::Now;
    use crate::coap::{
        BlockValue, Code, ContentFormat, Endpoint, EndpointConfig, Event, OptionNumber,
        Reliability, Request, Response, Token, TransmissionParameters,
    };
    use crate::engine::{EngineConfig, Onboarding, Output};
    use crate::model::Peer;

    /// An engine, and a device whose data takes three blocks of 16 bytes.
    struct Bench {
        now: Now,
        engine: Engine,
        device: Endpoint,
        observed: Option<Token>,
        uplinks: Vec<Bytes>,
    }

    const DATA: &[u8; 40] = b"0123456789abcdefghijklmnopqrstuvwxyz+-*/";

    fn server() -> Peer {
        Peer::Address(SocketAddr::from(([192, 0, 2, 1], 5683)))
    }

    fn parameters() -> TransmissionParameters {
        EndpointConfig::default().parameters
    }

    /// The block with this number.
    fn piece(num: u32) -> Response {
        let block = BlockValue {
            num,
            more: num < 2,
            szx: 0,
        };
        let end = DATA.len().min(block.offset() + 16);
        let mut response = Response::new(Code::CONTENT).with_payload(
            ContentFormat::OPAQUE,
            Bytes::from_static(&DATA[block.offset()..end]),
        );
        block.put(&mut response.options, OptionNumber::BLOCK2);
        response
    }

    impl Bench {
        fn registered() -> Self {
            let config = EngineConfig {
                onboarding: Onboarding::Allow,
                ..EngineConfig::default()
            };
            let mut bench = Self {
                now: Now::default(),
                engine: Engine::new(config, [1; 32]),
                device: Endpoint::new(EndpointConfig::default(), StdRng::seed_from_u64(2)),
                observed: None,
                uplinks: Vec::new(),
            };
            let register = Request::new(Code::POST, "/rd")
                .with_query("lwm2m=1.0")
                .with_query("ep=a")
                .with_payload(ContentFormat::LINK_FORMAT, &b"</3/0>,</19/0>"[..]);
            let (at, reliability) = (bench.now.instant, Reliability::Confirmable);
            (bench.device)
                .request(at, &server(), register, reliability, &parameters())
                .unwrap();
            bench.settle();
            bench
        }

        /// Until nothing is under way.
        fn settle(&mut self) {
            for _ in 0..100 {
                let mut is_quiet = true;
                while let Some(transmit) = self.device.poll_transmit() {
                    is_quiet = false;
                    let from = Peer::Address(SocketAddr::from(([10, 0, 0, 1], 40_000)));
                    let datagram = transmit.datagram.to_vec();
                    self.engine.handle_datagram(self.now, &from, &datagram);
                }
                self.drain(&mut is_quiet);
                while let Some(event) = self.device.poll_event() {
                    self.take(event);
                }
                self.now = self.now + Duration::from_millis(10);
                if is_quiet {
                    return;
                }
            }
            panic!("it never ends");
        }

        fn drain(&mut self, is_quiet: &mut bool) {
            loop {
                match self.engine.poll_output() {
                    Output::Transmit(transmit) => {
                        *is_quiet = false;
                        let datagram = transmit.datagram.to_vec();
                        let now = self.now.instant;
                        self.device.handle_datagram(now, &server(), &datagram);
                    }
                    Output::Record(Record::Uplink { uplink, .. }) => {
                        self.uplinks.push(uplink.payload);
                    }
                    Output::Timeout(_) => return,
                    Output::Record(_)
                    | Output::Heard { .. }
                    | Output::Flapping { .. }
                    | Output::Progress(_)
                    | Output::Download(_) => {}
                }
            }
        }

        /// The device answers with the block that it is asked for.
        fn take(&mut self, event: Event) {
            let Event::Request {
                reply_to, request, ..
            } = event
            else {
                return;
            };
            let mut response = Response::new(Code::NOT_FOUND);
            if request.path() == Some(vec!["19", "0", "0"]) {
                let block = BlockValue::from_options(&request.options, OptionNumber::BLOCK2);
                response = piece(block.unwrap().map_or(0, |block| block.num));
                if request.options.first(OptionNumber::OBSERVE).is_some() {
                    self.observed = Some(reply_to.token());
                    response = Response::new(Code::CONTENT);
                    response.options.push_uint(OptionNumber::OBSERVE, 1);
                }
            }
            self.device.respond(self.now.instant, &reply_to, response);
        }
    }

    #[test]
    fn data_that_is_notified_in_blocks_is_kept_whole() {
        let mut bench = Bench::registered();
        let token = bench.observed.expect("it is observed");
        assert_eq!(bench.uplinks, [] as [Bytes; 0]);
        let (at, reliability) = (bench.now.instant, Reliability::Confirmable);
        (bench.device)
            .notify(
                at,
                &server(),
                token,
                2,
                piece(0),
                reliability,
                &parameters(),
            )
            .unwrap();
        bench.settle();
        assert_eq!(bench.uplinks, [Bytes::from_static(DATA)]);
        assert_eq!(bench.engine.counters().uplinks, 1);
        assert_eq!(bench.engine.held().coap.transfers, 0);
    }
}
