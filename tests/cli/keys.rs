//! Public keys over REST, and the private key that somebody sends by mistake.

use std::path::Path;

use serde_json::json;

use crate::packages::{PRIVATE_PEM, PUBLIC_PEM};
use crate::server::{MANUFACTURER, Site};

/// Files below `folder` that hold these bytes.
fn holding(folder: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, needle));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let needle = needle.as_bytes();
        if bytes.windows(needle.len()).any(|window| window == needle) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn a_private_key_is_refused_and_neither_kept_nor_logged() {
    let site = Site::new();
    let token = site.token("admin", "admin");
    let http = ["--http", "127.0.0.1:0"];
    let server = site.serve_with(&http, &[], &[("RUST_LOG", "trace")]);
    let api = server.api(&token);
    let secret = PRIVATE_PEM.lines().nth(9).unwrap();
    let key = |pem: &str| json!({"manufacturer": MANUFACTURER, "public_key_pem": pem});

    let lower_case = PRIVATE_PEM.replace("PRIVATE KEY", "private key");
    let behind = format!("{PUBLIC_PEM}{PRIVATE_PEM}");
    for pem in [PRIVATE_PEM, &lower_case, &behind] {
        let refused = api.post("/api/v1/keys", &key(pem)).await;
        let problem = refused.is_problem(422, "private_key_refused");
        assert_eq!(problem["field"], "public_key_pem");
        assert!(!refused.text.contains(secret), "{}", refused.text);
    }
    assert_eq!(api.get("/api/v1/keys").await.is(200), json!([]));

    // In the wrong field, and in a body that is not understood, it goes no further either.
    let misplaced = json!({"manufacturer": PRIVATE_PEM, "public_key_pem": PUBLIC_PEM});
    let unknown = json!({"private_key_pem": PRIVATE_PEM});
    for body in [misplaced, unknown] {
        let refused = api.post("/api/v1/keys", &body).await;
        assert!(matches!(refused.status, 400 | 422), "{refused:?}");
        assert!(!refused.text.contains(secret), "{}", refused.text);
    }

    // The search itself finds what was kept.
    let public = PUBLIC_PEM.lines().nth(3).unwrap();
    let entered = api.post("/api/v1/keys", &key(PUBLIC_PEM)).await.is(201);
    assert_eq!(entered["bits"], 2048);
    assert_eq!(server.end_by("TERM").code(), Some(0));
    assert!(!holding(&site.data(), public).is_empty());
    assert_eq!(holding(&site.data(), secret), [""; 0]);
    let log = site.log();
    assert!(log.contains(" TRACE "), "{log}");
    assert!(!log.contains(secret));
}
