//! `/api/v1/keys`.

use reqwest::Method;
use serde_json::json;

use crate::service::{Service, send};

#[tokio::test]
async fn a_key_is_entered_and_listed() {
    let service = Service::start().await;
    let body = json!({"manufacturer": "quectel", "public_key_pem": "KEY k1"});
    let key = service.post("/api/v1/keys", &body).await.expect(201);
    assert_eq!(key["id"], "k1");
    assert_eq!(key["bits"], 3072);
    assert_eq!(key["state"], "active");
    let other = json!({"manufacturer": "fibocom", "public_key_pem": "KEY k2"});
    service.post("/api/v1/keys", &other).await.expect(201);

    let all = service.get("/api/v1/keys").await.expect(200);
    assert_eq!(all.as_array().map(Vec::len), Some(2));
    let some = service
        .get("/api/v1/keys?manufacturer=quectel")
        .await
        .expect(200);
    assert_eq!(some, json!([key]));
}

#[tokio::test]
async fn a_key_is_entered_once() {
    let service = Service::start().await;
    let body = json!({"manufacturer": "quectel", "public_key_pem": "KEY k1"});
    service.post("/api/v1/keys", &body).await.expect(201);
    let answer = service.post("/api/v1/keys", &body).await;
    answer.problem(409, "conflict", None);
}

#[tokio::test]
async fn a_private_key_is_refused_and_not_stored() {
    let service = Service::start().await;
    for kind in ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        let pem = format!("KEY k\n-----BEGIN {kind}-----\nc2VjcmV0\n-----END {kind}-----\n");
        let body = json!({"manufacturer": "quectel", "public_key_pem": pem});
        let answer = service.post("/api/v1/keys", &body).await;
        answer.problem(422, "private_key_refused", Some("public_key_pem"));
        assert!(!answer.text.contains("c2VjcmV0"));
    }
    assert_eq!(service.get("/api/v1/keys").await.expect(200), json!([]));
}

#[tokio::test]
async fn what_is_no_key_is_refused_with_the_verifiers_code() {
    let service = Service::start().await;
    let body = json!({"manufacturer": "quectel", "public_key_pem": "hello"});
    let request = service.request(Method::POST, "/api/v1/keys").json(&body);
    let answer = send(request).await;
    answer.problem(422, "not_a_public_key", Some("public_key_pem"));
}
