//! Who waits for events is woken, and what is too old is taken away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use crate::clock::{Instant, SystemClock};
use crate::net::Destinations;
use crate::store::{EventStore, StoreError};

/// Commits within this time wake those who wait once: each of them reads the store then.
const GATHERED: Duration = Duration::from_millis(100);
/// How often it is looked whether events are too old or too many.
const TRIM_EVERY: Duration = Duration::from_secs(10);
/// How many events go in one commit: engine commits wait for it.
const TRIMMED_AT_ONCE: u32 = 2000;

/// The bounds of events and webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventLimits {
    /// How many events are kept.
    pub kept_max: u64,
    /// For how long.
    pub kept_for: Duration,
    /// Streams at a time; one more is answered 503.
    pub streams_max: usize,
    /// A stream on which nothing happens says so this often.
    pub heartbeat: Duration,
    /// How many webhooks there may be.
    pub webhooks_max: usize,
    /// How many deliveries of a webhook are kept and listed.
    pub deliveries_kept: u32,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            kept_max: 1_000_000,
            kept_for: Duration::from_secs(8 * 24 * 3600),
            streams_max: 64,
            heartbeat: Duration::from_secs(15),
            webhooks_max: 16,
            deliveries_kept: 200,
        }
    }
}

/// What event streams and webhooks share.
#[derive(Debug)]
pub struct EventHub {
    /// The bounds.
    pub limits: EventLimits,
    /// What CloudEvents name as their source (a URI reference).
    pub source: String,
    /// Where webhooks may lie.
    pub destinations: Destinations,
    latest: watch::Sender<u64>,
    webhooks: watch::Sender<u64>,
    pub(super) streams: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl EventHub {
    /// A hub until `stop` is true.
    pub fn new(
        limits: EventLimits,
        source: String,
        destinations: Destinations,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            limits,
            source,
            destinations,
            latest: watch::Sender::default(),
            webhooks: watch::Sender::default(),
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            stop,
        }
    }

    /// The number of the last event as far as it is known here; changes soon after a commit.
    pub fn latest(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// Changes when webhooks or what they are to be told were changed by an operator.
    pub fn webhooks_changed(&self) -> watch::Receiver<u64> {
        self.webhooks.subscribe()
    }

    /// Webhooks, or what they are to be told, were changed.
    pub fn change_webhooks(&self) {
        self.webhooks.send_modify(|changes| *changes += 1);
    }

    /// Whether, and when, all streams end.
    pub fn stop(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// Wakes those who wait and takes old events away, until the server stops.
    pub async fn keep(self: Arc<Self>, store: Arc<dyn EventStore>, clock: SystemClock) {
        let mut changed = store.events_changed();
        let mut stop = self.stop();
        let mut trim_at = Instant::ORIGIN;
        loop {
            changed.mark_unchanged();
            match store.last_event().await {
                Ok(last) => {
                    self.latest.send_if_modified(|latest| {
                        let is_new = *latest != last;
                        *latest = last;
                        is_new
                    });
                }
                Err(error) => tracing::warn!(%error, "events cannot be read"),
            }
            if trim_at <= clock.now().instant {
                if let Err(error) = self.trim(&*store, clock).await {
                    tracing::warn!(%error, "old events cannot be taken away");
                }
                trim_at = clock.now().instant + TRIM_EVERY;
            }
            let woken = async {
                tokio::time::sleep(GATHERED).await;
                // The store goes last of all: its sender is there.
                let _ = changed.changed().await;
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = woken => {}
                () = tokio::time::sleep(TRIM_EVERY) => {}
            }
        }
    }

    async fn trim(&self, store: &dyn EventStore, clock: SystemClock) -> Result<(), StoreError> {
        let kept = i64::try_from(self.limits.kept_for.as_millis()).unwrap_or(i64::MAX);
        let now_ms = clock.now().utc.unix_ms();
        let before = crate::clock::Utc::from_unix_ms(now_ms.saturating_sub(kept));
        let max = self.limits.kept_max;
        while store.trim_events(max, before, TRIMMED_AT_ONCE).await? >= u64::from(TRIMMED_AT_ONCE) {
            // Others have the writer between.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
