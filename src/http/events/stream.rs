//! `GET /api/v1/events`: server-sent events (HTML Living Standard §9.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event as SseEvent, Sse};
use axum::response::{IntoResponse, Response};
use metrics::{counter, gauge};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;

use super::view::EventView;
use crate::http::HttpState;
use crate::http::auth::{TokenSha256, still_reads};
use crate::http::error::{Problem, kinds};
use crate::http::extract::QueryParams;
use crate::http::language::Preferred;
use crate::model::{EventFilter, Language};

/// How many events are read at a time, and how many wait for a reader that is slow: the rest lies in the
/// store.
const READ_AT_ONCE: u32 = 256;
const WAITING_MAX: usize = 64;
/// A reader that takes nothing for so long is dropped; it comes again with `Last-Event-ID`.
const STALLED_MAX: Duration = Duration::from_secs(30);
/// How soon a client whose stream broke comes again, in milliseconds.
const COME_AGAIN: Duration = Duration::from_secs(3);

/// Which events.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Of what: `campaign:12`, `task:7` or `device:<endpoint>`, several with commas; all where it is left
    /// out.
    topics: Option<String>,
    /// Of which types: `task.failed` or `campaign.*`, several with commas; all where it is left out.
    types: Option<String>,
    /// As the header `Last-Event-ID`, for clients that cannot set one. The header counts more.
    last_event_id: Option<u64>,
}

impl EventsQuery {
    fn filter(&self, state: &HttpState) -> Result<EventFilter, Problem> {
        let split = |list: &Option<String>| -> Vec<String> {
            let list = list.as_deref().unwrap_or_default();
            let items = list.split(',').filter(|item| !item.is_empty());
            items.map(str::to_owned).collect()
        };
        let invalid = |field: &'static str| {
            move |fault: crate::model::InvalidEventFilter| {
                Problem::new(kinds::INVALID_QUERY, format!("{field}: {fault}")).with_field(field)
            }
        };
        let (topics, types) = (split(&self.topics), split(&self.types));
        EventFilter::default()
            .with_topics(topics.iter().map(String::as_str), |text| {
                (state.parse_endpoint)(text).ok()
            })
            .map_err(invalid("topics"))?
            .with_kinds(types.iter().map(String::as_str))
            .map_err(invalid("types"))
    }
}

/// What happens, as server-sent events from now on, or from after `Last-Event-ID`: nothing is left out
/// and nothing comes twice. `data` is an `Event` in JSON, `id` its number. Where events between are not
/// kept any more, or the id is none of this server's, an event of type `gap` says so first. A comment
/// comes every 15 seconds (events.heartbeat), with the id to go on from, whatever else was sent. The
/// stream ends when the server stops, when its token is taken away, and for a reader that takes nothing.
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    params(EventsQuery, ("Last-Event-ID" = Option<String>, Header, description = "Where to go on")),
    responses((status = 200, description = "The stream", content_type = "text/event-stream",
        body = EventView)))]
pub(crate) async fn stream_events(
    State(state): State<HttpState>,
    QueryParams(query): QueryParams<EventsQuery>,
    Preferred(language): Preferred,
    axum::Extension(token): axum::Extension<TokenSha256>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let filter = query.filter(&state)?;
    let after = last_event_id(&headers)?.or(query.last_event_id);
    let place = std::sync::Arc::clone(&state.events.streams).try_acquire_owned();
    let Ok(place) = place else {
        counter!("narrowcast_event_streams_refused_total").increment(1);
        let detail = format!(
            "{} streams of events are open (events.streams_max)",
            state.events.limits.streams_max
        );
        return Err(Problem::new(kinds::UNAVAILABLE, detail));
    };
    let last = state.store.last_event().await?;
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let feed = Feed {
        cursor: after.unwrap_or(last),
        state,
        filter,
        language,
        token,
        sender,
        _place: place,
    };
    tokio::spawn(feed.run(last));
    let mut response = Sse::new(ReceiverStream::new(receiver)).into_response();
    // nginx would gather the answer before it hands it on.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    response
        .headers_mut()
        .insert(unbuffered, HeaderValue::from_static("no"));
    Ok(response)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    // A client that has none yet may say so.
    if value.is_empty() {
        return Ok(None);
    }
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    id.map(Some).ok_or_else(|| {
        let detail = "Last-Event-ID must be the id of an event";
        Problem::new(kinds::INVALID_QUERY, detail).with_field("Last-Event-ID")
    })
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug)]
enum Ended {
    Left,
    Stalled,
    Stopped,
    Unauthorized,
    Unreadable,
}

impl Ended {
    const fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Stalled => "stalled",
            Self::Stopped => "stopped",
            Self::Unauthorized => "unauthorized",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What feeds one stream.
struct Feed {
    state: HttpState,
    filter: EventFilter,
    language: Language,
    token: TokenSha256,
    sender: mpsc::Sender<Result<SseEvent, Infallible>>,
    /// The last event that was sent or was not wanted.
    cursor: u64,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    async fn run(mut self, last: u64) {
        gauge!("narrowcast_event_streams").increment(1);
        let ended = match self.tell(last).await {
            Err(ended) => ended,
            Ok(never) => match never {},
        };
        gauge!("narrowcast_event_streams").decrement(1);
        counter!("narrowcast_event_streams_ended_total", "reason" => ended.word()).increment(1);
        tracing::debug!(
            reason = ended.word(),
            cursor = self.cursor,
            "a stream of events ended"
        );
    }

    async fn tell(&mut self, last: u64) -> Result<Infallible, Ended> {
        let (mut latest, mut stop) = (self.state.events.latest(), self.state.events.stop());
        // Of its own, and not begun anew by what happens: on a busy server it is due all the same.
        let heartbeat = self.state.events.limits.heartbeat;
        let mut heartbeats = interval(heartbeat);
        heartbeats.reset();
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.send(SseEvent::default().retry(COME_AGAIN).comment("narrowcast"))
            .await?;
        if self.cursor > last {
            // Of another store, or of this one before it was set back.
            self.send_gap("unknown_id", last).await?;
        }
        loop {
            latest.borrow_and_update();
            self.send_those_that_are_there().await?;
            let stopped = async {
                // Nobody who could stop it is left: as if it had been.
                let _ = stop.wait_for(|stop| *stop).await;
            };
            tokio::select! {
                biased;
                () = stopped => return Err(Ended::Stopped),
                () = self.sender.closed() => return Err(Ended::Left),
                _ = heartbeats.tick() => {
                    self.check_token().await?;
                    let id = self.cursor.to_string();
                    self.send(SseEvent::default().id(id).comment("heartbeat")).await?;
                }
                // The hub goes with the state that this holds: its sender is there.
                _ = latest.changed() => {}
            }
        }
    }

    async fn check_token(&self) -> Result<(), Ended> {
        if still_reads(&self.state, &self.token).await {
            Ok(())
        } else {
            Err(Ended::Unauthorized)
        }
    }

    async fn send_those_that_are_there(&mut self) -> Result<(), Ended> {
        let mut is_first = true;
        loop {
            let page = self.state.store.events(self.cursor, READ_AT_ONCE).await;
            let page = page.map_err(|error| {
                tracing::warn!(%error, "events cannot be read");
                Ended::Unreadable
            })?;
            if page.is_empty() {
                return Ok(());
            }
            // Who has many to catch up on is at it for long.
            if !is_first {
                self.check_token().await?;
            }
            is_first = false;
            for event in page {
                if event.number > self.cursor + 1 {
                    self.send_gap("not_kept", event.number - 1).await?;
                }
                self.cursor = event.number;
                if self.filter.wants(&event) {
                    let view = EventView::of(&event, self.language);
                    let data = serde_json::to_string(&view).unwrap_or_default();
                    let sent = SseEvent::default().id(event.number.to_string()).data(data);
                    self.send(sent).await?;
                }
            }
        }
    }

    /// Says that what lies between is not known, and goes on behind it.
    async fn send_gap(&mut self, reason: &str, up_to: u64) -> Result<(), Ended> {
        let data = json!({"reason": reason, "after": self.cursor, "up_to": up_to});
        self.cursor = up_to;
        let gap = SseEvent::default()
            .event("gap")
            .id(up_to.to_string())
            .data(data.to_string());
        self.send(gap).await
    }

    async fn send(&self, event: SseEvent) -> Result<(), Ended> {
        let mut stop = self.state.events.stop();
        let sent = tokio::select! {
            biased;
            sent = self.sender.send_timeout(Ok(event), STALLED_MAX) => sent,
            // The shutdown waits for nobody who takes nothing.
            _ = stop.wait_for(|stop| *stop) => return Err(Ended::Stopped),
        };
        match sent {
            Ok(()) => Ok(()),
            Err(SendTimeoutError::Closed(_)) => Err(Ended::Left),
            Err(SendTimeoutError::Timeout(_)) => Err(Ended::Stalled),
        }
    }
}
