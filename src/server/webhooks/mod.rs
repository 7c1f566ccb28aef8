//! Webhooks: a worker for each that is active.

mod client;
mod schedule;
mod sign;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use self::client::Client;
use self::schedule::RetrySchedule;
use self::worker::Worker;
use crate::clock::SystemClock;
use crate::config::WebhooksConfig;
use crate::http::{EventHub, HookUrl};
use crate::lwm2m::EndpointNameForm;
use crate::model::{EventFilter, Webhook, WebhookId, WebhookState};
use crate::store::{Page, Store, StoreError};

/// How often it is looked whether each active webhook has its worker, beside when an operator changes one.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What tells webhooks, from its start to its end.
#[derive(Debug)]
pub(super) struct Webhooks {
    stop: watch::Sender<bool>,
    runs: JoinHandle<()>,
}

impl Webhooks {
    /// Tells those that there are, and those that come.
    ///
    /// # Errors
    /// Where certificates that are to be trusted cannot be read.
    pub(super) fn start(
        config: &WebhooksConfig,
        store: Arc<dyn Store>,
        hub: Arc<EventHub>,
        clock: SystemClock,
    ) -> Result<Self, String> {
        let (stop, stopped) = watch::channel(false);
        let office = Office {
            tls: client::tls(config.ca_file.as_deref())?,
            timeout: config.timeout,
            schedule: RetrySchedule {
                first: config.retry_first,
                most: config.retry_most,
                give_up_after: config.retry_for,
            },
            store,
            hub,
            clock,
            workers: BTreeMap::new(),
            first_left_out: None,
        };
        let runs = tokio::spawn(office.run(stopped));
        Ok(Self { stop, runs })
    }

    /// Breaks off what is being told, and writes down what was.
    pub(super) async fn end(self) {
        let _ = self.stop.send(true);
        if let Err(error) = self.runs.await {
            tracing::warn!(%error, "webhooks did not end");
        }
    }
}

/// Which webhook has which worker.
struct Office {
    store: Arc<dyn Store>,
    hub: Arc<EventHub>,
    clock: SystemClock,
    tls: TlsConnector,
    timeout: Duration,
    schedule: RetrySchedule,
    workers: BTreeMap<WebhookId, (watch::Sender<bool>, JoinHandle<()>)>,
    /// The first webhook of those that are too many.
    first_left_out: Option<WebhookId>,
}

impl Office {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut changed = self.hub.webhooks_changed();
        loop {
            changed.borrow_and_update();
            if let Err(error) = self.employ().await {
                tracing::warn!(%error, "webhooks cannot be read");
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                _ = changed.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        for (_, (stop, worker)) in std::mem::take(&mut self.workers) {
            dismiss(stop, worker).await;
        }
    }

    /// Each active webhook has one worker, and no other has any.
    async fn employ(&mut self) -> Result<(), StoreError> {
        let max = self.hub.limits.webhooks_max;
        // One more says that there are more.
        let limit = u32::try_from(max).unwrap_or(u32::MAX).saturating_add(1);
        let page = Page { after: None, limit };
        let mut webhooks = self.store.webhooks(page).await?;
        let first_left_out = webhooks.get(max).map(|webhook| webhook.id);
        webhooks.truncate(max);
        self.note_left_out(first_left_out);
        let active = webhooks
            .into_iter()
            .filter(|webhook| webhook.state == WebhookState::Active);
        let mut active: BTreeMap<WebhookId, Webhook> =
            active.map(|webhook| (webhook.id, webhook)).collect();
        for (id, (stop, worker)) in std::mem::take(&mut self.workers) {
            if active.contains_key(&id) && !worker.is_finished() {
                active.remove(&id);
                self.workers.insert(id, (stop, worker));
            } else {
                dismiss(stop, worker).await;
            }
        }
        for (id, webhook) in active {
            if let Some(worker) = self.worker(webhook) {
                self.workers.insert(id, worker);
            }
        }
        Ok(())
    }

    /// `webhooks_max` was lowered below what is stored: said once, and not at each look.
    fn note_left_out(&mut self, first: Option<WebhookId>) {
        if self.first_left_out == first {
            return;
        }
        self.first_left_out = first;
        if let Some(first) = first {
            let webhooks_max = self.hub.limits.webhooks_max;
            tracing::warn!(
                webhooks_max,
                first_left_out = first.0,
                "there are more webhooks than webhooks.webhooks_max: from this one on none is told of anything"
            );
        }
    }

    fn worker(&self, webhook: Webhook) -> Option<(watch::Sender<bool>, JoinHandle<()>)> {
        let unusable = |fault: &dyn std::fmt::Display| {
            tracing::error!(webhook = webhook.id.0, %fault, "a webhook cannot be told of anything");
        };
        let parse_endpoint = |text: &str| EndpointNameForm::default().normalise(text).ok();
        let filter = EventFilter::default()
            .with_topics(webhook.topics.iter().map(String::as_str), parse_endpoint)
            .and_then(|filter| filter.with_kinds(webhook.types.iter().map(String::as_str)));
        let filter = filter.inspect_err(|fault| unusable(fault)).ok()?;
        let url = HookUrl::parse(&webhook.url).inspect_err(|fault| unusable(fault));
        let destinations = self.hub.destinations.clone();
        let (stop, stopped) = watch::channel(false);
        let worker = Worker {
            store: Arc::clone(&self.store),
            hub: Arc::clone(&self.hub),
            clock: self.clock,
            client: Client::new(url.ok()?, destinations, self.tls.clone(), self.timeout),
            schedule: self.schedule,
            filter,
            written: webhook.cursor,
            webhook,
            stop: stopped,
        };
        Some((stop, tokio::spawn(worker.run())))
    }
}

async fn dismiss(stop: watch::Sender<bool>, worker: JoinHandle<()>) {
    let _ = stop.send(true);
    if let Err(error) = worker.await {
        tracing::error!(%error, "what told a webhook has failed");
    }
}
