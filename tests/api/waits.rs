//! What tasks that have not begun wait for: the campaign says it, as it is not written to each.

use std::time::Duration;

use narrowcast::clock::Utc;
use narrowcast::http::LiveDevice;
use narrowcast::model::{
    CampaignId, CampaignState, EndpointName, Failure, FailureReason, PauseReason, Phase, Record,
    RolloutState, RolloutStep, TaskId, TaskState, TimelineEntry, TimelineStep, UpdateTask,
    WaitingFor,
};
use narrowcast::store::Store;
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Service, send};

const HOUR: Duration = Duration::from_secs(3600);
const ID: CampaignId = CampaignId(1);

/// A campaign that runs since `at`: `d1` is its first phase, which soaks for five hours, `d2` the second,
/// which somebody lets begin, and `d3` the last.
async fn phased(fields: Value) -> (Service, Utc) {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2", "d3"]).await;
    let phase = |device: &str, approval: bool| {
        json!({"devices": [device], "success_percent_min": 100, "failed_percent_max": 0,
               "on_errors": "pause", "soak_hours": 5, "approval_required": approval})
    };
    let mut body = json!({
        "name": "July", "package_id": package, "targets": {"devices": ["d1", "d2", "d3"]},
        "phases": [phase("d1", false), phase("d2", true)],
    });
    let more = fields.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(more);
    service.post("/api/v1/campaigns", &body).await.expect(201);
    let now = service.clock.now().utc;
    become_state(&service, CampaignState::Running, now).await;
    (service, now)
}

async fn become_state(service: &Service, state: CampaignState, at: Utc) {
    let record = Record::Campaign { id: ID, state, at };
    service.store.commit(vec![record]).await.expect("a commit");
}

async fn lead(service: &Service, state: RolloutState) {
    let record = Record::Rollout { id: ID, state };
    service.store.commit(vec![record]).await.expect("a commit");
}

async fn tasks(service: &Service) -> Vec<Value> {
    let listed = service.get("/api/v1/campaigns/1/tasks").await.expect(200);
    listed.as_array().expect("tasks").clone()
}

async fn why(service: &Service, endpoint: &str, language: &str) -> Value {
    let path = format!("/api/v1/devices/{endpoint}/why");
    let request = service.request_as("viewer", Method::GET, &path);
    let answer = send(request.header("Accept-Language", language)).await;
    answer.expect(200)
}

/// What it waits for, since when and until when.
fn wait_of(task: &Value) -> (&str, &str, Option<&str>) {
    let text = |field: &str| task[field].as_str();
    (
        text("waiting_for").expect("a wait"),
        text("since").expect("a time"),
        text("until"),
    )
}

#[tokio::test]
async fn a_sleeper_of_a_later_phase_waits_for_what_the_running_phase_is_about() {
    let (service, now) = phased(json!({})).await;
    let day = Duration::from_secs(24 * 3600);
    let told = tasks(&service).await;
    let (begun, deadline) = (now.to_string(), (now + day).to_string());
    assert_eq!(wait_of(&told[0]), ("contact", &*begun, Some(&*deadline)));
    assert_eq!(wait_of(&told[1]), ("rollout_phase", &*begun, None));
    let detail = told[1]["waiting_detail"].as_str().expect("a detail");
    let expected = format!(
        "The devices of phase 0 are being updated since {begun}. The device is in phase 1."
    );
    assert_eq!(detail, expected);
    assert_eq!(told[1]["next_action"]["code"], "wait");

    let soaking = RolloutState {
        step: RolloutStep::Soaking,
        since_unix_ms: (now + HOUR).unix_ms(),
        ..RolloutState::default()
    };
    lead(&service, soaking.clone()).await;
    let told = tasks(&service).await;
    let soaked_at = (now + 6 * HOUR).to_string();
    assert_eq!(
        wait_of(&told[1]),
        ("rollout_phase", &*begun, Some(&*soaked_at))
    );
    // Its own begins later than that.
    assert_eq!(wait_of(&told[2]), ("rollout_phase", &*begun, None));
    let zh = why(&service, "d3", "zh").await;
    let text = zh["text"].as_str().expect("a text");
    assert!(text.contains(&format!("至少至 {soaked_at}")), "{text}");

    let asks = RolloutState {
        phase: 1,
        step: RolloutStep::AwaitingApproval,
        contact_since_unix_ms: Some((now + 6 * HOUR).unix_ms()),
        ..soaking
    };
    lead(&service, asks).await;
    let told = why(&service, "d3", "en").await;
    assert_eq!(told["next_action"]["code"], "approve_phase");
    let request = "POST /api/v1/campaigns/1/approve";
    assert_eq!(told["next_action"]["request"], request);
    let text = told["text"].as_str().expect("a text");
    assert!(text.contains("an approver has to let"), "{text}");
    // The time of a phase's devices begins with their phase.
    let told = tasks(&service).await;
    let (since, until) = (
        (now + 6 * HOUR).to_string(),
        (now + 6 * HOUR + day).to_string(),
    );
    assert_eq!(wait_of(&told[1]), ("contact", &*since, Some(&*until)));
}

#[tokio::test]
async fn a_sleeper_of_a_paused_campaign_waits_for_its_resumption_and_is_told_the_cause() {
    let (service, now) = phased(json!({"consent": "confirmed"})).await;
    let retried = UpdateTask {
        phase: Phase::WaitingContact,
        attempt: 1,
        waiting_for: Some(WaitingFor::Contact),
        retry_at: Some(now),
        until: Some(now + HOUR),
        ..UpdateTask::new(
            TaskId(1),
            ID,
            EndpointName::parse("d1").expect("a name"),
            now,
        )
    };
    let record = Record::Task(retried);
    service.store.commit(vec![record]).await.expect("a commit");
    become_state(&service, CampaignState::Paused, now).await;
    let paused = |reason| RolloutState {
        paused: Some(reason),
        paused_since_unix_ms: Some((now + HOUR).unix_ms()),
        ..RolloutState::default()
    };
    lead(&service, paused(PauseReason::ErrorThreshold)).await;
    let since = (now + HOUR).to_string();
    for task in tasks(&service).await {
        assert_eq!(wait_of(&task), ("paused", &*since, None));
        assert_eq!(task["next_action"]["code"], "resume");
        let detail = task["waiting_detail"].as_str().expect("a detail");
        assert!(
            detail.contains("too many of all its tasks have failed"),
            "{detail}"
        );
    }
    lead(&service, paused(PauseReason::Halted)).await;
    let halted = why(&service, "d2", "zh").await;
    let text = halted["text"].as_str().expect("a text");
    assert!(text.contains("紧急停止"), "{text}");

    become_state(&service, CampaignState::Running, now).await;
    let resumed = RolloutState {
        contact_since_unix_ms: Some((now + 2 * HOUR).unix_ms()),
        ..RolloutState::default()
    };
    lead(&service, resumed).await;
    let told = why(&service, "d1", "en").await;
    assert_eq!(told["task"]["waiting_for"], "consent");
    let request = "POST /api/v1/campaigns/1/tasks/1/consent";
    assert_eq!(told["next_action"]["request"], request);
    assert_eq!(told["next_action"]["body"], json!({"granted": true}));
    // A retry has its own time, which is not the campaign's.
    assert_eq!(told["task"]["until"], (now + HOUR).to_string());
}

#[tokio::test]
async fn what_a_device_lacks_is_part_of_the_answer() {
    let (service, now) = phased(json!({})).await;
    let endpoint = EndpointName::parse("d1").expect("a name");
    let unmet = UpdateTask {
        state: TaskState::Running,
        attempt: 1,
        waiting_for: Some(WaitingFor::Condition),
        ..UpdateTask::new(TaskId(1), ID, endpoint.clone(), now)
    };
    let line = |step, detail: &str| {
        Record::Timeline(TimelineEntry {
            at: now,
            endpoint: endpoint.clone(),
            task: TaskId(1),
            attempt: 1,
            step,
            detail: detail.to_owned(),
        })
    };
    let records = vec![
        Record::Task(unmet),
        line(TimelineStep::ConditionUnmet, "battery 12 % of 30 %"),
        line(TimelineStep::Note, "something else"),
    ];
    service.store.commit(records).await.expect("a commit");
    let told = why(&service, "d1", "en").await;
    let text = told["text"].as_str().expect("a text");
    assert!(text.contains("Seen: battery 12 % of 30 %."), "{text}");
}

#[tokio::test]
async fn what_failed_and_which_campaign_left_it_out_since_are_both_told() {
    let (service, now) = phased(json!({})).await;
    let endpoint = EndpointName::parse("d1").expect("a name");
    let failed = UpdateTask {
        state: TaskState::Failed,
        attempt: 1,
        failure: Some(Failure {
            reason: FailureReason::NoSpace,
            evidence: "/5/0/5 = 2".to_owned(),
        }),
        ..UpdateTask::new(TaskId(1), ID, endpoint, now)
    };
    let records = vec![Record::Task(failed)];
    service.store.commit(records).await.expect("a commit");
    let denying = |name: &str, denied: &str| {
        json!({"name": name, "package_id": 1,
               "targets": {"devices": ["d1", "d2", "d3"], "deny": [denied], "dynamic": true}})
    };
    let body = denying("August", "d1");
    service.post("/api/v1/campaigns", &body).await.expect(201);
    let told = why(&service, "d1", "en").await;
    let text = told["text"].as_str().expect("a text");
    assert!(
        text.starts_with("Campaign 2 “August” left it out"),
        "{text}"
    );
    assert!(text.contains("Campaign 1 “July”, attempt 1"), "{text}");
    assert!(text.contains("Seen: /5/0/5 = 2."), "{text}");
    assert_eq!(told["next_action"]["code"], "change_targets");

    // A draft with it hides no campaign that runs without it, and is told behind it.
    become_state(&service, CampaignState::Failed, now).await;
    let (id, state, at) = (CampaignId(2), CampaignState::Running, now);
    let runs = Record::Campaign { id, state, at };
    service.store.commit(vec![runs]).await.expect("a commit");
    let body = denying("September", "d2");
    service.post("/api/v1/campaigns", &body).await.expect(201);
    let told = why(&service, "d1", "en").await;
    let text = told["text"].as_str().expect("a text");
    assert!(
        text.starts_with("Campaign 2 “August” left it out"),
        "{text}"
    );
    assert!(text.contains("Campaign 3 “September”:"), "{text}");
    assert_eq!(told["left_out"].as_array().expect("a list").len(), 1);
}

#[tokio::test]
async fn when_a_device_was_last_heard_is_told_when_its_registration_is_over_too() {
    let (service, now) = phased(json!({})).await;
    let endpoint = EndpointName::parse("d1").expect("a name");
    let live = LiveDevice {
        awake_until: None,
        last_seen: now,
        lifetime_seconds: 600,
    };
    service.live.show_device(endpoint.clone(), live);
    service.live.remove_device(&endpoint);
    let served = UpdateTask {
        state: TaskState::Running,
        phase: Phase::Downloading,
        attempt: 1,
        waiting_for: Some(WaitingFor::Block),
        bytes_served: 3,
        ..UpdateTask::new(TaskId(1), ID, endpoint, now)
    };
    let records = vec![Record::Task(served)];
    service.store.commit(records).await.expect("a commit");
    let told = why(&service, "d1", "en").await;
    assert_eq!(told["registered"], false);
    assert_eq!(told["last_heard_at"], now.to_string());
    let text = told["text"].as_str().expect("a text");
    let heard = format!("The device was last heard at {now}. It is not registered.");
    assert!(text.contains(&heard), "{text}");
    // As the store has it: nothing was served since the server began.
    assert!(text.contains("It has fetched 3 of "), "{text}");
    let device = service.get("/api/v1/devices/d1").await.expect(200);
    assert_eq!(device["last_seen"], now.to_string());
}
