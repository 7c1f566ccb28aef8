//! Package bytes that change on the server's disk: a campaign does not start with them, or stops, and they
//! are sent to nobody.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::packages::{PUBLIC_PEM, enter_key, signed_package};
use crate::server::{Api, DEVICE_TYPE, MANUFACTURER, MODEL, Site};

const LISTENERS: [&str; 4] = ["--coap", "127.0.0.1:0", "--device-http", "127.0.0.1:0"];

fn kept(site: &Site, sha256: &Value) -> PathBuf {
    let name = sha256.as_str().unwrap();
    site.data().join("packages").join(&name[..2]).join(name)
}

/// Flips a bit of the file that is there, as a failing disk does.
fn flip(path: &PathBuf, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

async fn package(site: &Site, api: &Api) -> Value {
    enter_key(api, PUBLIC_PEM).await;
    api.upload(signed_package(site)).await.is(201)
}

async fn draft(api: &Api, package: &Value) -> String {
    let device = json!({
        "endpoint": "d1",
        "manufacturer": MANUFACTURER,
        "model": MODEL,
        "device_type": DEVICE_TYPE,
    });
    api.post("/api/v1/devices", &device).await.is(201);
    let targets = json!({ "devices": ["d1"] });
    let campaign = json!({ "name": "n", "package_id": package["id"], "targets": targets });
    let campaign = api.post("/api/v1/campaigns", &campaign).await.is(201);
    format!("/api/v1/campaigns/{}", campaign["id"])
}

async fn damaged_count(api: &Api) -> u64 {
    let metrics = api.get("/metrics").await.text;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("narrowcast_packages_damaged_total "));
    line.map_or(0, |count| count.trim().parse().unwrap())
}

#[tokio::test]
async fn a_campaign_does_not_start_with_an_image_that_changed() {
    let site = Site::new();
    let (_server, api) = site.serve_admin(&LISTENERS);
    let package = package(&site, &api).await;
    let campaign = draft(&api, &package).await;
    let activate = format!("{campaign}/activate");
    flip(&kept(&site, &package["sha256"]), 7000);
    let refused = api.post(&activate, &json!({})).await;
    refused.is_problem(500, "package_damaged");
    assert_eq!(api.get(&campaign).await.is(200)["state"], "draft");
    assert_eq!(damaged_count(&api).await, 1);
    assert!(site.log().contains("cannot be read as they were"));
    flip(&kept(&site, &package["sha256"]), 7000);
    api.post(&activate, &json!({})).await.is(200);
}

#[tokio::test]
async fn a_running_campaign_whose_image_changed_stops_at_the_next_start_and_says_why() {
    let site = Site::new();
    let (server, api) = site.serve_admin(&LISTENERS);
    let package = package(&site, &api).await;
    let campaign = draft(&api, &package).await;
    api.post(&format!("{campaign}/activate"), &json!({}))
        .await
        .is(200);
    flip(&kept(&site, &package["sha256"]), 0);
    assert!(server.end_by("TERM").success());

    let server = site.serve(&LISTENERS);
    let api = server.api(&site.token("again", "admin"));
    assert_eq!(api.get(&campaign).await.is(200)["state"], "stopped");
    let tasks = api.get(&format!("{campaign}/tasks")).await.is(200);
    assert_eq!(tasks[0]["state"], "stopped");
    assert_eq!(tasks[0]["failure"]["code"], "integrity_check_failed");
    let evidence = tasks[0]["failure"]["evidence"].as_str().unwrap();
    assert!(evidence.contains("missing or were changed"), "{evidence}");
    assert_eq!(damaged_count(&api).await, 1);
    assert!(site.log().contains("the package cannot be served"));
    let audited = api.get("/api/v1/audit?limit=1000").await.text;
    assert!(audited.contains("campaign_stopped") && audited.contains("missing or were changed"));
}

/// GETs what a link names; the status, and the bytes that came. 0 where the connection was cut before.
async fn fetch(url: &str, range: Option<&str>) -> (u16, Vec<u8>) {
    let mut request = reqwest::Client::new().get(url);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let Ok(mut response) = request.send().await else {
        return (0, Vec::new());
    };
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    // An answer that is cut off ends with an error.
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
    }
    (status, bytes)
}

#[tokio::test]
async fn a_link_sends_nothing_that_changed_be_it_before_or_while_it_is_fetched() {
    let site = Site::new();
    let (_server, api) = site.serve_admin(&LISTENERS);
    let firmware: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    let archive = crate::packages::signed_firmware(&site, &firmware);
    enter_key(&api, PUBLIC_PEM).await;
    let package = api.upload(archive).await.is(201);
    let links = format!("/api/v1/packages/{}/links", package["id"]);
    let link = api.post(&links, &json!({})).await.is(201);
    let url = link["url"].as_str().unwrap();
    let path = kept(&site, &package["sha256"]);

    // Changed before anybody asked.
    flip(&path, 199_999);
    let (status, bytes) = fetch(url, Some("bytes=0-511")).await;
    assert!(status >= 500 && bytes.len() < 64, "{status}");
    assert_eq!(damaged_count(&api).await, 1);
    flip(&path, 199_999);
    let part = fetch(url, Some("bytes=0-511")).await;
    assert_eq!(part, (206, firmware[..512].to_vec()));

    // Changed since it was checked: parts that did not change are sent, the other never.
    flip(&path, 100_000);
    let part = fetch(url, Some("bytes=512-1023")).await;
    assert_eq!(part, (206, firmware[512..1024].to_vec()));
    let (_, bytes) = fetch(url, Some("bytes=99000-100999")).await;
    assert!(bytes.is_empty(), "{}", bytes.len());
    assert!(damaged_count(&api).await >= 2);
    // The file is checked anew after that, and not sent at all.
    let (status, _) = fetch(url, Some("bytes=0-511")).await;
    assert!(status >= 500, "{status}");
    flip(&path, 100_000);
    assert_eq!(fetch(url, None).await, (200, firmware));
}
