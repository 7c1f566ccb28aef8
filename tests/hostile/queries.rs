//! Text that would mean something to a database, a template or a shell, and the other HTTP.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::http::request;
use crate::site::{Row, Site};

pub(crate) const ROWS: &[Row] = &[
    Row::new(51, "SQL and templates in queries", odd_queries),
    Row::new(52, "HTTP/2 in the clear", other_http),
];

/// The longest that any of them may keep the server busy: a database that was told to sleep would.
const ANSWER_MAX: Duration = Duration::from_secs(3);

const TEXTS: [&str; 12] = [
    "' OR '1'='1",
    "1; DROP TABLE devices; --",
    "1 UNION SELECT sha256 FROM tokens",
    "x' AND randomblob(1000000000) --",
    "' || (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c) || '",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "<%= 7*7 %>",
    "#{7*7}",
    "$(sleep 5)",
    "`sleep 5`",
    "%s%s%s%n",
];

/// In each place of a query, of a path and of a body: refused, or looked for and not found.
fn odd_queries(site: &Site) {
    let before = site.server.get("/api/v1/audit/head")["entries"].clone();
    let mut kept = site.connect();
    for text in TEXTS {
        let escaped = text.bytes().fold(String::new(), |mut escaped, byte| {
            let _ = write!(escaped, "%{byte:02X}");
            escaped
        });
        let mut asked: Vec<_> = [
            "devices?cursor=",
            "devices?limit=",
            "devices?flapping=",
            "devices?filter=",
            "keys?manufacturer=",
            "campaigns?cursor=",
            "campaigns/1/tasks?state=",
            "audit?cursor=",
            "cells?cursor=",
            "devices/",
            "keys/",
            "packages/",
            "groups/",
        ]
        .into_iter()
        .map(|place| {
            let path = format!("/api/v1/{place}{escaped}");
            request("GET", &path, &site.server.token, None)
        })
        .collect();
        let body = json!({"name": "n", "package_id": 1, "targets": {"devices": [text]}});
        let body = body.to_string();
        let body = Some(("application/json", body.as_str()));
        let path = "/api/v1/campaigns?dry_run=true";
        asked.push(request("POST", path, &site.server.token, body));
        for bytes in asked {
            let started = site.now();
            kept.send(&bytes).unwrap();
            let answer = kept.answer().unwrap();
            let took = site.now().saturating_since(started);
            let shown = String::from_utf8_lossy(&answer.body).into_owned();
            let line = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
            assert!(
                matches!(answer.status, 200 | 400 | 404 | 409 | 422),
                "{line}: {shown}"
            );
            assert!(took < ANSWER_MAX, "{line}: {took:?}");
            // Nothing was computed.
            let is_computed = answer.status != 200 && shown.contains("49");
            assert!(!is_computed, "{line}: {shown}");
        }
    }
    let after = site.server.get("/api/v1/audit/head")["entries"].clone();
    assert_eq!(before, after, "something was changed");
}

/// The listener speaks HTTP/1.1 alone: a preface of HTTP/2 is no request line, an offer to upgrade is
/// passed over, and no frame behind either is looked at.
fn other_http(site: &Site) {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const FRAMES: usize = 10_000;
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap();
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    };
    let settings = frame(4, 0, 0, &[]);
    let many = |of: &dyn Fn(u32) -> Vec<u8>| -> Vec<u8> {
        let streams = (0..FRAMES).map(|number| 2 * u32::try_from(number).unwrap() + 1);
        streams.flat_map(of).collect()
    };
    // `:method: GET`, `:path: /`, `:scheme: http` (RFC 7541 §A).
    let headers = [0x82, 0x84, 0x86];
    for (name, frames) in [
        ("nothing", Vec::new()),
        (
            "rapid reset",
            many(&|stream| {
                let opened = frame(1, 5, stream, &headers);
                [opened, frame(3, 0, stream, &[0, 0, 0, 8])].concat()
            }),
        ),
        ("CONTINUATION", many(&|_| frame(9, 0, 1, &[0; 64]))),
        ("empty DATA", many(&|_| frame(0, 0, 1, &[]))),
        ("PING", many(&|_| frame(6, 0, 0, &[0; 8]))),
        ("SETTINGS", many(&|_| settings.clone())),
    ] {
        let mut connection = site.connect();
        // It may refuse and close before it has taken everything.
        let _ = connection.send(&[PREFACE, &settings, &frames].concat());
        let said = connection.until_closed().unwrap();
        let said = String::from_utf8_lossy(&said);
        let is_refused = said.is_empty() || said.starts_with("HTTP/1.1 400 ");
        assert!(is_refused, "{name}: {said}");
    }
    let offer = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings, close\r\n\
                 upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    let mut connection = site.connect();
    connection.send(offer.as_bytes()).unwrap();
    let said = connection.until_closed().unwrap();
    let said = String::from_utf8_lossy(&said);
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}
