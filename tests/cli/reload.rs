//! SIGHUP: which settings a running server takes up, and what a faulty file does to it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{Server, Site};

/// How often the log is looked at, and how many times: for 8 s.
const POLL: Duration = Duration::from_millis(20);
const POLLS_MAX: u32 = 400;

fn configure(site: &Site, text: &str) {
    std::fs::write(site.path().join("narrowcast.toml"), text).unwrap();
}

/// Asks for the settings to be read again; what the log says of it, once it says `word`.
async fn hang_up(site: &Site, server: &Server, word: &str) -> String {
    let before = site.log().len();
    server.signal("HUP");
    for _ in 0..POLLS_MAX {
        let said = site.log().split_off(before);
        if said.contains(word) {
            return said;
        }
        tokio::time::sleep(POLL).await;
    }
    panic!("{word:?} is not in: {}", site.log());
}

#[tokio::test]
async fn limits_are_taken_up_what_needs_a_restart_is_named_and_a_fault_changes_nothing() {
    const LIMITS: &str = "[cells.limits]\ntier0 = 40\ntier2 = 2\n";
    let site = Site::new();
    configure(&site, "");
    let (server, api) = site.serve_admin(&["--config", "narrowcast.toml"]);
    let limits =
        async || -> Value { api.get("/api/v1/cells/tiers").await.is(200)["limits"].clone() };
    assert_eq!(
        limits().await,
        json!({"0": 50, "1": 10, "2": 1, "unknown": 10})
    );
    hang_up(&site, &server, "the settings are as they were").await;

    configure(&site, LIMITS);
    let said = hang_up(&site, &server, "cells.limits.tier2").await;
    for word in ["cells.limits.tier0", "before=\"50\"", "now=\"40\""] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let taken_up = json!({"0": 40, "1": 10, "2": 2, "unknown": 10});
    assert_eq!(limits().await, taken_up);
    let changes = async || -> Vec<Value> {
        let entries = api.get("/api/v1/audit").await.is(200);
        let of_limits = |entry: &&Value| entry["action"] == "cell_limits_changed";
        let entries = entries.as_array().unwrap().iter();
        entries.filter(of_limits).cloned().collect()
    };
    let told = changes().await;
    assert_eq!(told.len(), 1, "{told:?}");
    let text = told[0].to_string();
    assert_eq!(told[0]["actor"], "server");
    for limits in ["tier0=50 tier1=10 tier2=1", "tier0=40 tier1=10 tier2=2"] {
        assert!(text.contains(limits), "{text}");
    }

    // The fault is told with its key; the limit beside it is not taken up either.
    for (fault, word) in [
        ("[cells.limits]\ntier0 = 7\ntier1 = \"many\"\n", "tier1"),
        ("[cells.limits]\ntier0 = 7\n[cells]\nlimit = 1\n", "cells"),
        (
            "[cells]\nrsrp_borders_dbm = [1, 2, 3]\n",
            "rsrp_borders_dbm",
        ),
        ("[cells", "TOML"),
    ] {
        configure(&site, fault);
        let said = hang_up(&site, &server, "all stays as it was").await;
        assert!(said.contains(word), "{word}: {said}");
        assert_eq!(limits().await, taken_up);
    }

    let cell = "[[cells.overrides]]\ncell_id = 7\nlimits = { tier0 = 1 }\n";
    let rest = "[http]\nrequests_max = 7\n";
    configure(&site, &format!("{LIMITS}{cell}{rest}"));
    let said = hang_up(&site, &server, "http.requests_max").await;
    assert!(said.contains("cells.overrides"), "{said}");
    assert!(said.contains("needs a restart"), "{said}");
    // What waits is told again, and what was taken up is not.
    let said = hang_up(&site, &server, "needs a restart").await;
    assert!(!said.contains("was taken up"), "{said}");
    let told = changes().await;
    assert_eq!(told.len(), 2, "nothing is told of faults: {told:?}");
    assert_eq!(told[1]["object"], "7");
    assert_eq!(server.end_by("TERM").code(), Some(0));
}
