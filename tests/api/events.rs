//! `GET /api/v1/events`.

use std::time::Duration;

use narrowcast::clock::Utc;
use narrowcast::model::{
    CampaignId, CampaignState, EndpointName, Happening, NewEvent, Record, TaskId, TimelineEntry,
    TimelineStep,
};
use narrowcast::store::{EventStore, Store};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::service::{EVENT_LIMITS, Service, send};

/// What a test may wait for what comes at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream of events, taken apart.
struct Stream {
    response: Response,
    text: String,
}

/// One message: its fields, and the comments.
#[derive(Debug, Default)]
struct Message {
    event: String,
    id: String,
    data: Value,
    comment: String,
}

impl Stream {
    async fn open(service: &Service, path: &str, last_event_id: Option<&str>) -> Self {
        let mut request = service.request_as("viewer", Method::GET, path);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        assert!(
            response.headers()["cache-control"]
                .to_str()
                .is_ok_and(|it| it.contains("no-"))
        );
        let text = String::new();
        let mut stream = Self { response, text };
        let greeting = stream.next().await.expect("a greeting");
        assert_eq!(greeting.comment, "narrowcast");
        stream
    }

    /// The next message; `None` where the stream has ended.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let parsed = parse(message);
                self.text = rest.to_owned();
                return Some(parsed);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk());
            let chunk = chunk.await.expect("something in time").ok()??;
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    /// The next that is no heartbeat.
    async fn event(&mut self) -> Message {
        loop {
            let message = self.next().await.expect("an event");
            if !message.data.is_null() {
                return message;
            }
        }
    }
}

fn parse(text: &str) -> Message {
    let mut message = Message::default();
    for line in text.lines() {
        let (field, value) = line.split_once(':').expect("a field");
        let value = value.trim_start().to_owned();
        match field {
            "" => message.comment = value,
            "id" => message.id = value,
            "event" => message.event = value,
            "data" => message.data = serde_json::from_str(&value).expect("JSON"),
            "retry" => assert!(value.parse::<u64>().is_ok()),
            _ => panic!("{line}"),
        }
    }
    message
}

async fn happen(service: &Service, endpoint: &str) {
    let at = Utc::from_unix_ms(1_700_000_000_000);
    let endpoint = EndpointName::parse(endpoint).expect("a name");
    let event = NewEvent::of_device(at, Happening::DeviceRegistered, endpoint);
    let committed = service.store.commit(vec![Record::Event(event)]).await;
    committed.expect("a commit");
}

#[tokio::test]
async fn what_happens_is_told_as_it_happens_with_its_text_in_the_language_asked_for() {
    let service = Service::start().await;
    let package = service.seed(&["a"]).await;
    let body = json!({"name": "one", "package_id": package, "targets": {"devices": ["a"]}});
    service.post("/api/v1/campaigns", &body).await.expect(201);
    let request = service
        .request_as("viewer", Method::GET, "/api/v1/events")
        .header("Accept-Language", "zh-CN");
    let response = request.send().await.expect("an answer");
    let mut stream = Stream {
        response,
        text: String::new(),
    };
    let at = Utc::from_unix_ms(1_700_000_000_000);
    let step = TimelineEntry {
        at,
        endpoint: EndpointName::parse("a").expect("a name"),
        task: TaskId(1),
        attempt: 2,
        step: TimelineStep::Failed,
        detail: "no_space: /5/0/5 = 2".to_owned(),
    };
    let state = CampaignState::Running;
    let id = CampaignId(1);
    let records = vec![Record::Campaign { id, state, at }, Record::Timeline(step)];
    service.store.commit(records).await.expect("a commit");
    let running = stream.event().await;
    assert_eq!(running.data["type"], "campaign.running");
    assert_eq!(running.data["campaign_id"], 1);
    assert_eq!(running.id, running.data["id"].to_string());
    let failed = stream.event().await.data;
    assert_eq!(failed["type"], "task.failed");
    assert_eq!(failed["campaign_id"], 1);
    assert_eq!(
        (&failed["task_id"], &failed["attempt"], &failed["endpoint"]),
        (&json!(1), &json!(2), &json!("a"))
    );
    assert_eq!(failed["at"], "2023-11-14T22:13:20.000Z");
    assert_eq!(failed["text"], "本次升级失败。");
    assert_eq!(failed["failure"]["code"], "no_space");
    assert_eq!(failed["failure"]["evidence"], "/5/0/5 = 2");
    let text = failed["failure"]["text"].as_str().expect("a text");
    assert!(text.starts_with("Not enough storage for the new firmware package。"));
}

#[tokio::test]
async fn a_stream_goes_on_where_it_ended_and_nothing_is_lost_or_comes_twice() {
    let service = Service::start().await;
    let mut first = Stream::open(&service, "/api/v1/events", None).await;
    happen(&service, "a").await;
    happen(&service, "b").await;
    let a = first.event().await;
    assert_eq!(a.data["endpoint"], "a");
    drop(first);
    happen(&service, "c").await;
    let mut second = Stream::open(&service, "/api/v1/events", Some(&a.id)).await;
    happen(&service, "d").await;
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(second.event().await.data);
    }
    let endpoints: Vec<_> = told.iter().map(|it| &it["endpoint"]).collect();
    assert_eq!(endpoints, ["b", "c", "d"]);
    let by_query = format!("/api/v1/events?last_event_id={}", told[1]["id"]);
    let mut third = Stream::open(&service, &by_query, None).await;
    assert_eq!(third.event().await.data["endpoint"], "d");
}

#[tokio::test]
async fn a_heartbeat_has_the_id_to_go_on_from_although_nothing_was_wanted() {
    let service = Service::start().await;
    let mut stream = Stream::open(&service, "/api/v1/events?topics=campaign:9", None).await;
    happen(&service, "a").await;
    loop {
        let heartbeat = stream.next().await.expect("a heartbeat");
        assert!(heartbeat.data.is_null() && heartbeat.comment == "heartbeat");
        if heartbeat.id == "1" {
            break;
        }
    }
}

#[tokio::test]
async fn only_what_is_asked_for_is_told() {
    let service = Service::start().await;
    let path = "/api/v1/events?topics=device:b,campaign:7&types=device.*";
    let mut stream = Stream::open(&service, path, None).await;
    for endpoint in ["a", "b"] {
        happen(&service, endpoint).await;
    }
    assert_eq!(stream.event().await.data["endpoint"], "b");
    for (query, field) in [
        ("topics=cell:7", "topics"),
        ("topics=campaign:x", "topics"),
        ("types=task.fail", "types"),
    ] {
        let answer = service.get(&format!("/api/v1/events?{query}")).await;
        answer.problem(400, "invalid_query", Some(field));
    }
    let wrong = service.request(Method::GET, "/api/v1/events");
    let answer = send(wrong.header("Last-Event-ID", "seven")).await;
    answer.problem(400, "invalid_query", Some("Last-Event-ID"));
}

#[tokio::test]
async fn who_comes_too_late_or_from_elsewhere_is_told_of_the_gap_first() {
    let service = Service::start().await;
    for _ in 0..EVENT_LIMITS.kept_max + 5 {
        happen(&service, "a").await;
    }
    // The oldest go when the hub looks.
    let mut trimmed = Vec::new();
    for _ in 0..200 {
        trimmed = service.store.events(0, 1).await.expect("events");
        if trimmed[0].number > 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(trimmed[0].number, 6);
    let mut stream = Stream::open(&service, "/api/v1/events", Some("2")).await;
    let gap = stream.event().await;
    assert_eq!((gap.event.as_str(), gap.id.as_str()), ("gap", "5"));
    assert_eq!(
        gap.data,
        json!({"reason": "not_kept", "after": 2, "up_to": 5})
    );
    assert_eq!(stream.event().await.data["id"], 6);
    drop(stream);

    let mut stream = Stream::open(&service, "/api/v1/events", Some("4711")).await;
    let gap = stream.event().await;
    assert_eq!((gap.event.as_str(), gap.id.as_str()), ("gap", "45"));
    assert_eq!(gap.data["reason"], "unknown_id");
    happen(&service, "b").await;
    assert_eq!(stream.event().await.data["endpoint"], "b");
}

#[tokio::test]
async fn streams_are_bounded_and_their_places_come_back() {
    let service = Service::start().await;
    let mut streams = Vec::new();
    for _ in 0..EVENT_LIMITS.streams_max {
        streams.push(Stream::open(&service, "/api/v1/events", None).await);
    }
    let refused = service.get("/api/v1/events").await;
    refused.problem(503, "unavailable", None);
    assert!(!refused.header("retry-after").is_empty());
    drop(streams);
    for _ in 0..100 {
        let request = service.request(Method::GET, "/api/v1/events");
        if request.send().await.expect("an answer").status() == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no place came back");
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_with_the_server() {
    let service = Service::start().await;
    let body = json!({"name": "board", "role": "viewer"});
    let token = service.post("/api/v1/tokens", &body).await.expect(201);
    let request = service.anonymous(Method::GET, "/api/v1/events");
    let token = token["token"].as_str().expect("a token");
    let response = request.bearer_auth(token).send().await.expect("an answer");
    let mut of_token = Stream {
        response,
        text: String::new(),
    };
    let mut other = Stream::open(&service, "/api/v1/events", None).await;
    service.delete("/api/v1/tokens/board").await.expect(204);
    while of_token.next().await.is_some() {}
    service.stop.send_replace(true);
    while other.next().await.is_some() {}
    let ended = tokio::time::timeout(PATIENCE, service.listener).await;
    ended.expect("in time").expect("no panic");
}

#[tokio::test]
async fn a_busy_server_sends_heartbeats_and_looks_at_tokens_too() {
    let service = Service::start().await;
    let body = json!({"name": "board", "role": "viewer"});
    let token = service.post("/api/v1/tokens", &body).await.expect(201);
    let request = service.anonymous(Method::GET, "/api/v1/events?topics=campaign:9");
    let token = token["token"].as_str().expect("a token");
    let response = request.bearer_auth(token).send().await.expect("an answer");
    let mut stream = Stream {
        response,
        text: String::new(),
    };
    stream.next().await.expect("a greeting");
    // Something happens more often than a heartbeat is due.
    let busy = async {
        loop {
            happen(&service, "a").await;
            tokio::time::sleep(EVENT_LIMITS.heartbeat / 6).await;
        }
    };
    let heard = async {
        let heartbeat = stream.next().await.expect("a heartbeat");
        assert_eq!(heartbeat.comment, "heartbeat");
        service.delete("/api/v1/tokens/board").await.expect(204);
        while stream.next().await.is_some() {}
    };
    tokio::select! {
        () = busy => {}
        () = heard => {}
        () = tokio::time::sleep(PATIENCE) => panic!("it goes on without its token"),
    }
}
