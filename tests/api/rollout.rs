//! Trial, phases, thresholds and approval of campaigns, as they come and as they are shown.

use narrowcast::engine::{Command, CommandError};
use narrowcast::model::{CampaignId, Record, RolloutState, RolloutStep};
use narrowcast::store::Store;
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Service, send};

fn body(package: u64, more: &Value) -> Value {
    let mut body = json!({
        "name": "July", "package_id": package,
        "targets": {"devices": ["d1", "d2", "d3", "d4"]},
    });
    for (field, value) in more.as_object().expect("an object") {
        body[field] = value.clone();
    }
    body
}

#[tokio::test]
async fn phases_are_shown_as_they_were_asked_for() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2", "d3", "d4"]).await;
    let asked = json!({
        "trial": "d3",
        "phases": [
            {"devices": ["d1"], "success_percent_min": 100, "failed_percent_max": 0,
             "on_errors": "pause", "soak_hours": 24, "approval_required": true},
            {"percent": 50, "success_percent_min": 90, "failed_percent_max": 5,
             "on_errors": "stop", "soak_hours": 0, "approval_required": false},
        ],
        "starts_per_minute_max": 7,
        "error_threshold": {"failed_percent_max": 3, "ended_min": 20, "action": "stop"},
    });
    let made = service
        .post("/api/v1/campaigns", &body(package, &asked))
        .await;
    let made = made.expect(201);
    for field in [
        "trial",
        "phases",
        "starts_per_minute_max",
        "error_threshold",
    ] {
        assert_eq!(made[field], asked[field], "{field}");
    }
    assert_eq!(
        made["rollout"],
        json!({
            "phase": 0, "phases": 4, "step": "updating", "since": null,
            "approved_by": null, "paused": null,
        })
    );
    assert_eq!(made["created_by"], "admin");
}

#[tokio::test]
async fn what_no_rollout_can_be_is_named() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2", "d3", "d4"]).await;
    let many: Vec<Value> = (0..21).map(|_| json!({"count": 1})).collect();
    for (asked, code, field) in [
        (json!({"trial": "d9"}), "unknown_reference", "trial"),
        (json!({"phases": many}), "invalid_field", "phases"),
        (json!({"phases": [{}]}), "invalid_field", "phases[0]"),
        (
            json!({"phases": [{"count": 1, "percent": 5}]}),
            "invalid_field",
            "phases[0]",
        ),
        (
            json!({"phases": [{"devices": ["d9"]}]}),
            "unknown_reference",
            "phases[0].devices",
        ),
        (
            json!({"phases": [{"count": 1}, {"count": 1, "success_percent_min": 0}]}),
            "invalid_field",
            "phases[1].success_percent_min",
        ),
        (
            json!({"phases": [{"count": 1, "on_errors": "panic"}]}),
            "invalid_field",
            "phases[0].on_errors",
        ),
        (
            json!({"phases": [{"count": 1, "soak_hours": 673}]}),
            "invalid_field",
            "phases[0].soak_hours",
        ),
        (
            json!({"starts_per_minute_max": 0}),
            "invalid_field",
            "starts_per_minute_max",
        ),
        (
            json!({"error_threshold": {"failed_percent_max": 101}}),
            "invalid_field",
            "error_threshold.failed_percent_max",
        ),
        (
            json!({"error_threshold": {"failed_percent_max": 1, "ended_min": 0}}),
            "invalid_field",
            "error_threshold.ended_min",
        ),
    ] {
        let answer = service
            .post("/api/v1/campaigns", &body(package, &asked))
            .await;
        answer.problem(422, code, Some(field));
    }
    assert_eq!(
        service.get("/api/v1/campaigns").await.expect(200),
        json!([])
    );
}

#[tokio::test]
async fn a_campaign_that_has_to_be_approved_is_approved_by_another_person() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2", "d3", "d4"]).await;
    let asked = body(package, &json!({"approval_required": true}));
    let request = service.request_as("approver", Method::POST, "/api/v1/campaigns");
    let made = send(request.json(&asked)).await.expect(201);
    assert_eq!(made["created_by"], "approver");
    let path = format!("/api/v1/campaigns/{}", made["id"]);
    let post = |role: &'static str, action: &str| {
        let request = service.request_as(role, Method::POST, &format!("{path}/{action}"));
        send(request.json(&json!({})))
    };
    let detail = post("approver", "activate").await;
    let detail = detail.problem(409, "approval_required", None);
    assert!(detail.contains("approver"), "{detail}");
    post("approver", "approve")
        .await
        .problem(403, "forbidden", None);
    post("operator", "approve")
        .await
        .problem(403, "forbidden", None);
    let approved = post("admin", "approve").await.expect(200);
    assert_eq!(approved["rollout"]["approved_by"], "admin");
    let running = post("approver", "activate").await.expect(200);
    assert_eq!(running["state"], "running");
    // There is nothing more to approve.
    let again = post("admin", "approve").await;
    again.problem(409, "invalid_transition", None);

    let audit = service.get("/api/v1/audit").await.expect(200);
    let entries = audit.as_array().expect("a list");
    let mut approved = entries
        .iter()
        .filter(|it| it["action"] == "campaign_approved");
    let entry = approved.next().expect("it is told");
    assert_eq!(entry["actor"], "admin");
    assert!(approved.next().is_none());
}

#[tokio::test]
async fn a_campaign_is_paused_and_resumed_where_its_state_allows_it() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2", "d3", "d4"]).await;
    let made = service
        .post("/api/v1/campaigns", &body(package, &json!({})))
        .await;
    let path = format!("/api/v1/campaigns/{}", made.expect(201)["id"]);
    let post = |action: &str| {
        let request = service.request(Method::POST, &format!("{path}/{action}"));
        send(request.json(&json!({})))
    };
    for action in ["pause", "resume", "halt"] {
        post(action).await.problem(409, "invalid_transition", None);
    }
    post("activate").await.expect(200);
    assert_eq!(post("pause").await.expect(200)["state"], "paused");
    post("pause").await.problem(409, "invalid_transition", None);
    assert_eq!(post("halt").await.expect(200)["state"], "paused");
    assert_eq!(post("resume").await.expect(200)["state"], "running");
    post("resume")
        .await
        .problem(409, "invalid_transition", None);
}

#[tokio::test]
async fn what_is_halted_while_it_is_being_activated_does_not_begin() {
    for (halt, is_reached) in [
        ("/api/v1/halt", true),
        ("/api/v1/campaigns/1/halt", true),
        ("/api/v1/campaigns/2/halt", false),
    ] {
        let service = Service::start().await;
        let package = service.seed(&["d1", "d2", "d3", "d4"]).await;
        for _ in 0..2 {
            let asked = body(package, &json!({}));
            let made = service.post("/api/v1/campaigns", &asked).await;
            made.expect(201);
        }
        let nothing = json!({});
        service
            .post("/api/v1/campaigns/2/activate", &nothing)
            .await
            .expect(200);
        let mut reached = service.verifier.reached.subscribe();
        let gate = service.verifier.gate.lock().await;
        let activates = service.post("/api/v1/campaigns/1/activate", &nothing);
        let halts = async {
            reached.changed().await.expect("it is verified");
            if halt.contains("/1/") {
                // As an engine does that does not know of it.
                *service.engine.refuse.lock().expect("not poisoned") =
                    Some(CommandError::NotActive);
            }
            service.post(halt, &nothing).await.expect(200);
            *service.engine.refuse.lock().expect("not poisoned") = None;
            drop(gate);
        };
        let (activated, ()) = tokio::join!(activates, halts);
        if !is_reached {
            activated.expect(200);
            continue;
        }
        activated.problem(409, "halted", None);
        let draft = service.get("/api/v1/campaigns/1").await.expect(200);
        assert_eq!(draft["state"], "draft");
        // What is asked for behind the halt begins.
        let again = service.post("/api/v1/campaigns/1/activate", &nothing);
        again.await.expect(200);
    }
}

#[tokio::test]
async fn the_devices_of_a_rollout_are_named_in_any_form_as_its_targets_are() {
    let service = Service::start_named().await;
    let [one, two] = ["urn:imei:860000000000001", "urn:imei:860000000000002"];
    let package = service.seed(&[one, two]).await;
    let asked = json!({
        "targets": {"devices": [one, two]}, "trial": one, "phases": [{"devices": [two]}],
    });
    let made = service
        .post("/api/v1/campaigns", &body(package, &asked))
        .await;
    let made = made.expect(201);
    assert_eq!(made["trial"], "860000000000001");
    assert_eq!(made["phases"][0]["devices"], json!(["860000000000002"]));
}

#[tokio::test]
async fn what_was_approved_is_approved_anew_once_it_is_changed() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2", "d3", "d4"]).await;
    let asked = json!({"approval_required": true, "start_at": "2099-01-01T00:00:00Z"});
    let request = service.request_as("operator", Method::POST, "/api/v1/campaigns");
    let made = send(request.json(&body(package, &asked))).await.expect(201);
    let path = format!("/api/v1/campaigns/{}", made["id"]);
    let read = service.get(&path).await;
    let approve = || service.request_as("approver", Method::POST, &format!("{path}/approve"));
    send(approve()).await.expect(200);
    let at_once = json!({"start_at": null});
    let patch = service.request_as("operator", Method::PATCH, &path);
    let changed = send(patch.json(&at_once)).await.expect(200);
    assert_eq!(changed["rollout"]["approved_by"], Value::Null);
    let activate = service.post(&format!("{path}/activate"), &json!({})).await;
    activate.problem(409, "approval_required", None);
    // Nobody approves what they have not read.
    let stale = approve().header("if-match", read.header("etag"));
    send(stale).await.problem(412, "stale", None);
    let tag = service.get(&path).await.header("etag").to_owned();
    send(approve().header("if-match", tag)).await.expect(200);
}

#[tokio::test]
async fn who_changed_a_draft_does_not_approve_it() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2", "d3", "d4"]).await;
    let asked = json!({"approval_required": true});
    let request = service.request_as("operator", Method::POST, "/api/v1/campaigns");
    let made = send(request.json(&body(package, &asked))).await.expect(201);
    let path = format!("/api/v1/campaigns/{}", made["id"]);
    let change = |role: &'static str, start_at: &str| {
        let patch = service.request_as(role, Method::PATCH, &path);
        send(patch.json(&json!({"start_at": start_at})))
    };
    let approve = |role: &'static str| {
        let request = service.request_as(role, Method::POST, &format!("{path}/approve"));
        send(request.json(&json!({})))
    };
    // Nor where another has changed it after them, or they approved it before.
    approve("approver").await.expect(200);
    change("approver", "2099-01-01T00:00:00Z").await.expect(200);
    change("operator", "2099-01-02T00:00:00Z").await.expect(200);
    let detail = approve("approver").await.problem(403, "forbidden", None);
    assert!(detail.contains("changed the draft"), "{detail}");
    let approved = approve("admin").await.expect(200);
    assert_eq!(approved["rollout"]["approved_by"], "admin");
    let activated = service.post(&format!("{path}/activate"), &json!({})).await;
    activated.expect(200);
}

#[tokio::test]
async fn who_made_a_campaign_does_not_approve_its_phases() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2", "d3", "d4"]).await;
    let asked = json!({"phases": [{"count": 1, "approval_required": true}]});
    let request = service.request_as("approver", Method::POST, "/api/v1/campaigns");
    let made = send(request.json(&body(package, &asked))).await.expect(201);
    let path = format!("/api/v1/campaigns/{}", made["id"]);
    let activated = service.post(&format!("{path}/activate"), &json!({})).await;
    activated.expect(200);
    let (campaign, _) = service.store.campaign(CampaignId(1)).await.expect("it");
    let waits = RolloutState {
        step: RolloutStep::AwaitingApproval,
        ..campaign.rollout
    };
    let waits = Record::Rollout {
        id: CampaignId(1),
        state: waits,
    };
    service.store.commit(vec![waits]).await.expect("a commit");
    let approve = |role: &'static str| {
        let request = service.request_as(role, Method::POST, &format!("{path}/approve"));
        send(request.json(&json!({})))
    };
    approve("approver").await.problem(403, "forbidden", None);
    let asked_to = |it: &Command| matches!(it, Command::ApprovePhase(_));
    let is_asked = || {
        let commands = service.engine.commands.lock().expect("not poisoned");
        commands.iter().any(asked_to)
    };
    assert!(!is_asked());
    approve("admin").await.expect(200);
    assert!(is_asked());
}
