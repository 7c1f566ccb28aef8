//! The registry against a simple model of it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Register {
        endpoint: u8,
        port: u16,
        lifetime: u64,
    },
    Update {
        location: usize,
        port: u16,
        lifetime: Option<u64>,
    },
    Deregister {
        location: usize,
    },
    Wait {
        seconds: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..6_u8, 0..3_u16, 60..200_u64).prop_map(|(endpoint, port, lifetime)| Step::Register {
            endpoint,
            port,
            lifetime
        }),
        (any::<usize>(), 0..3_u16, proptest::option::of(60..200_u64)).prop_map(
            |(location, port, lifetime)| Step::Update {
                location,
                port,
                lifetime
            }
        ),
        any::<usize>().prop_map(|location| Step::Deregister { location }),
        (0..90_u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// What the registry must hold: by endpoint, which location is valid, lifetime and end in seconds.
#[derive(Default)]
struct Model {
    live: BTreeMap<u8, (usize, u64, u64)>,
    /// Every location ever given out, and to whom.
    issued: Vec<(u8, Location)>,
    seconds: u64,
}

const MODEL_REGISTRATIONS_MAX: usize = 4;

impl Model {
    fn apply(&mut self, registry: &mut Registry, step: Step) {
        let now = at(self.seconds);
        match step {
            Step::Register {
                endpoint,
                port,
                lifetime,
            } => {
                let register = register(&endpoint.to_string(), lifetime);
                let result = registry.register(now, &address(port), register);
                let full = self.live.len() == MODEL_REGISTRATIONS_MAX;
                if full && !self.live.contains_key(&endpoint) {
                    assert_eq!(result.map(drop), Err(RegisterError::Full));
                    return;
                }
                let registered = result.unwrap();
                let end = self.seconds + lifetime;
                let replaced = self
                    .live
                    .insert(endpoint, (self.issued.len(), lifetime, end));
                assert_eq!(replaced.is_some(), registered.replaced.is_some());
                self.issued.push((endpoint, registered.location));
            }
            Step::Update {
                location,
                port,
                lifetime,
            } => {
                let Some((index, endpoint, location)) = self.pick(location) else {
                    return;
                };
                let result = registry.update(now, &address(port), &location, update(lifetime));
                match self.live.get_mut(&endpoint) {
                    Some((valid, kept, end)) if *valid == index => {
                        assert!(result.is_ok());
                        *kept = lifetime.unwrap_or(*kept);
                        *end = self.seconds + *kept;
                    }
                    _ => assert_eq!(result, Err(UnknownLocation)),
                }
            }
            Step::Deregister { location } => {
                let Some((index, endpoint, location)) = self.pick(location) else {
                    return;
                };
                let result = registry.deregister(&address(0), &location);
                if self
                    .live
                    .get(&endpoint)
                    .is_some_and(|(valid, ..)| *valid == index)
                {
                    assert_eq!(result.unwrap().endpoint.as_str(), endpoint.to_string());
                    self.live.remove(&endpoint);
                } else {
                    assert_eq!(result, Err(UnknownLocation));
                }
            }
            Step::Wait { seconds } => self.wait(registry, seconds),
        }
    }

    fn wait(&mut self, registry: &mut Registry, seconds: u64) {
        self.seconds += seconds;
        let mut expired = Vec::new();
        while let Some(registration) = registry.expire(at(self.seconds).instant) {
            expired.push(registration.endpoint.as_str().parse::<u8>().unwrap());
        }
        expired.sort_unstable();
        let now = self.seconds;
        let over = self.live.extract_if(.., |_, (_, _, end)| *end <= now);
        let over: Vec<_> = over.map(|(endpoint, _)| endpoint).collect();
        assert_eq!(expired, over);
    }

    fn pick(&self, any: usize) -> Option<(usize, u8, Location)> {
        let index = any.checked_rem(self.issued.len())?;
        let (endpoint, location) = self.issued[index];
        Some((index, endpoint, location))
    }

    fn check(&self, registry: &Registry) {
        assert_eq!(registry.len(), self.live.len());
        let mut slots = Vec::new();
        for (endpoint, (_, _, end)) in &self.live {
            let held = registry.by_endpoint(&name(&endpoint.to_string())).unwrap();
            assert_eq!(held.expires_at, at(*end).utc);
            slots.push(held.slot);
        }
        slots.sort_unstable();
        assert!(registry.iter().map(|held| held.slot).eq(slots));
        for port in 0..3 {
            let of_port = registry.iter().filter(|held| held.peer == address(port));
            let slots: Vec<_> = of_port.map(|held| held.slot).collect();
            let expected = match slots.as_slice() {
                [] => Err(UnknownPeer::Unregistered),
                [slot] => Ok(*slot),
                [_, _, ..] => Err(UnknownPeer::Shared),
            };
            let found = registry.by_peer(&address(port)).map(|held| held.slot);
            assert_eq!(found, expected);
        }
        assert_eq!(registry.by_peer.len(), self.live.len());
        let first_end = self.live.values().map(|(_, _, end)| *end).min();
        if let Some(end) = first_end {
            assert!(registry.poll_timeout().unwrap() <= at(end).instant);
        }
    }
}

proptest! {
    #[test]
    fn the_registry_does_as_a_simple_model(steps in proptest::collection::vec(step(), 1..80)) {
        let mut registry = registry(MODEL_REGISTRATIONS_MAX);
        let mut model = Model::default();
        for step in steps {
            model.apply(&mut registry, step);
            model.check(&registry);
        }
    }
}
