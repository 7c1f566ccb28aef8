//! Packages: what uses them, what is said of them, and their end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::State;
use crate::model::{
    AuditStamp, InstalledSequences, Package, PackageId, ReleaseNotes, Sha256Digest, TaskState,
};
use crate::store::{PackageUse, StoreError, audit};

/// Why a package stays as it is.
const IN_USE: &str = "a campaign is of this package";

impl State {
    pub(super) fn package_use(&self, id: PackageId) -> Option<PackageUse> {
        let of_it = self.campaigns.values().filter(|it| it.package == id);
        let first = of_it.min_by_key(|it| (it.activated_at.is_none(), it.id))?;
        Some(PackageUse {
            campaign: first.id,
            name: first.name.clone(),
            activated: first.activated_at.is_some(),
        })
    }

    pub(super) fn set_release_notes(
        &mut self,
        id: PackageId,
        notes: ReleaseNotes,
        stamp: &AuditStamp,
    ) -> Result<(), StoreError> {
        let is_locked = self.package_use(id).is_some_and(|it| it.activated);
        let package = self.packages.get_mut(&id).ok_or(StoreError::NotFound)?;
        if is_locked {
            return Err(StoreError::Conflict(IN_USE));
        }
        package.release_notes = notes;
        self.audited(audit::package_edited(id, stamp));
        Ok(())
    }

    pub(super) fn remove_package(
        &mut self,
        id: PackageId,
        stamp: &AuditStamp,
    ) -> Result<Vec<Sha256Digest>, StoreError> {
        let package = self
            .packages
            .get(&id)
            .cloned()
            .ok_or(StoreError::NotFound)?;
        if self.package_use(id).is_some() {
            return Err(StoreError::Conflict(IN_USE));
        }
        self.packages.remove(&id);
        self.links.retain(|_, link| link.package != id);
        self.audited(audit::package_deleted(&package, stamp));
        let is_named = |sha256: &Sha256Digest| {
            let mut digests = self.packages.values().flat_map(Package::digests);
            digests.any(|other| other == *sha256)
        };
        Ok(package.digests().filter(|it| !is_named(it)).collect())
    }

    pub(super) fn installed_sequences(&self, of: &Package) -> InstalledSequences {
        let Some(sequence) = of.sequence else {
            return InstalledSequences::default();
        };
        let is_of_product = |package: &&Package| {
            package.manufacturer == of.manufacturer
                && package.model == of.model
                && package.device_type == of.device_type
                && package.component == of.component
        };
        let mut versions = BTreeMap::new();
        let releases = self.packages.values().filter(is_of_product);
        for (package, released) in releases.filter_map(|it| Some((it, it.sequence?))) {
            let highest = versions
                .entry(package.target_version.clone())
                .or_insert(released);
            *highest = released.max(*highest);
        }
        // The last success of each device, then what it was of.
        let mut last = BTreeMap::new();
        for task in self
            .tasks
            .values()
            .filter(|it| it.state == TaskState::Succeeded)
        {
            let campaign = self.campaigns.get(&task.campaign);
            let package = campaign.and_then(|it| self.packages.get(&it.package));
            let Some(package) = package.filter(is_of_product) else {
                continue;
            };
            let success = (task.since, package.sequence);
            let latest = last.entry(task.endpoint.clone()).or_insert(success);
            if success.0 > latest.0 {
                *latest = success;
            }
        }
        let devices = last
            .into_iter()
            .filter_map(|(endpoint, (_, given))| Some((endpoint, given?)));
        InstalledSequences {
            versions: Arc::new(versions),
            devices: devices.filter(|(_, given)| *given > sequence).collect(),
        }
    }
}
