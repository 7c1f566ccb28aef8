//! What every making of the store does alike. Each function here runs once for each.

use narrowcast::model::{
    CampaignId, CampaignState, CellId, CoverageTier, DownloadCapability, Failure, FailureReason,
    GroupId, Package, PackageId, Phase, Record, RegistrationSlot, SlotClaim, SuccessNote,
    TaskState, UpdateTask, WaitingFor,
};
use narrowcast::store::{Store, StoreError, TIMELINE_ENTRIES_MAX, TaskCounts};

use crate::samples::{
    device, draft, endpoint, key, new_campaign, observation, package, page, page_after,
    registration, report, timeline, timeline_entry, token, utc,
};

macro_rules! for_each_store {
    ($($name:ident,)+) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&narrowcast::store::MemoryStore::new()).await;
            })+
        }

        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let (_folder, store) = crate::samples::sqlite().await;
                super::$name(&store).await;
            })+
        }
    };
}

for_each_store! {
    an_empty_store_is_ready_and_restores_nothing,
    keys_are_listed_by_id_and_by_manufacturer,
    a_package_is_found_under_the_number_it_was_given,
    the_same_image_for_the_same_product_and_version_conflicts,
    devices_are_entered_all_or_none,
    a_device_let_in_never_replaces_an_entered_one,
    groups_count_their_devices_and_bind_all_or_none,
    tokens_are_found_by_their_hash_until_they_are_taken_away,
    the_last_word_on_a_registration_counts,
    the_last_word_on_an_observation_counts,
    reports_are_replaced,
    a_history_is_newest_first_and_bounded_for_each_device,
    a_draft_has_a_pending_task_for_each_device_in_order,
    a_campaign_of_many_chunks_is_whole,
    a_task_comes_back_as_it_was_committed,
    counts_follow_the_states_of_the_tasks,
    tasks_are_listed_by_state_and_in_pages,
    a_campaign_keeps_the_times_of_its_changes,
    only_active_campaigns_are_restored,
    a_campaign_is_removed_only_in_the_expected_state,
    what_belongs_to_a_removed_campaign_stays_away,
    a_page_after_what_is_no_number_is_not_found,
}

fn is_conflict<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict(_)))
}

fn is_not_found<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotFound))
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
        store.add_key(key(id, manufacturer)).await.unwrap();
    }
    assert!(is_conflict(store.add_key(key("b", "Neoway")).await));
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

async fn a_package_is_found_under_the_number_it_was_given(store: &dyn Store) {
    let first = store.add_package(package("V2")).await.unwrap();
    let second = store.add_package(package("V3")).await.unwrap();
    let stored = Package {
        id: second,
        ..package("V3")
    };
    assert_eq!(store.package(second).await.unwrap(), stored);
    let page = store.packages(page_after(first.0, 5)).await.unwrap();
    assert_eq!(page, [stored]);
}

async fn the_same_image_for_the_same_product_and_version_conflicts(store: &dyn Store) {
    store.add_package(package("V2")).await.unwrap();
    assert!(is_conflict(store.add_package(package("V2")).await));
    let mut other_image = package("V2");
    other_image.image_sha256.0[0] ^= 1;
    store.add_package(other_image).await.unwrap();
    assert_eq!(store.packages(page(9)).await.unwrap().len(), 2);
}

async fn devices_are_entered_all_or_none(store: &dyn Store) {
    store.add_devices(vec![device(3), device(1)]).await.unwrap();
    assert!(is_conflict(
        store.add_devices(vec![device(2), device(3)]).await
    ));
    assert!(is_conflict(
        store.add_devices(vec![device(4), device(4)]).await
    ));
    let all = store.devices(page(10)).await.unwrap();
    assert_eq!(all, [device(1), device(3)]);
    assert_eq!(store.device(&endpoint(3)).await.unwrap(), device(3));
    let rest = store.devices(page_after(endpoint(1), 10)).await.unwrap();
    assert_eq!(rest, [device(3)]);
    assert_eq!(store.restore().await.unwrap().devices, all);
    // A thousand at once take every size of statement.
    let many: Vec<_> = (1000..2000).map(device).collect();
    store.add_devices(many.clone()).await.unwrap();
    let page = store.devices(page_after(endpoint(999), 1000)).await;
    assert_eq!(page.unwrap(), many);
}

async fn a_device_let_in_never_replaces_an_entered_one(store: &dyn Store) {
    store.add_devices(vec![device(1)]).await.unwrap();
    let mut let_in = device(1);
    let_in.tags.clear();
    let records = vec![Record::Device(let_in), Record::Device(device(2))];
    store.commit(records).await.unwrap();
    let all = store.devices(page(10)).await.unwrap();
    assert_eq!(all, [device(1), device(2)]);
}

async fn groups_count_their_devices_and_bind_all_or_none(store: &dyn Store) {
    let devices = (1..=3).map(device).collect();
    store.add_devices(devices).await.unwrap();
    let roof = store.add_group("roof", utc(1)).await.unwrap();
    let cellar = store.add_group("cellar", utc(2)).await.unwrap();
    assert!(is_conflict(store.add_group("roof", utc(3)).await));
    let bind = |id, numbers: &[u32]| {
        let devices: Vec<_> = numbers.iter().copied().map(endpoint).collect();
        async move { store.bind_devices(id, &devices).await }
    };
    bind(roof, &[2, 1]).await.unwrap();
    bind(roof, &[2, 3]).await.unwrap();
    bind(cellar, &[3]).await.unwrap();
    assert!(is_not_found(bind(cellar, &[1, 4]).await));
    assert!(is_not_found(bind(GroupId(99), &[1]).await));
    assert!(is_not_found(bind(GroupId(99), &[]).await));
    store.unbind_device(roof, &endpoint(1)).await.unwrap();
    assert!(is_not_found(store.unbind_device(roof, &endpoint(1)).await));
    let groups = store.groups(page(10)).await.unwrap();
    let counts: Vec<_> = groups.iter().map(|it| (it.id, it.devices)).collect();
    assert_eq!(counts, [(roof, 2), (cellar, 1)]);
    let names = store.group_devices(roof, page(10)).await.unwrap();
    assert_eq!(names, [endpoint(2), endpoint(3)]);
    let after = store.group_devices(roof, page_after(endpoint(2), 10)).await;
    assert_eq!(after.unwrap(), [endpoint(3)]);
    store.remove_group(roof).await.unwrap();
    assert!(is_not_found(store.remove_group(roof).await));
    assert!(is_not_found(store.group_devices(roof, page(1)).await));
    assert_eq!(store.devices(page(10)).await.unwrap().len(), 3);
}

async fn tokens_are_found_by_their_hash_until_they_are_taken_away(store: &dyn Store) {
    store.add_token(token("ops", 1)).await.unwrap();
    store.add_token(token("ci", 2)).await.unwrap();
    assert!(is_conflict(store.add_token(token("ops", 3)).await));
    assert_eq!(store.token(&[2; 32]).await.unwrap(), token("ci", 2));
    let all = store.tokens(page(10)).await.unwrap();
    assert_eq!(all, [token("ci", 2), token("ops", 1)]);
    let page = store.tokens(page_after("ci", 10)).await.unwrap();
    assert_eq!(page, [token("ops", 1)]);
    store.remove_token("ci").await.unwrap();
    assert!(is_not_found(store.token(&[2; 32]).await));
    assert!(is_not_found(store.remove_token("ci").await));
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

async fn a_draft_has_a_pending_task_for_each_device_in_order(store: &dyn Store) {
    let id = draft(store, 3).await;
    let (campaign, counts) = store.campaign(id).await.unwrap();
    let asked = new_campaign(campaign.package);
    assert_eq!(campaign.state, CampaignState::Draft);
    assert_eq!(
        (
            campaign.name,
            campaign.targets,
            campaign.retry,
            campaign.created_at
        ),
        (asked.name, asked.targets, asked.retry, asked.created_at)
    );
    assert_eq!((campaign.activated_at, campaign.ended_at), (None, None));
    assert_eq!(
        counts,
        TaskCounts {
            pending: 3,
            ..TaskCounts::default()
        }
    );
    for (task, number) in store
        .tasks(id, None, page(9))
        .await
        .unwrap()
        .iter()
        .zip(1..)
    {
        let new = UpdateTask::new(task.id, id, endpoint(number), utc(9));
        assert_eq!(*task, new);
    }
    assert!(is_not_found(
        store
            .create_campaign(new_campaign(PackageId(99)), vec![endpoint(1)])
            .await
    ));
    assert_eq!(store.campaigns(page(9)).await.unwrap().len(), 1);
}

async fn a_campaign_of_many_chunks_is_whole(store: &dyn Store) {
    let id = draft(store, 2500).await;
    let empty = draft(store, 0).await;
    let tasks = store.tasks(id, None, page(5000)).await.unwrap();
    let names: Vec<_> = tasks.iter().map(|task| task.endpoint.clone()).collect();
    let expected: Vec<_> = (1..=2500).map(endpoint).collect();
    assert_eq!(names, expected);
    assert!(tasks.is_sorted_by_key(|task| task.id));
    let all = store.campaigns(page(9)).await.unwrap();
    let pending: Vec<_> = all
        .iter()
        .map(|(it, counts)| (it.id, counts.pending))
        .collect();
    assert_eq!(pending, [(id, 2500), (empty, 0)]);
    store
        .remove_campaign(id, CampaignState::Draft)
        .await
        .unwrap();
    let left = store.campaigns(page_after(0, 9)).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].0.id, empty);
}

async fn running(store: &dyn Store, tasks: u32) -> (CampaignId, Vec<UpdateTask>) {
    let id = draft(store, tasks).await;
    let record = Record::Campaign {
        id,
        state: CampaignState::Running,
        at: utc(20),
    };
    store.commit(vec![record]).await.unwrap();
    (id, store.tasks(id, None, page(10_000)).await.unwrap())
}

async fn a_task_comes_back_as_it_was_committed(store: &dyn Store) {
    let (id, tasks) = running(store, 2).await;
    let full = UpdateTask {
        state: TaskState::Running,
        phase: Phase::Downloading,
        attempt: 2,
        capability: Some(DownloadCapability([0xfe; 16])),
        uri_intended: true,
        execute_intended_attempt: Some(1),
        slot: Some(SlotClaim {
            cell: CellId(CellId::MAX),
            tier: CoverageTier::Unknown,
        }),
        waiting_for: Some(WaitingFor::Block),
        since: utc(30),
        until: Some(utc(40)),
        retry_at: Some(utc(50)),
        failure: Some(Failure {
            reason: FailureReason::IntegrityCheckFailed,
            evidence: "/5/0/5 = 5".to_owned(),
        }),
        note: Some(SuccessNote::Unconfirmed),
        ..tasks[0].clone()
    };
    // The same task twice in one commit: the last word counts.
    let records = vec![Record::Task(tasks[0].clone()), Record::Task(full.clone())];
    store.commit(records).await.unwrap();
    let stored = store.tasks(id, None, page(10)).await.unwrap();
    assert_eq!(stored, [full.clone(), tasks[1].clone()]);
    assert_eq!(store.restore().await.unwrap().tasks, stored);
    // And back to nothing.
    let record = Record::Task(tasks[0].clone());
    store.commit(vec![record]).await.unwrap();
    assert_eq!(store.tasks(id, None, page(10)).await.unwrap(), tasks);
}

fn in_state(task: &UpdateTask, state: TaskState) -> UpdateTask {
    UpdateTask {
        state,
        ..task.clone()
    }
}

async fn counts_follow_the_states_of_the_tasks(store: &dyn Store) {
    let (id, tasks) = running(store, 300).await;
    let (other, _) = running(store, 10).await;
    let state_of = |index: usize| TaskState::ALL[index % TaskState::ALL.len()];
    let changed = |(index, task)| Record::Task(in_state(task, state_of(index)));
    let records: Vec<_> = tasks.iter().enumerate().map(changed).collect();
    for _twice in 0..2 {
        store.commit(records.clone()).await.unwrap();
        let (_, counts) = store.campaign(id).await.unwrap();
        let even = TaskCounts {
            pending: 60,
            running: 60,
            succeeded: 60,
            failed: 60,
            stopped: 60,
        };
        assert_eq!(counts, even);
    }
    let (_, counts) = store.campaign(other).await.unwrap();
    assert_eq!(counts.pending, 10);
    let restored = store.restore().await.unwrap();
    assert_eq!(restored.tasks.len(), 60 + 60 + 10);
}

async fn tasks_are_listed_by_state_and_in_pages(store: &dyn Store) {
    let (id, tasks) = running(store, 10).await;
    let failed = |task| Record::Task(in_state(task, TaskState::Failed));
    let records = tasks.iter().skip(4).map(failed).collect();
    store.commit(records).await.unwrap();
    let list = |state, page| async move {
        let tasks = store.tasks(id, state, page).await.unwrap();
        tasks.iter().map(|task| task.id).collect::<Vec<_>>()
    };
    let ids: Vec<_> = tasks.iter().map(|task| task.id).collect();
    assert_eq!(list(None, page(4)).await, ids[..4]);
    assert_eq!(list(None, page_after(ids[3].0, 4)).await, ids[4..8]);
    assert_eq!(list(Some(TaskState::Failed), page(2)).await, ids[4..6]);
    let rest = page_after(ids[5].0, 100);
    assert_eq!(list(Some(TaskState::Failed), rest).await, ids[6..]);
    assert!(list(Some(TaskState::Stopped), page(5)).await.is_empty());
}

async fn a_campaign_keeps_the_times_of_its_changes(store: &dyn Store) {
    let id = draft(store, 1).await;
    let change = |state, at| Record::Campaign {
        id,
        state,
        at: utc(at),
    };
    let records = vec![
        change(CampaignState::Scheduled, 10),
        change(CampaignState::Running, 20),
        change(CampaignState::Paused, 30),
        change(CampaignState::Running, 40),
    ];
    store.commit(records).await.unwrap();
    let (campaign, _) = store.campaign(id).await.unwrap();
    assert_eq!(campaign.state, CampaignState::Running);
    assert_eq!(campaign.activated_at, Some(utc(10)));
    assert_eq!(campaign.ended_at, None);
    let end = vec![change(CampaignState::Succeeded, 50)];
    store.commit(end).await.unwrap();
    let (campaign, _) = store.campaign(id).await.unwrap();
    assert_eq!(campaign.activated_at, Some(utc(10)));
    assert_eq!(campaign.ended_at, Some(utc(50)));
}

async fn only_active_campaigns_are_restored(store: &dyn Store) {
    let _draft = draft(store, 1).await;
    let (ended, _) = running(store, 1).await;
    let (active, tasks) = running(store, 2).await;
    let records = vec![
        Record::Campaign {
            id: ended,
            state: CampaignState::Stopped,
            at: utc(30),
        },
        Record::Task(in_state(&tasks[0], TaskState::Succeeded)),
    ];
    store.commit(records).await.unwrap();
    let restored = store.restore().await.unwrap();
    let (campaign, _) = store.campaign(active).await.unwrap();
    let package = store.package(campaign.package).await.unwrap();
    assert_eq!(restored.campaigns, [campaign]);
    assert_eq!(restored.packages, [package]);
    assert_eq!(restored.tasks, [tasks[1].clone()]);
}

async fn a_campaign_is_removed_only_in_the_expected_state(store: &dyn Store) {
    let (id, _) = running(store, 3).await;
    let remove = |state| store.remove_campaign(id, state);
    assert!(is_conflict(remove(CampaignState::Draft).await));
    assert_eq!(store.tasks(id, None, page(9)).await.unwrap().len(), 3);
    remove(CampaignState::Running).await.unwrap();
    assert!(is_not_found(store.campaign(id).await));
    assert!(is_not_found(store.tasks(id, None, page(9)).await));
    assert!(is_not_found(remove(CampaignState::Running).await));
    let next = draft(store, 1).await;
    assert!(next > id, "a number is never used again");
}

async fn what_belongs_to_a_removed_campaign_stays_away(store: &dyn Store) {
    let (id, tasks) = running(store, 1).await;
    let removed = store.remove_campaign(id, CampaignState::Running).await;
    removed.unwrap();
    let records = vec![
        Record::Task(tasks[0].clone()),
        Record::Campaign {
            id,
            state: CampaignState::Failed,
            at: utc(1),
        },
        Record::Registered(registration(1, 1)),
    ];
    store.commit(records).await.unwrap();
    assert!(is_not_found(store.campaign(id).await));
    let restored = store.restore().await.unwrap();
    assert_eq!(restored.tasks, []);
    assert_eq!(restored.registrations, [registration(1, 1)]);
}

async fn a_page_after_what_is_no_number_is_not_found(store: &dyn Store) {
    assert!(is_not_found(store.packages(page_after("x", 1)).await));
    assert!(is_not_found(store.campaigns(page_after("-1", 1)).await));
    assert!(is_not_found(store.groups(page_after("", 1)).await));
    let beyond = page_after(u64::MAX, 1);
    assert_eq!(store.packages(beyond).await.unwrap(), []);
}
