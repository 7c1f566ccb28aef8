//! A disk that takes no more, in the middle of a campaign: files of the server may grow no further.

use std::process::{Command, Stdio};
use std::time::Duration;

use narrowcast::clock::SystemClock;
use serde_json::{Value, json};

use crate::downloads::{Held, libcoap};
use crate::rest::{POLL, number};
use crate::server::Server;
use crate::strangers::register;

const PATIENCE: Duration = Duration::from_secs(30);

/// No file of the server may grow beyond so many bytes; each has more already.
fn limit_files(server: &Server, bytes: &str) {
    let status = Command::new("prlimit")
        .args([
            format!("--pid={}", server.pid()),
            format!("--fsize={bytes}:unlimited"),
        ])
        .stdin(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "prlimit (util-linux)");
}

/// Asks until `answer` is what it should be.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> T, is: impl Fn(&T) -> bool) -> T
where
    T: std::fmt::Debug,
{
    let clock = SystemClock::new();
    loop {
        let answer = ask().await;
        if is(&answer) {
            return answer;
        }
        assert!(
            clock.now().instant.since_origin() < PATIENCE,
            "{what}: still {answer:?}"
        );
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_needs_it_serves_blocks_and_is_forgotten_once_there_is_room() {
    let held = Held::new().await;
    let (server, rest) = (&held.bench.server, &held.bench.rest);
    rest.enter("meter-2").await;

    let groups = rest.get("/groups").await;

    limit_files(server, "4096");
    let (status, problem) = rest
        .answer_to_post("/groups", &json!({ "name": "north" }))
        .await;
    assert_eq!(
        (status, &problem["code"]),
        (507, &json!("no_space_left")),
        "{problem:#}"
    );
    // The first one's commit fails, those behind it are turned away.
    let register_second = async || register(server, "meter-2");
    let refused = |said: &String| said.contains("5.03");
    let said = until("a Register", register_second, refused).await;
    assert!(said.contains("Max-Age"), "{said}");
    let stop = format!("/campaigns/{}/stop", held.campaign);
    let (status, problem) = rest.answer_to_post(&stop, &json!({ "mode": "hard" })).await;
    assert_eq!(
        (status, &problem["code"]),
        (507, &json!("no_space_left")),
        "{problem:#}"
    );
    let (image, said) = libcoap(&[], &held.uri);
    held.check(&image, &format!("{said:?}"));
    assert_eq!(rest.get("/groups").await, groups);

    limit_files(server, "unlimited");
    let accepted = |said: &String| said.contains("2.01");
    until("a Register", register_second, accepted).await;
    number(&rest.post("/groups", &json!({ "name": "north" })).await);
    rest.post(&stop, &json!({ "mode": "hard" })).await;
    let ended = async || rest.get(&format!("/campaigns/{}", held.campaign)).await;
    until("the stopped campaign", ended, |shown: &Value| {
        shown["state"] == "stopped"
    })
    .await;
}
