//! `audit verify` and `audit export`, with and without a server.

use std::str::from_utf8;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::program::{Run, run};
use crate::server::Site;

/// How often the log is looked at, and how many times: for 10 s.
const POLL: Duration = Duration::from_millis(20);
const POLLS_MAX: u32 = 500;

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
        (&json!(true), &json!(5))
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
        ["admin", "admin", "package_refused", "FW_signed.zip"],
        ["admin", "admin", "token_created", "=1+1"],
        ["admin", "admin", "device_created", "meter"],
        ["admin", "admin", "device_deleted", "meter"],
    ];
    assert_eq!(told, expected);
    let details: Value = serde_json::from_str(entries[1]["details"].as_str().unwrap()).unwrap();
    assert_eq!(details["code"], code);
    let sha256 = hex::encode(Sha256::digest(b"no package"));
    assert_eq!(details["archive_sha256"], sha256);
    assert_eq!(entries[4]["sha256"], verified["head"]);

    let table = export(&site, &["csv"]);
    let rows: Vec<_> = csv::Reader::from_reader(table.as_bytes())
        .records()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), 5);
    assert_eq!(&rows[2][6], "'=1+1", "no formula");
    assert_eq!(
        from_utf8(rows[0][9].as_bytes()),
        Ok(entries[0]["sha256"].as_str().unwrap())
    );
    let second = entries[1]["at"].as_str().unwrap();
    let from = export(&site, &["ndjson", "--from", second]);
    assert_eq!(from.lines().count(), 4);
    let to = export(&site, &["ndjson", "--to", second]);
    assert_eq!(to.lines().count(), 1);
}

#[tokio::test]
async fn the_head_is_told_in_the_log_and_over_rest_and_what_is_cut_off_shows_against_it() {
    let site = Site::new();
    let (server, api) = site.serve_admin(&[]);
    // The first is told at the start, the next after a hundred entries, and the last at the end.
    for number in 0..50 {
        let name = format!("t{number}");
        let token = json!({"name": name, "role": "viewer"});
        api.post("/api/v1/tokens", &token).await.is(201);
        let deleted = api.delete(&format!("/api/v1/tokens/{name}")).await;
        assert_eq!(deleted.status, 204);
    }
    for _ in 0..POLLS_MAX {
        if heads(&site).len() > 1 {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    let token = json!({"name": "late", "role": "viewer"});
    api.post("/api/v1/tokens", &token).await.is(201);
    let shown = api.get("/api/v1/audit/head").await.is(200);
    assert_eq!(shown["entries"], 102);
    assert_eq!(server.end_by("TERM").code(), Some(0));
    let told = heads(&site);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[0].ends_with("@1") && told[1].ends_with("@101"),
        "{told:?}"
    );
    assert_eq!(shown["head"], told[2]);
    assert_eq!(
        told[2],
        format!("{}@102", shown["sha256"].as_str().unwrap())
    );

    let check = |noted: &[&str]| {
        let noted = noted.iter().flat_map(|head| ["--head", head]);
        let verify = ["audit", "verify", "--data-dir", "data"];
        run(
            site.path(),
            &verify.into_iter().chain(noted).collect::<Vec<_>>(),
        )
    };
    let noted = [told[0].as_str(), told[1].as_str(), told[2].as_str()];
    assert!(check(&noted).exits(0).stdout.contains(&told[2]));

    // The last two are cut off: the rest is a chain, and what was noted says that it was longer.
    by_hand(
        &site,
        &[
            "DROP TRIGGER audit_is_not_deleted",
            "DELETE FROM audit WHERE number > 100",
        ],
    )
    .await;
    check(&[]).exits(0);
    check(&noted[..1]).exits(0);
    let gone = "entry 101 and those behind it are gone";
    check(&noted).exits(1).says(&[gone]);
    // Others in their place: a chain as long as it was.
    for name in ["a", "b"] {
        site.token(name, "viewer");
    }
    check(&[]).exits(0);
    let anew = "entry 101 is not the one that was noted";
    check(&noted).exits(1).says(&[anew]);
    check(&["102@00"]).exits(2).says(&["64 hexadecimal digits"]);
}

/// The heads that the server's log has been told.
fn heads(site: &Site) -> Vec<String> {
    let log = site.log();
    let told = log
        .lines()
        .filter(|line| line.contains("the audit log's head"));
    told.map(|line| line.split("head=").nth(1).unwrap().trim().to_owned())
        .collect()
}

async fn by_hand(site: &Site, statements: &[&'static str]) {
    let path = site.data().join(narrowcast::server::STORE_FILE);
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.unwrap();
    for statement in statements {
        sqlx::query(*statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn what_would_not_be_seen_or_would_be_a_formula_is_exported_as_text() {
    let site = Site::new();
    let (server, api) = site.serve_admin(&[]);
    // Right-to-left, and names that a spreadsheet would compute.
    let names = ["=1+1", "+1", "-1", "@SUM(A1)", "a\u{202e}b", "\"q\",;"];
    for name in names {
        let token = json!({"name": name, "role": "viewer"});
        api.post("/api/v1/tokens", &token).await.is(201);
    }
    assert_eq!(server.end_by("TERM").code(), Some(0));
    let lines = export(&site, &["ndjson"]);
    assert!(!lines.contains('\u{202e}'));
    let read: Vec<_> = lines
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["object"].clone())
        .collect();
    assert_eq!(read, names);
    let table = export(&site, &["csv"]);
    let rows: Vec<String> = csv::Reader::from_reader(table.as_bytes())
        .records()
        .skip(1)
        .map(|row| row.unwrap()[6].to_owned())
        .collect();
    let expected = ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "a\\u202eb", "\"q\",;"];
    assert_eq!(rows, expected);
    verify(&site).exits(0);
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
