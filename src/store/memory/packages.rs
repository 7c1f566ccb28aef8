//! Packages: what uses them, what is said of them, and their end.

use std::sync::Arc;

use super::state::{Product, State};
use crate::model::{
    AuditStamp, InstalledSequences, Package, PackageId, ReleaseNotes, Sha256Digest, TaskId,
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

    /// A package is there: its version has this sequence, or a higher one.
    pub(super) fn note_release(&mut self, package: &Package) {
        if let Some(sequence) = package.sequence {
            let versions = self.releases.entry(product(package)).or_default();
            let highest = versions
                .entry(package.target_version.clone())
                .or_insert(sequence);
            *highest = sequence.max(*highest);
        }
    }

    /// These tasks succeeded: their devices run what they gave them.
    pub(super) fn note_successes(&mut self, mut tasks: Vec<TaskId>) {
        tasks.sort_by_key(|id| self.tasks.get(id).map(|task| (task.since, *id)));
        for id in tasks {
            let Some(task) = self.tasks.get(&id) else {
                continue;
            };
            let campaign = self.campaigns.get(&task.campaign);
            let Some(package) = campaign.and_then(|it| self.packages.get(&it.package)) else {
                continue;
            };
            let devices = self.installed.entry(product(package)).or_default();
            devices.insert(task.endpoint.clone(), package.sequence);
        }
    }

    pub(super) fn installed_sequences(&self, of: &Package) -> InstalledSequences {
        let Some(sequence) = of.sequence else {
            return InstalledSequences::default();
        };
        let product = product(of);
        let versions = self.releases.get(&product).cloned().unwrap_or_default();
        let given = self.installed.get(&product).into_iter().flatten();
        let devices = given.filter_map(|(endpoint, given)| Some((endpoint.clone(), (*given)?)));
        InstalledSequences {
            versions: Arc::new(versions),
            devices: devices.filter(|(_, given)| *given > sequence).collect(),
        }
    }
}

fn product(package: &Package) -> Product {
    (
        package.manufacturer.as_str().to_owned(),
        package.model.as_str().to_owned(),
        package.device_type.as_str().to_owned(),
        package.component.word(),
    )
}
