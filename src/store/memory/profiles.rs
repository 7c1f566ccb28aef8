//! Product profiles, and the entry of the audit log that goes with each change.

use super::next;
use super::state::State;
use crate::model::{AuditStamp, Product, ProfileId, SettingChanges, protocol_family};
use crate::store::{StoreError, StoredProfile, audit};

impl State {
    pub(super) fn add_profile(
        &mut self,
        profile: StoredProfile,
        stamp: &AuditStamp,
    ) -> Result<ProfileId, StoreError> {
        let same = |other: &StoredProfile| {
            let (one, other) = (&profile.product, &other.product);
            one.manufacturer == other.manufacturer
                && one.model == other.model
                && one.device_type == other.device_type
                && protocol_family(&one.protocol) == protocol_family(&other.protocol)
        };
        if self.profiles.values().any(same) {
            return Err(StoreError::Conflict(StoredProfile::SAME_PRODUCT));
        }
        let id = ProfileId(next(&mut self.last_profile));
        self.audited(audit::profile_created(id, &profile.product, stamp));
        let product = Product {
            profile: id,
            ..profile.product
        };
        self.profiles
            .insert(id, StoredProfile { product, ..profile });
        Ok(id)
    }

    pub(super) fn change_settings(
        &mut self,
        id: ProfileId,
        quirks: Option<String>,
        changes: SettingChanges,
        stamp: &AuditStamp,
    ) -> Result<(), StoreError> {
        let profile = self.profiles.get_mut(&id).ok_or(StoreError::NotFound)?;
        let entry = audit::profile_settings_changed(id, quirks.as_deref(), &changes, stamp);
        profile.product.quirks = quirks;
        profile.product.changes = changes;
        self.audited(entry);
        Ok(())
    }

    pub(super) fn remove_profile(
        &mut self,
        id: ProfileId,
        stamp: &AuditStamp,
    ) -> Result<(), StoreError> {
        self.profiles.remove(&id).ok_or(StoreError::NotFound)?;
        self.audited(audit::profile_deleted(id, stamp));
        Ok(())
    }

    /// What all profiles say of their products.
    pub(super) fn products(&self) -> Vec<Product> {
        let profiles = self.profiles.values();
        profiles.map(|profile| profile.product.clone()).collect()
    }
}
