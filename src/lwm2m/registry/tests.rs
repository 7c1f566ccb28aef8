mod model;

use std::net::SocketAddr;

use rand::SeedableRng;

use super::*;
use crate::clock::Utc;
use crate::lwm2m::Links;
use crate::model::{BindingMode, Identity};

const LINKS: &str = "</3/0>,</5/0>";

fn at(seconds: u64) -> Now {
    let now = Now {
        instant: Instant::ORIGIN,
        utc: Utc::from_unix_ms(1_800_000_000_000),
    };
    now + Duration::from_secs(seconds)
}

fn address(port: u16) -> Peer {
    Peer::Address(SocketAddr::from(([192, 0, 2, 1], port)))
}

fn secured(identity: &str) -> Peer {
    Peer::Secured(Identity::new(identity))
}

fn registry(registrations_max: usize) -> Registry {
    let config = RegistryConfig {
        registrations_max,
        ..RegistryConfig::default()
    };
    Registry::new(config, StdRng::seed_from_u64(7))
}

fn register(endpoint: &str, lifetime_seconds: u64) -> Register<'static> {
    Register {
        endpoint: EndpointName::parse(endpoint).unwrap(),
        lifetime: Duration::from_secs(lifetime_seconds),
        version: Lwm2mVersion::V1_0,
        binding: BindingMode::default(),
        links_text: LINKS,
        links: Links::default(),
    }
}

fn update(lifetime_seconds: Option<u64>) -> RegistrationUpdate<'static> {
    RegistrationUpdate {
        lifetime: lifetime_seconds.map(Duration::from_secs),
        ..RegistrationUpdate::default()
    }
}

fn name(endpoint: &str) -> EndpointName {
    EndpointName::parse(endpoint).unwrap()
}

#[test]
fn a_registration_is_found_by_slot_and_by_endpoint() {
    let mut registry = registry(10);
    let registered = registry
        .register(at(0), &address(1), register("a", 60))
        .unwrap();
    assert!(registered.replaced.is_none());
    let registration = registry.get(registered.slot).unwrap();
    assert_eq!(registration.endpoint, name("a"));
    assert_eq!(registration.expires_at, at(60).utc);
    assert_eq!(&*registration.links, LINKS);
    assert_eq!(registry.by_endpoint(&name("a")), Some(registration));
    assert_eq!(registry.by_endpoint(&name("b")), None);
}

#[test]
fn a_second_register_takes_the_place_of_the_first_and_voids_its_location() {
    let mut registry = registry(10);
    let first = registry
        .register(at(0), &address(1), register("a", 60))
        .unwrap();
    let second = registry
        .register(at(10), &address(2), register("a", 60))
        .unwrap();
    assert_eq!(second.replaced.unwrap().peer, address(1));
    assert_eq!(registry.len(), 1);
    let result = registry.update(at(11), &address(1), &first.location, update(None));
    assert_eq!(result, Err(UnknownLocation));
    assert!(
        registry
            .update(at(11), &address(2), &second.location, update(None))
            .is_ok()
    );
}

#[test]
fn an_update_that_changes_nothing_need_not_be_persisted() {
    let mut registry = registry(10);
    let location = registry
        .register(at(0), &address(1), register("a", 60))
        .unwrap()
        .location;
    let mut outcome = |peer: &Peer, update| {
        let updated = registry.update(at(10), peer, &location, update).unwrap();
        (updated.changed, updated.moved)
    };
    let same = RegistrationUpdate {
        lifetime: Some(Duration::from_secs(60)),
        binding: Some(BindingMode::default()),
        links: Some((LINKS, Links::default())),
    };
    assert_eq!(outcome(&address(1), update(None)), (false, false));
    assert_eq!(outcome(&address(1), same), (false, false));
    assert_eq!(outcome(&address(2), update(None)), (true, true));
    assert_eq!(outcome(&address(2), update(Some(90))), (true, false));
    let other = RegistrationUpdate {
        links: Some(("</5/0>", Links::default())),
        ..RegistrationUpdate::default()
    };
    assert_eq!(outcome(&address(2), other), (true, false));
    let queue_mode = RegistrationUpdate {
        binding: Some(BindingMode { queue_mode: true }),
        ..RegistrationUpdate::default()
    };
    assert_eq!(outcome(&address(2), queue_mode), (true, false));
    let registration = registry.get(location.slot).unwrap();
    assert_eq!(registration.expires_at, at(100).utc);
    assert_eq!(
        (&*registration.links, registration.binding.queue_mode),
        ("</5/0>", true)
    );
}

#[test]
fn queue_mode_of_1_1_outlives_a_binding_in_an_update() {
    let mut registry = registry(10);
    for (endpoint, version, stays) in [
        ("a", Lwm2mVersion::V1_0, false),
        ("b", Lwm2mVersion::V1_1, true),
    ] {
        let register = Register {
            version,
            binding: BindingMode { queue_mode: true },
            ..register(endpoint, 60)
        };
        let location = registry
            .register(at(0), &address(1), register)
            .unwrap()
            .location;
        let plain = RegistrationUpdate {
            binding: Some(BindingMode::default()),
            ..RegistrationUpdate::default()
        };
        registry
            .update(at(1), &address(1), &location, plain)
            .unwrap();
        assert_eq!(
            registry.get(location.slot).unwrap().binding.queue_mode,
            stays
        );
    }
}

#[test]
fn a_secured_registration_is_only_for_its_identity() {
    let mut registry = registry(10);
    let location = registry
        .register(at(0), &secured("a"), register("a", 60))
        .unwrap()
        .location;
    for stranger in [secured("b"), address(1)] {
        let result = registry.update(at(1), &stranger, &location, update(None));
        assert_eq!(result, Err(UnknownLocation));
        let result = registry.deregister(&stranger, &location);
        assert_eq!(result, Err(UnknownLocation));
        let result = registry.register(at(1), &stranger, register("a", 60));
        assert_eq!(result.map(drop), Err(RegisterError::Forbidden));
        assert!(!registry.move_to(location.slot, &stranger));
    }
    assert!(
        registry
            .update(at(1), &secured("a"), &location, update(None))
            .is_ok()
    );
    assert!(
        registry
            .register(at(2), &secured("a"), register("a", 60))
            .is_ok()
    );
}

#[test]
fn whoever_guesses_at_a_location_neither_moves_nor_ends_a_registration() {
    let mut registry = registry(10);
    let location = registry
        .register(at(0), &address(1), register("a", 60))
        .unwrap()
        .location;
    let before = registry.get(location.slot).cloned();
    for guess in [
        Location {
            secret: location.secret ^ 1,
            ..location
        },
        Location {
            secret: 0,
            ..location
        },
        Location {
            slot: RegistrationSlot(location.slot.0 + 1),
            ..location
        },
    ] {
        // Not even from the device's own address: its neighbours behind a NAT have that too.
        for peer in [address(1), address(2)] {
            let result = registry.update(at(1), &peer, &guess, update(Some(1)));
            assert_eq!(result, Err(UnknownLocation));
            let result = registry.deregister(&peer, &guess);
            assert_eq!(result, Err(UnknownLocation));
        }
    }
    assert_eq!(registry.get(location.slot).cloned(), before);
    // The location itself is what proves the device, from wherever it is by then (decisions, 14).
    assert!(registry.deregister(&address(2), &location).is_ok());
}

#[test]
fn a_device_may_become_secured_by_registering_anew_but_not_by_an_update() {
    let mut registry = registry(10);
    let location = registry
        .register(at(0), &address(1), register("a", 60))
        .unwrap()
        .location;
    let result = registry.update(at(1), &secured("a"), &location, update(None));
    assert_eq!(result, Err(UnknownLocation));
    assert!(
        registry
            .register(at(1), &secured("a"), register("a", 60))
            .is_ok()
    );
}

#[test]
fn a_notification_from_a_new_address_moves_a_device() {
    let mut registry = registry(10);
    let slot = registry
        .register(at(0), &address(1), register("a", 60))
        .unwrap()
        .slot;
    assert!(!registry.move_to(slot, &address(1)));
    assert!(registry.move_to(slot, &address(2)));
    assert_eq!(registry.get(slot).unwrap().peer, address(2));
    assert_eq!(registry.by_peer(&address(2)).unwrap().slot, slot);
    assert!(registry.by_peer(&address(1)).is_err());
    assert!(!registry.move_to(RegistrationSlot(9), &address(2)));
}

#[test]
fn a_full_registry_refuses_strangers_and_still_serves_those_it_has() {
    let mut registry = registry(2);
    for endpoint in ["a", "b"] {
        registry
            .register(at(0), &address(1), register(endpoint, 60))
            .unwrap();
    }
    let result = registry.register(at(1), &address(1), register("c", 60));
    assert_eq!(result.map(drop), Err(RegisterError::Full));
    let again = registry
        .register(at(1), &address(1), register("b", 60))
        .unwrap();
    registry.deregister(&address(1), &again.location).unwrap();
    let reused = registry
        .register(at(2), &address(1), register("c", 60))
        .unwrap();
    assert_eq!(reused.slot, again.slot);
}

#[test]
fn a_restored_registration_keeps_its_location_and_gets_a_grace_period() {
    let mut before = registry(10);
    before
        .register(at(0), &address(1), register("a", 300))
        .unwrap();
    let location = before
        .register(at(0), &address(1), register("b", 300))
        .unwrap()
        .location;
    let week = 7 * 86_400;
    before
        .register(at(0), &address(1), register("c", week))
        .unwrap();
    let mut after = registry(10);
    // The clock of the new process begins anew; a day has gone by.
    let now = Now {
        instant: Instant::ORIGIN,
        utc: at(86_400).utc,
    };
    for registration in before.iter().skip(1) {
        after.restore(now, registration.clone()).unwrap();
    }
    assert_eq!(after.expire(now.instant), None);
    let lives = |seconds| now.utc + Duration::from_secs(seconds);
    assert_eq!(
        after.by_endpoint(&name("b")).unwrap().expires_at,
        lives(300)
    );
    assert_eq!(
        after.by_endpoint(&name("c")).unwrap().expires_at,
        lives(week - 86_400)
    );
    let shared = after.by_peer(&address(1)).map(|held| held.slot);
    assert_eq!(shared, Err(UnknownPeer::Shared));
    let later = now + Duration::from_secs(299);
    assert!(
        after
            .update(later, &address(2), &location, update(None))
            .is_ok()
    );
    let filled = after
        .register(later, &address(1), register("d", 60))
        .unwrap();
    assert_eq!(filled.slot, RegistrationSlot(0), "a hole is filled");
}

#[test]
fn what_is_stored_twice_or_behind_the_limit_is_not_restored() {
    let mut before = registry(10);
    for endpoint in ["a", "b", "c"] {
        before
            .register(at(0), &address(1), register(endpoint, 60))
            .unwrap();
    }
    let stored: Vec<_> = before.iter().cloned().collect();
    let mut after = registry(2);
    after.restore(at(0), stored[0].clone()).unwrap();
    let result = after.restore(at(0), stored[0].clone());
    assert_eq!(result, Err(RestoreError::Duplicate));
    let same_slot = Registration {
        slot: stored[0].slot,
        ..stored[1].clone()
    };
    assert_eq!(
        after.restore(at(0), same_slot),
        Err(RestoreError::Duplicate)
    );
    assert_eq!(
        after.restore(at(0), stored[2].clone()),
        Err(RestoreError::Full)
    );
    assert_eq!(after.iter().count(), 1);
    after.restore(at(0), stored[1].clone()).unwrap();
}

#[test]
fn a_restored_clock_that_was_set_back_prolongs_nothing() {
    let mut before = registry(10);
    before
        .register(at(1_000_000), &address(1), register("a", 300))
        .unwrap();
    let mut after = registry(10);
    let stored = before.iter().next().unwrap().clone();
    after.restore(at(0), stored).unwrap();
    assert!(after.expire(at(300).instant).is_some());
}

#[test]
fn the_queue_of_lifetimes_stays_as_small_as_the_registry() {
    let mut registry = registry(10);
    let peer = address(1);
    let bystander = registry
        .register(at(0), &peer, register("b", 90_000))
        .unwrap()
        .location;
    registry
        .update(at(10), &peer, &bystander, update(None))
        .unwrap();
    let mut location = registry
        .register(at(0), &peer, register("a", 90_000))
        .unwrap()
        .location;
    for seconds in 0..20_000 {
        let shorter = update(Some(80_000 - 2 * seconds));
        registry
            .update(at(seconds), &peer, &location, shorter)
            .unwrap();
        assert!(registry.expiries.len() <= 4 + STALE_EXPIRIES_MAX);
    }
    for seconds in 20_000..30_000 {
        registry.deregister(&peer, &location).unwrap();
        let again = registry.register(at(seconds), &peer, register("a", 90_000));
        location = again.unwrap().location;
        assert!(registry.expiries.len() <= 4 + STALE_EXPIRIES_MAX);
    }
    let expired = |registry: &mut Registry, seconds| {
        let registration = registry.expire(at(seconds).instant)?;
        Some(registration.endpoint.as_str().to_owned())
    };
    assert_eq!(expired(&mut registry, 90_009), None);
    assert_eq!(expired(&mut registry, 90_010).as_deref(), Some("b"));
    assert_eq!(expired(&mut registry, 119_998), None);
    assert_eq!(expired(&mut registry, 119_999).as_deref(), Some("a"));
    assert!(registry.is_empty());
}

#[test]
fn a_look_in_vain_leaves_one_entry_in_the_queue() {
    let mut registry = registry(10);
    let location = registry
        .register(at(0), &address(1), register("a", 600))
        .unwrap()
        .location;
    for lifetime in [500, 400, 300, 800] {
        registry
            .update(at(1), &address(1), &location, update(Some(lifetime)))
            .unwrap();
    }
    assert_eq!(registry.expiries.len(), 4);
    assert_eq!(registry.expire(at(700).instant), None);
    assert_eq!(registry.expiries.len(), 1);
    assert_eq!(registry.poll_timeout(), Some(at(801).instant));
}

#[test]
fn links_that_a_device_no_longer_has_are_forgotten() {
    let mut registry = registry(10);
    let texts = ["</1>", "</2>", "</3>"].map(|links_text| {
        let register = Register {
            links_text,
            ..register("a", 60)
        };
        let registered = registry.register(at(0), &address(1), register).unwrap();
        let links = &registry.get(registered.slot).unwrap().links;
        (std::sync::Arc::downgrade(links), registered.location)
    });
    let in_use = || texts.iter().filter(|(text, _)| text.strong_count() > 0);
    assert_eq!(in_use().count(), 1);
    let other = RegistrationUpdate {
        links: Some(("</4>", Links::default())),
        ..RegistrationUpdate::default()
    };
    registry
        .update(at(1), &address(1), &texts[2].1, other)
        .unwrap();
    assert_eq!(in_use().count(), 0);
}

#[test]
fn an_entry_of_the_registry_is_small() {
    // With the name's text (48 B), the table of endpoints (some 40 B) and the queue (24 B), a device
    // costs less than 300 B.
    assert!(
        size_of::<Option<Entry>>() <= 176,
        "{}",
        size_of::<Option<Entry>>()
    );
}
