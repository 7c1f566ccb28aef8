//! `/api/v1/packages/{id}/links`, and what their URLs answer.

use narrowcast::http::{ConnectionLimits, HttpLimits};
use narrowcast::model::{AuditActor, AuditStamp, FirmwareVersion, PackageId};
use narrowcast::store::{Page, Store};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::service::{FORM, Service, send};
use crate::verifier::sha256;

const LINKS: &str = "/api/v1/packages/1/links";
/// The file of the package that every test has.
const IMAGE: &str = "image";

async fn start(links_max: usize) -> Service {
    let limits = (HttpLimits::default(), ConnectionLimits::default());
    let service = Service::start_linked(limits.0, limits.1, false, Some(links_max)).await;
    service.seed(&[]).await;
    service
}

async fn create(service: &Service, body: Value) -> Value {
    service.post(LINKS, &body).await.expect(201)
}

fn url(link: &Value) -> &str {
    link["url"].as_str().expect("a URL")
}

/// The status and the body of a GET without a token.
async fn fetch(url: &str, range: &str) -> (u16, String) {
    let mut request = reqwest::Client::new().get(url);
    if !range.is_empty() {
        request = request.header("range", format!("bytes={range}"));
    }
    let answer = send(request).await;
    (answer.status, answer.text)
}

async fn listed(service: &Service) -> Vec<Value> {
    let rows = service.get(LINKS).await.expect(200);
    rows.as_array().expect("rows").clone()
}

#[tokio::test]
async fn a_link_is_a_url_that_a_module_takes_and_is_shown_once() {
    let service = start(9).await;
    let body = json!({"device": "meter 7", "expires_in_seconds": 3600});
    let link = create(&service, body).await;
    let (base, name) = url(&link).rsplit_once('/').expect("a path");
    let (_, capability) = base.split_once("/fw/").expect("a capability");
    assert!(capability.len() == 32 && capability.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(link["file_name"], name);
    assert_eq!(link["sha256"], sha256(IMAGE.as_bytes()).to_string());
    assert_eq!(
        (&link["size_bytes"], &link["budget_bytes"]),
        (&json!(5), &json!(15))
    );
    assert_eq!(
        (&link["device"], &link["state"]),
        (&json!("meter 7"), &json!("waiting"))
    );
    assert_eq!(fetch(url(&link), "").await, (200, IMAGE.to_owned()));
    let rows = listed(&service).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["id"], link["id"]);
    assert!(!rows[0].to_string().contains(capability), "{}", rows[0]);
    // What is stored opens nothing.
    let page = Page {
        after: None,
        limit: 9,
    };
    let stored = service
        .store
        .links(None, page.clone())
        .await
        .expect("links");
    assert!(!format!("{stored:?}").contains(capability));
    let audit = service.store.audit_entries(page).await.expect("entries");
    let told: Vec<_> = audit.iter().filter(|entry| entry.kind == "link").collect();
    assert_eq!(told[0].action, "link_created");
    assert!(!format!("{told:?}").contains(capability));
}

#[tokio::test]
async fn what_was_taken_is_counted_until_all_of_it_was() {
    let service = start(9).await;
    let link = create(&service, json!({})).await;
    for (range, status, body, state, served) in [
        ("0-1", 206, "im", "downloading", 2),
        ("3-", 206, "ge", "downloading", 4),
        ("9-", 416, "Range Not Satisfiable", "downloading", 4),
        ("2-3", 206, "ag", "served_whole", 6),
        ("", 200, IMAGE, "served_whole", 11),
    ] {
        assert_eq!(
            fetch(url(&link), range).await,
            (status, body.to_owned()),
            "{range}"
        );
        let row = listed(&service).await.remove(0);
        assert_eq!(row["state"], state, "{row}");
        assert_eq!(row["bytes_served"], served, "{row}");
        assert!(row["first_fetch_at"].is_string() && row["last_fetch_at"].is_string());
        assert_eq!(row["served_whole_at"].is_string(), state == "served_whole");
    }
    // And is written down.
    let page = Page {
        after: None,
        limit: 9,
    };
    loop {
        let stored = service
            .store
            .links(None, page.clone())
            .await
            .expect("links");
        if stored[0].progress.bytes_served == 11 {
            assert!(stored[0].progress.served_whole_at.is_some());
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_head_costs_nothing_and_has_the_fields_of_the_whole() {
    let service = start(9).await;
    let link = create(&service, json!({})).await;
    let head = send(reqwest::Client::new().head(url(&link))).await;
    assert_eq!((head.status, head.header("content-length")), (200, "5"));
    assert_eq!(head.header("accept-ranges"), "bytes");
    assert!(head.header("etag").starts_with('"'));
    assert_eq!(listed(&service).await[0]["state"], "waiting");
}

#[tokio::test]
async fn a_budget_that_is_spent_ends_a_link() {
    let service = start(9).await;
    let link = create(&service, json!({"budget_bytes": 7})).await;
    assert_eq!(fetch(url(&link), "0-3").await.0, 206);
    assert_eq!(fetch(url(&link), "0-2").await.0, 206);
    assert_eq!(fetch(url(&link), "0-0").await.0, 410);
    let row = listed(&service).await.remove(0);
    assert_eq!(
        (&row["state"], &row["bytes_served"]),
        (&json!("budget_spent"), &json!(7))
    );
}

#[tokio::test]
async fn a_link_that_is_ended_or_whose_key_is_revoked_opens_nothing_from_then_on() {
    let service = start(9).await;
    let (ended, kept) = (
        create(&service, json!({})).await,
        create(&service, json!({})).await,
    );
    let path = format!("{LINKS}/{}", ended["id"]);
    // Of another package it is none.
    let other = path.replace("packages/1", "packages/2");
    service.delete(&other).await.problem(404, "not_found", None);
    service.delete(&path).await.expect(204);
    service.delete(&path).await.problem(404, "not_found", None);
    assert_eq!(fetch(url(&ended), "").await.0, 410);
    assert_eq!(fetch(url(&kept), "").await.0, 200);
    let third = create(&service, json!({})).await;
    let reason = json!({"reason": "stolen"});
    service
        .post("/api/v1/keys/k1/revoke", &reason)
        .await
        .expect(200);
    assert_eq!(fetch(url(&kept), "").await.0, 410);
    assert_eq!(fetch(url(&third), "").await.0, 410);
    let states: Vec<_> = listed(&service)
        .await
        .iter()
        .map(|row| row["state"].clone())
        .collect();
    assert_eq!(states, ["revoked", "served_whole", "revoked"]);
    let refused = service.post(LINKS, &json!({})).await;
    refused.problem(409, "key_revoked", None);
}

#[tokio::test]
async fn with_its_package_a_link_is_gone() {
    let service = start(1).await;
    let link = create(&service, json!({})).await;
    service.delete("/api/v1/packages/1").await.expect(204);
    assert_eq!(fetch(url(&link), "").await.0, 404);
    service.get(LINKS).await.problem(404, "not_found", None);
    let page = Page {
        after: None,
        limit: 9,
    };
    assert_eq!(service.store.links(None, page).await.expect("links"), []);
}

#[tokio::test]
async fn who_has_not_the_whole_url_gets_nothing() {
    let service = start(9).await;
    let link = create(&service, json!({})).await;
    let url = url(&link);
    let (start, name) = url.rsplit_once('/').expect("a name");
    let (rest, last) = start.split_at(start.len() - 1);
    let other = if last == "0" { "1" } else { "0" };
    for wrong in [
        format!("{rest}{other}/{name}"),
        format!("{start}/x{name}"),
        format!("{start}/"),
        start.to_owned(),
        format!("{url}/x"),
    ] {
        assert_eq!(fetch(&wrong, "").await.0, 404, "{wrong}");
    }
}

#[tokio::test]
async fn links_are_bounded_and_one_that_is_over_gives_way() {
    let service = start(2).await;
    let first = create(&service, json!({})).await;
    create(&service, json!({})).await;
    let full = service.post(LINKS, &json!({})).await;
    full.problem(507, "limit_reached", None);
    service
        .delete(&format!("{LINKS}/{}", first["id"]))
        .await
        .expect(204);
    let third = create(&service, json!({})).await;
    assert_eq!(fetch(url(&third), "").await.0, 200);
    assert_eq!(fetch(url(&first), "").await.0, 404);
    let ids: Vec<_> = listed(&service)
        .await
        .iter()
        .map(|row| row["id"].clone())
        .collect();
    assert_eq!(ids, [json!(2), third["id"].clone()]);
}

#[tokio::test]
async fn what_no_module_could_use_is_refused_and_says_why() {
    let service = start(9).await;
    let name = |name: &str| json!({ "file_name": name });
    for (body, code, field) in [
        (name("固件.bin"), "invalid_field", "file_name"),
        (name("a b"), "invalid_field", "file_name"),
        (name("../x"), "invalid_field", "file_name"),
        (name(&"x".repeat(64)), "invalid_field", "file_name"),
        (json!({"file": "other.bin"}), "unknown_reference", "file"),
        (json!({"device": ""}), "invalid_field", "device"),
        (json!({"device": "a\u{7}"}), "invalid_field", "device"),
        (
            json!({"expires_in_seconds": 59}),
            "invalid_field",
            "expires_in_seconds",
        ),
        (
            json!({"expires_in_seconds": 2_592_001}),
            "invalid_field",
            "expires_in_seconds",
        ),
        (json!({"budget_bytes": 4}), "invalid_field", "budget_bytes"),
        (
            json!({"budget_bytes": 5001}),
            "invalid_field",
            "budget_bytes",
        ),
        (json!({"ttl": 1}), "invalid_field", "ttl"),
    ] {
        let answer = service.post(LINKS, &body).await;
        answer.problem(422, code, Some(field));
    }
    let nothing = service.post("/api/v1/packages/9/links", &json!({})).await;
    nothing.problem(404, "not_found", None);
    assert_eq!(listed(&service).await, Vec::<Value>::new());
    let named = create(&service, name(&"x".repeat(63))).await;
    assert!(url(&named).len() <= 511);
    assert_eq!(fetch(url(&named), "").await.0, 200);
}

#[tokio::test]
async fn without_a_body_the_defaults_hold_and_without_a_listener_there_is_no_link() {
    let service = start(9).await;
    let request = service.request(Method::POST, LINKS);
    let link = send(request).await.expect(201);
    assert_eq!(fetch(url(&link), "").await.0, 200);
    let service = Service::start().await;
    service.seed(&[]).await;
    let refused = service.post(LINKS, &json!({})).await;
    refused.problem(409, "no_device_listener", None);
}

#[tokio::test]
async fn a_file_that_was_changed_on_the_disk_is_never_sent() {
    let service = start(9).await;
    let link = create(&service, json!({})).await;
    let path = service.bytes.path(sha256(IMAGE.as_bytes()));
    std::fs::write(path, "imagf").expect("a file");
    let (status, body) = fetch(url(&link), "").await;
    assert!(status == 500 && !body.contains("ima"), "{status} {body}");
    assert_eq!(listed(&service).await[0]["state"], "waiting");
}

#[tokio::test]
async fn a_url_is_shown_once_also_to_who_asks_again_by_the_same_key() {
    let service = start(9).await;
    let make = || {
        let request = service.request(Method::POST, LINKS).json(&json!({}));
        send(request.header("idempotency-key", "k1"))
    };
    let (first, second) = (make().await.expect(201), make().await.expect(201));
    assert_ne!(first["url"], second["url"]);
    assert_eq!(listed(&service).await.len(), 2);
}

#[tokio::test]
async fn a_link_to_what_nobody_signed_is_made_by_an_admin_alone() {
    let service = start(9).await;
    let unsigned = [("unsigned", "true"), ("reason", "a trial on the bench")];
    let mut form = Form::new();
    for (name, text) in FORM.into_iter().chain(unsigned) {
        let text = if name == "version" { "V3" } else { text };
        form = form.text(name, text.to_owned());
    }
    let file = Part::bytes(b"plain firmware".to_vec()).file_name("trial.bin");
    let request = service.request(Method::POST, "/api/v1/packages");
    let package = send(request.multipart(form.part("file", file))).await;
    let path = format!("/api/v1/packages/{}/links", package.expect(201)["id"]);
    for (role, of_unsigned) in [("operator", 403), ("approver", 403), ("admin", 201)] {
        let request = service.request_as(role, Method::POST, &path);
        send(request).await.expect(of_unsigned);
        let request = service.request_as(role, Method::POST, LINKS);
        send(request).await.expect(201);
    }
}

#[tokio::test]
async fn a_link_is_good_no_longer_than_its_package() {
    let service = start(9).await;
    let package = service.store.package(PackageId(1)).await;
    let now = service.clock.now().utc;
    let mut package = package.expect("the first");
    package.target_version = FirmwareVersion::parse("V3").expect("a version");
    package.not_after = Some(now + std::time::Duration::from_secs(600));
    let end = package.not_after.expect("an end").to_string();
    let stamp = AuditStamp {
        at: now,
        actor: AuditActor::server(),
    };
    let id = service.store.add_package(package, stamp).await;
    let path = format!("/api/v1/packages/{}/links", id.expect("a package").0);
    for (seconds, is_cut) in [(3600, true), (60, false)] {
        let body = json!({"expires_in_seconds": seconds});
        let link = service.post(&path, &body).await.expect(201);
        assert_eq!(link["expires_at"] == end.as_str(), is_cut, "{link}");
    }
}
