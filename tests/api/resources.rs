//! What operators ask of devices, as REST shows it; the device itself is elsewhere (`tests/updates`).

use std::time::Duration;

use bytes::Bytes;
use narrowcast::clock::Utc;
use narrowcast::engine::{Command, CommandError};
use narrowcast::http::{HttpLimits, LiveDevice};
use narrowcast::lwm2m::{Path, SenmlRecord, Value, decode_kept, encode_kept};
use narrowcast::model::{
    DeviceAnswer, DeviceOperation, DeviceRequest, DeviceRequestId, DeviceRequestState,
    EndpointName, Record, Uplink,
};
use narrowcast::store::Store;
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::service::{Answer, Service, device, send};

const DEVICE: &str = "/api/v1/devices/urn:imei:1";

/// With one device that listens, and answers so; `None`: in no time that anyone waits.
async fn service(answer: Option<(u8, Option<u16>, Bytes)>) -> Service {
    let limits = HttpLimits {
        device_wait: Duration::from_millis(50),
        ..HttpLimits::default()
    };
    let service = Service::start_with(limits, false).await;
    service
        .post("/api/v1/devices", &device("urn:imei:1"))
        .await
        .expect(201);
    service.live.show_device(
        name(),
        LiveDevice {
            awake_until: None,
            last_seen: Utc::from_unix_ms(0),
            lifetime_seconds: 60,
        },
    );
    *service.engine.ends.lock().expect("not poisoned") =
        answer.map(|(coap_code, content_format, content)| {
            let state = if coap_code >> 5 == 2 {
                DeviceRequestState::Done
            } else {
                DeviceRequestState::Failed
            };
            let answer = DeviceAnswer {
                coap_code,
                content_format,
                content,
            };
            (state, Some(answer))
        });
    service
}

fn name() -> EndpointName {
    EndpointName::parse("urn:imei:1").expect("a name")
}

fn kept(path: &str, value: Value) -> Bytes {
    let path = Path::parse(path).expect("a path");
    encode_kept(&[SenmlRecord::new(path, value)]).expect("a value")
}

async fn asked(service: &Service) -> DeviceRequest {
    service
        .store
        .restore()
        .await
        .expect("a request")
        .device_requests
        .pop()
        .expect("a request")
}

async fn put(service: &Service, path: &str, body: Json) -> Answer {
    service
        .put(&format!("{DEVICE}/resources/{path}"), &body)
        .await
}

#[tokio::test]
async fn a_read_shows_what_the_device_answered() {
    let version = kept("/3/0/3", Value::Text("V1".into()));
    let service = service(Some((69, Some(0), version))).await;
    let answer = service
        .get(&format!("{DEVICE}/resources/3/0/3"))
        .await
        .expect(200);
    assert_eq!(
        answer,
        json!({"path": "/3/0/3", "value": "V1", "coap_code": "2.05", "content_format": 0,
            "at": "1970-01-01T00:00:02.000Z"})
    );
    let request = asked(&service).await;
    assert_eq!(request.asked.operation, DeviceOperation::Read);
    assert!(request.asked.content.is_empty());
}

#[tokio::test]
async fn a_discovery_shows_links_as_they_are() {
    let links = Bytes::from_static(b"</3>,</3/0>;pmin=10");
    let service = service(Some((69, Some(40), links))).await;
    let path = format!("{DEVICE}/resources/3?discover=true");
    let answer = service.get(&path).await.expect(200);
    assert_eq!(answer["links"], "</3>,</3/0>;pmin=10");
    assert_eq!(
        asked(&service).await.asked.operation,
        DeviceOperation::Discover
    );
}

#[tokio::test]
async fn a_refusal_of_the_device_is_a_problem_with_its_code() {
    for (code, status, dotted) in [
        (0x84, 404, "4.04"),
        (0x85, 405, "4.05"),
        (0x81, 403, "4.01"),
        (0x80, 400, "4.00"),
        (0xa0, 502, "5.00"),
    ] {
        let service = service(Some((code, None, Bytes::new()))).await;
        let answer = service.get(&format!("{DEVICE}/resources/3/0/3")).await;
        let detail = answer.problem(status, "device_refused", None);
        assert!(
            detail.contains(dotted) && detail.contains("/3/0/3"),
            "{detail}"
        );
        assert_eq!(answer.expect(status)["coap_code"], dotted);
    }
}

#[tokio::test]
async fn what_is_not_answered_in_time_is_seen_elsewhere() {
    let service = service(None).await;
    let path = format!("{DEVICE}/resources/3/0/3?ttl_seconds=60");
    let answer = service.get(&path).await;
    let body = answer.expect(202);
    assert_eq!(
        (&body["state"], &body["operation"]),
        (&json!("queued"), &json!("read"))
    );
    assert_eq!(body["result"], Json::Null);
    let location = answer.header("location");
    assert_eq!(location, "/api/v1/devices/urn%3Aimei%3A1/requests/1");
    assert_eq!(service.get(location).await.expect(200), body);
    let list = service.get(&format!("{DEVICE}/requests")).await.expect(200);
    assert_eq!(list, json!([body]));
    let asked = asked(&service).await.asked;
    let now = service.clock.now().utc;
    let left = asked.expires_at.saturating_since(now);
    assert!(left > Duration::from_secs(55) && left <= Duration::from_secs(60));
    assert_eq!(service.delete(location).await.status, 204);
    let commands = service.engine.commands.lock().unwrap();
    assert!(matches!(
        commands.last(),
        Some(Command::CancelDeviceRequest {
            id: DeviceRequestId(1),
            ..
        })
    ));
}

#[tokio::test]
async fn a_sleeping_device_is_not_waited_for() {
    let service = service(Some((69, None, kept("/3/0/3", Value::Integer(1))))).await;
    service.live.remove_device(&name());
    let answer = service.get(&format!("{DEVICE}/resources/3/0/3")).await;
    // It was kept before, as the engine of the test answers at once.
    assert_eq!(answer.expect(202)["state"], "done");
}

#[tokio::test]
async fn writes_keep_every_type_of_value() {
    let service = service(Some((68, None, Bytes::new()))).await;
    let written = put(&service, "3/0/14", json!({"value": "+08"}))
        .await
        .expect(200);
    assert_eq!(written["coap_code"], "2.04");
    let request = asked(&service).await.asked;
    assert_eq!(request.operation, DeviceOperation::Write);
    assert_eq!(request.content, kept("/3/0/14", Value::Text("+08".into())));
    let values = json!({"values": {"1": 300, "6": true, "9": {"object_link": "10:3"}}});
    put(&service, "1/0?partial=true", values).await.expect(200);
    let request = asked(&service).await.asked;
    assert_eq!(request.operation, DeviceOperation::PartialWrite);
    let records = decode_kept(&request.content).unwrap();
    assert_eq!(records.len(), 3);
    let attributes = json!({"attributes": {"pmin": 10, "pmax": 60.5, "gt": null}});
    put(&service, "3/0/9", attributes).await.expect(200);
    let request = asked(&service).await.asked;
    assert_eq!(request.content, "gt&pmax=60.5&pmin=10");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_its_field() {
    let service = service(Some((68, None, Bytes::new()))).await;
    for (path, body, field) in [
        ("3/0/14/1", json!({"value": 1}), Some("path")),
        ("x", json!({"value": 1}), Some("path")),
        ("3/0", json!({"value": 1}), Some("value")),
        ("3", json!({"values": {"0": 1}}), Some("values")),
        ("3/0/14", json!({}), None),
        (
            "3/0/14",
            json!({"value": 1, "attributes": {"pmin": 1}}),
            None,
        ),
        (
            "3/0/14",
            json!({"attributes": {"pmid": 1}}),
            Some("attributes.pmid"),
        ),
        (
            "3/0/14",
            json!({"value": {"opaque_base64": "?"}}),
            Some("value.opaque_base64"),
        ),
    ] {
        put(&service, path, body)
            .await
            .problem(422, "invalid_field", field);
    }
    let long = service
        .get(&format!("{DEVICE}/resources/3/0/3?ttl_seconds=99999999"))
        .await;
    long.problem(400, "invalid_query", Some("ttl_seconds"));
    let unknown = service.get("/api/v1/devices/nobody/resources/3/0/3").await;
    unknown.problem(404, "not_found", None);
    let large = json!({"value": "x".repeat(20_000)});
    put(&service, "3/0/14", large)
        .await
        .problem(413, "too_large", None);
    assert!(
        service
            .store
            .restore()
            .await
            .unwrap()
            .device_requests
            .is_empty()
    );
}

#[tokio::test]
async fn an_execute_has_arguments_or_none() {
    let service = service(Some((68, None, Bytes::new()))).await;
    let path = format!("{DEVICE}/resources/3/0/4");
    send(service.request(Method::POST, &path)).await.expect(200);
    assert!(asked(&service).await.asked.content.is_empty());
    service
        .post(&path, &json!({"arguments": "0='a'"}))
        .await
        .expect(200);
    assert_eq!(asked(&service).await.asked.content, "0='a'");
    let refused = service.post(&path, &json!({"arguments": "ä"})).await;
    refused.problem(422, "invalid_field", Some("arguments"));
    let instance = service
        .post(&format!("{DEVICE}/resources/3/0"), &json!({}))
        .await;
    instance.problem(422, "invalid_field", Some("path"));
}

#[tokio::test]
async fn only_an_admin_reaches_into_the_firmware_object() {
    let service = service(Some((68, None, Bytes::new()))).await;
    let path = format!("{DEVICE}/resources/5/0/2");
    let execute = |role| send(service.request_as(role, Method::POST, &path));
    execute("approver").await.problem(403, "forbidden", None);
    execute("admin").await.expect(200);
    let state = format!("{DEVICE}/resources/5/0/3");
    let read = send(service.request_as("operator", Method::GET, &state)).await;
    assert_eq!(read.status, 200);
}

#[tokio::test]
async fn a_full_queue_and_a_running_update_are_told_apart() {
    for (refusal, status, code) in [
        (CommandError::UpdateActive, 409, "update_active"),
        (
            CommandError::DeviceQueueFull { limit: 16 },
            429,
            "too_many_requests",
        ),
        (
            CommandError::DeviceRequestsFull { limit: 9 },
            507,
            "limit_reached",
        ),
    ] {
        let service = service(None).await;
        *service.engine.refuse.lock().unwrap() = Some(refusal);
        let answer = service.get(&format!("{DEVICE}/resources/3/0/3")).await;
        answer.problem(status, code, None);
    }
}

#[tokio::test]
async fn uplinks_are_shown_newest_first_and_downlinks_are_writes() {
    let service = service(Some((68, None, Bytes::new()))).await;
    let uplink = |at, payload: &'static [u8]| Record::Uplink {
        uplink: Uplink {
            endpoint: name(),
            at: Utc::from_unix_ms(at),
            payload: Bytes::from_static(payload),
        },
        kept: 16,
    };
    let records = vec![uplink(1000, b"\x01"), uplink(2000, b"\x00\xff")];
    service.store.commit(records).await.unwrap();
    let uplinks = service.get(&format!("{DEVICE}/uplinks")).await.expect(200);
    assert_eq!(
        uplinks,
        json!([
            {"at": "1970-01-01T00:00:02.000Z", "payload_base64": "AP8="},
            {"at": "1970-01-01T00:00:01.000Z", "payload_base64": "AQ=="},
        ])
    );
    let newest = service
        .get(&format!("{DEVICE}/uplinks?limit=1"))
        .await
        .expect(200);
    assert_eq!(newest.as_array().unwrap().len(), 1);
    let body = json!({"payload_base64": "AP8=", "ttl_seconds": 60});
    service
        .post(&format!("{DEVICE}/downlinks"), &body)
        .await
        .expect(200);
    let request = asked(&service).await.asked;
    assert_eq!(request.path, "/19/1/0");
    assert_eq!(
        request.content,
        kept("/19/1/0", Value::Opaque(Bytes::from_static(b"\x00\xff")))
    );
}
