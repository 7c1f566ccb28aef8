//! What is told to others: the stream of events, and webhooks.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::update::check_time;

/// The most streams and webhooks that can be asked for.
const COUNT_MAX: u32 = 65_536;

/// `[events]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventsConfig {
    /// How many events are kept.
    pub kept_max: u64,
    /// For how long.
    #[serde(with = "humantime_serde")]
    pub kept_for: Duration,
    /// Streams of events at a time.
    pub streams_max: u32,
    /// How often a stream on which nothing happens says so.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// What CloudEvents name as their source, a URI reference: whoever hears of several servers gives
    /// each another.
    pub source: String,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            kept_max: 1_000_000,
            kept_for: Duration::from_secs(8 * 24 * 3600),
            streams_max: 64,
            heartbeat: Duration::from_secs(15),
            source: "/narrowcast".to_owned(),
        }
    }
}

impl EventsConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.kept_max == 0 {
            return Err("events.kept_max must be more than 0".to_owned());
        }
        check_count("events.streams_max", self.streams_max, 0)?;
        let source = &self.source;
        if source.is_empty() || source.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("events.source must be a URI reference such as /site-1".to_owned());
        }
        check_time("events.kept_for", self.kept_for, 1)?;
        check_time("events.heartbeat", self.heartbeat, 1)
    }
}

/// `[webhooks]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhooksConfig {
    /// How many there may be.
    pub webhooks_max: u32,
    /// How long a receiver may take to its answer.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// How long after the first failed try the second follows; each further wait is twice as long.
    #[serde(with = "humantime_serde")]
    pub retry_first: Duration,
    /// The longest such wait.
    #[serde(with = "humantime_serde")]
    pub retry_most: Duration,
    /// How long after what it tells of a delivery is tried at all.
    #[serde(with = "humantime_serde")]
    pub retry_for: Duration,
    /// How many deliveries of each are kept and listed.
    pub deliveries_kept: u32,
    /// Certificates in PEM that are trusted beside the machine's own.
    pub ca_file: Option<PathBuf>,
    /// Whether addresses of this machine itself (127.0.0.0/8, ::1) may be named.
    pub allow_loopback: bool,
    /// Whether also link-local and metadata addresses and this server's own listeners may be named.
    pub allow_special_addresses: bool,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self {
            webhooks_max: 16,
            timeout: Duration::from_secs(15),
            retry_first: Duration::from_secs(5),
            retry_most: Duration::from_secs(6 * 3600),
            retry_for: Duration::from_secs(7 * 24 * 3600),
            deliveries_kept: 200,
            ca_file: None,
            allow_loopback: false,
            allow_special_addresses: false,
        }
    }
}

impl WebhooksConfig {
    /// `kept_for` is how long events are kept.
    pub(super) fn check(&self, kept_for: Duration) -> Result<(), String> {
        check_count("webhooks.webhooks_max", self.webhooks_max, 0)?;
        check_count("webhooks.deliveries_kept", self.deliveries_kept, 1)?;
        check_time("webhooks.timeout", self.timeout, 1)?;
        check_time("webhooks.retry_first", self.retry_first, 1)?;
        check_time("webhooks.retry_for", self.retry_for, 1)?;
        check_time("webhooks.retry_most", self.retry_most, 1)?;
        if self.retry_most < self.retry_first {
            return Err("webhooks.retry_most must not be less than retry_first".to_owned());
        }
        // An event that is not kept any more cannot be tried again.
        if self.retry_for > kept_for {
            let fault = "webhooks.retry_for must not be more than events.kept_for";
            return Err(fault.to_owned());
        }
        Ok(())
    }
}

fn check_count(key: &str, count: u32, least: u32) -> Result<(), String> {
    if (least..=COUNT_MAX).contains(&count) {
        Ok(())
    } else {
        Err(format!(
            "{key} must be from {least} to {COUNT_MAX}, and is {count}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_kept_or_tried_is_named() {
        EventsConfig::default().check().unwrap();
        let kept_for = EventsConfig::default().kept_for;
        WebhooksConfig::default().check(kept_for).unwrap();
        type SpoilEvents = fn(&mut EventsConfig);
        let wrong: [(&str, SpoilEvents); 4] = [
            ("events.kept_max", |it| it.kept_max = 0),
            ("events.heartbeat", |it| it.heartbeat = Duration::ZERO),
            ("events.source", |it| it.source = "two words".to_owned()),
            ("events.streams_max", |it| it.streams_max = 65_537),
        ];
        for (key, spoil) in wrong {
            let mut config = EventsConfig::default();
            spoil(&mut config);
            assert!(config.check().unwrap_err().starts_with(key), "{key}");
        }
        type SpoilWebhooks = fn(&mut WebhooksConfig);
        let wrong: [(&str, SpoilWebhooks); 4] = [
            ("webhooks.timeout", |it| it.timeout = Duration::ZERO),
            ("webhooks.deliveries_kept", |it| it.deliveries_kept = 0),
            ("webhooks.retry_most", |it| {
                it.retry_most = Duration::from_secs(1);
            }),
            ("webhooks.retry_for", |it| it.retry_for *= 2),
        ];
        for (key, spoil) in wrong {
            let mut config = WebhooksConfig::default();
            spoil(&mut config);
            assert!(
                config.check(kept_for).unwrap_err().starts_with(key),
                "{key}"
            );
        }
    }
}
