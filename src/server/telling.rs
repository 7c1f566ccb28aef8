//! Who is told of what happens, from the server's start to its end.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::rest::event_limits;
use super::run::{Listening, RunError};
use super::webhooks::Webhooks;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::http::EventHub;
use crate::net::Destinations;
use crate::store::{EventStore, Store};

/// Streams of events and webhooks.
#[derive(Debug)]
pub(super) struct Telling {
    hub: Arc<EventHub>,
    keeper: JoinHandle<()>,
    webhooks: Webhooks,
}

impl Telling {
    /// Tells webhooks from now on, and streams as they come; streams end when `stop` is true.
    pub(super) fn start(
        config: &Config,
        listening: Listening,
        store: &Arc<dyn Store>,
        clock: SystemClock,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, RunError> {
        let own = [listening.device_http, listening.device_https];
        let destinations = Destinations {
            own_listeners: own.into_iter().flatten().chain([listening.http]).collect(),
            allow_loopback: config.webhooks.allow_loopback,
            allow_all: config.webhooks.allow_special_addresses,
        };
        let limits = event_limits(&config.events, &config.webhooks);
        let source = config.events.source.clone();
        let hub = Arc::new(EventHub::new(limits, source, destinations, stop));
        let events: Arc<dyn EventStore> = Arc::<dyn Store>::clone(store);
        let keeper = tokio::spawn(Arc::clone(&hub).keep(events, clock));
        let store = Arc::clone(store);
        let webhooks = Webhooks::start(&config.webhooks, store, Arc::clone(&hub), clock);
        Ok(Self {
            webhooks: webhooks.map_err(RunError::Webhooks)?,
            hub,
            keeper,
        })
    }

    /// What streams and webhooks share.
    pub(super) fn hub(&self) -> Arc<EventHub> {
        Arc::clone(&self.hub)
    }

    /// Writes down what webhooks were told. What happens from now on they are told after the next start.
    pub(super) async fn end(self) {
        self.webhooks.end().await;
        if let Err(error) = self.keeper.await {
            tracing::warn!(%error, "the keeping of events has failed");
        }
    }
}
