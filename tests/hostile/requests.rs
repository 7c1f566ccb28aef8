//! Requests that are none, that ask for what nobody may have, and that hide another one (RFC 9112).

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::http::{Answer, Connection, request};
use crate::site::{Row, Site};

pub(crate) const ROWS: &[Row] = &[
    Row::new(36, "path traversal", traversal),
    Row::new(37, "odd request lines, headers", odd_heads),
    Row::new(38, "Range", ranges),
    Row::new(44, "smuggling", smuggling),
    Row::new(45, "JSON and compression bombs", bombs),
    Row::new(46, "credentials", credentials),
];

/// The longest that a bomb may keep the server busy.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// What a smuggler hides.
pub(crate) const HIDDEN: &str = "GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
pub(crate) const CHUNKED: &str = "transfer-encoding: chunked\r\n";

/// All that the server says to these bytes, until it closes. Half a connection is closed at once: the
/// server need not wait for more.
fn say(site: &Site, bytes: &[u8]) -> String {
    let mut connection = site.connect();
    // It may refuse and close before it has taken everything.
    let _ = connection.send(bytes);
    let said = connection.until_closed().unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

pub(crate) fn statuses(said: &str) -> Vec<u16> {
    let starts = said.split("HTTP/1.1 ").skip(1);
    starts.map(|rest| rest[..3].parse().unwrap()).collect()
}

/// Ways up in a path.
pub(crate) const UP: [&str; 13] = [
    "../",
    "..\\",
    "%2e%2e/",
    "%2e%2e%2f",
    "..%2f",
    "..%5c",
    "%252e%252e%252f",
    "%c0%ae%c0%ae/",
    "..%c0%af",
    "%uff0e%uff0e/",
    "..;/",
    "....//",
    ".%00./",
];

fn traversal(site: &Site) {
    const PREFIXES: [&str; 6] = [
        "/",
        "/openapi.json/",
        "/api/v1/devices/",
        "/api/v1/packages/",
        "/api/v1/groups/1/devices/",
        "/static/",
    ];
    for prefix in PREFIXES {
        let mut kept = site.connect();
        for up in UP {
            for file in ["etc/passwd", "proc/self/environ"] {
                let path = format!("{prefix}{}{file}", up.repeat(8));
                kept.send(&request("GET", &path, &site.server.token, None))
                    .unwrap();
                let answer = kept.answer().unwrap();
                let text = String::from_utf8_lossy(&answer.body);
                assert!(
                    matches!(answer.status, 400 | 404),
                    "{path}: {}",
                    answer.head
                );
                assert!(!text.contains("root:") && !text.contains("PATH="), "{text}");
            }
        }
    }
}

fn odd_heads(site: &Site) {
    let get = "GET /healthz HTTP/1.1\r\nhost: x\r\n";
    let many = "a: b\r\n".repeat(10_000);
    for (bytes, allowed) in [
        ("GET\r\n\r\n".to_owned(), &[400][..]),
        ("GET /healthz\r\n\r\n".to_owned(), &[400]),
        (
            "GET  /healthz HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            "GET /healthz HTTP/1.1 \r\nhost: x\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            "GET /healthz HTTP/9.9\r\nhost: x\r\n\r\n".to_owned(),
            &[400, 505],
        ),
        (
            "G\0T /healthz HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            "GET /heal\0thz HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            "GET /heal thz HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(100_000)),
            &[414, 431],
        ),
        (
            format!(
                "{} /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
                "G".repeat(100_000)
            ),
            &[400, 431],
        ),
        (format!("{get}{many}\r\n"), &[431]),
        (format!("{get}a: {}\r\n\r\n", "b".repeat(1_000_000)), &[431]),
        (format!("{get}a b: c\r\n\r\n"), &[400]),
        (format!("{get}: c\r\n\r\n"), &[400]),
        (format!("{get}a: \0\r\n\r\n"), &[400]),
        (format!("{get}a\r\n\r\n"), &[400]),
        // RFC 9112 §3.2: no Host, two of them, one that is none.
        ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), &[400]),
        (format!("{get}host: y\r\n\r\n"), &[400]),
        (
            "GET /healthz HTTP/1.1\r\nhost: x y\r\n\r\n".to_owned(),
            &[400],
        ),
    ] {
        let statuses = statuses(&say(site, bytes.as_bytes()));
        assert!(
            matches!(statuses.as_slice(), [status] if allowed.contains(status)),
            "{bytes:.60?}: {statuses:?}"
        );
    }
}

/// No answer of the interface is a file: a Range is ignored, as RFC 9110 §14.2 allows, and what comes
/// is whole, once.
fn ranges(site: &Site) {
    let whole = site
        .server
        .ask(&request("GET", "/openapi.json", "", None))
        .body;
    assert!(whole.len() > 50_000);
    let overlaps = (0..1300).fold("bytes=0-".to_owned(), |mut text, from| {
        let _ = write!(text, ",{from}-");
        text
    });
    let mut kept = site.connect();
    for range in [
        "bytes=0-0",
        "bytes=-1",
        "bytes=0-18446744073709551616",
        "bytes=99999999999999999999-",
        "bytes=5-2",
        "bytes=--1",
        &overlaps,
    ] {
        for if_range in ["", "if-range: \"stale\"\r\n"] {
            let get = format!(
                "GET /openapi.json HTTP/1.1\r\nhost: x\r\nrange: {range}\r\n{if_range}\r\n"
            );
            kept.send(get.as_bytes()).unwrap();
            let answer = kept.answer().unwrap();
            assert_eq!(answer.status, 200, "{range:.60}");
            assert!(answer.body == whole, "{range:.60}: {}", answer.body.len());
        }
    }
}

/// Each has a second request inside of what one reader takes for a body and another does not. The
/// server answers once and closes, or it would answer that one too.
fn smuggling(site: &Site) {
    let head = format!(
        "POST /api/v1/groups HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\n",
        site.server.token
    );
    // Its body, which is read to the end, is refused in any case: no body is no JSON.
    let body = |fields: &str, body: &str| format!("{head}{fields}\r\n{body}{HIDDEN}");
    for sound in [
        body("content-length: 0\r\n", ""),
        body(CHUNKED, "0\r\n\r\n"),
    ] {
        let said = say(site, sound.as_bytes());
        assert_eq!(statuses(&said), [400, 200], "{said}");
    }
    for (name, bytes) in smuggled(&body) {
        let said = say(site, bytes.as_bytes());
        let statuses = statuses(&said);
        assert!(
            matches!(statuses.as_slice(), [400 | 413 | 501]),
            "{name}: {said}"
        );
    }
}

/// The fifteen ways, each around `body` of header fields and what begins the body.
pub(crate) fn smuggled(body: &impl Fn(&str, &str) -> String) -> [(&'static str, String); 15] {
    let length = HIDDEN.len();
    [
        (
            "CL.TE",
            body(&format!("content-length: 5\r\n{CHUNKED}"), "0\r\n\r\n"),
        ),
        (
            "TE.CL",
            body(&format!("{CHUNKED}content-length: 5\r\n"), "0\r\n\r\n"),
        ),
        (
            "two lengths",
            body(
                &format!("content-length: 0\r\ncontent-length: {length}\r\n"),
                "",
            ),
        ),
        (
            "a list of lengths",
            body(&format!("content-length: 0, {length}\r\n"), ""),
        ),
        ("+length", body("content-length: +0\r\n", "")),
        ("-length", body("content-length: -0\r\n", "")),
        ("0x length", body("content-length: 0x0\r\n", "")),
        (
            "a length too large",
            body("content-length: 18446744073709551616\r\n", ""),
        ),
        (
            "a space before the colon",
            body("content-length : 0\r\n", ""),
        ),
        ("a folded line", body("content-length:\r\n 0\r\n", "")),
        (
            "a folded coding",
            body("transfer-encoding:\r\n chunked\r\n", "0\r\n\r\n"),
        ),
        (
            "chunked is not last",
            body("transfer-encoding: chunked, gzip\r\n", "0\r\n\r\n"),
        ),
        (
            "an unknown coding",
            body("transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
        ),
        ("a chunk's size is none", body(CHUNKED, "zz\r\n\r\n")),
        (
            "a chunk's size is too large",
            body(CHUNKED, "ffffffffffffffffff\r\n\r\n"),
        ),
    ]
}

fn bombs(site: &Site) {
    let token = &site.server.token;
    let groups = |body: &str| {
        let body = Some(("application/json", body));
        request("POST", "/api/v1/groups", token, body)
    };
    let long = "x".repeat(1_000_000);
    let deep = [100_000, 1000, 129].map(|depth| "[".repeat(depth));
    let objects = "{\"name\":".repeat(20_000);
    let deflated = format!(
        "POST /api/v1/groups HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-encoding: deflate\r\ncontent-length: 100\r\n\r\n{}",
        "\u{1}".repeat(100)
    );
    let password =
        format!("GET /api/v1/groups HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {long}\r\n\r\n");
    for (name, bytes) in [
        ("depth 100,000", groups(&deep[0])),
        ("depth 1000", groups(&deep[1])),
        ("depth 129", groups(&deep[2])),
        ("objects", groups(&objects)),
        ("a deep value", groups(&format!("{{\"name\":{}", deep[1]))),
        ("1e400", groups("{\"name\":1e400}")),
        ("a key twice", groups("{\"name\":\"a\",\"name\":\"b\"}")),
        (
            "an unknown key",
            groups("{\"name\":\"a\",\"__proto__\":{}}"),
        ),
        ("a lone surrogate", groups("{\"name\":\"\\ud800\"}")),
        (
            "a megabyte of name",
            groups(&json!({ "name": long }).to_string()),
        ),
        ("a megabyte of password", password.into_bytes()),
        ("deflate", deflated.into_bytes()),
    ] {
        let started = site.now();
        let mut connection = site.connect();
        let _ = connection.send(&bytes);
        let answer = connection.answer();
        let took = site.now().saturating_since(started);
        let status = answer.as_ref().map(|answer: &Answer| answer.status);
        assert!(matches!(status, Ok(400..500)), "{name}: {answer:?}");
        assert!(took < ANSWER_MAX, "{name}: {took:?}");
    }
    let groups = site.server.get("/api/v1/groups");
    assert_eq!(groups, json!([]));
}

fn credentials(site: &Site) {
    let none = "eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ.";
    let mut fields = vec![
        String::new(),
        "authorization:\r\n".to_owned(),
        "authorization: Bearer\r\n".to_owned(),
        "authorization: Bearer \r\n".to_owned(),
        format!("authorization: Bearer {none}\r\n"),
        "authorization: Basic YWRtaW46YWRtaW4=\r\n".to_owned(),
        "authorization: Bearer null\r\n".to_owned(),
        "authorization: Bearer ' OR 1=1 --\r\n".to_owned(),
        format!("authorization: Bearer {}\r\n", "x".repeat(4000)),
        format!("authorization: Digest {}\r\n", site.server.token),
        format!("authorization: Bearer {}x\r\n", site.server.token),
        format!("x-authorization: Bearer {}\r\n", site.server.token),
        format!("cookie: token={}\r\n", site.server.token),
    ];
    fields.push(format!(
        "authorization: Bearer {}\r\n",
        &site.server.token[1..]
    ));
    let refused = |connection: &mut Connection, head: &str| {
        connection.send(head.as_bytes()).unwrap();
        let answer = connection.answer().unwrap();
        assert!(
            matches!(answer.status, 401 | 403 | 404),
            "{head:.200}: {}",
            answer.head
        );
    };
    let mut kept = site.connect();
    let overrides = [
        "",
        "x-http-method-override: GET\r\n",
        "x-original-url: /healthz\r\n",
    ];
    for fields in &fields {
        for more in overrides {
            for line in [
                "GET /api/v1/devices",
                "DELETE /api/v1/devices/canary-1",
                "POST /api/v1/tokens",
                "GET /api/v1/devices?access_token=x",
            ] {
                let head = format!("{line} HTTP/1.1\r\nhost: x\r\n{fields}{more}\r\n");
                refused(&mut kept, &head);
            }
        }
    }
    // A method that another one's right is claimed for is what its line says.
    let made = json!({ "name": "reader", "role": "viewer" });
    let viewer = site.server.post("/api/v1/tokens", &made)["token"].clone();
    let viewer = viewer.as_str().unwrap();
    for over in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ] {
        let head = format!(
            "DELETE /api/v1/devices/canary-1 HTTP/1.1\r\nhost: x\r\n\
             authorization: Bearer {viewer}\r\n{over}: GET\r\n\r\n"
        );
        refused(&mut kept, &head);
        let head = format!(
            "GET /api/v1/devices/canary-1 HTTP/1.1\r\nhost: x\r\n\
             authorization: Bearer {viewer}\r\n{over}: DELETE\r\n\r\n"
        );
        kept.send(head.as_bytes()).unwrap();
        assert_eq!(kept.answer().unwrap().status, 200);
    }
}
