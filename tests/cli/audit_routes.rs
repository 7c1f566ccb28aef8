//! Each REST operation that changes something, against the audit log: the list of them is the OpenAPI
//! document's, so that a new one is either walked here or is among the exceptions.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use narrowcast::coap::Code;
use serde_json::{Value, json};

use crate::listening::Listening;
use crate::packages::{OTHER_PUBLIC_PEM, PUBLIC_PEM, signed_firmware};
use crate::program::run;
use crate::server::{Answer, Api, DEVICE_TYPE, MANUFACTURER, MODEL, Site};

/// What is not walked here, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "DELETE",
        "/api/v1/devices/{endpoint}/bar",
        "a bar takes a day's deliveries: what is told of it is held where the driver tells it",
    ),
    (
        "POST",
        "/api/v1/campaigns/{id}/approve",
        "another person has to: what is told of it is held where phases and approvals are",
    ),
    (
        "POST",
        "/api/v1/campaigns/{id}/retry",
        "it takes a task that has failed: what is told of it is held where retries are",
    ),
    (
        "POST",
        "/api/v1/webhooks/{id}/deliveries/{number}/redeliver",
        "it takes a delivery that has ended: what is told of it is held where webhooks are",
    ),
];

struct Walk {
    api: Api,
    walked: BTreeSet<(String, String)>,
    entries: u64,
}

impl Walk {
    /// Does it, and looks for what the audit log was told.
    async fn step(
        &mut self,
        operation: &str,
        fill: &[(&str, &str)],
        body: Value,
        action: &str,
    ) -> Value {
        let (method, template) = operation.split_once(' ').unwrap();
        let path = fill
            .iter()
            .fold(template.to_owned(), |path, (name, value)| {
                path.replace(&format!("{{{name}}}"), value)
            });
        let answer = self.api.call(method, &path, &body).await;
        self.has_told(operation, answer, action).await
    }

    async fn has_told(&mut self, operation: &str, answer: Answer, action: &str) -> Value {
        let (method, template) = operation.split_once(' ').unwrap();
        let text = &answer.text;
        assert!((200..300).contains(&answer.status), "{operation}: {text}");
        let path = format!("/api/v1/audit?cursor={}", self.entries);
        let entries = self.api.get(&path).await.is(200);
        let entries = entries.as_array().unwrap();
        let of_it = |entry: &&Value| entry["action"] == action && entry["actor"] == "admin";
        let found = entries.iter().filter(of_it).count();
        assert_eq!(found, 1, "{operation}: {action} in {entries:?}");
        self.entries += entries.len() as u64;
        self.walked.insert((method.to_owned(), template.to_owned()));
        serde_json::from_str(text).unwrap_or_default()
    }
}

#[tokio::test]
async fn each_operation_that_changes_something_is_audited_or_stands_among_the_exceptions() {
    let site = Site::new();
    let listeners = ["--coap", "127.0.0.1:0", "--device-http", "127.0.0.1:0"];
    let (server, api) = site.serve_admin(&listeners);
    let mut walk = Walk {
        api,
        walked: BTreeSet::new(),
        entries: 1,
    };
    devices(&mut walk).await;
    device_requests(&mut walk).await;
    let coap = server.listener("coap").parse().unwrap();
    requests_that_leave_at_once(&mut walk, coap).await;
    groups(&mut walk).await;
    profiles(&mut walk).await;
    let key = keys_and_packages(&mut walk, &site).await;
    campaigns(&mut walk).await;
    consents(&mut walk).await;
    webhooks(&mut walk).await;
    let reason = json!({"reason": "lost"});
    let revoke = "POST /api/v1/keys/{id}/revoke";
    walk.step(revoke, &[("id", &key)], reason, "key_revoked")
        .await;
    let token = json!({"name": "ci", "role": "viewer"});
    walk.step("POST /api/v1/tokens", &[], token, "token_created")
        .await;
    let ci = [("name", "ci")];
    walk.step(
        "DELETE /api/v1/tokens/{name}",
        &ci,
        Value::Null,
        "token_deleted",
    )
    .await;

    let excepted = EXCEPTIONS.iter();
    let excepted = excepted.map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
    let covered: BTreeSet<_> = walk.walked.iter().cloned().chain(excepted).collect();
    assert_eq!(covered, operations(&site));
    let verify = ["audit", "verify", "--data-dir", "data", "--json"];
    let verified: Value = serde_json::from_str(&run(site.path(), &verify).exits(0).stdout).unwrap();
    assert_eq!(verified["entries"], walk.entries);
}

/// All that is no reading.
fn operations(site: &Site) -> BTreeSet<(String, String)> {
    let document: Value =
        serde_json::from_str(&run(site.path(), &["openapi"]).exits(0).stdout).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        })
        .filter(|(method, _)| method != "GET")
        .collect()
}

fn product() -> Value {
    json!({"manufacturer": MANUFACTURER, "model": MODEL, "device_type": DEVICE_TYPE})
}

async fn devices(walk: &mut Walk) {
    let mut device = product();
    device["endpoint"] = json!("d1");
    walk.step("POST /api/v1/devices", &[], device, "device_created")
        .await;
    let d1 = [("endpoint", "d1")];
    let replace = "PUT /api/v1/devices/{endpoint}";
    walk.step(replace, &d1, product(), "device_replaced").await;
    let csv = "endpoint\nd2\nd3\n";
    let imported = walk.api.post_csv("/api/v1/devices/import", csv).await;
    let import = "POST /api/v1/devices/import";
    walk.has_told(import, imported, "devices_imported").await;
    let delete = "DELETE /api/v1/devices/{endpoint}";
    let d3 = [("endpoint", "d3")];
    walk.step(delete, &d3, Value::Null, "device_deleted").await;
}

async fn device_requests(walk: &mut Walk) {
    let resource = |path| [("endpoint", "d1"), ("path", path)];
    let write = "PUT /api/v1/devices/{endpoint}/resources/{path}";
    let value = json!({"value": "+08:00"});
    walk.step(write, &resource("3/0/14"), value, "device_asked")
        .await;
    let execute = "POST /api/v1/devices/{endpoint}/resources/{path}";
    let asked = walk
        .step(execute, &resource("3/0/4"), json!({}), "device_asked")
        .await;
    let downlink = "POST /api/v1/devices/{endpoint}/downlinks";
    let payload = json!({"payload_base64": "AQI="});
    walk.step(downlink, &[("endpoint", "d1")], payload, "device_asked")
        .await;
    let id = asked["id"].to_string();
    let one = [("endpoint", "d1"), ("id", id.as_str())];
    let cancel = "DELETE /api/v1/devices/{endpoint}/requests/{id}";
    walk.step(cancel, &one, Value::Null, "device_asked_no_more")
        .await;
}

/// To a device that listens: it is asked in the same turn, of which nothing more is told.
async fn requests_that_leave_at_once(walk: &mut Walk, server: SocketAddr) {
    let device = Listening::register(server, "d2");
    let write = "PUT /api/v1/devices/{endpoint}/resources/{path}";
    let clock = [("endpoint", "d2"), ("path", "3/0/14")];
    let value = json!({"value": "+08:00"});
    walk.step(write, &clock, value, "device_asked").await;
    device.sees(Code::PUT);
}

async fn groups(walk: &mut Walk) {
    let name = |name: &str| json!({ "name": name });
    let devices = |devices: &[&str]| json!({ "devices": devices });
    let made = walk
        .step("POST /api/v1/groups", &[], name("roof"), "group_created")
        .await;
    let id = made["id"].to_string();
    let group = [("id", id.as_str())];
    let path = "/api/v1/groups/{id}";
    let both = devices(&["d1", "d2"]);
    let one = [group[0], ("endpoint", "d1")];
    for (method, more, fill, body, action) in [
        ("PUT", "", &group[..], name("attic"), "group_renamed"),
        (
            "POST",
            "/devices",
            &group,
            both.clone(),
            "group_devices_bound",
        ),
        ("PUT", "/devices", &group, both, "group_devices_replaced"),
        (
            "DELETE",
            "/devices/{endpoint}",
            &one,
            Value::Null,
            "group_device_unbound",
        ),
        (
            "DELETE",
            "/devices",
            &group,
            Value::Null,
            "group_devices_replaced",
        ),
        ("DELETE", "", &group, Value::Null, "group_deleted"),
    ] {
        walk.step(&format!("{method} {path}{more}"), fill, body, action)
            .await;
    }
}

async fn profiles(walk: &mut Walk) {
    let profile = json!({
        "devices": [{
            "manufacturerId": "q-1", "manufacturerName": MANUFACTURER, "model": MODEL,
            "protocolType": "CoAP", "deviceType": DEVICE_TYPE,
            "omCapability": {"fwUpgradeCapability": {
                "supportUpgrade": true, "upgradeProtocolType": "LWM2M",
                "downloadProtocolType": "CoAP",
            }},
        }],
        "services": [],
    });
    let made = walk
        .step("POST /api/v1/profiles", &[], profile, "profile_created")
        .await;
    let id = made["id"].to_string();
    let one = [("id", id.as_str())];
    let awake = json!({"awake_time": "20s"});
    let settings = "/api/v1/profiles/{id}/settings";
    for method in ["PUT", "PATCH"] {
        let operation = format!("{method} {settings}");
        walk.step(&operation, &one, awake.clone(), "profile_settings_changed")
            .await;
    }
    let delete = "DELETE /api/v1/profiles/{id}";
    walk.step(delete, &one, Value::Null, "profile_deleted")
        .await;
}

/// The id of the key that signed package 1.
async fn keys_and_packages(walk: &mut Walk, site: &Site) -> String {
    let key = |pem: &str| json!({"manufacturer": MANUFACTURER, "public_key_pem": pem});
    let create = "POST /api/v1/keys";
    let other = walk
        .step(create, &[], key(OTHER_PUBLIC_PEM), "key_created")
        .await;
    let reason = json!({"reason": "the yearly change"});
    let id = other["id"].as_str().unwrap();
    let retire = "POST /api/v1/keys/{id}/retire";
    walk.step(retire, &[("id", id)], reason, "key_retired")
        .await;
    let key = walk.step(create, &[], key(PUBLIC_PEM), "key_created").await;

    let upload = "POST /api/v1/packages";
    for byte in [1, 2] {
        let uploaded = walk.api.upload(signed_firmware(site, &[byte; 5000])).await;
        walk.has_told(upload, uploaded, "package_accepted").await;
    }
    let two = [("id", "2")];
    let notes = json!({"release_notes_en": "faster"});
    walk.step("PATCH /api/v1/packages/{id}", &two, notes, "package_edited")
        .await;
    let link = "POST /api/v1/packages/{id}/links";
    let made = walk.step(link, &two, json!({}), "link_created").await;
    let number = made["id"].to_string();
    let one = [two[0], ("link", number.as_str())];
    let end = "DELETE /api/v1/packages/{id}/links/{link}";
    walk.step(end, &one, Value::Null, "link_revoked").await;
    let delete = "DELETE /api/v1/packages/{id}";
    walk.step(delete, &two, Value::Null, "package_deleted")
        .await;
    key["id"].as_str().unwrap().to_owned()
}

async fn campaigns(walk: &mut Walk) {
    let draft = json!({"name": "spring", "package_id": 1, "targets": {"devices": ["d1"]}});
    let made = walk
        .step("POST /api/v1/campaigns", &[], draft, "campaign_created")
        .await;
    let id = made["id"].to_string();
    let one = [("id", id.as_str())];
    let activate = "POST /api/v1/campaigns/{id}/activate";
    walk.step(activate, &one, json!({}), "campaign_activated")
        .await;
    let [pause, resume, halt, archive, stop] = ["pause", "resume", "halt", "archive", "stop"]
        .map(|action| format!("POST /api/v1/campaigns/{{id}}/{action}"));
    walk.step(&pause, &one, json!({}), "campaign_paused").await;
    walk.step(&halt, &one, json!({}), "campaign_halted").await;
    walk.step("POST /api/v1/halt", &[], json!({}), "campaign_halted")
        .await;
    walk.step(&resume, &one, json!({}), "campaign_resumed")
        .await;
    walk.step(&stop, &one, json!({}), "campaign_stopped").await;
    walk.step(&archive, &one, json!({}), "campaign_archived")
        .await;
    let unarchive = "DELETE /api/v1/campaigns/{id}/archive";
    walk.step(unarchive, &one, Value::Null, "campaign_unarchived")
        .await;
    let delete = "DELETE /api/v1/campaigns/{id}";
    walk.step(delete, &one, Value::Null, "campaign_deleted")
        .await;
}

/// One that asks for consent, and is put off before it begins.
async fn consents(walk: &mut Walk) {
    let draft = json!({
        "name": "autumn", "package_id": 1, "targets": {"devices": ["d1"]},
        "consent": "confirmed", "consent_text": {"zh": "更新", "en": "Update"},
    });
    let made = walk
        .step("POST /api/v1/campaigns", &[], draft, "campaign_created")
        .await;
    let id = made["id"].to_string();
    let one = [("id", id.as_str())];
    let later = json!({"start_at": "2099-01-01T00:00:00Z"});
    let change = "PATCH /api/v1/campaigns/{id}";
    walk.step(change, &one, later, "campaign_rescheduled").await;
    let activate = "POST /api/v1/campaigns/{id}/activate";
    walk.step(activate, &one, json!({}), "campaign_activated")
        .await;
    let tasks = format!("/api/v1/campaigns/{id}/tasks");
    let tasks = walk.api.get(&tasks).await.is(200);
    let task = tasks[0]["id"].to_string();
    let of_task = [one[0], ("task", task.as_str())];
    let [consent, stop] = ["consent", "stop"]
        .map(|action| format!("POST /api/v1/campaigns/{{id}}/tasks/{{task}}/{action}"));
    let granted = json!({"granted": true});
    walk.step(&consent, &of_task, granted.clone(), "consent_granted")
        .await;
    let consent = "POST /api/v1/campaigns/{id}/consent";
    walk.step(consent, &one, granted, "consent_granted").await;
    walk.step(&stop, &of_task, json!({}), "task_stop_asked")
        .await;
}

async fn webhooks(walk: &mut Walk) {
    // Nobody listens there.
    let hook = json!({"url": "http://192.0.2.9:9/", "types": ["key.revoked"]});
    let made = walk
        .step("POST /api/v1/webhooks", &[], hook, "webhook_created")
        .await;
    let id = made["id"].to_string();
    let one = [("id", id.as_str())];
    let asked = "webhook_delivery_asked";
    let test = "POST /api/v1/webhooks/{id}/test";
    walk.step(test, &one, json!({}), asked).await;
    let disabled = json!({"state": "disabled"});
    let change = "PATCH /api/v1/webhooks/{id}";
    walk.step(change, &one, disabled, "webhook_disabled").await;
    let delete = "DELETE /api/v1/webhooks/{id}";
    walk.step(delete, &one, Value::Null, "webhook_deleted")
        .await;
}
