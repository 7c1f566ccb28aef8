//! Register, Update and Deregister (LwM2M Core §6.2): the registry's answers as responses and records.

use std::time::Duration;

use crate::clock::{Instant, Now};
use crate::coap::{Code, OptionNumber, Request, Response};
use crate::fota::Contact;
use crate::lwm2m::{Location, Register, RegistrationRequest, RegistrationUpdate};
use crate::model::{
    Device, EndpointName, Happening, NewEvent, Peer, Record, Registration, RegistrationSlot,
};

use super::config::Onboarding;
use super::products::DeviceKind;
use super::{Engine, Output};

/// How long a full registry asks a device to stay away, in seconds (Max-Age of a 5.03).
const FULL_MAX_AGE_SECONDS: u32 = 60;

impl Engine {
    /// Answers a request to the registration interface.
    pub(super) fn handle_registration_request(
        &mut self,
        now: Now,
        peer: &Peer,
        request: &Request,
    ) -> Response {
        match RegistrationRequest::parse(request, &self.config.registration) {
            Ok(RegistrationRequest::Register(register)) => self.register(now, peer, register),
            Ok(RegistrationRequest::Update { location, update }) => {
                self.update_registration(now, peer, &location, update)
            }
            Ok(RegistrationRequest::Deregister { location }) => {
                self.deregister(now, peer, &location)
            }
            Err(error) => self.refuse(error.code()),
        }
    }

    fn register(&mut self, now: Now, peer: &Peer, mut register: Register<'_>) -> Response {
        if let Err(code) = self.admit(&register.endpoint) {
            return self.refuse(code);
        }
        if let Some((known, _)) = self.known.get_key_value(&register.endpoint) {
            // One copy of the name for all that is held of the device.
            register.endpoint = known.clone();
        }
        // What is forbidden is not counted, or a stranger could keep the device from registering.
        if !self.registry.forbids(&register.endpoint, peer)
            && let Err(wait) = self.register_rate.count(now.instant, &register.endpoint)
        {
            return self.refuse_too_often(now, peer, &register.endpoint, wait);
        }
        let registered = match self.registry.register(now, peer, register) {
            Ok(registered) => registered,
            Err(error) => return self.refuse(error.code()),
        };
        self.counters.registers += 1;
        if let Some(old) = &registered.replaced {
            self.registration_replaced(now, &old.endpoint, &old.peer, peer);
        }
        if let Some(old) = registered
            .replaced
            .filter(|old| old.slot != registered.slot)
        {
            self.record(Record::Deregistered {
                slot: old.slot,
                endpoint: old.endpoint,
            });
        }
        let Some(registration) = self.registry.get(registered.slot).cloned() else {
            return self.refuse(Code::INTERNAL_SERVER_ERROR);
        };
        let endpoint = registration.endpoint.clone();
        self.enter(now, &endpoint);
        self.record(Record::Registered(registration));
        let happening = Happening::DeviceRegistered;
        let event = NewEvent::of_device(now.utc, happening, endpoint.clone());
        self.record(Record::Event(event));
        self.renew_observations(&endpoint);
        self.device_booted(now, &endpoint);
        self.heard(now, registered.slot, Contact::Register);
        self.introductions.push_back(endpoint);
        registered.location.response()
    }

    fn update_registration(
        &mut self,
        now: Now,
        peer: &Peer,
        location: &Location,
        update: RegistrationUpdate<'_>,
    ) -> Response {
        let updated = match self.registry.update(now, peer, location, update) {
            Ok(updated) => updated,
            Err(error) => return self.refuse(error.code()),
        };
        self.counters.registration_updates += 1;
        let Some(registration) = self.registry.get(updated.slot) else {
            return self.refuse(Code::INTERNAL_SERVER_ERROR);
        };
        // An Update that only prolongs is not written: a restart gives everyone a grace period.
        if updated.changed {
            let registration = registration.clone();
            let endpoint = registration.endpoint.clone();
            self.record(Record::Registered(registration));
            if updated.moved {
                self.follow(now, &endpoint);
            }
        }
        self.heard(now, updated.slot, Contact::Update);
        Response::new(Code::CHANGED)
    }

    fn deregister(&mut self, now: Now, peer: &Peer, location: &Location) -> Response {
        match self.registry.deregister(peer, location) {
            Ok(registration) => {
                self.counters.deregisters += 1;
                self.tell_lost(now, &registration, "deregistered");
                self.forget_registration(registration);
                Response::new(Code::DELETED)
            }
            Err(error) => self.refuse(error.code()),
        }
    }

    /// Nothing can be committed before `until`: until then a Register or a Deregister, which could not
    /// be answered, is asked to come again (5.03, Max-Age). Blocks are served on.
    pub fn close_until(&mut self, until: Instant) {
        self.closed_until = Some(until);
    }

    pub(super) fn is_closed(&self, now: Now) -> bool {
        self.closed_until.is_some_and(|until| now.instant < until)
    }

    pub(super) fn refuse_while_closed(&mut self, now: Now) -> Response {
        let left = self
            .closed_until
            .map_or(Duration::ZERO, |until| until - now.instant);
        self.counters.registrations_refused += 1;
        unavailable(whole_seconds(left))
    }

    /// Whether a device is registered now.
    pub fn is_registered(&self, endpoint: &EndpointName) -> bool {
        self.registry.by_endpoint(endpoint).is_some()
    }

    /// Ends every registration whose lifetime ran out.
    pub(super) fn expire_registrations(&mut self, now: Now) {
        while let Some(registration) = self.registry.expire(now.instant) {
            self.counters.registrations_expired += 1;
            self.tell_lost(now, &registration, "not heard within its lifetime");
            self.forget_registration(registration);
        }
    }

    fn tell_lost(&mut self, now: Now, registration: &Registration, why: &str) {
        let endpoint = registration.endpoint.clone();
        self.record(Record::Event(NewEvent {
            detail: why.to_owned(),
            ..NewEvent::of_device(now.utc, Happening::DeviceLost, endpoint)
        }));
    }

    /// A notification with a live token came from another address: that moves the peer as an Update
    /// does (decisions, 6). A secured peer has no address here.
    pub(super) fn move_peer(&mut self, now: Now, slot: RegistrationSlot, peer: &Peer) {
        if !self.registry.move_to(slot, peer) {
            return;
        }
        if let Some(registration) = self.registry.get(slot).cloned() {
            self.follow(now, &registration.endpoint);
            self.record(Record::Registered(registration));
        }
    }

    /// A device has said something of itself: its sessions may go on.
    pub(super) fn heard(&mut self, now: Now, slot: RegistrationSlot, contact: Contact) {
        if let Some(endpoint) = self.show_heard(now, slot) {
            self.contact(now, &endpoint, contact);
        }
    }

    /// For the live view, and for what waits for the device. Returns whom that slot belongs to.
    pub(super) fn show_heard(&mut self, now: Now, slot: RegistrationSlot) -> Option<EndpointName> {
        let endpoint = self.registry.get(slot)?.endpoint.clone();
        self.pace_heard(now, slot, &endpoint);
        let registration = self.registry.hear(now.instant, slot)?;
        let (queue_mode, lifetime) = (registration.binding.queue_mode, registration.lifetime);
        self.note_awake(&endpoint);
        let awake_time = self.settings_of(&endpoint).awake_time;
        self.outputs.push_back(Output::Heard {
            endpoint: endpoint.clone(),
            at: now.utc,
            awake_until: queue_mode.then(|| now.instant + awake_time),
            lifetime,
        });
        Some(endpoint)
    }

    pub(super) fn forget_registration(&mut self, registration: Registration) {
        let Registration { slot, endpoint, .. } = registration;
        self.end_uplink_observation(&endpoint);
        self.device_requests.forget_presence(&endpoint);
        self.record(Record::Deregistered { slot, endpoint });
    }

    /// Takes up devices that may register, as many as there is room for.
    pub(super) fn add_devices(&mut self, devices: Vec<Device>) {
        for device in devices {
            let is_known = self.known.contains_key(&device.endpoint);
            if is_known || self.known.len() < self.config.devices_max {
                let kind = self.products.kind(&device);
                self.known.insert(device.endpoint, kind);
            } else {
                self.counters.devices_left_out += 1;
                tracing::error!(endpoint = %device.endpoint, "no room for another device");
            }
        }
    }

    /// Known devices are served; others are refused, or let in where onboarding allows it.
    fn admit(&self, endpoint: &EndpointName) -> Result<(), Code> {
        match self.config.onboarding {
            Onboarding::Deny | Onboarding::Allow if self.known.contains_key(endpoint) => Ok(()),
            // Where there is no room it may be one that was entered and left out.
            Onboarding::Deny | Onboarding::Allow if self.known.len() >= self.config.devices_max => {
                Err(Code::SERVICE_UNAVAILABLE)
            }
            Onboarding::Deny => Err(Code::FORBIDDEN),
            Onboarding::Allow => Ok(()),
        }
    }

    /// A device that was let in is known from now on.
    fn enter(&mut self, now: Now, endpoint: &EndpointName) {
        if !self.known.contains_key(endpoint) {
            self.known.insert(endpoint.clone(), DeviceKind::default());
            self.record(Record::Device(Device {
                endpoint: endpoint.clone(),
                manufacturer: None,
                model: None,
                device_type: None,
                tags: Vec::new(),
                created_at: now.utc,
            }));
        }
    }

    /// The device keeps the registration that it has, and may update that.
    fn refuse_too_often(
        &mut self,
        now: Now,
        peer: &Peer,
        endpoint: &EndpointName,
        wait: Duration,
    ) -> Response {
        let held = self.registry.by_endpoint(endpoint);
        if let Some(held) = held.map(|held| held.peer.clone()) {
            // It would have taken the registration over: two devices of one name go on as before.
            self.registration_replaced(now, endpoint, &held, peer);
        }
        self.counters.registrations_refused += 1;
        self.counters.registers_too_often += 1;
        unavailable(whole_seconds(wait))
    }

    fn refuse(&mut self, code: Code) -> Response {
        self.counters.registrations_refused += 1;
        if code == Code::SERVICE_UNAVAILABLE {
            return unavailable(FULL_MAX_AGE_SECONDS);
        }
        Response::new(code)
    }
}

/// Rounded up, and never at once.
fn whole_seconds(wait: Duration) -> u32 {
    let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
    seconds.saturating_add(1)
}

/// 5.03, and when to come again (RFC 7252 §5.9.3.4).
fn unavailable(max_age_seconds: u32) -> Response {
    let mut response = Response::new(Code::SERVICE_UNAVAILABLE);
    let max_age = OptionNumber::MAX_AGE;
    response.options.push_uint(max_age, max_age_seconds);
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::clock::Utc;
    use crate::coap::{Message, MessageId, MessageType, Token};
    use crate::engine::{Command, EngineConfig};
    use crate::model::Identity;

    fn engine(onboarding: Onboarding, devices_max: usize, entered: &[&str]) -> Engine {
        let config = EngineConfig {
            onboarding,
            devices_max,
            ..EngineConfig::default()
        };
        let mut engine = Engine::new(config, [1; 32]);
        let devices = entered.iter().map(|name| Device {
            endpoint: EndpointName::parse(name).unwrap(),
            manufacturer: None,
            model: None,
            device_type: None,
            tags: Vec::new(),
            created_at: Utc::default(),
        });
        let command = Command::AddDevices(devices.collect());
        engine.handle_command(Now::default(), command).unwrap();
        engine
    }

    /// The answer to a Register under this name, from where that is at home.
    fn register(engine: &mut Engine, name: &str) -> Code {
        register_from(engine, name, name.as_bytes()[name.len() - 1])
    }

    /// The answer to a Register under this name from another place.
    fn register_from(engine: &mut Engine, name: &str, place: u8) -> Code {
        let peer = Peer::Address(SocketAddr::from(([10, 0, 0, place], 40_000)));
        register_as(engine, name, &peer)
    }

    fn register_as(engine: &mut Engine, name: &str, peer: &Peer) -> Code {
        let request = Request::new(Code::POST, "/rd")
            .with_query("lwm2m=1.0")
            .with_query(&format!("ep={name}"))
            .with_query("lt=60");
        let heard = engine.counters().registers + engine.counters().registrations_refused;
        let datagram = Message {
            kind: MessageType::Confirmable,
            code: request.code,
            id: MessageId(u16::try_from(heard).unwrap()),
            token: Token::EMPTY,
            options: request.options,
            payload: request.payload,
        };
        engine.handle_datagram(Now::default(), peer, &datagram.encode().to_vec());
        let mut answer = None;
        loop {
            match engine.poll_output() {
                Output::Transmit(transmit) => {
                    let message = Message::decode(&transmit.datagram.to_vec(), 32).unwrap();
                    if message.kind == MessageType::Acknowledgement {
                        answer = Some(message.code);
                    }
                }
                Output::Record(_)
                | Output::Heard { .. }
                | Output::Flapping { .. }
                | Output::Progress(_)
                | Output::Download(_) => {}
                Output::Timeout(_) => return answer.unwrap(),
            }
        }
    }

    #[test]
    fn a_device_that_nobody_entered_is_refused_unless_onboarding_allows_it() {
        let mut engine = engine(Onboarding::Deny, 10, &["a"]);
        assert_eq!(register(&mut engine, "a"), Code::CREATED);
        assert_eq!(register(&mut engine, "b"), Code::FORBIDDEN);
        engine.config.onboarding = Onboarding::Allow;
        assert_eq!(register(&mut engine, "c"), Code::CREATED);
    }

    #[test]
    fn no_more_devices_are_held_than_there_is_room_for() {
        for onboarding in [Onboarding::Deny, Onboarding::Allow] {
            let mut engine = engine(onboarding, 2, &["a", "b", "b", "c", "d"]);
            assert_eq!(engine.known.len(), 2);
            assert_eq!(engine.counters().devices_left_out, 2);
            assert_eq!(register(&mut engine, "b"), Code::CREATED);
            assert_eq!(register(&mut engine, "c"), Code::SERVICE_UNAVAILABLE);
        }
    }
    #[test]
    fn a_device_that_registers_too_often_keeps_what_it_has_and_is_told_when_to_come_again() {
        let mut engine = engine(Onboarding::Deny, 10, &["a", "b"]);
        for _ in 0..10 {
            assert_eq!(register(&mut engine, "a"), Code::CREATED);
        }
        assert_eq!(register(&mut engine, "a"), Code::SERVICE_UNAVAILABLE);
        assert!(engine.is_registered(&EndpointName::parse("a").unwrap()));
        assert_eq!(engine.counters().registers_too_often, 1);
        assert_eq!(register(&mut engine, "b"), Code::CREATED);
    }
    #[test]
    fn two_devices_that_register_too_often_under_one_name_stay_flagged() {
        let mut engine = engine(Onboarding::Deny, 10, &["a"]);
        for turn in 0..12 {
            register_from(&mut engine, "a", 1 + turn % 2);
        }
        let takeovers = engine.counters().takeovers;
        assert_eq!(
            register_from(&mut engine, "a", 1),
            Code::SERVICE_UNAVAILABLE
        );
        assert_eq!(engine.counters().takeovers, takeovers + 1);
        assert_eq!(engine.endpoints_flapping(), 1);
    }
    #[test]
    fn a_stranger_does_not_use_up_the_registers_of_a_device_with_a_secured_session() {
        let mut engine = engine(Onboarding::Deny, 10, &["a"]);
        let owner = Peer::Secured(Identity::new("a"));
        assert_eq!(register_as(&mut engine, "a", &owner), Code::CREATED);
        for _ in 0..20 {
            assert_eq!(register_from(&mut engine, "a", 9), Code::FORBIDDEN);
        }
        assert_eq!(register_as(&mut engine, "a", &owner), Code::CREATED);
        assert_eq!(engine.counters().takeovers, 0);
    }
}
