//! Campaigns and their tasks, in every making of the store.

use std::num::NonZeroU16;

use narrowcast::model::{
    AdmissionMode, AdmissionPolicy, AirtimePermille, CampaignId, CampaignPolicy, CampaignState,
    CampaignStop, CellId, ConsentRefusal, CoverageTier, DeviceReport, DownloadCapability, Failure,
    FailureReason, OnErrors, PackageId, PauseReason, Phase, PhaseMembers, PushWindow, Record,
    Rollout, RolloutPhase, RolloutState, RolloutStep, SlotClaim, StopMode, SuccessNote, TaskState,
    UpdateTask, WaitingFor, Weekdays,
};
use narrowcast::store::{DeviceLoad, NewCampaign, Store, TaskCounts};

use crate::samples::{
    draft, endpoint, new_campaign, package, page, page_after, registration, report, stamp, utc,
};
use crate::{is_conflict, is_not_found};

for_each_store! {
    what_else_is_wanted_of_a_campaign_is_kept_and_so_is_how_far_it_is,
    a_draft_has_a_pending_task_for_each_device_in_order,
    a_campaign_of_many_chunks_is_whole,
    a_task_comes_back_as_it_was_committed,
    counts_follow_the_states_of_the_tasks,
    bytes_served_are_summed_over_the_tasks,
    tasks_are_listed_by_state_and_in_pages,
    a_campaign_keeps_the_times_of_its_changes,
    only_active_campaigns_are_restored,
    a_campaign_stopped_with_a_device_at_work_is_restored,
    a_campaign_is_removed_only_in_the_expected_state,
    a_stopped_campaign_is_removed_once_its_tasks_have_ended,
    what_belongs_to_a_removed_campaign_stays_away,
    how_a_campaign_admits_its_devices_is_kept,
    devices_that_stand_alike_are_counted_together,
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
            .create_campaign(new_campaign(PackageId(99)), vec![endpoint(1)], stamp())
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
        .remove_campaign(id, CampaignState::Draft, stamp())
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
        attempts_before: 1,
        stop: Some(StopMode::Hard),
        consented_at: Some(utc(35)),
        capability: Some(DownloadCapability([0xfe; 16])),
        uri_intended: true,
        execute_intended_attempt: Some(1),
        lost: true,
        slot: Some(SlotClaim {
            cell: CellId(CellId::MAX),
            tier: CoverageTier::Unknown,
        }),
        queued_since: Some(utc(24)),
        held_since: Some(utc(25)),
        pings: 41,
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
            bytes_served: 0,
        };
        assert_eq!(counts, even);
    }
    let (_, counts) = store.campaign(other).await.unwrap();
    assert_eq!(counts.pending, 10);
    let restored = store.restore().await.unwrap();
    assert_eq!(restored.tasks.len(), 60 + 60 + 10);
}

async fn bytes_served_are_summed_over_the_tasks(store: &dyn Store) {
    let (id, tasks) = running(store, 10).await;
    let served = |task: &UpdateTask, bytes_served| {
        let task = task.clone();
        Record::Task(UpdateTask {
            bytes_served,
            ..task
        })
    };
    for (records, sum) in [
        (vec![served(&tasks[0], 512), served(&tasks[1], 100)], 612),
        (vec![served(&tasks[0], 1024)], 1124),
        // It begins anew.
        (vec![served(&tasks[0], 0), served(&tasks[9], 1)], 101),
    ] {
        store.commit(records).await.unwrap();
        assert_eq!(store.campaign(id).await.unwrap().1.bytes_served, sum);
    }
    let by_phase = store.phase_counts(id).await.unwrap();
    let by_phase: Vec<_> = by_phase.iter().map(|(_, it)| it.bytes_served).collect();
    assert_eq!(by_phase, [101]);
    let restored = store.restore().await.unwrap();
    let kept = restored.tasks.iter().find(|task| task.id == tasks[1].id);
    assert_eq!(kept.unwrap().bytes_served, 100);
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
    let (ended, ended_tasks) = running(store, 1).await;
    let (active, tasks) = running(store, 2).await;
    let records = vec![
        Record::Campaign {
            id: ended,
            state: CampaignState::Stopped,
            at: utc(30),
        },
        Record::Task(in_state(&ended_tasks[0], TaskState::Stopped)),
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

/// Its devices hold slots until they are done.
async fn a_campaign_stopped_with_a_device_at_work_is_restored(store: &dyn Store) {
    let (stopped, tasks) = running(store, 2).await;
    let records = vec![
        Record::Campaign {
            id: stopped,
            state: CampaignState::Stopped,
            at: utc(30),
        },
        Record::Task(in_state(&tasks[0], TaskState::Stopped)),
    ];
    store.commit(records).await.unwrap();
    let restored = store.restore().await.unwrap();
    let (campaign, _) = store.campaign(stopped).await.unwrap();
    assert_eq!(restored.campaigns, [campaign]);
    assert_eq!(restored.packages.len(), 1);
    assert_eq!(restored.tasks, [tasks[1].clone()]);
}

async fn a_campaign_is_removed_only_in_the_expected_state(store: &dyn Store) {
    let (id, _) = running(store, 3).await;
    let remove = |state| store.remove_campaign(id, state, stamp());
    assert!(is_conflict(remove(CampaignState::Draft).await));
    assert_eq!(store.tasks(id, None, page(9)).await.unwrap().len(), 3);
    remove(CampaignState::Running).await.unwrap();
    assert!(is_not_found(store.campaign(id).await));
    assert!(is_not_found(store.tasks(id, None, page(9)).await));
    assert!(is_not_found(remove(CampaignState::Running).await));
    let next = draft(store, 1).await;
    assert!(next > id, "a number is never used again");
}

async fn a_stopped_campaign_is_removed_once_its_tasks_have_ended(store: &dyn Store) {
    let (id, tasks) = running(store, 2).await;
    let state = CampaignState::Stopped;
    let at = utc(1);
    let mut tasks = tasks.into_iter();
    let mut ended = || {
        let task = tasks.next().unwrap();
        let state = TaskState::Stopped;
        Record::Task(UpdateTask { state, ..task })
    };
    let stopped = vec![Record::Campaign { id, state, at }, ended()];
    store.commit(stopped).await.unwrap();
    assert!(is_conflict(store.remove_campaign(id, state, stamp()).await));
    store.commit(vec![ended()]).await.unwrap();
    store.remove_campaign(id, state, stamp()).await.unwrap();
    assert!(is_not_found(store.campaign(id).await));
}

async fn what_belongs_to_a_removed_campaign_stays_away(store: &dyn Store) {
    let (id, tasks) = running(store, 1).await;
    let removed = store
        .remove_campaign(id, CampaignState::Running, stamp())
        .await;
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

async fn how_a_campaign_admits_its_devices_is_kept(store: &dyn Store) {
    let package = store.add_package(package("V2"), stamp()).await.unwrap();
    for airtime in [None, NonZeroU16::new(700).map(AirtimePermille)] {
        for &mode in AdmissionMode::ALL {
            let admission = Some(AdmissionPolicy { mode, airtime });
            let campaign = NewCampaign {
                admission,
                ..new_campaign(package)
            };
            let id = store.create_campaign(campaign, vec![endpoint(1)], stamp());
            let id = id.await.unwrap();
            assert_eq!(store.campaign(id).await.unwrap().0.admission, admission);
        }
    }
    let entries = store.audit_entries(page(100)).await.unwrap();
    let told = "strictest, airtime 700 permille";
    assert!(entries.iter().any(|entry| entry.details.contains(told)));
}

/// Of a rollout that has come a long way.
fn far_on() -> RolloutState {
    RolloutState {
        phase: 1,
        step: RolloutStep::Soaking,
        since_unix_ms: 7,
        approved_by: Some("bob".to_owned()),
        paused: Some(PauseReason::Soak),
        paused_since_unix_ms: Some(1_700_000_000_000),
        stop: Some(CampaignStop {
            mode: StopMode::Hard,
            cause: Failure {
                reason: FailureReason::KeyRevoked,
                evidence: "the key was lost".to_owned(),
            },
        }),
        refusal: Some(ConsentRefusal {
            by: "ada".to_owned(),
            last_task: 7,
        }),
        failures_excused: 3,
        phase_failures_excused: 2,
        trial_untried: true,
        changed_by: vec!["ada".to_owned(), "eve".to_owned()],
        contact_since_unix_ms: Some(5),
    }
}

async fn what_else_is_wanted_of_a_campaign_is_kept_and_so_is_how_far_it_is(store: &dyn Store) {
    let package = store.add_package(package("V2"), stamp()).await.unwrap();
    let policy = CampaignPolicy {
        rollout: Rollout {
            approval_required: true,
            trial: Some("dev-1".to_owned()),
            phases: vec![RolloutPhase {
                members: PhaseMembers::Percent(5),
                success_percent_min: 90,
                failed_percent_max: 10,
                on_errors: OnErrors::Stop,
                soak_hours: 24,
                approval_required: true,
            }],
        },
        ..CampaignPolicy::default()
    };
    let campaign = NewCampaign {
        policy: policy.clone(),
        phase_sizes: vec![1, 2],
        ..new_campaign(package)
    };
    let devices = (1..=5).map(endpoint).collect();
    let id = store
        .create_campaign(campaign, devices, stamp())
        .await
        .unwrap();
    let tasks = store.tasks(id, None, page(10)).await.unwrap();
    let phases: Vec<u16> = tasks.iter().map(|task| task.rollout_phase).collect();
    assert_eq!(phases, [0, 1, 1, 2, 2]);

    let state = far_on();
    let record = Record::Rollout {
        id,
        state: state.clone(),
    };
    store.commit(vec![record]).await.unwrap();
    let found = store.campaign(id).await.unwrap().0;
    assert_eq!(found.policy, policy);
    assert_eq!(found.rollout, state);
    assert_eq!(found.created_by, stamp().actor.name);

    let mut later = policy;
    later.schedule.end_at = Some(utc(9));
    later.schedule.windows.push(PushWindow {
        time_zone: "Asia/Shanghai".to_owned(),
        from_hour: 22,
        to_hour: 6,
        weekdays: Weekdays::of(&[4, 5]),
    });
    let changed = Record::Policy {
        id,
        policy: Box::new(later.clone()),
    };
    store.commit(vec![changed]).await.unwrap();
    let found = store.campaign(id).await.unwrap().0;
    assert_eq!((found.policy, found.rollout), (later, state));
}

async fn devices_that_stand_alike_are_counted_together(store: &dyn Store) {
    let id = draft(store, 6).await;
    // Odd ones listen, even ones are in tier 1, the last two are not registered or known.
    for number in 1..=4 {
        let report = DeviceReport {
            cell_id: Some(CellId(7)),
            ..report(number)
        };
        let known = Record::Report {
            endpoint: endpoint(number),
            report,
        };
        let registered = Record::Registered(registration(number, number));
        store.commit(vec![known, registered]).await.unwrap();
    }
    let claim = SlotClaim {
        cell: CellId(9),
        tier: CoverageTier::Tier2,
    };
    for mut task in store.tasks(id, None, page(10)).await.unwrap() {
        if task.endpoint == endpoint(1) {
            (task.state, task.slot) = (TaskState::Running, Some(claim));
        } else if task.endpoint == endpoint(6) {
            task.state = TaskState::Failed;
        } else {
            continue;
        }
        store.commit(vec![Record::Task(task)]).await.unwrap();
    }
    let load = |cell: Option<u32>, tier, has_slot, listens, devices| DeviceLoad {
        cell: cell.map(CellId),
        tier,
        has_slot,
        listens,
        rollout_phase: 0,
        devices,
    };
    let (tier1, tier2) = (Some(CoverageTier::Tier1), Some(CoverageTier::Tier2));
    let of_campaign = store.loads_of_campaign(id).await.unwrap();
    assert_eq!(
        of_campaign,
        [
            load(None, None, false, false, 1),
            load(Some(7), None, false, true, 1),
            load(Some(7), tier1, false, false, 2),
            load(Some(9), tier2, true, true, 1),
        ]
    );
    let devices: Vec<_> = (1..=7).map(endpoint).collect();
    let of_devices = store.loads_of_devices(&devices).await.unwrap();
    assert_eq!(
        of_devices,
        [
            load(None, None, false, false, 3),
            load(Some(7), None, false, true, 2),
            load(Some(7), tier1, false, false, 2),
        ]
    );
}
