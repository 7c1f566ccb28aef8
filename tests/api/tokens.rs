//! `/api/v1/tokens`.

use reqwest::Method;
use serde_json::json;

use crate::service::{Service, send};

#[tokio::test]
async fn a_token_is_shown_once_and_opens_what_its_role_opens_until_it_is_taken_away() {
    let service = Service::start().await;
    let body = json!({"name": "ci", "role": "viewer"});
    let created = service.post("/api/v1/tokens", &body).await.expect(201);
    let token = created["token"].as_str().expect("a token").to_owned();
    assert!(token.starts_with("nc_") && token.len() == 67, "{token}");

    let read = || {
        send(
            service
                .anonymous(Method::GET, "/api/v1/devices")
                .bearer_auth(&token),
        )
    };
    read().await.expect(200);
    let write = service
        .anonymous(Method::POST, "/api/v1/groups")
        .bearer_auth(&token);
    let answer = send(write.json(&json!({"name": "east"}))).await;
    answer.problem(403, "forbidden", None);

    let listed = service.get("/api/v1/tokens").await;
    assert!(!listed.text.contains(&token[3..]));
    let names: Vec<_> = listed.expect(200).as_array().expect("a list").clone();
    assert!(
        names
            .iter()
            .any(|row| row["name"] == "ci" && row["role"] == "viewer")
    );

    service.delete("/api/v1/tokens/ci").await.expect(204);
    read().await.problem(401, "unauthenticated", None);
    service
        .delete("/api/v1/tokens/ci")
        .await
        .problem(404, "not_found", None);
}

#[tokio::test]
async fn a_tokens_name_is_its_own() {
    let service = Service::start().await;
    let body = json!({"name": "ci", "role": "viewer"});
    service.post("/api/v1/tokens", &body).await.expect(201);
    let answer = service.post("/api/v1/tokens", &body).await;
    answer.problem(409, "conflict", Some("name"));
}
