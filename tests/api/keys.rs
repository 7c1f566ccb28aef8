//! `/api/v1/keys`.

use narrowcast::engine::CommandError;
use reqwest::Method;
use serde_json::json;

use crate::service::{FORM, Service, send};

#[tokio::test]
async fn a_key_is_entered_and_listed() {
    let service = Service::start().await;
    let body = json!({"manufacturer": "quectel", "public_key_pem": "KEY k1"});
    let key = service.post("/api/v1/keys", &body).await.expect(201);
    assert_eq!(key["id"], "k1");
    assert_eq!(key["bits"], 3072);
    assert_eq!(key["state"], "active");
    assert_eq!(key["purpose"], "firmware");
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
async fn a_key_for_anything_but_firmware_is_not_entered() {
    let service = Service::start().await;
    let mut body = json!({
        "manufacturer": "quectel", "public_key_pem": "KEY k1", "purpose": "bootstrap",
    });
    let answer = service.post("/api/v1/keys", &body).await;
    answer.problem(422, "invalid_field", Some("purpose"));
    assert_eq!(service.get("/api/v1/keys").await.expect(200), json!([]));
    body["purpose"] = json!("firmware");
    let key = service.post("/api/v1/keys", &body).await.expect(201);
    assert_eq!(key["purpose"], "firmware");
}

#[tokio::test]
async fn a_retired_key_verifies_nothing_new_and_its_packages_stay_usable() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    let reason = json!({"reason": "the yearly change"});
    let key = service.post("/api/v1/keys/k1/retire", &reason).await;
    let key = key.expect(200);
    assert_eq!(key["state"], "retired");
    assert_eq!(key["created_by"], "key-admin");
    assert_eq!(key["retired"]["by"], "key-admin");
    assert_eq!(key["retired"]["reason"], "the yearly change");
    assert_eq!(service.get("/api/v1/keys").await.expect(200), json!([key]));

    let answer = service.upload("signed-by k1\nother image", &FORM).await;
    answer.problem(409, "key_retired", Some("file"));
    assert_eq!(service.package_files().len(), 2, "only the first package's");
    let campaign = draft(&service, package).await;
    let path = format!("{campaign}/activate");
    service.post(&path, &json!({})).await.expect(200);

    let answer = service.post("/api/v1/keys/k1/retire", &reason).await;
    answer.problem(409, "invalid_key_transition", None);
    let answer = service.post("/api/v1/keys/k2/retire", &reason).await;
    answer.problem(404, "not_found", None);
}

#[tokio::test]
async fn beside_a_retired_key_another_of_the_manufacturer_goes_on() {
    let service = Service::start().await;
    // More than are tried for one upload, and the active one is the last.
    for number in 0..70 {
        let pem = format!("KEY a{number:02}");
        let body = json!({"manufacturer": "quectel", "public_key_pem": pem});
        service.post("/api/v1/keys", &body).await.expect(201);
        let path = format!("/api/v1/keys/a{number:02}/retire");
        let reason = json!({"reason": "old"});
        service.post(&path, &reason).await.expect(200);
    }
    let body = json!({"manufacturer": "quectel", "public_key_pem": "KEY k1"});
    service.post("/api/v1/keys", &body).await.expect(201);
    let answer = service.upload("signed-by k1\nimage", &FORM).await;
    answer.expect(201);
}

#[tokio::test]
async fn of_a_revoked_key_nothing_is_taken_made_or_activated() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    let running = draft(&service, package).await;
    let waiting = draft(&service, package).await;
    let path = format!("{running}/activate");
    service.post(&path, &json!({})).await.expect(200);

    let reason = json!({"reason": "the laptop was stolen"});
    let answer = service.post("/api/v1/keys/k1/revoke", &reason).await;
    let answer = answer.expect(200);
    assert_eq!(answer["key"]["state"], "revoked");
    assert_eq!(answer["key"]["revoked"]["by"], "key-admin");
    assert_eq!(answer["packages_count"], 1);
    assert_eq!(answer["packages"][0]["id"], package);
    assert_eq!(answer["packages"][0]["version"], "V2");
    assert_eq!(answer["campaigns_count"], 2);
    let campaigns = &answer["campaigns"];
    assert_eq!(campaigns[0]["state"], "stopped");
    assert_eq!(campaigns[0]["stopped"], true);
    assert_eq!(campaigns[1]["state"], "draft");
    assert_eq!(campaigns[1]["stopped"], false);
    assert_eq!(service.get(&running).await.expect(200)["state"], "stopped");

    let path = format!("{waiting}/activate");
    let detail = service.post(&path, &json!({})).await;
    let detail = detail.problem(409, "key_revoked", None);
    assert!(detail.contains("the laptop was stolen"), "{detail}");
    let body = json!({"name": "c", "package_id": package, "targets": {"devices": ["d1"]}});
    let answer = service.post("/api/v1/campaigns", &body).await;
    answer.problem(409, "key_revoked", Some("package_id"));
    let answer = service.upload("signed-by k1\nother image", &FORM).await;
    answer.problem(409, "key_revoked", Some("file"));

    for path in ["/api/v1/keys/k1/revoke", "/api/v1/keys/k1/retire"] {
        let answer = service.post(path, &reason).await;
        answer.problem(409, "invalid_key_transition", None);
    }
    let again = json!({"manufacturer": "quectel", "public_key_pem": "KEY k1"});
    let answer = service.post("/api/v1/keys", &again).await;
    answer.problem(409, "conflict", None);
}

#[tokio::test]
async fn a_key_is_shown_with_its_life_and_what_rests_on_it() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    let running = draft(&service, package).await;
    service
        .post(&format!("{running}/activate"), &json!({}))
        .await;
    let other = json!({"manufacturer": "quectel", "public_key_pem": "KEY k2"});
    service.post("/api/v1/keys", &other).await.expect(201);

    let shown = service.get("/api/v1/keys/k1").await.expect(200);
    let listed = service.get("/api/v1/keys").await.expect(200);
    for (field, value) in listed[0].as_object().expect("a key") {
        assert_eq!(shown[field], *value, "{field}");
    }
    assert_eq!(shown["state"], "active");
    assert_eq!(shown["packages_count"], 1);
    assert_eq!(shown["packages"][0]["id"], package);
    assert_eq!(shown["campaigns_count"], 1);
    assert_eq!(shown["campaigns"][0]["state"], "running");
    assert_eq!(shown["devices_updated"], 0);
    let unused = service.get("/api/v1/keys/k2").await.expect(200);
    assert_eq!(unused["packages"], json!([]));
    assert_eq!(unused["campaigns"], json!([]));

    let reason = json!({"reason": "the yearly change"});
    service
        .post("/api/v1/keys/k1/retire", &reason)
        .await
        .expect(200);
    let reason = json!({"reason": "the laptop was stolen"});
    service
        .post("/api/v1/keys/k1/revoke", &reason)
        .await
        .expect(200);
    let shown = service.get("/api/v1/keys/k1").await.expect(200);
    assert_eq!(shown["state"], "revoked");
    assert_eq!(shown["created_by"], "key-admin");
    assert_eq!(shown["retired"]["reason"], "the yearly change");
    assert_eq!(shown["revoked"]["by"], "key-admin");
    assert_eq!(shown["revoked"]["reason"], "the laptop was stolen");
    assert_eq!(shown["campaigns"][0]["state"], "stopped");
    let answer = service.get("/api/v1/keys/k3").await;
    answer.problem(404, "not_found", None);
}

#[tokio::test]
async fn a_package_says_what_its_key_may_still_do() {
    let service = Service::start().await;
    let package = service.seed(&[]).await;
    let path = format!("/api/v1/packages/{package}");
    let reason = json!({"reason": "old"});
    for (change, state) in [("", "active"), ("retire", "retired"), ("revoke", "revoked")] {
        if !change.is_empty() {
            let change = format!("/api/v1/keys/k1/{change}");
            service.post(&change, &reason).await.expect(200);
        }
        let shown = service.get(&path).await.expect(200);
        assert_eq!(shown["key_state"], state);
        let listed = service.get("/api/v1/packages").await.expect(200);
        assert_eq!(listed, json!([shown]));
    }
}

#[tokio::test]
async fn a_key_whose_revocation_was_not_committed_is_active() {
    let service = Service::start().await;
    service.seed(&[]).await;
    *service.engine.refuse.lock().expect("not poisoned") = Some(CommandError::NotActive);
    let reason = json!({"reason": "lost"});
    let answer = service.post("/api/v1/keys/k1/revoke", &reason).await;
    assert_eq!(answer.status, 409);
    let keys = service.get("/api/v1/keys").await.expect(200);
    assert_eq!(keys[0]["state"], "active");
}

#[tokio::test]
async fn a_key_changes_for_a_reason() {
    let service = Service::start().await;
    service.seed(&[]).await;
    for path in ["/api/v1/keys/k1/revoke", "/api/v1/keys/k1/retire"] {
        for reason in [String::new(), "x".repeat(201), "a\nb".to_owned()] {
            let answer = service.post(path, &json!({"reason": reason})).await;
            answer.problem(422, "invalid_field", Some("reason"));
        }
    }
    let keys = service.get("/api/v1/keys").await.expect(200);
    assert_eq!(keys[0]["state"], "active");
}

/// A draft for the device `d1`; its path.
async fn draft(service: &Service, package: u64) -> String {
    let body = json!({"name": "c", "package_id": package, "targets": {"devices": ["d1"]}});
    let answer = service.post("/api/v1/campaigns", &body).await;
    answer.expect(201);
    answer.header("location").to_owned()
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
