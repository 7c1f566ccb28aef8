//! Devices that answer in a format of their own choice, and devices that send without being asked.

use narrowcast::coap::ContentFormat;
use narrowcast::lwm2m::{SenmlRecord, Value, path};
use narrowcast::model::{CellId, DeviceReport, FirmwareVersion, Phase, RetryPolicy, TaskState};
use narrowcast::sim::DeviceConfig;
use narrowcast::store::Store;

use crate::fleet;
use crate::server::ready;
use crate::world::World;

fn report(world: &World) -> DeviceReport {
    let task = world.server.tasks.values().next().unwrap();
    ready(world.server.store.report(&task.endpoint)).unwrap_or_default()
}

fn version(text: &str) -> Option<FirmwareVersion> {
    FirmwareVersion::parse(text).ok()
}

#[test]
fn a_device_is_understood_in_whatever_format_it_answers() {
    for format in [
        ContentFormat::TEXT,
        ContentFormat::OLD_TEXT,
        ContentFormat::OPAQUE,
        ContentFormat::CBOR,
        ContentFormat::SENML_JSON,
        ContentFormat::SENML_CBOR,
        ContentFormat::TLV,
        ContentFormat::OLD_TLV,
        ContentFormat::JSON,
        ContentFormat::OLD_JSON,
    ] {
        let mut device = fleet::device(0);
        device.quirks.answers_in = Some(format);
        let mut world = World::new(21, fleet::engine_config(), vec![device.clone()]);
        world.campaign_for_all(RetryPolicy::default());
        world.run_until("the first reading", |world| report(world).tier.is_some());
        let before = report(&world);
        assert_eq!(
            before.firmware_version,
            version(&device.version),
            "{format:?}"
        );
        assert_eq!(
            before.cell_id,
            device.radio.cell_id.map(CellId),
            "{format:?}"
        );
        assert_eq!(
            before.rsrp_dbm.map(i64::from),
            device.radio.rsrp,
            "{format:?}"
        );
        world.run_to_the_end();
        assert!(world.verdict().holds(), "{format:?}: {:?}", world.verdict());
        let task = world.server.tasks.values().next().unwrap();
        assert_eq!(task.state, TaskState::Succeeded, "{format:?}");
        assert_eq!(task.note, None, "{format:?}");
        let after = report(&world).firmware_version;
        assert_eq!(after, version(&device.next_version), "{format:?}");
    }
}

#[test]
fn a_send_wakes_the_task_of_a_device_that_sleeps() {
    let device = DeviceConfig {
        queue_mode: true,
        ..fleet::device(0)
    };
    let awake = device.awake;
    let mut world = World::new(22, fleet::engine_config(), vec![device]);
    world.run_until("the registration", |world| {
        world.devices[0].core.is_registered()
    });
    world.run_for(2 * awake);
    world.campaign_for_all(RetryPolicy::default());
    world.run_for(2 * awake);
    let task = world.server.tasks.values().next().unwrap();
    assert_eq!(task.attempt, 0, "{task:?}");
    let reading = SenmlRecord::new(path::CELL_ID, Value::Integer(1));
    world.device(0, |core, now| {
        core.send_values(now, ContentFormat::SENML_CBOR, &[reading]);
    });
    world.run_for(awake / 2);
    let task = world.server.tasks.values().next().unwrap();
    assert_eq!(task.attempt, 1, "{task:?}");
    world.run_to_the_end();
    assert_eq!(world.server.engine.counters().sends, 1);
    let task = world.server.tasks.values().next().unwrap();
    assert_eq!(task.state, TaskState::Succeeded);
}

#[test]
fn what_a_device_sends_in_an_update_is_not_undone_by_what_was_read_before() {
    let device = fleet::device(0);
    let mut world = World::new(23, fleet::engine_config(), vec![device.clone()]);
    world.campaign_for_all(RetryPolicy::default());
    world.run_until("the download", |world| {
        let mut tasks = world.server.tasks.values();
        tasks.all(|task| task.phase == Phase::Downloading)
    });
    let moved = [
        SenmlRecord::new(path::CELL_ID, Value::Integer(77)),
        SenmlRecord::new(path::RADIO_SIGNAL_STRENGTH, Value::Integer(-118)),
    ];
    world.device(0, |core, now| {
        core.send_values(now, ContentFormat::SENML_JSON, &moved);
    });
    world.run_to_the_end();
    let after = report(&world);
    assert_eq!(after.firmware_version, version(&device.next_version));
    assert_eq!(
        (after.cell_id, after.rsrp_dbm),
        (Some(CellId(77)), Some(-118))
    );
}
