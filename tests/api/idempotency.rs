//! `Idempotency-Key`.

use reqwest::Method;
use serde_json::json;

use crate::service::{Answer, Service, send};

async fn make(service: &Service, role: &str, key: &str, name: &str) -> Answer {
    let request = service.request_as(role, Method::POST, "/api/v1/groups");
    send(
        request
            .header("idempotency-key", key)
            .json(&json!({"name": name})),
    )
    .await
}

async fn make_group(service: &Service, role: &str, key: &str) -> Answer {
    make(service, role, key, "east").await
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_answered_as_before_and_done_once() {
    let service = Service::start().await;
    let first = make_group(&service, "operator", "k1").await;
    first.expect(201);
    let again = make_group(&service, "operator", "k1").await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("location"), first.header("location"));
    let groups = service.get("/api/v1/groups").await.expect(200);
    assert_eq!(groups.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn another_key_or_another_token_is_another_request() {
    let service = Service::start().await;
    make_group(&service, "operator", "k1").await.expect(201);
    make_group(&service, "operator", "k2")
        .await
        .problem(409, "conflict", Some("name"));
    make_group(&service, "approver", "k1")
        .await
        .problem(409, "conflict", Some("name"));
    make_group(&service, "viewer", "k1")
        .await
        .problem(403, "forbidden", None);
}

#[tokio::test]
async fn a_refusal_is_not_kept() {
    let service = Service::start().await;
    let refused = make(&service, "operator", "k1", "").await;
    refused.problem(422, "invalid_field", Some("name"));
    make(&service, "operator", "k1", "east").await.expect(201);
}

#[tokio::test]
async fn a_new_tokens_text_is_not_kept() {
    let service = Service::start().await;
    let make = || {
        let request = service.request(Method::POST, "/api/v1/tokens");
        let body = json!({"name": "ci", "role": "viewer"});
        send(request.header("idempotency-key", "k1").json(&body))
    };
    make().await.expect(201);
    make().await.problem(409, "conflict", Some("name"));
}

#[tokio::test]
async fn a_key_has_its_bound() {
    let service = Service::start().await;
    let answer = make_group(&service, "operator", &"k".repeat(256)).await;
    answer.problem(400, "invalid_query", Some("Idempotency-Key"));
}
