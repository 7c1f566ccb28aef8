//! What a client may do to the listener: over sockets, byte by byte.

use std::time::Duration;

use narrowcast::http::{ConnectionLimits, HttpLimits};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::problems::HARDENING;
use crate::service::{FORM, Service, send};

/// Longer than every deadline that a test sets, and shorter than every other.
const PATIENCE: Duration = Duration::from_secs(5);
/// A deadline that a test waits for.
const SOON: Duration = Duration::from_millis(150);
/// Between two pieces of what is sent slowly.
const STEP: Duration = Duration::from_millis(10);
const HEALTHZ: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

/// None of the bounds that a test is not about is near.
const WIDE: ConnectionLimits = ConnectionLimits {
    handshake_timeout: Duration::from_secs(60),
    connections_max: 1000,
    connections_per_address_max: 1000,
    first_byte_timeout: Duration::from_secs(60),
    header_timeout: Duration::from_secs(60),
    header_bytes_max: 8192,
    headers_max: 64,
    rate_min_bytes_per_second: 1000,
    rate_grace: Duration::from_secs(60),
    idle_timeout: Duration::from_secs(60),
};

async fn service(limits: ConnectionLimits) -> Service {
    Service::start_bounded(HttpLimits::default(), limits, false).await
}

/// Everything until the server closes.
async fn read_to_close(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // It may close with bytes of ours unread, which resets the connection: what came before counts.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("the server closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The head and the body of one answer with a content-length.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = async {
        loop {
            let text = String::from_utf8_lossy(&answer).to_lowercase();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1);
                let length = length.and_then(|rest| rest.lines().next());
                if body.len() >= length.expect("a length").parse().expect("a number") {
                    return;
                }
            }
            answer.push(stream.read_u8().await.expect("more of the answer"));
        }
    };
    timeout(PATIENCE, read).await.expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends byte by byte until the server says something or closes; then all that it said.
async fn dribble(stream: &mut TcpStream) -> String {
    let cut = timeout(PATIENCE, async {
        while stream.write_all(b" ").await.is_ok() {
            if timeout(STEP, stream.readable()).await.is_ok() {
                return;
            }
        }
    });
    cut.await.expect("an end while it dribbles");
    read_to_close(stream).await
}

async fn is_healthy(service: &Service) -> bool {
    let mut stream = service.connect_from("127.0.0.2").await;
    stream.write_all(HEALTHZ).await.expect("sent");
    read_answer(&mut stream).await.starts_with("HTTP/1.1 200 ")
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let service = service(ConnectionLimits {
        first_byte_timeout: SOON,
        ..WIDE
    })
    .await;
    let mut silent = service.connect().await;
    assert_eq!(read_to_close(&mut silent).await, "");
}

#[tokio::test]
async fn a_head_that_dribbles_is_closed_and_others_are_served_meanwhile() {
    let service = service(ConnectionLimits {
        header_timeout: SOON,
        ..WIDE
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = service.connect().await;
        stream.write_all(b"GET /healthz HTT").await.expect("sent");
        slow.push(stream);
    }
    assert!(is_healthy(&service).await);
    let mut one = service.connect().await;
    let head = b"GET /healthz HTTP/1.1\r\nx: x";
    one.write_all(head).await.expect("sent");
    assert_eq!(dribble(&mut one).await, "");
    for mut stream in slow {
        assert_eq!(read_to_close(&mut stream).await, "");
    }
}

#[tokio::test]
async fn a_body_that_dribbles_is_answered_408() {
    let service = service(ConnectionLimits {
        rate_grace: SOON,
        ..WIDE
    })
    .await;
    let mut stream = service.connect().await;
    let head = post_groups(&service, 1000);
    stream.write_all(head.as_bytes()).await.expect("sent");
    // At most 100 bytes a second, of the 1000 that have to come.
    let answer = dribble(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"body_too_slow\""), "{answer}");
}

#[tokio::test]
async fn an_upload_that_is_slow_and_not_too_slow_comes_to_its_end() {
    let limits = HttpLimits {
        request_timeout: SOON,
        ..HttpLimits::default()
    };
    let connections = ConnectionLimits {
        first_byte_timeout: SOON,
        header_timeout: SOON,
        idle_timeout: SOON,
        rate_grace: SOON,
        ..WIDE
    };
    let service = Service::start_bounded(limits, connections, false).await;
    let key = json!({"manufacturer": "quectel", "public_key_pem": "KEY k1"});
    service.post("/api/v1/keys", &key).await.expect(201);
    let mut body = String::new();
    for (name, text) in FORM {
        let field = format!("content-disposition: form-data; name=\"{name}\"\r\n\r\n{text}");
        body.push_str(&format!("--x\r\n{field}\r\n"));
    }
    body.push_str("--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n");
    body.push_str(&format!("signed-by k1\n{}\r\n--x--\r\n", "x".repeat(4000)));
    let head = format!(
        "POST /api/v1/packages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: {}\r\n\r\n",
        service.token("operator"),
        body.len()
    );
    let mut stream = service.connect().await;
    stream.write_all(head.as_bytes()).await.expect("sent");
    let started = service.clock.now().instant;
    // 100 bytes in some 10 ms: ten times the least rate, for several times each deadline.
    for piece in body.as_bytes().chunks(100) {
        stream.write_all(piece).await.expect("sent");
        tokio::time::sleep(STEP).await;
    }
    let answer = read_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert!(service.clock.now().instant.saturating_since(started) > SOON * 2);
}

#[tokio::test]
async fn one_address_cannot_keep_others_out() {
    let service = service(ConnectionLimits {
        connections_per_address_max: 3,
        ..WIDE
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = service.connect().await;
        stream.write_all(HEALTHZ).await.expect("sent");
        read_answer(&mut stream).await;
        open.push(stream);
    }
    for _ in 0..20 {
        let mut refused = service.connect().await;
        let answer = read_to_close(&mut refused).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nretry-after: "), "{answer}");
        assert!(answer.contains("\"code\":\"unavailable\""), "{answer}");
        for (name, value) in HARDENING {
            assert!(
                answer.contains(&format!("\r\n{name}: {value}\r\n")),
                "{name}"
            );
        }
    }
    assert!(is_healthy(&service).await);
    // Those that have a place keep it, and one that goes leaves it to another.
    open[0].write_all(HEALTHZ).await.expect("sent");
    read_answer(&mut open[0]).await;
    drop(open.pop());
    let again = async {
        loop {
            let mut stream = service.connect().await;
            let _ = stream.write_all(HEALTHZ).await;
            let mut first = [0; 12];
            let read = stream.read_exact(&mut first).await;
            if read.is_ok() && &first == b"HTTP/1.1 200" {
                return;
            }
        }
    };
    timeout(PATIENCE, again).await.expect("a place");
}

#[tokio::test]
async fn there_are_so_many_connections_and_no_more() {
    let service = service(ConnectionLimits {
        connections_max: 2,
        ..WIDE
    })
    .await;
    let mut open = Vec::new();
    for address in ["127.0.0.1", "127.0.0.2"] {
        let mut stream = service.connect_from(address).await;
        stream.write_all(HEALTHZ).await.expect("sent");
        read_answer(&mut stream).await;
        open.push(stream);
    }
    let mut refused = service.connect_from("127.0.0.3").await;
    let answer = read_to_close(&mut refused).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_431() {
    let service = service(WIDE).await;
    let get = "GET /healthz HTTP/1.1\r\nhost: x\r\n";
    let just = format!("{get}x: {}\r\n\r\n", "x".repeat(8192 - get.len() - 7));
    assert_eq!(just.len(), 8192);
    let cases = [
        (just.clone(), "200"),
        (just.replace("x: x", "x: xx"), "431"),
        (format!("{get}x: {}", "x".repeat(100_000)), "431"),
        (format!("{get}{}\r\n", "x: x\r\n".repeat(63)), "200"),
        (format!("{get}{}\r\n", "x: x\r\n".repeat(64)), "431"),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(8192)), "431"),
    ];
    for (head, status) in cases {
        let answer = service.raw(&head).await;
        let start = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&start), "{status}: {answer}");
    }
    assert!(is_healthy(&service).await);
}

#[tokio::test]
async fn nobody_without_a_role_has_a_body_read() {
    let service = service(WIDE).await;
    let length = 50_000_000;
    for (path, token, status) in [
        ("/api/v1/packages", "nobody", "401"),
        ("/api/v1/packages", service.token("viewer"), "403"),
        ("/api/v1/devices/import", service.token("viewer"), "403"),
        ("/api/v1/groups", service.token("operator"), "413"),
        ("/api/v1/devices/import", service.token("operator"), "413"),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: {}\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n",
            if path.ends_with("import") {
                "text/csv"
            } else {
                "application/json"
            },
        );
        let mut stream = service.connect().await;
        stream.write_all(head.as_bytes()).await.expect("sent");
        // Whole, without a byte of the body, and without being asked for one.
        let answer = read_answer(&mut stream).await;
        let start = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&start), "{path} {status}: {answer}");
    }
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_their_order() {
    let service = service(WIDE).await;
    let mut stream = service.connect().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    let requests = [get("/healthz"), get("/api/v1/groups"), get("/readyz")].concat();
    stream.write_all(requests.as_bytes()).await.expect("sent");
    for status in ["200", "401", "200"] {
        let answer = read_answer(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_in_use_is_not() {
    let service = service(ConnectionLimits {
        idle_timeout: SOON,
        ..WIDE
    })
    .await;
    let mut stream = service.connect().await;
    let started = service.clock.now().instant;
    // Each request comes in time, all together last longer than the time.
    while service.clock.now().instant.saturating_since(started) < SOON * 2 {
        stream.write_all(HEALTHZ).await.expect("sent");
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        tokio::time::sleep(STEP).await;
    }
    assert_eq!(read_to_close(&mut stream).await, "");
}

#[tokio::test]
async fn who_does_not_take_its_answers_is_cut_off() {
    let service = service(ConnectionLimits {
        rate_grace: SOON,
        ..WIDE
    })
    .await;
    let mut stream = service.connect().await;
    // More than all buffers on the way hold, and never read.
    let get = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    let sent = timeout(PATIENCE, async {
        while stream.write_all(&get).await.is_ok() {}
    });
    sent.await.expect("the server closes");
    assert!(is_healthy(&service).await);
}

#[tokio::test]
async fn so_many_requests_are_worked_on_and_health_is_answered_beside_them() {
    let limits = HttpLimits {
        requests_max: 1,
        ..HttpLimits::default()
    };
    let service = Service::start_bounded(limits, WIDE, false).await;
    let mut slow = service.connect().await;
    let body = "{\"name\": \"east\"}";
    let head = post_groups(&service, body.len()) + "{";
    slow.write_all(head.as_bytes()).await.expect("sent");
    let full = async {
        loop {
            let answer = service.get("/api/v1/groups").await;
            if answer.status == 503 {
                return answer;
            }
        }
    };
    let answer = timeout(PATIENCE, full).await.expect("a refusal");
    answer.problem(503, "unavailable", None);
    assert!(!answer.header("retry-after").is_empty());
    assert!(is_healthy(&service).await);
    slow.write_all(&body.as_bytes()[1..]).await.expect("sent");
    let answer = read_answer(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    service.get("/api/v1/groups").await.expect(200);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended() {
    let limits = HttpLimits {
        request_timeout: SOON,
        ..HttpLimits::default()
    };
    let service = Service::start_bounded(limits, WIDE, false).await;
    let mut slow = service.connect().await;
    let head = post_groups(&service, 1000);
    slow.write_all(head.as_bytes()).await.expect("sent");
    let answer = read_to_close(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\"timed_out\""), "{answer}");
}

#[tokio::test]
async fn a_stop_lets_a_request_come_to_its_answer_and_closes_what_is_idle() {
    let service = service(WIDE).await;
    let mut silent = service.connect().await;
    let mut idle = service.connect().await;
    idle.write_all(HEALTHZ).await.expect("sent");
    read_answer(&mut idle).await;
    let mut half_a_head = service.connect().await;
    half_a_head.write_all(b"GET /hea").await.expect("sent");
    let mut busy = service.connect().await;
    let body = "{\"name\": \"east\"}";
    let head = post_groups(&service, body.len()) + "{";
    let head = head.replace("host: x\r\n", "host: x\r\nexpect: 100-continue\r\n");
    busy.write_all(head.as_bytes()).await.expect("sent");
    // It asks for the body: the request is under way.
    let mut asked = [0; 25];
    busy.read_exact(&mut asked).await.expect("100 Continue");
    assert!(asked.starts_with(b"HTTP/1.1 100 "));

    service.stop.send(true).expect("a listener");
    for stream in [&mut silent, &mut idle, &mut half_a_head] {
        assert_eq!(read_to_close(stream).await, "");
    }
    busy.write_all(&body.as_bytes()[1..]).await.expect("sent");
    let answer = read_to_close(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let ended = timeout(PATIENCE, service.listener).await;
    ended.expect("it ends").expect("without a panic");
}

#[tokio::test]
async fn a_request_after_a_refused_one_is_served() {
    let service = service(WIDE).await;
    let answer = send(service.anonymous(Method::POST, "/api/v1/groups").body("{}")).await;
    answer.problem(401, "unauthenticated", None);
    service.get("/api/v1/groups").await.expect(200);
}

/// The head of a request that makes a group.
fn post_groups(service: &Service, length: usize) -> String {
    format!(
        "POST /api/v1/groups HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n",
        service.token("operator")
    )
}
