//! The audit log's head, told to the server's log: a place that whoever cuts entries off the audit log's
//! end, or computes it anew, has to reach too.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::{Instant, SystemClock};
use crate::store::{AuditHead, Store};

/// After how many new entries the head is told.
const ENTRIES_EVERY: u64 = 100;
/// After what time it is told of fewer.
const TIME_EVERY: Duration = Duration::from_secs(3600);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What tells heads, from its start to its end.
#[derive(Debug)]
pub(super) struct HeadTeller {
    stop: watch::Sender<bool>,
    runs: JoinHandle<()>,
}

impl HeadTeller {
    /// Tells the head that there is, and from then on.
    pub(super) fn start(store: &Arc<dyn Store>, clock: SystemClock) -> Self {
        let (stop, stopped) = watch::channel(false);
        let runs = tokio::spawn(tell_heads(Arc::clone(store), clock, stopped));
        Self { stop, runs }
    }

    /// Tells the last head: nothing is added behind it.
    pub(super) async fn end(self) {
        let _ = self.stop.send(true);
        if let Err(error) = self.runs.await {
            tracing::warn!(%error, "the audit log's last head was not told");
        }
    }
}

async fn tell_heads(store: Arc<dyn Store>, clock: SystemClock, mut stop: watch::Receiver<bool>) {
    let mut told: Option<Told> = None;
    loop {
        let stopped = *stop.borrow();
        match store.audit_head().await {
            Ok(head) => {
                let at = clock.now().instant;
                if told.is_none_or(|told| told.is_due(head, at, stopped)) {
                    tracing::info!(%head, "the audit log's head");
                    told = Some(Told { head, at });
                }
            }
            Err(error) => tracing::warn!(%error, "the audit log's head cannot be read"),
        }
        if stopped {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            // The sender is gone where the server ended by itself: as if it had been told.
            changed = stop.wait_for(|stop| *stop) => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// The head that was told last.
#[derive(Clone, Copy, Debug)]
struct Told {
    head: AuditHead,
    at: Instant,
}

impl Told {
    fn is_due(self, head: AuditHead, now: Instant, is_last: bool) -> bool {
        let new = head.entries.saturating_sub(self.head.entries);
        let waited = now.saturating_since(self.at);
        head != self.head && (is_last || new >= ENTRIES_EVERY || waited >= TIME_EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_told_after_so_many_entries_or_so_long_and_never_twice() {
        let head = |entries: u64| AuditHead {
            entries,
            sha256: [u8::try_from(entries % 251).unwrap(); 32],
        };
        let told = Told {
            head: head(7),
            at: Instant::ORIGIN,
        };
        let after = |seconds| Instant::ORIGIN + Duration::from_secs(seconds);
        assert!(!told.is_due(head(106), after(3599), false));
        assert!(told.is_due(head(107), after(0), false));
        assert!(told.is_due(head(8), after(3600), false));
        assert!(told.is_due(head(8), after(0), true));
        assert!(!told.is_due(head(7), after(9999), true));
        // Entries were taken away under a running server.
        assert!(told.is_due(head(6), after(3600), false));
    }
}
