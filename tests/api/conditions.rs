//! Conditions, consent, retries, stops and the archive of campaigns.

use narrowcast::clock::Utc;
use narrowcast::engine::{Command, CommandError};
use narrowcast::model::{
    CampaignId, CampaignState, Failure, FailureReason, Record, StopMode, TaskId, TaskState,
    UpdateTask,
};
use narrowcast::store::{Page, Store};
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Service, send};

const ALL: Page = Page {
    after: None,
    limit: 100,
};

fn body(package: u64) -> Value {
    json!({"name": "July", "package_id": package, "targets": {"devices": ["d1", "d2"]}})
}

/// A draft with these fields beside the others, and its path.
async fn draft(fields: &Value) -> (Service, String) {
    let service = Service::start().await;
    let mut body = body(service.seed(&["d1", "d2"]).await);
    let more = fields.as_object().expect("fields").clone();
    body.as_object_mut().expect("a body").extend(more);
    let answer = service.post("/api/v1/campaigns", &body).await;
    answer.expect(201);
    (service, answer.header("location").to_owned())
}

/// Its campaign has ended; `d1` failed of a bad hash, `d2` of a lost connection.
async fn failed() -> (Service, String) {
    let (service, path) = draft(&json!({})).await;
    service
        .post(&format!("{path}/activate"), &json!({}))
        .await
        .expect(200);
    let tasks = service.store.tasks(CampaignId(1), None, ALL).await;
    let reasons = [
        FailureReason::IntegrityCheckFailed,
        FailureReason::ConnectionLost,
    ];
    let mut records: Vec<_> = tasks
        .expect("tasks")
        .into_iter()
        .zip(reasons)
        .map(|(mut task, reason)| {
            task.state = TaskState::Failed;
            task.attempt = 1;
            let evidence = String::new();
            task.failure = Some(Failure { reason, evidence });
            Record::Task(task)
        })
        .collect();
    records.push(Record::Campaign {
        id: CampaignId(1),
        state: CampaignState::Failed,
        at: Utc::from_unix_ms(2_000),
    });
    service.store.commit(records).await.expect("a commit");
    (service, path)
}

fn commands<T>(service: &Service, of: impl Fn(&Command) -> Option<T>) -> Vec<T> {
    let commands = service.engine.commands.lock().expect("not poisoned");
    commands.iter().filter_map(of).collect()
}

#[tokio::test]
async fn what_is_asked_for_is_shown_as_it_came() {
    let fields = json!({
        "preconditions": {
            "battery_percent_min": 30, "rsrp_dbm_min": -110, "sinr_db_min": -3, "free_kib_min": 512,
            "unknown": "wait",
        },
        "consent": "confirmed",
        "consent_text": {"zh": "修复抄表故障", "en": "Mends the meter"},
        "severity": "mandatory",
        "defer_seconds_max": 86_400,
        "retry": {
            "retries_max": 5, "delay_seconds": 30, "backoff": "constant", "jitter_percent": 0,
            "delay_seconds_max": 600,
        },
    });
    let (service, path) = draft(&fields).await;
    let shown = service.get(&path).await.expect(200);
    for (field, value) in fields.as_object().expect("fields") {
        assert_eq!(&shown[field], value, "{field}");
    }
    let (service, path) = draft(&json!({})).await;
    let shown = service.get(&path).await.expect(200);
    assert_eq!(shown["consent"], "silent");
    assert_eq!(shown["preconditions"]["unknown"], "allow");
}

#[tokio::test]
async fn what_is_out_of_range_is_named() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2"]).await;
    for (field, value, named) in [
        (
            "preconditions",
            json!({"battery_percent_min": 101}),
            "preconditions.battery_percent_min",
        ),
        (
            "preconditions",
            json!({"rsrp_dbm_min": 5}),
            "preconditions.rsrp_dbm_min",
        ),
        (
            "preconditions",
            json!({"sinr_db_min": 41}),
            "preconditions.sinr_db_min",
        ),
        (
            "preconditions",
            json!({"unknown": "perhaps"}),
            "preconditions.unknown",
        ),
        ("preconditions", json!({"volts": 3}), "preconditions.volts"),
        ("consent", json!("loud"), "consent"),
        ("consent_text", json!({"en": "only"}), "consent_text.zh"),
        (
            "consent_text",
            json!({"en": "", "zh": "好"}),
            "consent_text.en",
        ),
        ("severity", json!("dire"), "severity"),
        ("defer_seconds_max", json!(2_592_001), "defer_seconds_max"),
        ("retry", json!({"backoff": "linear"}), "retry.backoff"),
        (
            "retry",
            json!({"jitter_percent": 101}),
            "retry.jitter_percent",
        ),
        (
            "retry",
            json!({"delay_seconds_max": 604_801}),
            "retry.delay_seconds_max",
        ),
    ] {
        let mut body = body(package);
        body[field] = value;
        let answer = service.post("/api/v1/campaigns", &body).await;
        answer.problem(422, "invalid_field", Some(named));
    }
}

#[tokio::test]
async fn failed_tasks_of_a_cause_or_a_device_are_handed_over_with_what_it_takes_to_run_again() {
    for (asked, expected) in [
        (json!({}), vec![1, 2]),
        (json!({"code": "connection_lost"}), vec![2]),
        (json!({"endpoint": "d1"}), vec![1]),
        (
            json!({"endpoints": ["d1", "d2"], "code": "integrity_check_failed"}),
            vec![1],
        ),
        (json!({"code": "no_space"}), vec![]),
    ] {
        let (service, path) = failed().await;
        let answer = service
            .post(&format!("{path}/retry"), &asked)
            .await
            .expect(200);
        assert_eq!(answer["retried_count"], expected.len(), "{asked}");
        let handed = commands(&service, |command| {
            let Command::RetryTasks { tasks, ended, .. } = command else {
                return None;
            };
            assert!(ended.is_some());
            Some(tasks.iter().map(|task| task.id.0).collect::<Vec<_>>())
        });
        assert_eq!(handed.concat(), expected, "{asked}");
    }
    let (service, path) = failed().await;
    let retry = format!("{path}/retry");
    let answer = service.post(&retry, &json!({"code": "bad_luck"})).await;
    answer.problem(422, "invalid_field", Some("code"));
    let both = json!({"endpoint": "d1", "endpoints": []});
    service
        .post(&retry, &both)
        .await
        .problem(422, "invalid_field", Some("endpoint"));
    // What is at work already counts as none.
    *service.engine.refuse.lock().expect("not poisoned") = Some(CommandError::NothingToRetry);
    let answer = service.post(&retry, &json!({})).await.expect(200);
    assert_eq!(answer["retried_count"], 0);
}

#[tokio::test]
async fn a_campaign_that_has_ended_does_not_run_again_where_all_is_halted_meanwhile() {
    let (service, path) = failed().await;
    let (retry, nothing) = (format!("{path}/retry"), json!({}));
    let mut reached = service.verifier.reached.subscribe();
    let gate = service.verifier.gate.lock().await;
    let halts = async {
        reached.changed().await.expect("it is verified");
        service.post("/api/v1/halt", &nothing).await.expect(200);
        drop(gate);
    };
    let (retried, ()) = tokio::join!(service.post(&retry, &nothing), halts);
    retried.problem(409, "halted", None);
    service.post(&retry, &nothing).await.expect(200);
}

#[tokio::test]
async fn a_draft_is_not_retried_nor_one_that_was_put_away() {
    let (service, path) = draft(&json!({})).await;
    let answer = service.post(&format!("{path}/retry"), &json!({})).await;
    answer.problem(409, "invalid_transition", None);
    let (service, path) = failed().await;
    service
        .post(&format!("{path}/archive"), &json!({}))
        .await
        .expect(200);
    let answer = service.post(&format!("{path}/retry"), &json!({})).await;
    answer.problem(409, "invalid_transition", None);
}

#[tokio::test]
async fn a_draft_that_was_put_away_is_not_activated() {
    let (service, path) = draft(&json!({})).await;
    let post = async |action: &str| service.post(&format!("{path}/{action}"), &json!({})).await;
    post("archive").await.expect(200);
    let answer = post("activate").await;
    assert!(
        answer
            .problem(409, "invalid_transition", None)
            .contains("put away")
    );
    service.delete(&format!("{path}/archive")).await.expect(200);
    post("activate").await.expect(200);
}

#[tokio::test]
async fn who_has_a_campaign_run_again_that_has_ended_is_an_approver() {
    let (service, path) = failed().await;
    let retry = |role| {
        let request = service.request_as(role, Method::POST, &format!("{path}/retry"));
        send(request.json(&json!({"code": "no_space"})))
    };
    retry("operator").await.problem(403, "forbidden", None);
    retry("approver").await.expect(200);
    let running = Record::Campaign {
        id: CampaignId(1),
        state: CampaignState::Running,
        at: Utc::from_unix_ms(3_000),
    };
    service.store.commit(vec![running]).await.expect("a commit");
    retry("operator").await.expect(200);
}

#[tokio::test]
async fn a_stopped_campaign_is_deleted_once_its_devices_are_at_rest() {
    let (service, path) = draft(&json!({})).await;
    let post = async |action: &str| service.post(&format!("{path}/{action}"), &json!({})).await;
    post("activate").await.expect(200);
    let tasks = service.store.tasks(CampaignId(1), None, ALL).await;
    let mut tasks = tasks.expect("tasks");
    let commit = async |tasks: &[UpdateTask]| {
        let records = tasks.iter().cloned().map(Record::Task).collect();
        service.store.commit(records).await.expect("a commit");
    };
    tasks[0].state = TaskState::Stopped;
    tasks[1].state = TaskState::Running;
    commit(&tasks).await;
    post("stop").await.expect(200);
    let refused = service.delete(&path).await;
    let detail = refused.problem(409, "invalid_transition", None);
    assert!(detail.contains("at work"), "{detail}");
    tasks[1].state = TaskState::Succeeded;
    commit(&tasks).await;
    service.delete(&path).await.expect(204);
}

#[tokio::test]
async fn what_was_put_away_is_kept_and_listed_only_when_asked_for() {
    let (service, path) = failed().await;
    let archive = format!("{path}/archive");
    let shown = service.post(&archive, &json!({})).await.expect(200);
    assert!(shown["archived_at"].is_string());
    let again = service.post(&archive, &json!({})).await.expect(200);
    assert_eq!(again["archived_at"], shown["archived_at"]);
    let count = async |query: &str| {
        let listed = service.get(&format!("/api/v1/campaigns{query}")).await;
        listed.expect(200).as_array().expect("a list").len()
    };
    assert_eq!(count("").await, 0);
    assert_eq!(count("?archived=true").await, 1);
    assert_eq!(service.get(&path).await.expect(200)["name"], "July");
    let out = service.delete(&archive).await.expect(200);
    assert_eq!(out["archived_at"], Value::Null);
    assert_eq!((count("").await, count("?archived=true").await), (1, 0));
    let told = service.get("/api/v1/audit").await.expect(200);
    let actions: Vec<_> = told
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| &it["action"])
        .collect();
    for action in ["campaign_archived", "campaign_unarchived"] {
        let times = actions.iter().filter(|told| **told == action).count();
        assert_eq!(times, 1, "{action}: {actions:?}");
    }
}

#[tokio::test]
async fn an_active_campaign_is_not_put_away() {
    let (service, path) = draft(&json!({})).await;
    service
        .post(&format!("{path}/activate"), &json!({}))
        .await
        .expect(200);
    let answer = service.post(&format!("{path}/archive"), &json!({})).await;
    answer.problem(409, "invalid_transition", None);
}

#[tokio::test]
async fn stops_are_soft_unless_said_otherwise_and_of_one_device_too() {
    for (asked, mode) in [
        (json!({}), StopMode::Soft),
        (json!({"mode": "soft"}), StopMode::Soft),
        (json!({"mode": "hard"}), StopMode::Hard),
    ] {
        let (service, path) = draft(&json!({})).await;
        service
            .post(&format!("{path}/activate"), &json!({}))
            .await
            .expect(200);
        let stop_task = format!("{path}/tasks/2/stop");
        service.post(&stop_task, &asked).await.expect(200);
        service
            .post(&format!("{path}/stop"), &asked)
            .await
            .expect(200);
        let modes = commands(&service, |command| {
            if let Command::StopTask { task, mode, .. } = command {
                Some((Some(*task), *mode))
            } else if let Command::StopCampaign { mode, .. } = command {
                Some((None, *mode))
            } else {
                None
            }
        });
        assert_eq!(modes, [(Some(TaskId(2)), mode), (None, mode)], "{asked}");
    }
    let (service, path) = draft(&json!({})).await;
    let answer = service
        .post(&format!("{path}/stop"), &json!({"mode": "kind"}))
        .await;
    answer.problem(422, "invalid_field", Some("mode"));
    // Without a body, as before.
    service
        .post(&format!("{path}/activate"), &json!({}))
        .await
        .expect(200);
    let stop = service.request(Method::POST, &format!("{path}/stop"));
    send(stop).await.expect(200);
}

#[tokio::test]
async fn who_agrees_is_named_and_what_the_engine_says_comes_back() {
    let (service, path) = draft(&json!({"consent": "confirmed"})).await;
    service
        .post(&format!("{path}/activate"), &json!({}))
        .await
        .expect(200);
    let tasks = service.get(&format!("{path}/tasks")).await.expect(200);
    assert_eq!(tasks[0]["waiting_for"], "consent");
    let one = format!("{path}/tasks/1/consent");
    service
        .post(&one, &json!({"granted": true}))
        .await
        .expect(200);
    let all = format!("{path}/consent");
    service
        .post(&all, &json!({"granted": false}))
        .await
        .expect(200);
    let asked = commands(&service, |command| {
        let Command::Consent {
            task, granted, by, ..
        } = command
        else {
            return None;
        };
        Some((*task, *granted, by.clone()))
    });
    assert_eq!(
        asked.iter().map(|it| (it.0, it.1)).collect::<Vec<_>>(),
        [(Some(TaskId(1)), true), (None, false)]
    );
    assert!(asked.iter().all(|it| !it.2.is_empty()));
    service
        .post(&one, &json!({}))
        .await
        .problem(422, "invalid_field", Some("granted"));
    for (refusal, code) in [
        (CommandError::ConsentNotAsked, "consent_not_asked"),
        (CommandError::ConsentGiven, "consent_given"),
        (CommandError::TaskNotActive, "task_ended"),
    ] {
        *service.engine.refuse.lock().expect("not poisoned") = Some(refusal);
        let answer = service.post(&one, &json!({"granted": true})).await;
        answer.problem(409, code, None);
    }
}
