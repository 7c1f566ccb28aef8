//! Devices that reboot in the middle of an update, and what they keep of what the server asked.

use std::time::Duration;

use narrowcast::coap::MessageId;
use narrowcast::lwm2m::path;
use narrowcast::model::{RetryPolicy, TaskState};
use narrowcast::sim::DeviceConfig;
use narrowcast::sim::log::DeviceEvent;

use crate::fleet;
use crate::wire::SentRequest;
use crate::world::World;

const ALTERNATE_LINKS: &str =
    r#"</lwm2m>;rt="oma.lwm2m",</lwm2m/1/0>,</lwm2m/3/0>,</lwm2m/4/0>,</lwm2m/5/0>,</lwm2m/19/0>"#;

/// How often the server began to observe `/5/0/3`, each once however often it was repeated.
fn observes(world: &World) -> usize {
    let mut ids: Vec<MessageId> = Vec::new();
    for (_, _, request) in &world.requests {
        if request.is_observe_of(path::FIRMWARE_STATE) && !ids.contains(&request.id) {
            ids.push(request.id);
        }
    }
    ids.len()
}

fn logged(world: &World, event: &DeviceEvent) -> usize {
    let lines = world.log.iter();
    lines.filter(|line| line.event == *event).count()
}

#[test]
fn what_a_reboot_made_a_device_forget_is_observed_again_and_the_update_ends() {
    let mut world = World::new(80, fleet::engine_config(), vec![fleet::device(0)]);
    let id = world.campaign_for_all(RetryPolicy {
        retries_max: 1,
        delay: Duration::from_secs(60),
    });
    world.run_until("it downloads", |world| {
        logged(world, &DeviceEvent::UriAccepted) == 1
    });
    assert_eq!(observes(&world), 1);
    assert_eq!(logged(&world, &DeviceEvent::ObservationsForgotten), 0);
    world.device(0, |core, now| core.cut_power(now, Duration::from_secs(5)));
    assert_eq!(logged(&world, &DeviceEvent::ObservationsForgotten), 1);
    world.run_to_the_end();
    assert_eq!(observes(&world), 2);
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    assert_eq!(world.devices[0].core.version(), fleet::TARGET_VERSION);
    assert!(world.verdict().holds(), "{:?}", world.verdict());
}

#[test]
fn a_device_that_forgot_what_is_observed_is_not_given_a_uri_before_it_is_observed_again() {
    let mut world = World::new(82, fleet::engine_config(), vec![fleet::device(0)]);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("the URI is under way", |world| {
        let mut requests = world.requests.iter();
        requests.any(|(_, _, request)| request.is_uri_write())
    });
    assert_eq!(observes(&world), 1);
    world.device(0, |core, now| core.cut_power(now, Duration::from_secs(5)));
    assert_eq!(logged(&world, &DeviceEvent::ObservationsForgotten), 1);
    world.run_to_the_end();
    assert_eq!(observes(&world), 2);
    assert_eq!(logged(&world, &DeviceEvent::UriAccepted), 1);
    let task = world.task(id, 0);
    assert_eq!(task.state, TaskState::Succeeded, "{task:?}");
    assert_eq!(task.attempt, 1);
    let last = |is: &dyn Fn(&SentRequest) -> bool| {
        let mut requests = world.requests.iter();
        requests.rposition(|(_, _, request)| is(request)).unwrap()
    };
    let observed = last(&|request| request.is_observe_of(path::FIRMWARE_STATE));
    assert!(observed < last(&SentRequest::is_uri_write));
}

#[test]
fn every_request_to_a_device_with_an_alternate_path_is_below_it() {
    let device = DeviceConfig {
        links: ALTERNATE_LINKS.to_owned(),
        ..fleet::device(0)
    };
    let mut world = World::new(81, fleet::engine_config(), vec![device]);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    let task = world.task(id, 0);
    assert_eq!(task.state, TaskState::Succeeded, "{task:?}");
    assert_eq!(world.devices[0].core.version(), fleet::TARGET_VERSION);
    for (_, _, request) in &world.requests {
        assert_eq!(request.below, "/lwm2m", "{request:?}");
    }
    for asked in [
        path::UPLINK_DATA,
        path::DEVICE_FIRMWARE_VERSION,
        path::CELL_ID,
        path::FIRMWARE_STATE,
        path::FIRMWARE_PACKAGE_URI,
        path::FIRMWARE_UPDATE,
    ] {
        let mut requests = world.requests.iter();
        assert!(requests.any(|(_, _, it)| it.path == asked), "{asked}");
    }
}
