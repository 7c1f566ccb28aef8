//! What was fetched is written down, and what has been over for long is taken away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Links;
use crate::clock::{SystemClock, Utc};

/// How long what was fetched may be in memory alone.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked what has been over for long.
const PURGE_EVERY: Duration = Duration::from_secs(3600);

/// The most links that are taken away in one commit.
const PURGED_AT_ONCE_MAX: usize = 1000;

impl Links {
    /// Writes down what is fetched, and takes away what has been over for long, until `stop` is true or
    /// its sender is gone. What is fetched after that is written by [`Self::write_down`].
    pub async fn keep(self: Arc<Self>, clock: SystemClock, mut stop: watch::Receiver<bool>) {
        loop {
            self.purge(clock.now().utc).await;
            let purge_at = tokio::time::sleep(PURGE_EVERY);
            tokio::pin!(purge_at);
            loop {
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = &mut purge_at => break,
                    () = self.news.notified() => {}
                }
                self.write_down().await;
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = tokio::time::sleep(WRITE_EVERY) => {}
                }
            }
        }
    }

    /// Writes down what was fetched.
    pub async fn write_down(&self) {
        let mut fetched = Vec::new();
        let mut links = Vec::new();
        for link in self.all() {
            if let Some(news) = link.take_news() {
                fetched.push(news);
                links.push(link);
            }
        }
        if fetched.is_empty() {
            return;
        }
        if let Err(error) = self.store.note_links(fetched).await {
            tracing::warn!(%error, "what was fetched from links could not be written down");
            links.iter().for_each(|link| link.is_still_news());
            self.news.notify_one();
        }
    }

    async fn purge(&self, now: Utc) {
        let kept = self.limits.kept;
        let ended = self.all().into_iter();
        let ended = ended.filter(|link| now >= link.ends_at() + kept);
        let ids: Vec<_> = ended
            .map(|link| link.id())
            .take(PURGED_AT_ONCE_MAX)
            .collect();
        if ids.is_empty() {
            return;
        }
        let _changing = self.changing.lock().await;
        if let Err(error) = self.remove(ids).await {
            tracing::warn!(%error, "links that have been over for long could not be taken away");
        }
    }
}
