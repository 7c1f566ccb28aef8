//! Which events somebody wants to be told of.

use super::{CampaignId, EndpointName, Event, EventKind, TaskId};

/// A filter that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEventFilter {
    /// Too many of one of the lists.
    #[error("at most {} can be given", EventFilter::ITEMS_MAX)]
    TooMany,
    /// Not a thing that events are of.
    #[error("'{0}' must be campaign:NUMBER, task:NUMBER or device:ENDPOINT")]
    Topic(String),
    /// Not a kind of event.
    #[error("there is no event of type '{0}'; write 'task.failed', or 'task.*' for all of a kind")]
    Kind(String),
}

/// Events of any of the topics, and of any of the kinds; an empty list is no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    topics: Vec<Topic>,
    kinds: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Topic {
    Campaign(CampaignId),
    Task(TaskId),
    Device(EndpointName),
}

impl EventFilter {
    /// The most topics, and the most kinds.
    pub const ITEMS_MAX: usize = 32;

    /// Adds things whose events are wanted, `campaign:12`, `task:7` or `device:<endpoint>`.
    ///
    /// # Errors
    /// Where one is nothing of the kind, or there are too many; `parse_endpoint` reads endpoint names.
    pub fn with_topics<'a>(
        mut self,
        topics: impl IntoIterator<Item = &'a str>,
        parse_endpoint: impl Fn(&str) -> Option<EndpointName>,
    ) -> Result<Self, InvalidEventFilter> {
        for text in topics {
            let invalid = || InvalidEventFilter::Topic(text.to_owned());
            let (kind, of) = text.split_once(':').ok_or_else(invalid)?;
            let topic = match kind {
                "campaign" => of.parse().ok().map(|id| Topic::Campaign(CampaignId(id))),
                "task" => of.parse().ok().map(|id| Topic::Task(TaskId(id))),
                "device" => parse_endpoint(of).map(Topic::Device),
                _ => None,
            };
            self.topics.push(topic.ok_or_else(invalid)?);
        }
        self.checked()
    }

    /// Adds kinds of events that are wanted, `task.failed` or `campaign.*`.
    ///
    /// # Errors
    /// Where there is no such kind, or there are too many.
    pub fn with_kinds<'a>(
        mut self,
        kinds: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidEventFilter> {
        for text in kinds {
            if !EventKind::all().any(|kind| is_of(&kind.to_string(), text)) {
                return Err(InvalidEventFilter::Kind(text.to_owned()));
            }
            self.kinds.push(text.to_owned());
        }
        self.checked()
    }

    /// Whether the event is wanted.
    pub fn wants(&self, event: &Event) -> bool {
        let of_topic = |topic: &Topic| match topic {
            Topic::Campaign(id) => event.campaign == Some(*id),
            Topic::Task(id) => event.task == Some(*id),
            Topic::Device(endpoint) => event.endpoint.as_ref() == Some(endpoint),
        };
        (self.topics.is_empty() || self.topics.iter().any(of_topic))
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| is_of(&event.kind, kind)))
    }

    fn checked(self) -> Result<Self, InvalidEventFilter> {
        if self.topics.len() > Self::ITEMS_MAX || self.kinds.len() > Self::ITEMS_MAX {
            return Err(InvalidEventFilter::TooMany);
        }
        Ok(self)
    }
}

/// Whether a kind is the wanted one, or one of those of `campaign.*`.
fn is_of(kind: &str, wanted: &str) -> bool {
    match wanted.strip_suffix(".*") {
        Some(of) => kind.split_once('.').is_some_and(|(what, _)| what == of),
        None => kind == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Utc;
    use crate::model::{NewEvent, TimelineStep};

    fn event() -> Event {
        let new = NewEvent {
            task: Some(TaskId(7)),
            endpoint: EndpointName::parse("urn:imei:1").ok(),
            ..NewEvent::new(Utc::from_unix_ms(0), EventKind::Task(TimelineStep::Failed))
        };
        Event::numbered(1, new, Some(CampaignId(12)))
    }

    fn wants(topics: &[&str], kinds: &[&str]) -> bool {
        let parse = |text: &str| EndpointName::parse(text).ok();
        let filter = EventFilter::default().with_topics(topics.iter().copied(), parse);
        let filter = filter.unwrap().with_kinds(kinds.iter().copied()).unwrap();
        filter.wants(&event())
    }

    #[test]
    fn an_event_is_wanted_by_what_it_is_of_and_by_its_kind() {
        assert!(wants(&[], &[]));
        assert!(wants(&["campaign:12"], &[]));
        assert!(wants(&["campaign:1", "device:urn:imei:1"], &["task.*"]));
        assert!(wants(&["task:7"], &["key.*", "task.failed"]));
        assert!(!wants(&["campaign:1"], &[]));
        assert!(!wants(&["campaign:12"], &["task.succeeded"]));
        assert!(!wants(&[], &["campaign.*"]));
    }

    #[test]
    fn what_is_no_topic_and_no_kind_is_named() {
        let parse = |text: &str| EndpointName::parse(text).ok();
        for wrong in ["", "campaign", "campaign:x", "cell:7", "device:"] {
            let filter = EventFilter::default().with_topics([wrong], parse);
            assert_eq!(filter, Err(InvalidEventFilter::Topic(wrong.to_owned())));
        }
        for wrong in ["", "*", "task", "tasks.*", "task.fail", ".*"] {
            let filter = EventFilter::default().with_kinds([wrong]);
            assert_eq!(filter, Err(InvalidEventFilter::Kind(wrong.to_owned())));
        }
        let many = vec!["task.*"; EventFilter::ITEMS_MAX + 1];
        let filter = EventFilter::default().with_kinds(many);
        assert_eq!(filter, Err(InvalidEventFilter::TooMany));
    }
}
