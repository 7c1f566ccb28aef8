//! A device is taken away: nothing of it stays, and a Register under its name is a stranger's.

use crate::clock::Now;
use crate::model::{EndpointName, Record};

use super::{CommandError, Engine};

impl Engine {
    /// Takes a device away, unless a task of it is unfinished.
    pub(super) fn remove_device(
        &mut self,
        now: Now,
        endpoint: EndpointName,
    ) -> Result<(), CommandError> {
        let unfinished = self.task_of.get(&endpoint);
        if let Some(entry) = unfinished.and_then(|task| self.tasks.get(task)) {
            return Err(CommandError::TaskUnfinished {
                task: entry.task().id,
                campaign: entry.task().campaign,
            });
        }
        self.forget_device_requests(now, &endpoint);
        self.forget_operations(now, &endpoint);
        let slot = self.registry.by_endpoint(&endpoint).map(|live| live.slot);
        if let Some(registration) = slot.and_then(|slot| self.registry.remove(slot)) {
            self.forget_registration(registration);
        }
        self.introductions.retain(|waiting| *waiting != endpoint);
        self.known.remove(&endpoint);
        self.reports.remove(&endpoint);
        self.loop_guard.forget_device(&endpoint);
        self.forget_flapping(&endpoint);
        self.record(Record::DeviceForgotten { endpoint });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use crate::clock::{Now, Utc};
    use crate::coap::Code;
    use crate::coap::{Message, MessageId, MessageType, Request, Token};
    use crate::engine::{Command, Engine, EngineConfig, Onboarding, Output};
    use crate::model::{Device, EndpointName, Peer, Record};

    fn name() -> EndpointName {
        EndpointName::parse("a").unwrap()
    }

    fn register(engine: &mut Engine, id: u16) {
        let request = Request::new(Code::POST, "/rd")
            .with_query("lwm2m=1.0")
            .with_query("ep=a")
            .with_query("lt=60");
        let datagram = Message {
            kind: MessageType::Confirmable,
            code: request.code,
            id: MessageId(id),
            token: Token::EMPTY,
            options: request.options,
            payload: bytes::Bytes::from_static(b"</19/0>"),
        };
        let peer = Peer::Address(SocketAddr::from(([10, 0, 0, 1], 40_000)));
        engine.handle_datagram(Now::default(), &peer, &datagram.encode().to_vec());
    }

    fn records(engine: &mut Engine) -> Vec<Record> {
        let mut records = Vec::new();
        loop {
            match engine.poll_output() {
                Output::Record(record) => records.push(record),
                Output::Timeout(_) => return records,
                Output::Transmit(_)
                | Output::Heard { .. }
                | Output::Flapping { .. }
                | Output::Progress(_)
                | Output::Download(_) => {}
            }
        }
    }

    fn engine(onboarding: Onboarding) -> Engine {
        let config = EngineConfig {
            onboarding,
            ..EngineConfig::default()
        };
        let mut engine = Engine::new(config, [1; 32]);
        let device = Device {
            endpoint: name(),
            manufacturer: None,
            model: None,
            device_type: None,
            tags: Vec::new(),
            created_at: Utc::default(),
        };
        let command = Command::AddDevices(vec![device]);
        engine.handle_command(Now::default(), command).unwrap();
        register(&mut engine, 1);
        assert!(engine.is_registered(&name()));
        records(&mut engine);
        engine
    }

    #[test]
    fn a_device_that_was_taken_away_is_a_stranger() {
        for onboarding in [Onboarding::Deny, Onboarding::Allow] {
            let mut engine = engine(onboarding);
            let held = engine.held();
            assert!(held.operations > 0 && held.observations > 0);
            let command = Command::RemoveDevice(name());
            engine.handle_command(Now::default(), command).unwrap();
            assert!(!engine.is_registered(&name()));
            let held = engine.held();
            assert_eq!((held.devices, held.reports, held.operations), (0, 0, 0));
            assert_eq!((held.observations, held.device_requests), (0, 0));
            let written = records(&mut engine);
            let ends = |it: &Record| matches!(it, Record::Deregistered { .. });
            assert!(written.iter().any(ends), "{written:?}");
            let forgotten = Record::DeviceForgotten { endpoint: name() };
            assert_eq!(written.last(), Some(&forgotten));

            register(&mut engine, 2);
            let admitted = onboarding == Onboarding::Allow;
            assert_eq!(engine.is_registered(&name()), admitted);
            let entered = |it: &Record| matches!(it, Record::Device(_));
            assert_eq!(records(&mut engine).iter().any(entered), admitted);
        }
    }
}
