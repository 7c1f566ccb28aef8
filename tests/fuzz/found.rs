//! What the engine's run found, each cut down to the inputs that matter.

use std::net::SocketAddr;
use std::time::Duration;

use narrowcast::clock::{Instant, Now, Utc};
use narrowcast::coap::{
    BlockValue, Code, ContentFormat, Message, MessageId, MessageType, OptionNumber, Request,
};
use narrowcast::engine::{Command, Engine, EngineConfig, Output};
use narrowcast::lwm2m::RegisterRateConfig;
use narrowcast::model::{Device, EndpointName, Peer};

struct Bench {
    engine: Engine,
    now: Now,
    next_id: u16,
}

impl Bench {
    fn new() -> Self {
        let config = EngineConfig {
            register_rate: RegisterRateConfig {
                registers_max: u32::MAX,
                ..RegisterRateConfig::default()
            },
            ..EngineConfig::default()
        };
        let mut engine = Engine::new(config, [7; 32]);
        let device = Device {
            endpoint: EndpointName::parse("meter").unwrap(),
            manufacturer: None,
            model: None,
            device_type: None,
            tags: Vec::new(),
            created_at: Utc::default(),
        };
        let command = Command::AddDevices(vec![device]);
        engine.handle_command(Now::default(), command).unwrap();
        Self {
            engine,
            now: Now::default(),
            next_id: 0,
        }
    }

    /// A confirmable request from this port; the codes that come back at once.
    fn send(&mut self, port: u16, request: Request) -> Vec<Code> {
        self.next_id += 1;
        let datagram = Message {
            code: request.code,
            options: request.options,
            payload: request.payload,
            ..Message::empty(MessageType::Confirmable, MessageId(self.next_id))
        };
        let peer = Peer::Address(SocketAddr::from(([10, 0, 0, 1], port)));
        let bytes = datagram.encode().to_vec();
        self.engine.handle_datagram(self.now, &peer, &bytes);
        self.drain().1
    }

    fn register(&mut self, port: u16) {
        let request = Request::new(Code::POST, "/rd")
            .with_query("ep=meter")
            .with_query("lwm2m=1.0")
            .with_payload(ContentFormat::LINK_FORMAT, "</3/0>,</5/0>,</19/0>");
        assert!(self.send(port, request).contains(&Code::CREATED));
    }

    fn drain(&mut self) -> (Option<Instant>, Vec<Code>) {
        let mut codes = Vec::new();
        loop {
            match self.engine.poll_output() {
                Output::Transmit(transmit) => {
                    let message = Message::decode(&transmit.datagram.to_vec(), 32).unwrap();
                    codes.push(message.code);
                }
                Output::Record(_)
                | Output::Heard { .. }
                | Output::Flapping { .. }
                | Output::Progress(_)
                | Output::Download(_) => {}
                Output::Timeout(deadline) => return (deadline, codes),
            }
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.drain().0.filter(|at| *at <= end.instant) {
            self.now = self.now + at.saturating_since(self.now.instant);
            self.engine.handle_timeout(self.now);
        }
        self.now = end;
    }
}

/// A Register in place of another, whose Observe was not answered yet: when that was given up, its
/// token came back to life, and nothing would ever end it.
#[test]
fn an_observe_that_another_replaced_leaves_no_token_when_it_is_given_up() {
    let mut bench = Bench::new();
    for port in 1..=20 {
        bench.register(port);
        bench.run_for(Duration::from_secs(1));
    }
    bench.run_for(Duration::from_secs(3_600));
    let held = bench.engine.held();
    assert_eq!(held.observations, 1, "the last one may have arrived");
    assert_eq!(held.coap.observations, 1);
}

/// Block 0 of a body again and again, while another body lies idle: each began anew, and left its
/// deadline behind the idle one's.
#[test]
fn a_body_that_begins_anew_leaves_no_deadline_behind() {
    let mut bench = Bench::new();
    for count in 0..10_000 {
        let path = if count == 0 { "idle" } else { "rd" };
        let mut request = Request::new(Code::POST, path);
        let block = BlockValue {
            num: 0,
            more: true,
            szx: 0,
        };
        block.put(&mut request.options, OptionNumber::BLOCK1);
        request.payload = vec![0; 16].into();
        assert_eq!(bench.send(1, request), [Code::CONTINUE]);
        bench.now = bench.now + Duration::from_millis(1);
    }
    let held = bench.engine.held().coap;
    assert_eq!(held.block1_bodies, 2);
    assert!(held.deadlines < 300, "{} deadlines", held.deadlines);
}
