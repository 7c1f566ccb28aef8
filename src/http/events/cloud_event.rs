//! Events as CloudEvents 1.0 in JSON, structured mode: what webhooks are sent.

use serde_json::{Value, json};

use super::view::EventView;
use crate::clock::Utc;
use crate::http::fields;
use crate::model::{Event, Language};

/// The media type of a CloudEvent as a whole.
pub const CLOUD_EVENTS_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// An event. Its `id` is its number, so together with the source it is unique; `source` is a URI
/// reference. What is for people is in every language, `{"en": …, "zh": …}`: who is told asked for none.
pub fn cloud_event(source: &str, event: &Event) -> String {
    let view = |language| serde_json::to_value(EventView::of(event, language)).unwrap_or_default();
    let mut data = view(Language::En);
    for text in ["/text", "/failure/text"] {
        if let Some(value) = data.pointer_mut(text) {
            let texts = Language::ALL.iter().map(|language| {
                let told = view(*language).pointer(text).cloned();
                (language.word().to_owned(), told.unwrap_or_default())
            });
            *value = Value::Object(texts.collect());
        }
    }
    let subject = subject(event);
    envelope(
        source,
        &event.number.to_string(),
        &event.kind,
        event.at,
        subject,
        data,
    )
}

/// That events are not kept any more which were not told: those after `after` up to `last`.
pub fn gap_event(source: &str, at: Utc, after: u64, last: u64) -> (String, String) {
    let id = format!("gap-{}-{last}", after + 1);
    let data = json!({"first_missing": after + 1, "last_missing": last});
    let body = envelope(source, &id, "gap", at, None, data);
    (id, body)
}

/// Something that did not happen, to see whether it would be told.
pub(in crate::http) fn test_event(source: &str, id: &str, at: Utc) -> String {
    let data = json!({"message": "a test of this webhook"});
    envelope(source, id, "test", at, None, data)
}

fn subject(event: &Event) -> Option<String> {
    if let Some(endpoint) = &event.endpoint {
        return Some(format!("device:{endpoint}"));
    }
    event
        .campaign
        .map(|campaign| format!("campaign:{}", campaign.0))
}

fn envelope(
    source: &str,
    id: &str,
    kind: &str,
    at: Utc,
    subject: Option<String>,
    data: Value,
) -> String {
    let mut event = json!({
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": format!("narrowcast.{kind}"),
        "time": fields::time(at),
        "datacontenttype": "application/json",
        "data": data,
    });
    if let (Some(subject), Some(event)) = (subject, event.as_object_mut()) {
        event.insert("subject".to_owned(), subject.into());
    }
    event.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        CampaignId, CampaignState, EndpointName, NewEvent, TaskId, TimelineEntry, TimelineStep,
    };

    #[test]
    fn an_event_has_what_cloudevents_asks_for() {
        let at = Utc::from_unix_ms(0);
        let new = NewEvent::of_campaign(at, CampaignId(12), CampaignState::Running);
        let body = cloud_event("/site-1", &Event::numbered(7, new, None));
        let event: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            event,
            json!({
                "specversion": "1.0",
                "id": "7",
                "source": "/site-1",
                "type": "narrowcast.campaign.running",
                "time": "1970-01-01T00:00:00.000Z",
                "subject": "campaign:12",
                "datacontenttype": "application/json",
                "data": {
                    "id": 7,
                    "type": "campaign.running",
                    "at": "1970-01-01T00:00:00.000Z",
                    "campaign_id": 12,
                    "text": {"en": "The campaign runs.", "zh": "升级任务正在进行。"},
                },
            })
        );
    }

    #[test]
    fn why_an_attempt_failed_is_told_in_every_language() {
        let line = TimelineEntry {
            at: Utc::from_unix_ms(0),
            endpoint: EndpointName::parse("a").unwrap(),
            task: TaskId(1),
            attempt: 1,
            step: TimelineStep::Failed,
            detail: "no_space: /5/0/5 = 2".to_owned(),
        };
        let body = cloud_event("/", &Event::numbered(1, NewEvent::of_step(&line), None));
        let data = serde_json::from_str::<Value>(&body).unwrap()["data"].take();
        assert_eq!(data["text"]["en"], "The attempt has failed.");
        assert_eq!(data["text"]["zh"], "本次升级失败。");
        let texts = &data["failure"]["text"];
        assert!(
            texts["en"].is_string() && texts["zh"].is_string(),
            "{texts}"
        );
        assert_ne!(texts["en"], texts["zh"]);
        assert_eq!(data["failure"]["code"], "no_space");
    }
}
