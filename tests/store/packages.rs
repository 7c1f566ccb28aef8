//! What uses a package, what is said of it, and its end.

use std::collections::BTreeMap;

use narrowcast::model::{
    CampaignId, CampaignState, Component, Package, PackageFile, PackageId, Record, ReleaseNotes,
    Sha256Digest, TaskState, UpdateTask,
};
use narrowcast::store::{NewCampaign, PackageUse, Store};

use crate::samples::{device, endpoint, new_campaign, package, page, stamp, utc};
use crate::{is_conflict, is_not_found};

for_each_store! {
    a_package_is_locked_once_a_campaign_of_it_was_activated,
    a_package_is_removed_with_the_bytes_that_nothing_else_names,
    what_devices_run_is_known_by_version_and_by_their_last_success,
    what_devices_run_is_known_when_campaign_package_and_device_are_gone,
    a_downgrade_that_was_allowed_is_kept,
}

async fn campaign_of(store: &dyn Store, package: PackageId, devices: u32) -> CampaignId {
    let endpoints = (1..=devices).map(endpoint).collect();
    let created = store.create_campaign(new_campaign(package), endpoints, stamp());
    created.await.unwrap()
}

async fn activate(store: &dyn Store, id: CampaignId, at: i64) {
    let record = Record::Campaign {
        id,
        state: CampaignState::Running,
        at: utc(at),
    };
    store.commit(vec![record]).await.unwrap();
}

fn notes(en: &str) -> ReleaseNotes {
    ReleaseNotes {
        zh: "新".to_owned(),
        en: en.to_owned(),
    }
}

async fn a_package_is_locked_once_a_campaign_of_it_was_activated(store: &dyn Store) {
    let missing = PackageId(99);
    assert!(is_not_found(
        store.set_release_notes(missing, notes(""), stamp()).await
    ));
    assert!(is_not_found(store.remove_package(missing, stamp()).await));
    let id = store.add_package(package("V2"), stamp()).await.unwrap();
    assert_eq!(store.package_use(id).await.unwrap(), None);
    store
        .set_release_notes(id, notes("a"), stamp())
        .await
        .unwrap();

    let draft = campaign_of(store, id, 1).await;
    let used = |campaign, activated| {
        Some(PackageUse {
            campaign,
            name: "水表 2026".to_owned(),
            activated,
        })
    };
    assert_eq!(store.package_use(id).await.unwrap(), used(draft, false));
    store
        .set_release_notes(id, notes("b"), stamp())
        .await
        .unwrap();
    assert!(is_conflict(store.remove_package(id, stamp()).await));

    let active = campaign_of(store, id, 1).await;
    activate(store, active, 10).await;
    assert_eq!(store.package_use(id).await.unwrap(), used(active, true));
    assert!(is_conflict(
        store.set_release_notes(id, notes("c"), stamp()).await
    ));
    assert!(is_conflict(store.remove_package(id, stamp()).await));
    let stored = store.package(id).await.unwrap();
    assert_eq!(stored.release_notes, notes("b"));
    let actions = store.audit_entries(page(100)).await.unwrap();
    let edited = actions.iter().filter(|it| it.action == "package_edited");
    assert_eq!(edited.count(), 2, "what was refused is not told");
}

async fn a_package_is_removed_with_the_bytes_that_nothing_else_names(store: &dyn Store) {
    let digest = |byte| Sha256Digest([byte; 32]);
    let of = |version: &str, files: [u8; 2], archive| {
        let [first, second] = files.map(|byte| PackageFile {
            name: format!("{byte}.bin"),
            sha256: digest(byte),
            size_bytes: 1,
        });
        Package {
            file: first,
            more_files: vec![second],
            archive_sha256: digest(archive),
            ..package(version)
        }
    };
    let one = store
        .add_package(of("V2", [1, 2], 0x11), stamp())
        .await
        .unwrap();
    // The second file of the one is the first of the other, and the other way round.
    let other = store
        .add_package(of("V3", [2, 3], 0x12), stamp())
        .await
        .unwrap();
    let third = store
        .add_package(of("V4", [4, 1], 0x13), stamp())
        .await
        .unwrap();
    let unnamed = store.remove_package(one, stamp()).await.unwrap();
    assert_eq!(unnamed, [digest(0x11)]);
    let unnamed = store.remove_package(other, stamp()).await.unwrap();
    assert_eq!(unnamed, [digest(2), digest(3), digest(0x12)]);
    let unnamed = store.remove_package(third, stamp()).await.unwrap();
    assert_eq!(unnamed, [digest(4), digest(1), digest(0x13)]);
    assert_eq!(store.packages(page(9)).await.unwrap(), []);
    // No number is given twice.
    let next = store.add_package(package("V2"), stamp()).await.unwrap();
    assert!(next.0 > third.0);
}

pub(crate) async fn succeeded(store: &dyn Store, of: PackageId, device: u32, at: i64) {
    let campaign = store.create_campaign(new_campaign(of), vec![endpoint(device)], stamp());
    let campaign = campaign.await.unwrap();
    let tasks = store.tasks(campaign, None, page(9)).await.unwrap();
    let ended = UpdateTask {
        state: TaskState::Succeeded,
        since: utc(at),
        ..tasks[0].clone()
    };
    store.commit(vec![Record::Task(ended)]).await.unwrap();
}

async fn what_devices_run_is_known_by_version_and_by_their_last_success(store: &dyn Store) {
    let mut last = 0;
    let mut of = |version: &str, sequence: Option<u64>| {
        last += 1;
        let mut package = package(version);
        package.sequence = sequence;
        package.file.sha256 = Sha256Digest([last; 32]);
        package
    };
    let (older, newer) = (of("V3", Some(3)), of("V7", Some(7)));
    let (again, unordered) = (of("V7", Some(8)), of("V8", None));
    let mut for_mcu = of("V9", Some(9));
    for_mcu.component = Component::Module;
    let mut other_model = of("V9", Some(10));
    other_model.model = narrowcast::model::DeviceModel::parse("BC26").unwrap();
    let mut ids = Vec::new();
    for package in [&older, &newer, &again, &unordered, &for_mcu, &other_model] {
        ids.push(
            store
                .add_package((*package).clone(), stamp())
                .await
                .unwrap(),
        );
    }
    let [older_id, newer_id, again_id, unordered_id, mcu_id, _] = ids[..] else {
        panic!("six packages")
    };
    // Up and, as was allowed, down again; up; up, then to what has no sequence; of another component.
    succeeded(store, newer_id, 1, 10).await;
    succeeded(store, older_id, 1, 20).await;
    succeeded(store, older_id, 2, 10).await;
    succeeded(store, again_id, 2, 20).await;
    succeeded(store, newer_id, 3, 10).await;
    succeeded(store, unordered_id, 3, 20).await;
    succeeded(store, mcu_id, 4, 10).await;

    let installed = store.installed_sequences(&older).await.unwrap();
    let versions: Vec<_> = installed
        .versions
        .iter()
        .map(|(version, sequence)| (version.as_str(), *sequence))
        .collect();
    assert_eq!(versions, [("V3", 3), ("V7", 8)]);
    assert_eq!(installed.devices, BTreeMap::from([(endpoint(2), 8)]));
    // What is not above the package is of no interest, and nothing is for one without a sequence.
    let installed = store.installed_sequences(&again).await.unwrap();
    assert_eq!(installed.devices, BTreeMap::new());
    let installed = store.installed_sequences(&unordered).await.unwrap();
    assert!(installed.versions.is_empty() && installed.devices.is_empty());
}

async fn what_devices_run_is_known_when_campaign_package_and_device_are_gone(store: &dyn Store) {
    store.add_devices(vec![device(1)], stamp()).await.unwrap();
    let mut ids = Vec::new();
    for (version, sequence) in [("V3", 3), ("V7", 7)] {
        let package = Package {
            sequence: Some(sequence),
            file: PackageFile {
                sha256: Sha256Digest([u8::try_from(sequence).unwrap(); 32]),
                ..package(version).file
            },
            ..package(version)
        };
        ids.push(store.add_package(package, stamp()).await.unwrap());
    }
    let newer = ids[1];
    succeeded(store, newer, 1, 10).await;
    let campaigns = store.campaigns(page(9)).await.unwrap();
    let (campaign, _) = &campaigns[0];
    let records = vec![
        Record::Campaign {
            id: campaign.id,
            state: CampaignState::Succeeded,
            at: utc(11),
        },
        Record::DeviceForgotten {
            endpoint: endpoint(1),
        },
    ];
    store.commit(records).await.unwrap();
    store
        .remove_campaign(campaign.id, CampaignState::Succeeded, stamp())
        .await
        .unwrap();
    store.remove_package(newer, stamp()).await.unwrap();

    let older = store.package(ids[0]).await.unwrap();
    let installed = store.installed_sequences(&older).await.unwrap();
    assert_eq!(installed.versions.values().collect::<Vec<_>>(), [&3, &7]);
    assert_eq!(installed.devices, BTreeMap::from([(endpoint(1), 7)]));
}

async fn a_downgrade_that_was_allowed_is_kept(store: &dyn Store) {
    let id = store.add_package(package("V2"), stamp()).await.unwrap();
    let allowed = narrowcast::model::DowngradeAllowed {
        by: "root".to_owned(),
        reason: "V7 drains the battery".to_owned(),
    };
    let campaign = NewCampaign {
        downgrade: Some(allowed.clone()),
        ..new_campaign(id)
    };
    let campaign = store.create_campaign(campaign, vec![endpoint(1)], stamp());
    let campaign = campaign.await.unwrap();
    activate(store, campaign, 10).await;
    let (stored, _) = store.campaign(campaign).await.unwrap();
    assert_eq!(stored.downgrade, Some(allowed));
    assert_eq!(store.restore().await.unwrap().campaigns, [stored]);
    let entries = store.audit_entries(page(100)).await.unwrap();
    assert!(entries.iter().any(|it| it.details.contains("drains")));
}
