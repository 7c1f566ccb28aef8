//! What may be fetched, as the driver shows it, and what was fetched, as it takes it back.
//!
//! The engine owns capabilities. The driver serves one here only once the record that put it into force is
//! committed, so that no URI is good before it is durable. One that the engine withdraws is not served
//! from that moment on; but until that is committed it may come back, and a device that was told of its
//! end would give up for nothing: it is told to come again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use tokio::sync::Notify;

use crate::engine::{DownloadChange, ServedImage};
use crate::model::DownloadCapability;

/// Which downloads may be fetched by HTTP now: as many as the engine serves.
#[derive(Debug, Default)]
pub struct Downloads {
    served: DashMap<DownloadCapability, Arc<Download>>,
    /// Up to where each was fetched since it was last taken.
    fetched: Mutex<BTreeMap<DownloadCapability, u64>>,
    /// Something was.
    news: Notify,
}

/// An image under a capability.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) served: ServedImage,
    is_withdrawn: AtomicBool,
}

impl Download {
    /// Nothing of it may be sent any more.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.is_withdrawn.load(Ordering::Relaxed)
    }
}

impl Downloads {
    /// A change that is not committed yet: what is withdrawn is withheld at once.
    pub fn announce(&self, change: &DownloadChange) {
        if let DownloadChange::Withdrawn(capability) = change
            && let Some(download) = self.served.get(capability)
        {
            download.is_withdrawn.store(true, Ordering::Relaxed);
        }
    }

    /// The same change, committed.
    pub fn apply(&self, change: DownloadChange) {
        match change {
            DownloadChange::Served(capability, served) => self.serve(capability, served),
            DownloadChange::Withdrawn(capability) => drop(self.served.remove(&capability)),
        }
    }

    /// What an engine serves that was made from what is committed; nothing else is served then. What is
    /// served before and after it is at no moment not.
    pub fn replace(&self, changes: Vec<DownloadChange>) {
        let mut now_served = BTreeSet::new();
        for change in changes {
            match &change {
                DownloadChange::Served(capability, _) => now_served.insert(*capability),
                DownloadChange::Withdrawn(capability) => now_served.remove(capability),
            };
            self.apply(change);
        }
        self.served
            .retain(|capability, _| now_served.contains(capability));
    }

    /// Waits until something was fetched that [`Self::take_fetched`] has not told of.
    pub async fn fetching(&self) {
        self.news.notified().await;
    }

    /// Up to where each image was fetched, exclusive, of those fetched since the last time.
    pub fn take_fetched(&self) -> BTreeMap<DownloadCapability, u64> {
        std::mem::take(&mut self.fetched())
    }

    pub(super) fn find(&self, capability: DownloadCapability) -> Option<Arc<Download>> {
        let download = self.served.get(&capability)?;
        Some(Arc::clone(&download))
    }

    pub(super) fn note_fetched(&self, capability: DownloadCapability, end_bytes: u64) {
        // Who fetches on from what is withdrawn is of no interest: there are never more than served.
        if self.served.contains_key(&capability) {
            self.fetched().insert(capability, end_bytes);
            self.news.notify_one();
        }
    }

    fn serve(&self, capability: DownloadCapability, served: ServedImage) {
        // Those who fetch it already go on, and are told should it be withdrawn.
        if let Some(download) = self.served.get(&capability)
            && download.served.sha256 == served.sha256
            && download.served.file_name == served.file_name
        {
            download.is_withdrawn.store(false, Ordering::Relaxed);
            return;
        }
        let download = Arc::new(Download {
            served,
            is_withdrawn: AtomicBool::new(false),
        });
        self.served.insert(capability, download);
    }

    fn fetched(&self) -> MutexGuard<'_, BTreeMap<DownloadCapability, u64>> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::{Image, Sha256Digest};

    const ONE: DownloadCapability = DownloadCapability([1; 16]);
    const OTHER: DownloadCapability = DownloadCapability([2; 16]);

    fn served(capability: DownloadCapability) -> DownloadChange {
        let image = ServedImage {
            image: Image::from(Bytes::from_static(b"image")),
            sha256: Sha256Digest([7; 32]),
            file_name: "firmware.bin".to_owned(),
        };
        DownloadChange::Served(capability, image)
    }

    #[test]
    fn nothing_is_served_before_its_commit_and_withheld_from_before_that_of_its_end() {
        let downloads = Downloads::default();
        downloads.announce(&served(ONE));
        assert!(downloads.find(ONE).is_none());
        downloads.apply(served(ONE));
        let download = downloads.find(ONE).unwrap();
        assert!(!download.is_withdrawn());
        downloads.announce(&DownloadChange::Withdrawn(ONE));
        assert!(download.is_withdrawn() && downloads.find(ONE).is_some());
        downloads.apply(DownloadChange::Withdrawn(ONE));
        assert!(downloads.find(ONE).is_none());
    }

    #[test]
    fn an_engine_from_what_is_committed_serves_again_what_was_only_withheld() {
        let downloads = Downloads::default();
        downloads.apply(served(ONE));
        downloads.apply(served(OTHER));
        downloads.announce(&DownloadChange::Withdrawn(ONE));
        downloads.replace(vec![served(ONE)]);
        assert!(!downloads.find(ONE).unwrap().is_withdrawn());
        assert!(downloads.find(OTHER).is_none());
    }

    #[tokio::test]
    async fn what_was_fetched_is_told_once_and_only_of_what_is_served() {
        let downloads = Downloads::default();
        downloads.apply(served(ONE));
        downloads.note_fetched(ONE, 2);
        downloads.note_fetched(ONE, 5);
        downloads.note_fetched(OTHER, 5);
        downloads.fetching().await;
        assert_eq!(downloads.take_fetched(), BTreeMap::from([(ONE, 5)]));
        assert!(downloads.take_fetched().is_empty());
    }
}
