//! What is asked of a device because it registered, whatever any campaign wants: after its Register was
//! answered, and after a running update has asked its own.

use crate::clock::Now;
use crate::lwm2m::{Answer, Links, Operation, Path, path};
use crate::model::{DeviceModel, EndpointName, Manufacturer};

use super::Engine;
use super::config::Onboarding;
use super::operations::Purpose;

impl Engine {
    /// Asks a device that has just registered.
    pub(super) fn introduce(&mut self, now: Now, endpoint: &EndpointName) {
        self.observe_uplink(now, endpoint);
        if self.config.onboarding != Onboarding::Allow {
            return;
        }
        // Whichever was not learnt: an answer may have been lost.
        let report = self.reports.get(endpoint);
        let has_manufacturer = report.is_some_and(|known| known.manufacturer.is_some());
        let has_model = report.is_some_and(|known| known.model.is_some());
        for (resource, is_known) in [
            (path::DEVICE_MANUFACTURER, has_manufacturer),
            (path::DEVICE_MODEL, has_model),
        ] {
            if !is_known {
                let purpose = Purpose::Description(resource);
                self.operate(now, endpoint, Operation::Read(resource), purpose);
            }
        }
    }

    /// What a device that nobody described says of itself (decisions, 15).
    pub(super) fn described(&mut self, endpoint: &EndpointName, resource: Path, answer: &Answer) {
        let Answer::Value(value) = answer else { return };
        let Some(text) = value.as_text() else { return };
        let mut report = self.reports.get(endpoint).cloned().unwrap_or_default();
        match resource {
            path::DEVICE_MANUFACTURER => report.manufacturer = Manufacturer::parse(&text).ok(),
            path::DEVICE_MODEL => report.model = DeviceModel::parse(&text).ok(),
            Path { .. } => return,
        }
        self.set_report(endpoint, report);
    }

    /// Carrier modules send their data on `/19/0/0`, and only once it is observed (carrier flows §3.7).
    fn observe_uplink(&mut self, now: Now, endpoint: &EndpointName) {
        let links_max = self.config.registration.links_max;
        let has_uplink = self
            .registry
            .by_endpoint(endpoint)
            .is_some_and(|registration| {
                Links::parse(&registration.links, links_max)
                    .is_ok_and(|links| links.has_object(path::UPLINK_DATA.object))
            });
        if has_uplink {
            let operation = Operation::Observe(path::UPLINK_DATA);
            self.operate(now, endpoint, operation, Purpose::Uplink);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use bytes::Bytes;

    use crate::clock::Now;
    use crate::coap::{Code, Message, MessageId, MessageType, OptionNumber, Request, Token};
    use crate::engine::{Engine, EngineConfig, Onboarding, Output};
    use crate::model::Peer;

    fn peer() -> Peer {
        Peer::Address(SocketAddr::from(([10, 0, 0, 1], 40_000)))
    }

    fn register(engine: &mut Engine, now: Now, id: u16) {
        let request = Request::new(Code::POST, "/rd")
            .with_query("lwm2m=1.0")
            .with_query("ep=a")
            .with_query("lt=600");
        let register = Message {
            kind: MessageType::Confirmable,
            code: request.code,
            id: MessageId(id),
            token: Token::EMPTY,
            options: request.options,
            payload: Bytes::from_static(b"</3/0>"),
        };
        engine.handle_datagram(now, &peer(), &register.encode().to_vec());
    }

    /// The requests that leave, each with the last segment of its path.
    fn asked(engine: &mut Engine) -> Vec<(u8, Message)> {
        let mut asked = Vec::new();
        loop {
            match engine.poll_output() {
                Output::Transmit(transmit) => {
                    let datagram = transmit.datagram.to_vec();
                    let message = Message::decode(&datagram, 32).unwrap();
                    if message.code == Code::GET {
                        let last = message.options.all(OptionNumber::URI_PATH).last();
                        asked.push((last.unwrap()[0], message.clone()));
                    }
                }
                Output::Timeout(_) => return asked,
                Output::Record(_)
                | Output::Heard { .. }
                | Output::Flapping { .. }
                | Output::Progress(_)
                | Output::Download(_) => {}
            }
        }
    }

    #[test]
    fn what_a_device_did_not_answer_is_asked_when_it_registers_again() {
        let config = EngineConfig {
            onboarding: Onboarding::Allow,
            ..EngineConfig::default()
        };
        let mut engine = Engine::new(config, [1; 32]);
        let mut now = Now::default();
        register(&mut engine, now, 1);
        // One at a time (RFC 7252 §4.7).
        let first = asked(&mut engine);
        assert_eq!(
            first.iter().map(|(last, _)| *last).collect::<Vec<_>>(),
            [b'0']
        );
        let manufacturer = &first[0].1;
        let answer = Message {
            kind: MessageType::Acknowledgement,
            code: Code::CONTENT,
            id: manufacturer.id,
            token: manufacturer.token,
            options: Default::default(),
            payload: Bytes::from_static(b"Acme"),
        };
        engine.handle_datagram(now, &peer(), &answer.encode().to_vec());
        // The model's answer is lost, however often it is asked for.
        for _ in 0..10 {
            assert!(asked(&mut engine).iter().all(|(last, _)| *last == b'1'));
            now = now + Duration::from_secs(200);
            engine.handle_timeout(now);
        }
        assert_eq!(engine.held().operations, 0);
        register(&mut engine, now, 2);
        let again = asked(&mut engine);
        assert_eq!(
            again.iter().map(|(last, _)| *last).collect::<Vec<_>>(),
            [b'1']
        );
    }
}
