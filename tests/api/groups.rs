//! `/api/v1/groups`.

use serde_json::json;

use crate::service::{Service, device};

#[tokio::test]
async fn a_group_is_made_filled_emptied_and_taken_away() {
    let service = Service::start().await;
    for name in ["d1", "d2"] {
        service
            .post("/api/v1/devices", &device(name))
            .await
            .expect(201);
    }
    let answer = service
        .post("/api/v1/groups", &json!({"name": "东区"}))
        .await;
    let group = answer.expect(201);
    let path = answer.header("location").to_owned();
    assert_eq!(service.get(&path).await.expect(200), group);

    let devices = format!("{path}/devices");
    let bound = service
        .post(&devices, &json!({"devices": ["d1", "d2", "d1"]}))
        .await;
    assert_eq!(bound.expect(200)["devices"], 2);
    let listed = service.get(&devices).await.expect(200);
    assert_eq!(listed, json!([{"endpoint": "d1"}, {"endpoint": "d2"}]));

    service.delete(&format!("{devices}/d1")).await.expect(204);
    let listed = service.get("/api/v1/groups").await.expect(200);
    assert_eq!(listed[0]["devices"], 1);
    let again = service.delete(&format!("{devices}/d1")).await;
    again.problem(404, "not_found", None);

    service.delete(&path).await.expect(204);
    for path in [&path, &devices] {
        service.get(path).await.problem(404, "not_found", None);
    }
    service.get("/api/v1/devices/d2").await.expect(200);
}

#[tokio::test]
async fn a_groups_name_is_its_own() {
    let service = Service::start().await;
    let body = json!({"name": "east"});
    service.post("/api/v1/groups", &body).await.expect(201);
    let answer = service.post("/api/v1/groups", &body).await;
    answer.problem(409, "conflict", Some("name"));
}

#[tokio::test]
async fn a_device_that_is_not_there_is_not_bound_and_neither_are_the_others() {
    let service = Service::start().await;
    service
        .post("/api/v1/devices", &device("d1"))
        .await
        .expect(201);
    service
        .post("/api/v1/groups", &json!({"name": "east"}))
        .await
        .expect(201);
    let body = json!({"devices": ["d1", "d9"]});
    let answer = service.post("/api/v1/groups/1/devices", &body).await;
    let detail = answer.problem(422, "unknown_reference", Some("devices[1]"));
    assert!(detail.contains("d9"), "{detail}");
    assert_eq!(
        service.get("/api/v1/groups/1/devices").await.expect(200),
        json!([])
    );
    let answer = service.post("/api/v1/groups/9/devices", &body).await;
    answer.problem(404, "not_found", None);
}
