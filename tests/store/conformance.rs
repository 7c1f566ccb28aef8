//! What every making of the store does alike. Each function here runs once for each.

use narrowcast::model::{
    CampaignId, CampaignState, Device, GroupId, KeyChange, KeyState, Package, PackageFile,
    PackageId, Provenance, Record, RegistrationSlot, ReleaseNotes, Sha256Digest, UpdateTask,
};
use narrowcast::store::{Store, StoredKey, TIMELINE_ENTRIES_MAX};

use crate::samples::{
    deliveries, device, draft, endpoint, key, observation, package, page, page_after, registration,
    report, stamp, stamp_at, timeline, timeline_entry, token, utc,
};
use crate::{is_conflict, is_not_found};

for_each_store! {
    an_empty_store_is_ready_and_restores_nothing,
    keys_are_listed_by_id_and_by_manufacturer,
    a_key_is_retired_once_and_only_while_it_is_active,
    the_first_word_on_a_keys_revocation_counts,
    a_package_is_found_under_the_number_it_was_given,
    a_package_keeps_all_its_files_and_what_was_said_of_it,
    the_same_image_for_the_same_product_and_version_conflicts,
    devices_are_entered_all_or_none,
    a_device_let_in_never_replaces_an_entered_one,
    what_the_operator_says_of_a_device_is_replaced,
    a_device_that_was_taken_away_leaves_nothing_and_its_draft_tasks_are_stopped,
    groups_count_their_devices_and_bind_all_or_none,
    a_groups_devices_are_replaced_all_or_none,
    a_group_is_renamed_unless_the_name_is_taken,
    tokens_are_found_by_their_hash_until_they_are_taken_away,
    the_last_word_on_a_registration_counts,
    the_last_word_on_an_observation_counts,
    reports_are_replaced,
    the_last_word_on_a_devices_deliveries_counts,
    a_history_is_newest_first_and_bounded_for_each_device,
    a_page_after_what_is_no_number_is_not_found,
}

async fn an_empty_store_is_ready_and_restores_nothing(store: &dyn Store) {
    store.check().await.unwrap();
    store.commit(Vec::new()).await.unwrap();
    let restored = store.restore().await.unwrap();
    assert!(restored.devices.is_empty() && restored.registrations.is_empty());
    assert!(restored.campaigns.is_empty() && restored.tasks.is_empty());
    assert!(is_not_found(store.device(&endpoint(1)).await));
    assert!(is_not_found(store.report(&endpoint(1)).await));
    assert!(is_not_found(store.package(PackageId(u64::MAX)).await));
    assert!(is_not_found(store.campaign(CampaignId(1)).await));
    assert!(is_not_found(
        store.tasks(CampaignId(1), None, page(1)).await
    ));
    assert_eq!(store.timeline(&endpoint(1), 9).await.unwrap(), []);
}

async fn keys_are_listed_by_id_and_by_manufacturer(store: &dyn Store) {
    for (id, manufacturer) in [("b", "Quectel"), ("a", "Neoway"), ("c", "Quectel")] {
        store.add_key(key(id, manufacturer), stamp()).await.unwrap();
    }
    assert!(is_conflict(
        store.add_key(key("b", "Neoway"), stamp()).await
    ));
    let all = store.keys(None, page(10)).await.unwrap();
    assert_eq!(
        all,
        [key("a", "Neoway"), key("b", "Quectel"), key("c", "Quectel")]
    );
    let quectel = &key("b", "Quectel").manufacturer;
    let of = store.keys(Some(quectel), page(1)).await.unwrap();
    assert_eq!(of, [key("b", "Quectel")]);
    let of = store.keys(Some(quectel), page_after("b", 9)).await.unwrap();
    assert_eq!(of, [key("c", "Quectel")]);
}

fn change(number: i64) -> KeyChange {
    KeyChange {
        at: utc(number),
        by: format!("gate {number}"),
        reason: "钥匙丢失 & 'quoted'".to_owned(),
    }
}

fn revoked(id: &str, number: i64) -> Record {
    Record::KeyRevoked {
        id: id.to_owned(),
        change: change(number),
    }
}

async fn a_key_is_retired_once_and_only_while_it_is_active(store: &dyn Store) {
    store.add_key(key("a", "Quectel"), stamp()).await.unwrap();
    store.add_key(key("b", "Quectel"), stamp()).await.unwrap();
    assert_eq!(store.key("a").await.unwrap().state(), KeyState::Active);
    store.retire_key("a", change(1), stamp()).await.unwrap();
    assert!(is_conflict(store.retire_key("a", change(2), stamp()).await));
    let retired = StoredKey {
        retired: Some(change(1)),
        ..key("a", "Quectel")
    };
    assert_eq!(store.key("a").await.unwrap(), retired);
    assert_eq!(retired.state(), KeyState::Retired);
    assert_eq!(store.key("b").await.unwrap(), key("b", "Quectel"));
    let listed = store.keys(None, page(9)).await.unwrap();
    assert_eq!(listed, [retired, key("b", "Quectel")]);
    store.commit(vec![revoked("b", 3)]).await.unwrap();
    assert!(is_conflict(store.retire_key("b", change(4), stamp()).await));
    assert!(is_not_found(store.key("c").await));
    assert!(is_not_found(
        store.retire_key("c", change(5), stamp()).await
    ));
}

async fn the_first_word_on_a_keys_revocation_counts(store: &dyn Store) {
    store.add_key(key("a", "Quectel"), stamp()).await.unwrap();
    store.retire_key("a", change(1), stamp()).await.unwrap();
    let records = vec![revoked("a", 2), revoked("a", 3), revoked("nobody's", 4)];
    store.commit(records).await.unwrap();
    store.commit(vec![revoked("a", 5)]).await.unwrap();
    let stored = store.key("a").await.unwrap();
    assert_eq!(stored.state(), KeyState::Revoked);
    assert_eq!(stored.revoked, Some(change(2)));
    assert_eq!(stored.retired, Some(change(1)), "who retired it is kept");
    assert!(is_not_found(store.key("nobody's").await));
}

async fn a_package_is_found_under_the_number_it_was_given(store: &dyn Store) {
    let first = store.add_package(package("V2"), stamp()).await.unwrap();
    let second = store.add_package(package("V3"), stamp()).await.unwrap();
    let stored = Package {
        id: second,
        ..package("V3")
    };
    assert_eq!(store.package(second).await.unwrap(), stored);
    let page = store.packages(page_after(first.0, 5)).await.unwrap();
    assert_eq!(page, [stored]);
}

async fn a_package_keeps_all_its_files_and_what_was_said_of_it(store: &dyn Store) {
    let mut several = package("V2");
    several.more_files = (1..5)
        .map(|number| PackageFile {
            name: format!("part{number}.tar.gz"),
            sha256: Sha256Digest([number; 32]),
            size_bytes: u64::from(number) << 20,
        })
        .collect();
    several.sequence = Some(104);
    several.not_after = Some(utc(99));
    several.release_notes = ReleaseNotes {
        zh: "修复复位".to_owned(),
        en: "\"quoted\"\nand a second line".to_owned(),
    };
    let mut unsigned = package("V3");
    unsigned.provenance = Provenance::Unsigned {
        by: "root".to_owned(),
        reason: "a trial on the bench".to_owned(),
    };
    for package in [several, unsigned] {
        let id = store.add_package(package.clone(), stamp()).await.unwrap();
        let stored = Package { id, ..package };
        assert_eq!(store.package(id).await.unwrap(), stored);
    }
}

async fn the_same_image_for_the_same_product_and_version_conflicts(store: &dyn Store) {
    store.add_package(package("V2"), stamp()).await.unwrap();
    assert!(is_conflict(store.add_package(package("V2"), stamp()).await));
    let mut other_image = package("V2");
    other_image.file.sha256.0[0] ^= 1;
    store.add_package(other_image, stamp()).await.unwrap();
    assert_eq!(store.packages(page(9)).await.unwrap().len(), 2);
}

async fn devices_are_entered_all_or_none(store: &dyn Store) {
    store
        .add_devices(vec![device(3), device(1)], stamp())
        .await
        .unwrap();
    assert!(is_conflict(
        store.add_devices(vec![device(2), device(3)], stamp()).await
    ));
    assert!(is_conflict(
        store.add_devices(vec![device(4), device(4)], stamp()).await
    ));
    let all = store.devices(page(10)).await.unwrap();
    assert_eq!(all, [device(1), device(3)]);
    assert_eq!(store.device(&endpoint(3)).await.unwrap(), device(3));
    let rest = store.devices(page_after(endpoint(1), 10)).await.unwrap();
    assert_eq!(rest, [device(3)]);
    assert_eq!(store.restore().await.unwrap().devices, all);
    // A thousand at once take every size of statement.
    let many: Vec<_> = (1000..2000).map(device).collect();
    store.add_devices(many.clone(), stamp()).await.unwrap();
    let page = store.devices(page_after(endpoint(999), 1000)).await;
    assert_eq!(page.unwrap(), many);
}

async fn a_device_let_in_never_replaces_an_entered_one(store: &dyn Store) {
    store.add_devices(vec![device(1)], stamp()).await.unwrap();
    let mut let_in = device(1);
    let_in.tags.clear();
    let records = vec![Record::Device(let_in), Record::Device(device(2))];
    store.commit(records).await.unwrap();
    let all = store.devices(page(10)).await.unwrap();
    assert_eq!(all, [device(1), device(2)]);
}

async fn what_the_operator_says_of_a_device_is_replaced(store: &dyn Store) {
    assert!(is_not_found(
        store.replace_device(&device(2), stamp()).await
    ));
    store
        .add_devices(vec![device(1), device(3)], stamp())
        .await
        .unwrap();
    let replaced = Device {
        endpoint: endpoint(1),
        created_at: utc(1),
        ..device(2)
    };
    let sent = Device {
        created_at: utc(99),
        ..replaced.clone()
    };
    store.replace_device(&sent, stamp()).await.unwrap();
    let all = store.devices(page(10)).await.unwrap();
    assert_eq!(all, [replaced, device(3)]);
}

async fn a_device_that_was_taken_away_leaves_nothing_and_its_draft_tasks_are_stopped(
    store: &dyn Store,
) {
    store
        .add_devices(vec![device(1), device(2)], stamp())
        .await
        .unwrap();
    let group = store.add_group("roof", stamp_at(1)).await.unwrap();
    let both = [endpoint(1), endpoint(2)];
    store.bind_devices(group, &both, stamp()).await.unwrap();
    let (drafted, active) = (draft(store, 2).await, draft(store, 2).await);
    let is_of_both = |tasks: &[UpdateTask]| {
        let campaigns: Vec<_> = tasks.iter().map(|task| task.campaign).collect();
        campaigns == [drafted, active]
    };
    assert!(is_of_both(
        &store.unfinished_tasks(&endpoint(1)).await.unwrap()
    ));
    let said = |number| {
        vec![
            Record::Report {
                endpoint: endpoint(number),
                report: report(number),
            },
            Record::Delivered {
                endpoint: endpoint(number),
                history: deliveries(2, true),
            },
            timeline(number, 1),
        ]
    };
    let mut records = [said(1), said(2)].concat();
    records.push(Record::Campaign {
        id: active,
        state: CampaignState::Running,
        at: utc(5),
    });
    let forgotten = Record::DeviceForgotten {
        endpoint: endpoint(1),
    };
    records.push(forgotten);
    store.commit(records).await.unwrap();

    assert!(is_not_found(store.device(&endpoint(1)).await));
    assert!(is_not_found(store.report(&endpoint(1)).await));
    assert!(is_not_found(store.deliveries(&endpoint(1)).await));
    assert_eq!(store.timeline(&endpoint(1), 9).await.unwrap(), []);
    let members = store.group_devices(group, page(9)).await.unwrap();
    assert_eq!(members, [endpoint(2)]);
    assert_eq!(store.groups(page(9)).await.unwrap()[0].devices, 1);
    let (_, counts) = store.campaign(drafted).await.unwrap();
    assert_eq!((counts.pending, counts.stopped), (1, 1));
    // What an active campaign has begun is the engine's to end.
    let left = store.unfinished_tasks(&endpoint(1)).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].campaign, active);

    assert_eq!(store.device(&endpoint(2)).await.unwrap(), device(2));
    assert_eq!(store.report(&endpoint(2)).await.unwrap(), report(2));
    assert_eq!(store.timeline(&endpoint(2), 9).await.unwrap().len(), 1);
    assert!(is_of_both(
        &store.unfinished_tasks(&endpoint(2)).await.unwrap()
    ));
    store.add_devices(vec![device(1)], stamp()).await.unwrap();
    assert_eq!(store.device(&endpoint(1)).await.unwrap(), device(1));
}

async fn groups_count_their_devices_and_bind_all_or_none(store: &dyn Store) {
    let devices = (1..=3).map(device).collect();
    store.add_devices(devices, stamp()).await.unwrap();
    let roof = store.add_group("roof", stamp_at(1)).await.unwrap();
    let cellar = store.add_group("cellar", stamp_at(2)).await.unwrap();
    assert!(is_conflict(store.add_group("roof", stamp_at(3)).await));
    let bind = |id, numbers: &[u32]| {
        let devices: Vec<_> = numbers.iter().copied().map(endpoint).collect();
        async move { store.bind_devices(id, &devices, stamp()).await }
    };
    bind(roof, &[2, 1]).await.unwrap();
    bind(roof, &[2, 3]).await.unwrap();
    bind(cellar, &[3]).await.unwrap();
    assert!(is_not_found(bind(cellar, &[1, 4]).await));
    assert!(is_not_found(bind(GroupId(99), &[1]).await));
    assert!(is_not_found(bind(GroupId(99), &[]).await));
    store
        .unbind_device(roof, &endpoint(1), stamp())
        .await
        .unwrap();
    assert!(is_not_found(
        store.unbind_device(roof, &endpoint(1), stamp()).await
    ));
    let groups = store.groups(page(10)).await.unwrap();
    let counts: Vec<_> = groups.iter().map(|it| (it.id, it.devices)).collect();
    assert_eq!(counts, [(roof, 2), (cellar, 1)]);
    let names = store.group_devices(roof, page(10)).await.unwrap();
    assert_eq!(names, [endpoint(2), endpoint(3)]);
    let after = store.group_devices(roof, page_after(endpoint(2), 10)).await;
    assert_eq!(after.unwrap(), [endpoint(3)]);
    store.remove_group(roof, stamp()).await.unwrap();
    assert!(is_not_found(store.remove_group(roof, stamp()).await));
    assert!(is_not_found(store.group_devices(roof, page(1)).await));
    assert_eq!(store.devices(page(10)).await.unwrap().len(), 3);
}

async fn a_groups_devices_are_replaced_all_or_none(store: &dyn Store) {
    let devices = (1..=4).map(device).collect();
    store.add_devices(devices, stamp()).await.unwrap();
    let roof = store.add_group("roof", stamp_at(1)).await.unwrap();
    let cellar = store.add_group("cellar", stamp_at(2)).await.unwrap();
    store
        .bind_devices(cellar, &[endpoint(1)], stamp())
        .await
        .unwrap();
    let members = async |id| store.group_devices(id, page(10)).await.unwrap();
    let counts = async || {
        let groups = store.groups(page(10)).await.unwrap();
        groups.iter().map(|it| it.devices).collect::<Vec<_>>()
    };
    let replace = |id, numbers: &[u32]| {
        let devices: Vec<_> = numbers.iter().copied().map(endpoint).collect();
        async move { store.replace_group_devices(id, &devices, stamp()).await }
    };
    replace(roof, &[1, 2, 3]).await.unwrap();
    for _ in 0..2 {
        replace(roof, &[4, 3, 4]).await.unwrap();
        assert_eq!(members(roof).await, [endpoint(3), endpoint(4)]);
        assert_eq!(counts().await, [2, 1]);
    }
    assert!(is_not_found(replace(roof, &[1, 5]).await));
    assert!(is_not_found(replace(GroupId(99), &[]).await));
    assert!(is_not_found(replace(GroupId(99), &[1]).await));
    assert_eq!(members(roof).await, [endpoint(3), endpoint(4)]);
    replace(roof, &[]).await.unwrap();
    assert_eq!(members(roof).await, []);
    assert_eq!(counts().await, [0, 1]);
    assert_eq!(members(cellar).await, [endpoint(1)]);
}

async fn a_group_is_renamed_unless_the_name_is_taken(store: &dyn Store) {
    let roof = store.add_group("roof", stamp_at(1)).await.unwrap();
    store.add_group("cellar", stamp_at(2)).await.unwrap();
    store.rename_group(roof, "attic", stamp()).await.unwrap();
    store.rename_group(roof, "attic", stamp()).await.unwrap();
    assert!(is_conflict(
        store.rename_group(roof, "cellar", stamp()).await
    ));
    assert!(is_not_found(
        store.rename_group(GroupId(99), "x", stamp()).await
    ));
    let names: Vec<_> = store.groups(page(10)).await.unwrap();
    let names: Vec<_> = names.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["attic", "cellar"]);
}

async fn tokens_are_found_by_their_hash_until_they_are_taken_away(store: &dyn Store) {
    store.add_token(token("ops", 1), stamp()).await.unwrap();
    store.add_token(token("ci", 2), stamp()).await.unwrap();
    assert!(is_conflict(store.add_token(token("ops", 3), stamp()).await));
    assert_eq!(store.token(&[2; 32]).await.unwrap(), token("ci", 2));
    let all = store.tokens(page(10)).await.unwrap();
    assert_eq!(all, [token("ci", 2), token("ops", 1)]);
    let page = store.tokens(page_after("ci", 10)).await.unwrap();
    assert_eq!(page, [token("ops", 1)]);
    store.remove_token("ci", stamp()).await.unwrap();
    assert!(is_not_found(store.token(&[2; 32]).await));
    assert!(is_not_found(store.remove_token("ci", stamp()).await));
}

fn deregistered(slot: u32, number: u32) -> Record {
    Record::Deregistered {
        slot: RegistrationSlot(slot),
        endpoint: endpoint(number),
    }
}

async fn the_last_word_on_a_registration_counts(store: &dyn Store) {
    let records = vec![
        Record::Registered(registration(5, 1)),
        deregistered(5, 1),
        Record::Registered(registration(5, 2)),
        Record::Registered(registration(4, 3)),
        deregistered(4, 3),
    ];
    store.commit(records).await.unwrap();
    let live = || async { store.restore().await.unwrap().registrations };
    assert_eq!(live().await, [registration(5, 2)]);
    let moved = vec![deregistered(5, 2), Record::Registered(registration(9, 2))];
    store.commit(moved).await.unwrap();
    assert_eq!(live().await, [registration(9, 2)]);
    // As many as take every size of statement, then all but one away.
    let many = (0..700).map(|it| Record::Registered(registration(it, it)));
    store.commit(many.collect()).await.unwrap();
    assert_eq!(live().await.len(), 700);
    let away = (0..699).map(|it| deregistered(it, it)).collect();
    store.commit(away).await.unwrap();
    assert_eq!(live().await, [registration(699, 699)]);
}

async fn the_last_word_on_an_observation_counts(store: &dyn Store) {
    let records = vec![
        Record::Observed(observation(1, 1)),
        Record::ObservationEnded { token: [1; 8] },
        Record::Observed(observation(2, 1)),
        Record::ObservationEnded { token: [3; 8] },
        Record::Observed(observation(3, 2)),
    ];
    store.commit(records).await.unwrap();
    let restored = store.restore().await.unwrap();
    assert_eq!(
        restored.observations,
        [observation(2, 1), observation(3, 2)]
    );
}

async fn reports_are_replaced(store: &dyn Store) {
    let record = |number| Record::Report {
        endpoint: endpoint(1),
        report: report(number),
    };
    store.commit(vec![record(1), record(2)]).await.unwrap();
    assert_eq!(store.report(&endpoint(1)).await.unwrap(), report(2));
    store.commit(vec![record(3)]).await.unwrap();
    let restored = store.restore().await.unwrap();
    assert_eq!(restored.reports, [(endpoint(1), report(3))]);
}

async fn the_last_word_on_a_devices_deliveries_counts(store: &dyn Store) {
    let delivered = |number, history| Record::Delivered {
        endpoint: endpoint(number),
        history,
    };
    let forgotten = |number| Record::DeliveriesForgotten {
        endpoint: endpoint(number),
    };
    let records = vec![
        delivered(1, deliveries(1, false)),
        delivered(1, deliveries(6, true)),
        delivered(2, deliveries(1, false)),
        forgotten(2),
        forgotten(3),
        delivered(3, deliveries(2, false)),
    ];
    store.commit(records).await.unwrap();
    let barred = store.deliveries(&endpoint(1)).await.unwrap();
    assert_eq!(barred, deliveries(6, true));
    assert!(is_not_found(store.deliveries(&endpoint(2)).await));
    let restored = store.restore().await.unwrap().deliveries;
    let counted = (endpoint(3), deliveries(2, false));
    assert_eq!(restored, [(endpoint(1), barred), counted.clone()]);
    // A bar is lifted. Many at once take every size of statement.
    let mut records: Vec<_> = (100..400)
        .map(|it| delivered(it, deliveries(1, false)))
        .collect();
    records.push(forgotten(1));
    store.commit(records).await.unwrap();
    assert!(is_not_found(store.deliveries(&endpoint(1)).await));
    assert_eq!(store.restore().await.unwrap().deliveries.len(), 301);
    let records = (100..400).map(forgotten).collect();
    store.commit(records).await.unwrap();
    assert_eq!(store.restore().await.unwrap().deliveries, [counted]);
}

async fn a_history_is_newest_first_and_bounded_for_each_device(store: &dyn Store) {
    let kept = i64::from(TIMELINE_ENTRIES_MAX);
    for chunk in 0..6 {
        let lines =
            (chunk * 100..(chunk + 1) * 100).flat_map(|it| [timeline(1, it), timeline(2, it)]);
        let lines = lines.chain((chunk == 0).then(|| timeline(3, 0)));
        store.commit(lines.collect()).await.unwrap();
    }
    let newest = store.timeline(&endpoint(1), 2).await.unwrap();
    assert_eq!(newest, [timeline_entry(1, 599), timeline_entry(1, 598)]);
    let all = store.timeline(&endpoint(2), u32::MAX).await.unwrap();
    let expected: Vec<_> = (600 - kept..600)
        .rev()
        .map(|it| timeline_entry(2, it))
        .collect();
    assert_eq!(all, expected);
    let other = store.timeline(&endpoint(3), 9).await.unwrap();
    assert_eq!(other, [timeline_entry(3, 0)]);
    // One commit that is longer than what is kept.
    let lines = (1000..2100).map(|it| timeline(1, it)).collect();
    store.commit(lines).await.unwrap();
    let all = store.timeline(&endpoint(1), u32::MAX).await.unwrap();
    let expected: Vec<_> = (2100 - kept..2100)
        .rev()
        .map(|it| timeline_entry(1, it))
        .collect();
    assert_eq!(all, expected);
}

async fn a_page_after_what_is_no_number_is_not_found(store: &dyn Store) {
    assert!(is_not_found(store.packages(page_after("x", 1)).await));
    assert!(is_not_found(store.campaigns(page_after("-1", 1)).await));
    assert!(is_not_found(store.groups(page_after("", 1)).await));
    let beyond = page_after(u64::MAX, 1);
    assert_eq!(store.packages(beyond).await.unwrap(), []);
}
