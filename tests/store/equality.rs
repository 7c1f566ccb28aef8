//! Both makings of the store come to the same state, whatever is committed.

use narrowcast::model::{
    CampaignId, CampaignPolicy, CampaignState, CampaignStop, DeviceRequestId, DeviceRequestState,
    Failure, FailureReason, Happening, KeyChange, NewEvent, PauseReason, Record, RegistrationSlot,
    RolloutState, StopMode, TaskId, TaskState, UpdateTask,
};
use narrowcast::store::{MemoryStore, SqliteStore, Store};
use proptest::prelude::*;

use crate::device_requests::{request, uplink};
use crate::restart::text;
use crate::samples::{
    deliveries, device, draft, endpoint, key, observation, page, registration, report, stamp,
    timeline, utc,
};

const CAMPAIGNS: u64 = 2;
const TASKS_PER_CAMPAIGN: u32 = 12;

/// What changes a campaign itself, one that is not there among them.
fn campaign_record() -> impl Strategy<Value = Record> {
    let id = (1..=CAMPAIGNS + 1).prop_map(CampaignId);
    let state = proptest::sample::select(CampaignState::ALL);
    let at = (0..100_i64).prop_map(utc);
    prop_oneof![
        2 => (id.clone(), state, at.clone())
            .prop_map(|(id, state, at)| Record::Campaign { id, state, at }),
        1 => (id.clone(), 0..4_u16, any::<bool>()).prop_map(|(id, phase, paused)| {
            let state = RolloutState {
                phase,
                paused: paused.then_some(PauseReason::Operator),
                stop: (!paused).then(|| CampaignStop {
                    mode: StopMode::Hard,
                    cause: Failure {
                        reason: FailureReason::KeyRevoked,
                        evidence: "the key was lost".to_owned(),
                    },
                }),
                ..RolloutState::default()
            };
            Record::Rollout { id, state }
        }),
        1 => (id.clone(), proptest::option::of(1..9_u32)).prop_map(|(id, rate)| {
            let mut policy = CampaignPolicy::default();
            policy.governors.starts_per_minute_max = rate;
            Record::Policy { id, policy: Box::new(policy) }
        }),
        1 => (id.clone(), at.clone()).prop_map(|(id, at)| Record::CampaignConsented { id, at }),
        1 => (id, proptest::option::of(at))
            .prop_map(|(id, at)| Record::CampaignArchived { id, at }),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    // Few keys, so that records meet.
    let number = 0..12_u32;
    let task_state = proptest::sample::select(TaskState::ALL);
    let request_state = proptest::sample::select(DeviceRequestState::ALL);
    let task = (
        1..=CAMPAIGNS * u64::from(TASKS_PER_CAMPAIGN) + 2,
        task_state,
        any::<u8>(),
    );
    prop_oneof![
        1 => number.clone().prop_map(|it| Record::Device(device(it))),
        1 => number.clone().prop_map(|it| Record::DeviceForgotten { endpoint: endpoint(it) }),
        4 => (number.clone(), number.clone())
            .prop_map(|(slot, it)| Record::Registered(registration(slot, it))),
        2 => (number.clone(), number.clone()).prop_map(|(slot, it)| Record::Deregistered {
            slot: RegistrationSlot(slot),
            endpoint: endpoint(it),
        }),
        2 => (0..6_u8, number.clone())
            .prop_map(|(token, it)| Record::Observed(observation(token, it))),
        1 => (0..6_u8).prop_map(|token| Record::ObservationEnded { token: [token; 8] }),
        6 => task.prop_map(|(id, state, attempt)| Record::Task(UpdateTask {
            state,
            attempt,
            // The first campaign has the first tasks.
            ..UpdateTask::new(
                TaskId(id),
                CampaignId((id - 1) / u64::from(TASKS_PER_CAMPAIGN) + 1),
                endpoint(u32::try_from((id - 1) % u64::from(TASKS_PER_CAMPAIGN)).unwrap() + 1),
                utc(i64::from(attempt)),
            )
        })),
        3 => campaign_record(),
        1 => (0..3_u8, 0..100_i64).prop_map(|(id, at)| Record::KeyRevoked {
            id: id.to_string(),
            change: KeyChange {
                at: utc(at),
                by: at.to_string(),
                reason: "lost".to_owned(),
            },
        }),
        3 => (number.clone(), 0..1000_i64).prop_map(|(it, line)| timeline(it, line)),
        1 => (number.clone(), 0..100_i64).prop_map(|(it, at)| {
            let happening = Happening::DeviceRegistered;
            Record::Event(NewEvent::of_device(utc(at), happening, endpoint(it)))
        }),
        2 => (number.clone(), number.clone()).prop_map(|(it, value)| Record::Report {
            endpoint: endpoint(it),
            report: report(value),
        }),
        2 => (number.clone(), 1..7_i64, any::<bool>()).prop_map(|(it, count, barred)| {
            Record::Delivered {
                endpoint: endpoint(it),
                history: deliveries(count, barred),
            }
        }),
        1 => number.clone().prop_map(|it| Record::DeliveriesForgotten {
            endpoint: endpoint(it),
        }),
        2 => (number.clone(), 1..9_u64, request_state).prop_map(|(it, id, state)| {
            Record::DeviceRequest(request(it, id, state))
        }),
        1 => (number.clone(), 1..9_u64).prop_map(|(it, id)| Record::DeviceRequestForgotten {
            endpoint: endpoint(it),
            id: DeviceRequestId(id),
        }),
        2 => (number, 0..1000_i64, 1..5_u32).prop_map(|(it, at, kept)| uplink(it, at, kept)),
    ]
}

/// All that can be read of a store.
async fn read_all(store: &dyn Store) -> String {
    let campaigns = store.campaigns(page(100)).await.unwrap();
    let mut tasks = Vec::new();
    for (campaign, counts) in &campaigns {
        let of_campaign = store.tasks(campaign.id, None, page(100)).await.unwrap();
        for &state in TaskState::ALL {
            let of_state = store
                .tasks(campaign.id, Some(state), page(100))
                .await
                .unwrap();
            let counted = match state {
                TaskState::Pending => counts.pending,
                TaskState::Running => counts.running,
                TaskState::Succeeded => counts.succeeded,
                TaskState::Failed => counts.failed,
                TaskState::Stopped => counts.stopped,
            };
            assert_eq!(u64::try_from(of_state.len()).unwrap(), counted, "{state}");
        }
        tasks.push(of_campaign);
    }
    let mut histories = Vec::new();
    let mut delivered = Vec::new();
    let mut uplinks = Vec::new();
    for number in 0..12 {
        histories.push(store.timeline(&endpoint(number), u32::MAX).await.unwrap());
        delivered.push(store.deliveries(&endpoint(number)).await.ok());
        uplinks.push(store.uplinks(&endpoint(number), u32::MAX).await.unwrap());
    }
    let keys = store.keys(None, page(9)).await.unwrap();
    let events = store.events(0, u32::MAX).await.unwrap();
    let restored = text(&store.restore().await.unwrap());
    format!(
        "{keys:?}\n{events:?}\n{campaigns:#?}\n{tasks:#?}\n{histories:#?}\n{delivered:#?}\n{uplinks:?}\n{restored}"
    )
}

async fn commit_all(store: &dyn Store, commits: &[Vec<Record>]) -> String {
    for id in ["0", "1"] {
        store.add_key(key(id, "Quectel"), stamp()).await.unwrap();
    }
    for _ in 0..CAMPAIGNS {
        draft(store, TASKS_PER_CAMPAIGN).await;
    }
    for records in commits {
        store.commit(records.clone()).await.unwrap();
    }
    read_all(store).await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_records_leave_both_stores_alike_also_when_split_otherwise_and_after_a_restart(
        commits in proptest::collection::vec(proptest::collection::vec(record(), 0..90), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("store.db");
            let sqlite = SqliteStore::open(&path).await.unwrap();
            let by_sqlite = commit_all(&sqlite, &commits).await;
            // One record a commit is the order at its plainest.
            let one_by_one: Vec<_> = commits.iter().flatten().map(|it| vec![it.clone()]).collect();
            let by_memory = commit_all(&MemoryStore::new(), &one_by_one).await;
            assert_eq!(by_sqlite, by_memory);
            sqlite.close().await;
            let sqlite = SqliteStore::open(&path).await.unwrap();
            assert_eq!(read_all(&sqlite).await, by_memory);
        });
    }
}
