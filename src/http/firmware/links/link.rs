//! One link, while it is fetched from.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Utc;
use crate::model::{DownloadLink, LinkId, LinkProgress, PackageId, Sha256Digest};

/// A link that may be fetched from by many at a time.
#[derive(Debug)]
pub(super) struct Link {
    link: Mutex<DownloadLink>,
    /// What was fetched is not written down.
    is_news: AtomicBool,
    /// How many times what was being sent of it was cut off. Whether it may be sent anew is asked at each
    /// request.
    cuts: AtomicU64,
}

impl Link {
    pub(super) fn new(link: DownloadLink) -> Self {
        Self {
            link: Mutex::new(link),
            is_news: AtomicBool::new(false),
            cuts: AtomicU64::new(0),
        }
    }

    pub(super) fn id(&self) -> LinkId {
        self.lock().id
    }

    pub(super) fn package(&self) -> PackageId {
        self.lock().package
    }

    pub(super) fn capability_sha256(&self) -> Sha256Digest {
        self.lock().capability_sha256
    }

    pub(super) fn file_name(&self) -> String {
        self.lock().file_name.clone()
    }

    /// The hash and the size in bytes of its file.
    pub(super) fn file(&self) -> (Sha256Digest, u64) {
        let link = self.lock();
        (link.file_sha256, link.size_bytes)
    }

    pub(super) fn progress(&self) -> LinkProgress {
        self.lock().progress.clone()
    }

    pub(super) fn is_over(&self, now: Utc) -> bool {
        self.lock().is_over(now)
    }

    pub(super) fn is_expired(&self, now: Utc) -> bool {
        self.lock().expires_at <= now
    }

    /// How many times it was cut off: what begins at one number ends at the next.
    pub(super) fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }

    pub(super) fn revoke_if(&self, is_it: impl FnOnce(&DownloadLink) -> bool, at: Utc) {
        let mut link = self.lock();
        if is_it(&link) {
            link.revoked_at.get_or_insert(at);
            self.cuts.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn cut_if(&self, is_it: impl FnOnce(&DownloadLink) -> bool) {
        if is_it(&self.lock()) {
            self.cuts.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Since when it is over, where it is. One whose budget is spent is taken for over since it was last
    /// fetched from.
    pub(super) fn over(&self, now: Utc) -> Option<(Utc, LinkId)> {
        let link = self.lock();
        let spent_at = link.progress.last_fetch_at.unwrap_or(link.created_at);
        let since = link.revoked_at.unwrap_or_else(|| {
            if link.expires_at <= now {
                link.expires_at
            } else {
                spent_at
            }
        });
        link.is_over(now).then_some((since, link.id))
    }

    /// When it ends, or ended before its time.
    pub(super) fn ends_at(&self) -> Utc {
        let link = self.lock();
        link.revoked_at
            .map_or(link.expires_at, |at| at.min(link.expires_at))
    }

    /// Its file is asked for.
    pub(super) fn fetch_begins(&self, now: Utc) {
        let mut link = self.lock();
        link.progress.first_fetch_at.get_or_insert(now);
        link.progress.last_fetch_at = Some(now);
        self.is_news.store(true, Ordering::Relaxed);
    }

    /// Bytes are handed to a connection, as far as the budget goes: then none of them may be.
    pub(super) fn spend(&self, bytes: u64) -> bool {
        let mut link = self.lock();
        let spent_bytes = link.progress.bytes_served.saturating_add(bytes);
        if spent_bytes > link.budget_bytes {
            link.progress.bytes_served = link.budget_bytes;
        } else {
            link.progress.bytes_served = spent_bytes;
        }
        self.is_news.store(true, Ordering::Relaxed);
        spent_bytes <= link.budget_bytes
    }

    /// A connection has taken these bytes.
    pub(super) fn taken(&self, part: Range<u64>, now: Utc) {
        let mut link = self.lock();
        link.progress.taken.insert(part);
        link.progress.last_fetch_at = Some(now);
        self.is_news.store(true, Ordering::Relaxed);
    }

    /// What a connection had taken is with its socket.
    pub(super) fn flushed(&self, now: Utc) {
        let mut link = self.lock();
        let is_new = link.progress.served_whole_at.is_none();
        if is_new && link.progress.taken.covers(link.size_bytes) {
            link.progress.served_whole_at = Some(now);
            self.is_news.store(true, Ordering::Relaxed);
        }
    }

    /// What was fetched since this was last asked.
    pub(super) fn take_news(&self) -> Option<(LinkId, LinkProgress)> {
        let link = self.lock();
        let is_news = self.is_news.swap(false, Ordering::Relaxed);
        is_news.then(|| (link.id, link.progress.clone()))
    }

    /// It could not be written down.
    pub(super) fn is_still_news(&self) {
        self.is_news.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, DownloadLink> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
