//! What campaigns' targets are resolved with.

use narrowcast::model::{
    CampaignId, CampaignState, CampaignTargets, Device, DeviceReport, EndpointName, GroupId,
    Record, TaskState, WaitingFor,
};
use narrowcast::store::{DevicesOf, NewCampaign, Store};

use crate::samples::{
    device, draft, endpoint, new_campaign, package, page, page_after, report, stamp, utc,
};
use crate::{is_conflict, is_not_found};

for_each_store! {
    details_are_those_of_the_devices_asked_for_in_pages,
    a_saved_filter_is_a_group_whose_filter_changes,
    whom_a_campaign_lets_in_and_keeps_out_is_kept,
    only_active_dynamic_campaigns_are_listed_as_such,
    a_device_joins_an_active_campaign_once,
    nobody_joins_a_campaign_that_is_not_active,
    whoever_has_a_task_under_way_is_in_its_campaign,
    the_last_task_ever_made_is_restored,
}

async fn enter(store: &dyn Store, numbers: &[u32]) {
    let devices: Vec<Device> = numbers.iter().map(|number| device(*number)).collect();
    store.add_devices(devices, stamp()).await.unwrap();
}

async fn names(store: &dyn Store, of: DevicesOf<'_>, limit: u32) -> Vec<EndpointName> {
    let mut names: Vec<EndpointName> = Vec::new();
    loop {
        let mut page = page(limit);
        page.after = names.last().map(ToString::to_string);
        let found = store.device_details(of, page).await.unwrap();
        if found.is_empty() {
            return names;
        }
        names.extend(found.into_iter().map(|details| details.device.endpoint));
    }
}

async fn details_are_those_of_the_devices_asked_for_in_pages(store: &dyn Store) {
    enter(store, &[1, 2, 3, 4, 5]).await;
    let heard = Record::Report {
        endpoint: endpoint(2),
        report: report(2),
    };
    store.commit(vec![heard]).await.unwrap();
    let group = store.add_group("roof", stamp()).await.unwrap();
    let members = [endpoint(5), endpoint(2)];
    store.bind_devices(group, &members, stamp()).await.unwrap();

    let all: Vec<_> = (1..=5).map(endpoint).collect();
    assert_eq!(names(store, DevicesOf::All, 2).await, all);
    let of_group = [endpoint(2), endpoint(5)];
    assert_eq!(names(store, DevicesOf::Group(group), 1).await, of_group);
    assert_eq!(names(store, DevicesOf::Group(GroupId(99)), 1).await, []);
    let named = [endpoint(4), endpoint(9), endpoint(1), endpoint(4)];
    let known = [endpoint(1), endpoint(4)];
    assert_eq!(names(store, DevicesOf::Named(&named), 1).await, known);

    let found = store.device_details(DevicesOf::Group(group), page(9)).await;
    let found = found.unwrap();
    assert_eq!(found[0].device, device(2));
    assert_eq!(found[0].report, report(2));
    assert_eq!(found[1].report, DeviceReport::default());
}

async fn a_saved_filter_is_a_group_whose_filter_changes(store: &dyn Store) {
    let list = store.add_group("roof", stamp()).await.unwrap();
    let filter = "model==BC25";
    let found = store
        .add_filter_group("found", filter, stamp())
        .await
        .unwrap();
    assert!(is_conflict(
        store.add_filter_group("roof", filter, stamp()).await
    ));
    assert!(is_conflict(store.add_group("found", stamp()).await));
    let groups = store.groups(page(9)).await.unwrap();
    let filters: Vec<_> = groups.iter().map(|group| group.filter.as_deref()).collect();
    assert_eq!(filters, [None, Some(filter)]);

    let other = "model==BC95";
    let replaced = store.replace_filter_group(found, "found too", other, stamp());
    replaced.await.unwrap();
    let again = store.replace_filter_group(found, "found too", other, stamp());
    again.await.unwrap();
    let taken = store.replace_filter_group(found, "roof", other, stamp());
    assert!(is_conflict(taken.await));
    let of_list = store.replace_filter_group(list, "roof", other, stamp());
    assert!(is_not_found(of_list.await));
    let unknown = store.replace_filter_group(GroupId(99), "x", other, stamp());
    assert!(is_not_found(unknown.await));
    let group = store.groups(page_after(list.0, 1)).await.unwrap().remove(0);
    assert_eq!(
        (group.name.as_str(), group.filter.as_deref()),
        ("found too", Some(other))
    );
}

async fn whom_a_campaign_lets_in_and_keeps_out_is_kept(store: &dyn Store) {
    let package = store.add_package(package("V2"), stamp()).await.unwrap();
    for targets in [
        CampaignTargets {
            groups: vec![GroupId(3)],
            devices: vec![endpoint(1)],
            filter: Some("tags=='a \"b\"'".to_owned()),
            allow: Some(vec![endpoint(2), endpoint(1)]),
            deny: vec![endpoint(4), endpoint(3)],
            dynamic: true,
        },
        CampaignTargets::default(),
    ] {
        let campaign = NewCampaign {
            targets: targets.clone(),
            ..new_campaign(package)
        };
        let id = store
            .create_campaign(campaign, Vec::new(), stamp())
            .await
            .unwrap();
        assert_eq!(store.campaign(id).await.unwrap().0.targets, targets);
    }
}

/// A dynamic draft for devices 1 to `tasks`.
async fn dynamic(store: &dyn Store, version: &str, tasks: u32) -> CampaignId {
    let package = store.add_package(package(version), stamp()).await.unwrap();
    let mut campaign = new_campaign(package);
    campaign.targets.dynamic = true;
    let endpoints = (1..=tasks).map(endpoint).collect();
    store
        .create_campaign(campaign, endpoints, stamp())
        .await
        .unwrap()
}

async fn set_state(store: &dyn Store, id: CampaignId, state: CampaignState) {
    let at = utc(20);
    let record = Record::Campaign { id, state, at };
    store.commit(vec![record]).await.unwrap();
}

async fn only_active_dynamic_campaigns_are_listed_as_such(store: &dyn Store) {
    let fixed = draft(store, 1).await;
    let (first, second) = (dynamic(store, "V8", 1).await, dynamic(store, "V9", 1).await);
    assert_eq!(store.dynamic_campaigns().await.unwrap(), []);
    for id in [fixed, first, second] {
        set_state(store, id, CampaignState::Running).await;
    }
    set_state(store, second, CampaignState::Paused).await;
    let found = store.dynamic_campaigns().await.unwrap();
    let ids: Vec<_> = found.iter().map(|campaign| campaign.id).collect();
    assert_eq!(ids, [first, second]);
    assert!(found[0].targets.dynamic);
    set_state(store, first, CampaignState::Stopped).await;
    assert_eq!(store.dynamic_campaigns().await.unwrap().len(), 1);
}

async fn a_device_joins_an_active_campaign_once(store: &dyn Store) {
    enter(store, &[1, 2, 3]).await;
    let id = dynamic(store, "V9", 1).await;
    set_state(store, id, CampaignState::Running).await;
    let asked = [
        endpoint(3),
        endpoint(1),
        endpoint(9),
        endpoint(2),
        endpoint(3),
    ];
    let without = store.without_task(id, &asked[..4]).await.unwrap();
    assert_eq!(without, [endpoint(3), endpoint(9), endpoint(2)]);

    let joined = store.join_campaign(id, &asked, 2, utc(30)).await.unwrap();
    let endpoints: Vec<_> = joined.iter().map(|task| task.endpoint.clone()).collect();
    assert_eq!(endpoints, [endpoint(3), endpoint(2)]);
    assert!(joined.is_sorted_by_key(|task| task.id));
    assert_eq!(joined[0].waiting_for, Some(WaitingFor::Contact));
    assert_eq!((joined[0].rollout_phase, joined[0].since), (2, utc(30)));
    let stored = store.tasks(id, None, page(9)).await.unwrap();
    assert_eq!(stored[1..], joined);
    assert_eq!(store.campaign(id).await.unwrap().1.pending, 3);

    assert_eq!(
        store.join_campaign(id, &asked, 2, utc(31)).await.unwrap(),
        []
    );
    assert_eq!(store.campaign(id).await.unwrap().1.pending, 3);
    // For ever: a device that was taken away and entered again has had its task.
    let mut ended = joined[0].clone();
    ended.state = TaskState::Succeeded;
    let taken_away = Record::DeviceForgotten {
        endpoint: endpoint(3),
    };
    store
        .commit(vec![Record::Task(ended), taken_away])
        .await
        .unwrap();
    enter(store, &[3]).await;
    assert_eq!(store.without_task(id, &[endpoint(3)]).await.unwrap(), []);
    assert_eq!(
        store
            .join_campaign(id, &[endpoint(3)], 2, utc(32))
            .await
            .unwrap(),
        []
    );
}

async fn nobody_joins_a_campaign_that_is_not_active(store: &dyn Store) {
    enter(store, &[1, 2]).await;
    let id = dynamic(store, "V9", 1).await;
    let two = [endpoint(2)];
    assert!(is_conflict(store.join_campaign(id, &two, 0, utc(30)).await));
    set_state(store, id, CampaignState::Running).await;
    set_state(store, id, CampaignState::Stopped).await;
    assert!(is_conflict(store.join_campaign(id, &two, 0, utc(30)).await));
    assert!(is_conflict(
        store.join_campaign(CampaignId(99), &two, 0, utc(30)).await
    ));
    assert_eq!(store.campaign(id).await.unwrap().1.pending, 1);
}

async fn the_last_task_ever_made_is_restored(store: &dyn Store) {
    assert_eq!(store.restore().await.unwrap().last_task.0, 0);
    let id = draft(store, 3).await;
    let last = store.tasks(id, None, page(9)).await.unwrap()[2].id;
    assert_eq!(store.restore().await.unwrap().last_task, last);
    let state = CampaignState::Draft;
    store.remove_campaign(id, state, stamp()).await.unwrap();
    assert_eq!(store.restore().await.unwrap().last_task, last);
}

async fn whoever_has_a_task_under_way_is_in_its_campaign(store: &dyn Store) {
    enter(store, &[1, 2, 3]).await;
    let id = dynamic(store, "V9", 1).await;
    let asked = [endpoint(1), endpoint(2), endpoint(9), endpoint(1)];
    let busy = async || store.in_other_campaigns(&asked).await.unwrap();
    assert!(busy().await.is_empty(), "a draft has nobody");
    set_state(store, id, CampaignState::Paused).await;
    assert_eq!(busy().await, [(endpoint(1), id)].into());
    let mut task = store.tasks(id, None, page(9)).await.unwrap().remove(0);
    task.state = TaskState::Running;
    store
        .commit(vec![Record::Task(task.clone())])
        .await
        .unwrap();
    assert_eq!(busy().await, [(endpoint(1), id)].into());
    set_state(store, id, CampaignState::Stopped).await;
    assert_eq!(
        busy().await,
        [(endpoint(1), id)].into(),
        "it is at work yet"
    );
    task.state = TaskState::Failed;
    store.commit(vec![Record::Task(task)]).await.unwrap();
    assert!(busy().await.is_empty(), "its task has ended");
}
