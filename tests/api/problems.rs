//! The shape of errors: problem+json everywhere, the field named, two languages.

use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Service, send};

/// What every answer carries.
pub(crate) const HARDENING: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("x-frame-options", "DENY"),
];

#[tokio::test]
async fn a_path_or_a_method_that_is_not_there_is_a_problem() {
    let service = Service::start().await;
    let answer = service.get("/api/v1/nothing").await;
    assert!(
        answer
            .problem(404, "not_found", None)
            .contains("/api/v1/nothing")
    );
    let answer = send(service.request(Method::PUT, "/api/v1/devices")).await;
    answer.problem(405, "method_not_allowed", None);
    let allowed = answer.header("allow");
    assert!(
        allowed.contains("GET") && allowed.contains("POST"),
        "{allowed}"
    );
}

#[tokio::test]
async fn titles_and_hints_are_in_the_language_of_the_request() {
    let service = Service::start().await;
    let request = service.anonymous(Method::GET, "/api/v1/devices");
    let answer = send(request.header("accept-language", "zh-CN,zh;q=0.9,en;q=0.8")).await;
    answer.problem(401, "unauthenticated", None);
    assert_eq!(answer.header("content-language"), "zh");
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
    let body: Value = serde_json::from_str(&answer.text).expect("JSON");
    assert_eq!(body["title"], "需要访问令牌");
    assert!(
        body["hint"]
            .as_str()
            .expect("a hint")
            .contains("narrowcast token create")
    );

    let answer = send(service.anonymous(Method::GET, "/api/v1/devices")).await;
    assert_eq!(answer.header("content-language"), "en");
    assert_eq!(answer.expect(401)["title"], "A token is needed");
}

#[tokio::test]
async fn every_answer_is_for_this_reader_now() {
    let service = Service::start().await;
    for path in ["/api/v1/devices", "/api/v1/nothing", "/healthz"] {
        let answer = service.get(path).await;
        for (name, value) in HARDENING {
            assert_eq!(answer.header(name), value, "{path} {name}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_said_so() {
    let service = Service::start().await;
    for body in ["", "{", "{\"endpoint\": \"a\",}", "{\"endpoint\":\"a\"} x"] {
        let request = service.request(Method::POST, "/api/v1/devices");
        let request = request.header("content-type", "application/json");
        let answer = send(request.body(body)).await;
        answer.problem(400, "malformed_json", None);
    }
    let request = service.request(Method::POST, "/api/v1/devices").body("{}");
    let answer = send(request).await;
    answer.problem(415, "unsupported_media_type", None);
}

#[tokio::test]
async fn a_json_body_has_its_bound() {
    let service = Service::start().await;
    let device = json!({"endpoint": "x".repeat(256 * 1024)});
    let answer = service.post("/api/v1/devices", &device).await;
    let detail = answer.problem(413, "too_large", None);
    assert!(detail.contains("262144"), "{detail}");

    // Chunked: the length is not known before it is read.
    let head = format!(
        "POST /api/v1/devices HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        service.token("admin")
    );
    let body = format!("50000\r\n{}\r\n0\r\n\r\n", " ".repeat(0x50000));
    let answer = service.raw(&(head + &body)).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn each_field_of_a_device_a_key_a_group_and_a_token_is_named() {
    let service = Service::start().await;
    let long = "x".repeat(256);
    let cases = [
        ("devices", json!({}), "endpoint"),
        ("devices", json!({"endpoint": ""}), "endpoint"),
        ("devices", json!({"endpoint": long}), "endpoint"),
        ("devices", json!({"endpoint": "a\u{0}b"}), "endpoint"),
        ("devices", json!({"endpoint": 7}), "endpoint"),
        (
            "devices",
            json!({"endpoint": "a", "manufacturer": ""}),
            "manufacturer",
        ),
        ("devices", json!({"endpoint": "a", "model": "\n"}), "model"),
        (
            "devices",
            json!({"endpoint": "a", "device_type": ""}),
            "device_type",
        ),
        ("devices", json!({"endpoint": "a", "tags": [""]}), "tags"),
        (
            "devices",
            json!({"endpoint": "a", "tags": vec!["x"; 17]}),
            "tags",
        ),
        ("devices", json!({"endpoint": "a", "tags": [1]}), "tags[0]"),
        (
            "devices",
            json!({"endpoint": "a", "colour": "red"}),
            "colour",
        ),
        ("keys", json!({"manufacturer": "q"}), "public_key_pem"),
        (
            "keys",
            json!({"manufacturer": "", "public_key_pem": "KEY k"}),
            "manufacturer",
        ),
        ("groups", json!({"name": ""}), "name"),
        ("groups", json!({"name": "x".repeat(51)}), "name"),
        ("tokens", json!({"name": "", "role": "viewer"}), "name"),
        ("tokens", json!({"name": "n", "role": "god"}), "role"),
    ];
    for (noun, body, field) in cases {
        assert_named(&service, noun, &body, field).await;
    }
}

#[tokio::test]
async fn each_field_of_a_campaign_is_named() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    let cases = [
        ("name", json!(""), "name"),
        ("name", json!("计".repeat(51)), "name"),
        ("package_id", json!("1"), "package_id"),
        ("retry", json!({"retries_max": 6}), "retry.retries_max"),
        (
            "retry",
            json!({"delay_seconds": 604_801}),
            "retry.delay_seconds",
        ),
        ("retry", json!({"delay_seconds": -1}), "retry.delay_seconds"),
        ("retry", json!({"times": 1}), "retry.times"),
        (
            "targets",
            json!({"devices": ["d1", ""]}),
            "targets.devices[1]",
        ),
        ("targets", json!({"groups": ["g"]}), "targets.groups[0]"),
        ("targets", json!({"all": true}), "targets.all"),
        ("window", json!({}), "window.time_zone"),
    ];
    for (name, value, field) in cases {
        let mut body = json!({
            "name": "July", "package_id": package, "targets": {"devices": ["d1"]},
        });
        body[name] = value;
        assert_named(&service, "campaigns", &body, field).await;
    }
}

async fn assert_named(service: &Service, noun: &str, body: &Value, field: &str) {
    let answer = service.post(&format!("/api/v1/{noun}"), body).await;
    let detail = answer.problem(422, "invalid_field", Some(field));
    let name = field.rsplit('.').next().expect("a name");
    assert!(detail.contains(name), "{noun} {body}: {detail}");
}
