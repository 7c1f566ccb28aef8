//! Links to package files.

use super::state::State;
use super::{limit, next};
use crate::model::{AuditStamp, DownloadLink, LinkId, LinkProgress, PackageId};
use crate::store::{Page, StoreError, audit};

impl State {
    pub(super) fn add_link(
        &mut self,
        link: DownloadLink,
        stamp: &AuditStamp,
    ) -> Result<LinkId, StoreError> {
        if !self.packages.contains_key(&link.package) {
            return Err(StoreError::NotFound);
        }
        let same = |other: &DownloadLink| other.capability_sha256 == link.capability_sha256;
        if self.links.values().any(same) {
            return Err(StoreError::Conflict(
                "a link of this capability is there already",
            ));
        }
        let id = LinkId(next(&mut self.last_link));
        self.audited(audit::link_created(id, &link, stamp));
        self.links.insert(id, DownloadLink { id, ..link });
        Ok(id)
    }

    pub(super) fn links(
        &self,
        of: Option<PackageId>,
        page: &Page,
    ) -> Result<Vec<DownloadLink>, StoreError> {
        let after = LinkId(page.after_number()?);
        let links = self.links.values().filter(|link| link.id > after);
        let links = links.filter(|link| of.is_none_or(|of| link.package == of));
        Ok(links.take(limit(page)).cloned().collect())
    }

    pub(super) fn revoke_link(&mut self, id: LinkId, stamp: &AuditStamp) -> Result<(), StoreError> {
        let link = self.links.get_mut(&id).ok_or(StoreError::NotFound)?;
        if link.revoked_at.is_some() {
            return Err(StoreError::NotFound);
        }
        link.revoked_at = Some(stamp.at);
        self.audited(audit::link_revoked(id, stamp));
        Ok(())
    }

    pub(super) fn note_links(&mut self, fetched: Vec<(LinkId, LinkProgress)>) {
        for (id, progress) in fetched {
            let Some(link) = self.links.get_mut(&id) else {
                continue;
            };
            let whole_before = link.progress.served_whole_at.is_some();
            let whole_at = progress.served_whole_at.filter(|_| !whole_before);
            link.progress = progress;
            if let Some(at) = whole_at {
                self.audited(audit::link_served_whole(id, at));
            }
        }
    }
}
