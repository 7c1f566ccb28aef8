//! Links: package files under URLs of their own, for modules that fetch by `AT+QFOTADL` without LwM2M.
//!
//! All of them are in memory, as they are bounded in number, and so is what is fetched of them; that is
//! written down a moment later ([`Links::keep`]). A link that was ended, whose package was taken away or
//! whose package's key was revoked sends nothing from the next request on, and what it is sending is cut
//! off.

mod fetch;
mod file_body;
mod files;
mod keep;
mod link;

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use rand::RngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::{Mutex, Notify};

pub(super) use fetch::fetch;

use self::files::VerifiedFiles;
use self::link::Link;
use crate::clock::Utc;
use crate::model::{
    AuditStamp, DownloadCapability, DownloadLink, LinkId, LinkProgress, PackageId, Sha256Digest,
};
use crate::store::{BlobStore, Page, Store, StoreError};

/// How many rows are read at a time.
const ROWS_PAGE: u32 = 1000;

/// The bounds of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    /// All links, also those that are over and still shown.
    pub links_max: usize,
    /// How long a link is good, where the operator does not say.
    pub ttl: Duration,
    /// The longest that an operator may say.
    pub ttl_max: Duration,
    /// How long a link is shown after its time.
    pub kept: Duration,
}

impl Default for LinkLimits {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            links_max: 10_000,
            ttl: DAY,
            ttl_max: DAY * 30,
            kept: DAY * 30,
        }
    }
}

/// Why a link was not made.
#[derive(Debug, thiserror::Error)]
pub(in crate::http) enum AddError {
    #[error("{0} links are good already, which is the most")]
    Full(usize),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All links of a server.
#[derive(Debug)]
pub struct Links {
    pub(in crate::http) limits: LinkLimits,
    store: Arc<dyn Store>,
    files: VerifiedFiles,
    by_capability: DashMap<Sha256Digest, Arc<Link>>,
    /// Held while their number changes.
    changing: Mutex<()>,
    /// Something was fetched that is not written down.
    news: Notify,
}

impl Links {
    /// The links that are stored.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub async fn load(
        store: Arc<dyn Store>,
        package_bytes: BlobStore,
        limits: LinkLimits,
    ) -> Result<Self, StoreError> {
        let links = Self {
            limits,
            files: VerifiedFiles::new(package_bytes),
            by_capability: DashMap::new(),
            changing: Mutex::default(),
            news: Notify::new(),
            store,
        };
        let mut after = None;
        loop {
            let limit = ROWS_PAGE;
            let page = links.store.links(None, Page { after, limit }).await?;
            let Some(last) = page.last() else {
                return Ok(links);
            };
            after = Some(last.id.0.to_string());
            page.into_iter().for_each(|link| links.insert(link));
        }
    }

    /// Makes a link under a new capability. Where there are as many as may be, the one that has been
    /// over for longest gives way. It is made whole also where the caller is dropped.
    pub(in crate::http) async fn add(
        self: &Arc<Self>,
        link: DownloadLink,
        stamp: AuditStamp,
    ) -> Result<(DownloadLink, DownloadCapability), AddError> {
        let links = Arc::clone(self);
        let adding = tokio::spawn(async move { links.store_and_insert(link, stamp).await });
        adding
            .await
            .unwrap_or_else(|error| Err(StoreError::Failed(error.to_string()).into()))
    }

    async fn store_and_insert(
        &self,
        link: DownloadLink,
        stamp: AuditStamp,
    ) -> Result<(DownloadLink, DownloadCapability), AddError> {
        let _changing = self.changing.lock().await;
        if self.by_capability.len() >= self.limits.links_max {
            let Some(over) = self.over_for_longest(link.created_at) else {
                return Err(AddError::Full(self.limits.links_max));
            };
            self.remove(vec![over]).await?;
        }
        let mut capability = DownloadCapability([0; 16]);
        OsRng.fill_bytes(&mut capability.0);
        let link = DownloadLink {
            capability_sha256: sha256(capability),
            ..link
        };
        let id = self.store.add_link(link.clone(), stamp).await?;
        let link = DownloadLink { id, ..link };
        self.insert(link.clone());
        Ok((link, capability))
    }

    /// Ends a link: what it is sending is cut off. `NotFound` where it was ended before. It is ended
    /// whole also where the caller is dropped.
    pub(in crate::http) async fn revoke(
        self: &Arc<Self>,
        package: PackageId,
        id: LinkId,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        let is_it = |link: &Arc<Link>| link.id() == id && link.package() == package;
        if !self.all().iter().any(is_it) {
            return Err(StoreError::NotFound);
        }
        let links = Arc::clone(self);
        let ending = tokio::spawn(async move {
            let at = stamp.at;
            let ended = links.store.revoke_link(id, stamp).await;
            // What is not there to end has ended, whatever became of the request that did it.
            if matches!(ended, Ok(()) | Err(StoreError::NotFound)) {
                for link in links.all() {
                    link.revoke_if(|it| it.id == id, at);
                }
            }
            ended
        });
        ending
            .await
            .unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
    }

    /// Cuts off what is being sent of these packages: their key was revoked, or they are no more. That
    /// nothing is sent again is seen from the store at each request.
    pub(in crate::http) fn cut(&self, packages: &[PackageId]) {
        for link in self.all() {
            link.cut_if(|it| packages.contains(&it.package));
        }
    }

    /// Cuts off what is being sent of a package that was taken away, its links with it.
    pub(in crate::http) fn forget(&self, package: PackageId) {
        self.cut(&[package]);
        self.by_capability
            .retain(|_, link| link.package() != package);
    }

    /// What was fetched of a stored link by now, and not yet written down.
    pub(in crate::http) fn progress(&self, link: &DownloadLink) -> Option<LinkProgress> {
        let live = self.by_capability.get(&link.capability_sha256)?;
        Some(live.progress())
    }

    /// The link that this capability opens under this name.
    fn find(&self, capability: DownloadCapability, file_name: &str) -> Option<Arc<Link>> {
        let sha256 = sha256(capability);
        let link = self.by_capability.get(&sha256)?;
        // What was looked up is a hash, so the look-up's time tells nothing of a capability.
        let found = link.capability_sha256();
        let is_it = bool::from(found.0.ct_eq(&sha256.0)) && link.file_name() == file_name;
        is_it.then(|| Arc::clone(&link))
    }

    fn insert(&self, link: DownloadLink) {
        let sha256 = link.capability_sha256;
        self.by_capability.insert(sha256, Arc::new(Link::new(link)));
    }

    fn all(&self) -> Vec<Arc<Link>> {
        self.by_capability
            .iter()
            .map(|link| Arc::clone(&link))
            .collect()
    }

    fn over_for_longest(&self, now: Utc) -> Option<LinkId> {
        let over = self.all().into_iter().filter_map(|link| link.over(now));
        over.min_by_key(|(since, id)| (*since, *id))
            .map(|(_, id)| id)
    }

    async fn remove(&self, ids: Vec<LinkId>) -> Result<(), StoreError> {
        self.store.remove_links(ids.clone()).await?;
        self.by_capability
            .retain(|_, link| !ids.contains(&link.id()));
        Ok(())
    }
}

/// What is kept of a capability.
fn sha256(capability: DownloadCapability) -> Sha256Digest {
    Sha256Digest(Sha256::digest(capability.0).into())
}

#[cfg(test)]
mod tests;
