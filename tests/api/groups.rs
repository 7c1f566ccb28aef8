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

#[tokio::test]
async fn a_groups_devices_are_replaced_by_the_list_that_is_put() {
    let service = Service::start().await;
    for name in ["d1", "d2", "d3"] {
        let device = device(name);
        service.post("/api/v1/devices", &device).await.expect(201);
    }
    let east = json!({"name": "east"});
    service.post("/api/v1/groups", &east).await.expect(201);
    let devices = "/api/v1/groups/1/devices";
    let body = json!({"devices": ["d1", "d2"]});
    service.post(devices, &body).await.expect(200);

    let body = json!({"devices": ["d3", "d2", "d3"]});
    for _ in 0..2 {
        let group = service.put(devices, &body).await.expect(200);
        assert_eq!((&group["id"], &group["devices"]), (&json!(1), &json!(2)));
        let listed = service.get(devices).await.expect(200);
        assert_eq!(listed, json!([{"endpoint": "d2"}, {"endpoint": "d3"}]));
    }

    service.delete(devices).await.expect(204);
    assert_eq!(service.get(devices).await.expect(200), json!([]));
    service.delete(devices).await.expect(204);
    let none = json!({"devices": []});
    service.put(devices, &none).await.expect(200);
    service.get("/api/v1/devices/d3").await.expect(200);
    for answer in [
        service.put("/api/v1/groups/9/devices", &none).await,
        service.delete("/api/v1/groups/9/devices").await,
    ] {
        answer.problem(404, "not_found", None);
    }
}

#[tokio::test]
async fn a_list_with_devices_that_are_not_there_replaces_nothing_and_names_some_of_them() {
    let service = Service::start().await;
    let device = device("d1");
    service.post("/api/v1/devices", &device).await.expect(201);
    let east = json!({"name": "east"});
    service.post("/api/v1/groups", &east).await.expect(201);
    let devices = "/api/v1/groups/1/devices";
    let body = json!({"devices": ["d1"]});
    service.put(devices, &body).await.expect(200);

    let body = json!({"devices": ["d1", "x1", "x2", "x1"]});
    let answer = service.put(devices, &body).await;
    let detail = answer.problem(422, "unknown_reference", Some("devices[1]"));
    assert!(detail.ends_with("'x1', 'x2'"), "{detail}");

    let many: Vec<_> = (0..1000).map(|number| format!("x{number:03}")).collect();
    let answer = service.put(devices, &json!({"devices": many})).await;
    let detail = answer.problem(422, "unknown_reference", Some("devices[0]"));
    assert!(detail.ends_with("'x019', and of more"), "{detail}");

    let answer = service.put(devices, &json!({"devices": ["d1", ""]})).await;
    answer.problem(422, "invalid_field", Some("devices[1]"));
    let large = json!({"devices": vec!["x".repeat(200); 2000]});
    let answer = service.put(devices, &large).await;
    answer.problem(413, "too_large", None);
    let listed = service.get(devices).await.expect(200);
    assert_eq!(listed, json!([{"endpoint": "d1"}]));
}

#[tokio::test]
async fn a_group_is_renamed_and_keeps_its_devices() {
    let service = Service::start().await;
    let device = device("d1");
    service.post("/api/v1/devices", &device).await.expect(201);
    for name in ["east", "west"] {
        let group = json!({"name": name});
        service.post("/api/v1/groups", &group).await.expect(201);
    }
    let bind = json!({"devices": ["d1"]});
    let devices = "/api/v1/groups/1/devices";
    service.put(devices, &bind).await.expect(200);

    let path = "/api/v1/groups/1";
    let north = json!({"name": "north"});
    for _ in 0..2 {
        let group = service.put(path, &north).await.expect(200);
        assert_eq!(group["name"], "north");
        assert_eq!(group["devices"], 1);
        assert_eq!(service.get(path).await.expect(200), group);
    }
    let answer = service.put(path, &json!({"name": "west"})).await;
    answer.problem(409, "conflict", Some("name"));
    let answer = service.put(path, &json!({"name": ""})).await;
    answer.problem(422, "invalid_field", Some("name"));
    let answer = service.put("/api/v1/groups/9", &north).await;
    answer.problem(404, "not_found", None);
}
