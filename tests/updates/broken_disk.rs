//! A disk that fails to keep what it was given: `fsync` is answered EIO, as by a dying card.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use narrowcast::clock::SystemClock;
use tempfile::TempDir;

use crate::rest::POLL;
use crate::server::{SHORT_TIMES, Server};
use crate::strangers::register;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// The library that stands before the server's calls.
fn build_shim(folder: &Path) -> PathBuf {
    let library = folder.join("failing_sync.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/updates/failing_sync.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(built.unwrap().success(), "cc, which the build needs too");
    library
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fsync_ends_the_server_with_a_message_and_loses_nothing_that_was_acknowledged() {
    let folder = TempDir::new().unwrap();
    let sign = folder.path().join("sync-fails");
    let library = build_shim(folder.path());
    let environment = vec![
        ("LD_PRELOAD", library.display().to_string()),
        ("NARROWCAST_TEST_SYNC_FAILS", sign.display().to_string()),
    ];
    let mut server = Server::start_within(SHORT_TIMES, environment);
    let rest = server.rest();
    for name in ["meter-1", "meter-2"] {
        rest.enter(name).await;
    }
    let said = register(&server, "meter-1");
    assert!(said.contains("2.01"), "{said}");

    fs::write(&sign, "").unwrap();
    // Nobody is told that this one is kept.
    let said = register(&server, "meter-2");
    assert!(!said.contains("2.01"), "{said}");
    let clock = SystemClock::new();
    let status = loop {
        if let Some(status) = server.status() {
            break status;
        }
        let waited = clock.now().instant.since_origin();
        assert!(waited < PATIENCE, "it goes on:\n{}", server.log());
        tokio::time::sleep(POLL).await;
    };
    assert_eq!(status.code(), Some(1), "{}", server.log());
    let log = server.log();
    assert!(log.contains("disk I/O error"), "{log}");

    fs::remove_file(&sign).unwrap();
    server.restart();
    let shown = rest.get("/devices/meter-1").await;
    assert_eq!(shown["registered"], true, "{shown:#}");
}
