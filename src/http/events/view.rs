//! An event as it is sent.

use serde::Serialize;
use utoipa::ToSchema;

use crate::campaign::{event_text, failure_text};
use crate::http::fields;
use crate::model::{Event, EventKind, Language};

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventView {
    /// Its place, from 1 on without gaps; `Last-Event-ID` where a stream ended.
    id: u64,
    /// What happened: `campaign.` and its state or what its rollout has come to, `task.` and the step, or a
    /// word such as `key.revoked`.
    #[serde(rename = "type")]
    kind: String,
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// In which campaign.
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign_id: Option<u64>,
    /// To which task.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<u64>,
    /// To which device.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// In which attempt, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u8>,
    /// To which key, package or webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    /// What was seen.
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    /// What happened, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'static str>,
    /// Why an attempt ended badly.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<EventFailure>,
}

/// Why an attempt ended badly.
#[derive(Debug, Serialize, ToSchema)]
struct EventFailure {
    /// The cause: stable, for programs.
    code: &'static str,
    /// The cause, and what to do: for people.
    text: &'static str,
    /// What was seen.
    evidence: String,
}

impl EventView {
    pub(super) fn of(event: &Event, language: Language) -> Self {
        let kind = EventKind::from_text(&event.kind);
        Self {
            id: event.number,
            kind: event.kind.clone(),
            at: fields::time(event.at),
            campaign_id: event.campaign.map(|campaign| campaign.0),
            task_id: event.task.map(|task| task.0),
            endpoint: event.endpoint.as_ref().map(ToString::to_string),
            attempt: event.attempt,
            object: event.object.clone(),
            detail: event.detail.clone(),
            text: kind.map(|kind| event_text(kind, language)),
            failure: event.failure().map(|failure| EventFailure {
                code: failure.reason.word(),
                text: failure_text(failure.reason, language),
                evidence: failure.evidence,
            }),
        }
    }
}
