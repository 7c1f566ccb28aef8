//! `audit verify` and `audit export`, with and without a server.

use std::str::from_utf8;

use serde_json::{Value, json};

use crate::program::{Run, run};
use crate::server::Site;

fn verify(site: &Site) -> Run {
    run(
        site.path(),
        &["audit", "verify", "--data-dir", "data", "--json"],
    )
}

fn export(site: &Site, arguments: &[&str]) -> String {
    let export = ["audit", "export", "--data-dir", "data", "--format"];
    run(site.path(), &[&export[..], arguments].concat())
        .exits(0)
        .stdout
}

#[tokio::test]
async fn what_operators_do_is_in_a_chain_that_verifies() {
    let site = Site::new();
    let (server, api) = site.serve_admin(&[]);
    let refused = api.upload(b"no package".to_vec()).await;
    let code = refused.json()["code"].clone();
    assert!(refused.status >= 400);
    let named = json!({"name": "=1+1", "role": "viewer"});
    api.post("/api/v1/tokens", &named).await.is(201);
    let device = json!({"endpoint": "meter"});
    api.post("/api/v1/devices", &device).await.is(201);
    assert_eq!(api.delete("/api/v1/devices/meter").await.status, 204);
    assert_eq!(server.end_by("KILL").code(), None);

    let verified: Value = serde_json::from_str(&verify(&site).exits(0).stdout).unwrap();
    assert_eq!(
        (&verified["holds"], &verified["entries"]),
        (&json!(true), &json!(4))
    );
    let lines = export(&site, &["ndjson"]);
    let entries: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<_> = entries
        .iter()
        .map(|it| ["actor", "role", "action", "object"].map(|name| it[name].as_str().unwrap()))
        .collect();
    let expected = [
        ["cli", "cli", "token_created", "admin"],
        ["admin", "admin", "package_refused", ""],
        ["admin", "admin", "token_created", "=1+1"],
        ["admin", "admin", "device_deleted", "meter"],
    ];
    assert_eq!(told, expected);
    let details: Value = serde_json::from_str(entries[1]["details"].as_str().unwrap()).unwrap();
    assert_eq!(details["code"], code);
    assert_eq!(entries[3]["sha256"], verified["head"]);

    let table = export(&site, &["csv"]);
    let rows: Vec<_> = csv::Reader::from_reader(table.as_bytes())
        .records()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), 4);
    assert_eq!(&rows[2][6], "'=1+1", "no formula");
    assert_eq!(
        from_utf8(rows[0][9].as_bytes()),
        Ok(entries[0]["sha256"].as_str().unwrap())
    );
    let second = entries[1]["at"].as_str().unwrap();
    let from = export(&site, &["ndjson", "--from", second]);
    assert_eq!(from.lines().count(), 3);
    let to = export(&site, &["ndjson", "--to", second]);
    assert_eq!(to.lines().count(), 1);
}

#[test]
fn the_first_entry_that_was_altered_is_named() {
    let site = Site::new();
    for name in ["a", "b", "victim", "d"] {
        site.token(name, "viewer");
    }
    let text = run(site.path(), &["audit", "verify", "--data-dir", "data"]).exits(0);
    assert!(
        text.stdout.starts_with("4 entries hold; head "),
        "{}",
        text.stdout
    );
    // The only places that have this name: the token's row, its index and its entry.
    let path = site.data().join(narrowcast::server::STORE_FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    let found: Vec<_> = (0..bytes.len() - 6)
        .filter(|at| &bytes[*at..*at + 6] == b"victim")
        .collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at..at + 6].copy_from_slice(b"martyr");
    }
    std::fs::write(&path, bytes).unwrap();
    let broken: Value = serde_json::from_str(&verify(&site).exits(1).stdout).unwrap();
    assert_eq!(
        (&broken["holds"], &broken["entry"]),
        (&json!(false), &json!(3))
    );
    run(site.path(), &["audit", "verify", "--data-dir", "data"])
        .exits(1)
        .says(&["entry 3 was altered"]);
}

#[test]
fn a_folder_without_a_store_is_refused_and_left_alone() {
    let site = Site::new();
    verify(&site).exits(1).says(&["no server's store in data"]);
    let bad_time = ["audit", "export", "--format", "csv", "--from", "yesterday"];
    run(site.path(), &bad_time).exits(2).says(&["--from"]);
    assert!(!site.data().exists());
}
