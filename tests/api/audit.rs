//! `/api/v1/audit`.

use serde_json::json;

use crate::service::Service;

#[tokio::test]
async fn who_did_what_is_listed_in_pages_with_the_hashes_of_the_chain() {
    let service = Service::start().await;
    let body = json!({"name": "ci", "role": "viewer"});
    service.post("/api/v1/tokens", &body).await.expect(201);
    service.delete("/api/v1/tokens/ci").await.expect(204);

    let listed = service.get("/api/v1/audit").await;
    let entries = listed.expect(200).as_array().expect("a list").clone();
    let [.., created, deleted] = entries.as_slice() else {
        panic!("{entries:?}");
    };
    assert_eq!(created["action"], "token_created");
    assert_eq!(created["kind"], "token");
    assert_eq!(created["object"], "ci");
    assert_eq!(created["details"], json!({"role": "viewer"}));
    assert_eq!(
        (&created["actor"], &created["role"]),
        (&json!("admin"), &json!("admin"))
    );
    assert_eq!(deleted["action"], "token_deleted");
    assert_eq!(deleted["previous"], created["sha256"]);
    assert_eq!(entries[0]["previous"], "0".repeat(64));

    let page = service.get("/api/v1/audit?limit=1&cursor=2").await;
    assert!(
        page.header("link").contains("cursor=3"),
        "{}",
        page.header("link")
    );
    let rows = page.expect(200);
    assert_eq!(rows[0], entries[2]);
    let wrong = service.get("/api/v1/audit?cursor=x").await;
    wrong.problem(400, "invalid_query", Some("cursor"));
}
