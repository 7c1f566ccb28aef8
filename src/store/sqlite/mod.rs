//! The store in one SQLite file: what one machine needs, with nothing to set up.
//!
//! One connection writes, a few read; the write-ahead log is synced at each commit, so that what was
//! committed survives a power cut.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::sqlite::SqlitePool;
use tokio::sync::Mutex;

mod audit;
mod bulk;
mod campaigns;
mod commit;
mod device_requests;
mod devices;
mod error;
mod events;
mod groups;
mod installed;
mod keys;
mod links;
mod loads;
mod open;
mod packages;
mod profiles;
mod restore;
mod rows;
mod standing;
mod targets;
mod tokens;
mod uplinks;
mod webhooks;
mod writer;

pub use open::OpenError;

use self::commit::RecordStatements;
use self::writer::Writer;
use super::batch::Batch;
use super::{
    AuditEntry, AuditHead, DeviceGroup, NewCampaign, PackageUse, Page, Store, StoreError,
    StoredKey, StoredProfile, StoredToken, TaskCounts,
};
use crate::clock::Utc;
use crate::model::{
    AuditStamp, Campaign, CampaignId, CampaignState, DeliveryHistory, Device, DeviceModel,
    DeviceReport, DeviceRequest, DeviceRequestId, DownloadLink, EndpointName, GroupId,
    InstalledSequences, KeyChange, LinkId, LinkProgress, Manufacturer, Package, PackageId, Product,
    ProfileId, Record, ReleaseNotes, Restored, SettingChanges, Sha256Digest, TaskState,
    TimelineEntry, UpdateTask, Uplink,
};

/// The durable state of one server, in one SQLite file.
pub struct SqliteStore {
    readers: SqlitePool,
    writer: Arc<Writer>,
    statements: Arc<RecordStatements>,
    /// Held while campaigns are made or taken away in parts, so that nobody sweeps what another
    /// still builds.
    parts: Mutex<()>,
    /// Open, and thereby locked, for as long as the store is. Last, so that it is freed last.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens the database file at `path`; it and its folder are made where they are not there.
    ///
    /// # Errors
    /// Where another server has it open, it is not ours or of a newer version, or cannot be read.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        open::open(path).await
    }

    /// Opens the database file beside a server that may have it open: for one small write of a
    /// command.
    ///
    /// # Errors
    /// As [`Self::open`], but for the lock.
    pub async fn open_beside(path: &Path) -> Result<Self, OpenError> {
        open::open_beside(path).await
    }

    /// Closes all connections; the write-ahead log is emptied into the database.
    pub async fn close(self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, records: Vec<Record>) -> Result<(), StoreError> {
        let rows = records.len();
        if rows == 0 {
            return self.writer.check();
        }
        let batches = Batch::of(records);
        let mut write = self.writer.begin().await?;
        let mut written = Ok(());
        for batch in batches {
            if written.is_ok() {
                written = self.statements.write(write.connection(), batch).await;
            }
        }
        write.finish(rows, written).await
    }

    async fn restore(&self) -> Result<Restored, StoreError> {
        restore::restore(&self.readers).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.writer.check()?;
        restore::check(&self.readers).await
    }

    async fn audit_entries(&self, page: Page) -> Result<Vec<AuditEntry>, StoreError> {
        audit::entries(&self.readers, page).await
    }

    async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        audit::head(&self.readers).await
    }

    async fn add_key(&self, key: StoredKey, stamp: AuditStamp) -> Result<(), StoreError> {
        keys::add_key(&self.writer, key, &stamp).await
    }

    async fn keys(
        &self,
        of: Option<&Manufacturer>,
        page: Page,
    ) -> Result<Vec<StoredKey>, StoreError> {
        keys::keys(&self.readers, of, page).await
    }

    async fn key(&self, id: &str) -> Result<StoredKey, StoreError> {
        keys::key(&self.readers, id).await
    }

    async fn retire_key(
        &self,
        id: &str,
        change: KeyChange,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        keys::retire_key(&self.writer, id, change, &stamp).await
    }

    async fn add_package(
        &self,
        package: Package,
        stamp: AuditStamp,
    ) -> Result<PackageId, StoreError> {
        packages::add_package(&self.writer, package, &stamp).await
    }

    async fn package(&self, id: PackageId) -> Result<Package, StoreError> {
        packages::package(&self.readers, id).await
    }

    async fn packages(&self, page: Page) -> Result<Vec<Package>, StoreError> {
        packages::packages(&self.readers, page).await
    }

    async fn package_use(&self, id: PackageId) -> Result<Option<PackageUse>, StoreError> {
        packages::package_use(&self.readers, id).await
    }

    async fn set_release_notes(
        &self,
        id: PackageId,
        notes: ReleaseNotes,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        packages::set_release_notes(&self.writer, id, notes, &stamp).await
    }

    async fn remove_package(
        &self,
        id: PackageId,
        stamp: AuditStamp,
    ) -> Result<Vec<Sha256Digest>, StoreError> {
        packages::remove_package(&self.writer, id, &stamp).await
    }

    async fn installed_sequences(&self, of: &Package) -> Result<InstalledSequences, StoreError> {
        installed::installed_sequences(&self.readers, of).await
    }

    async fn add_link(&self, link: DownloadLink, stamp: AuditStamp) -> Result<LinkId, StoreError> {
        links::add_link(&self.writer, link, &stamp).await
    }

    async fn links(
        &self,
        of: Option<PackageId>,
        page: Page,
    ) -> Result<Vec<DownloadLink>, StoreError> {
        links::links(&self.readers, of, page).await
    }

    async fn revoke_link(&self, id: LinkId, stamp: AuditStamp) -> Result<(), StoreError> {
        links::revoke_link(&self.writer, id, &stamp).await
    }

    async fn note_links(&self, fetched: Vec<(LinkId, LinkProgress)>) -> Result<(), StoreError> {
        links::note_links(&self.writer, fetched).await
    }

    async fn remove_links(&self, ids: Vec<LinkId>) -> Result<(), StoreError> {
        links::remove_links(&self.writer, ids).await
    }

    async fn add_profile(
        &self,
        profile: StoredProfile,
        stamp: AuditStamp,
    ) -> Result<ProfileId, StoreError> {
        profiles::add_profile(&self.writer, profile, &stamp).await
    }

    async fn profile(&self, id: ProfileId) -> Result<StoredProfile, StoreError> {
        profiles::profile(&self.readers, id).await
    }

    async fn products(&self) -> Result<Vec<Product>, StoreError> {
        profiles::products(&self.readers).await
    }

    async fn products_of(
        &self,
        manufacturer: &Manufacturer,
        model: &DeviceModel,
    ) -> Result<Vec<Product>, StoreError> {
        profiles::products_of(&self.readers, manufacturer, model).await
    }

    async fn change_product_settings(
        &self,
        id: ProfileId,
        quirks: Option<String>,
        changes: SettingChanges,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        profiles::change_settings(&self.writer, id, quirks, &changes, &stamp).await
    }

    async fn remove_profile(&self, id: ProfileId, stamp: AuditStamp) -> Result<(), StoreError> {
        profiles::remove_profile(&self.writer, id, &stamp).await
    }

    async fn add_devices(&self, devices: Vec<Device>, stamp: AuditStamp) -> Result<(), StoreError> {
        devices::add_devices(&self.writer, devices, &stamp).await
    }

    async fn device(&self, endpoint: &EndpointName) -> Result<Device, StoreError> {
        devices::device(&self.readers, endpoint).await
    }

    async fn devices(&self, page: Page) -> Result<Vec<Device>, StoreError> {
        devices::devices(&self.readers, page).await
    }

    async fn replace_device(&self, device: &Device, stamp: AuditStamp) -> Result<(), StoreError> {
        devices::replace_device(&self.writer, device, &stamp).await
    }

    async fn unfinished_tasks(
        &self,
        endpoint: &EndpointName,
    ) -> Result<Vec<UpdateTask>, StoreError> {
        devices::unfinished_tasks(&self.readers, endpoint).await
    }

    async fn report(&self, endpoint: &EndpointName) -> Result<DeviceReport, StoreError> {
        devices::report(&self.readers, endpoint).await
    }

    async fn deliveries(&self, endpoint: &EndpointName) -> Result<DeliveryHistory, StoreError> {
        devices::deliveries(&self.readers, endpoint).await
    }

    async fn device_request(
        &self,
        endpoint: &EndpointName,
        id: DeviceRequestId,
    ) -> Result<DeviceRequest, StoreError> {
        device_requests::one(&self.readers, endpoint, id).await
    }

    async fn device_requests(
        &self,
        endpoint: &EndpointName,
        page: Page,
    ) -> Result<Vec<DeviceRequest>, StoreError> {
        device_requests::of_device(&self.readers, endpoint, page).await
    }

    async fn uplinks(
        &self,
        endpoint: &EndpointName,
        limit: u32,
    ) -> Result<Vec<Uplink>, StoreError> {
        uplinks::of_device(&self.readers, endpoint, limit).await
    }

    async fn timeline(
        &self,
        endpoint: &EndpointName,
        limit: u32,
    ) -> Result<Vec<TimelineEntry>, StoreError> {
        devices::timeline(&self.readers, endpoint, limit).await
    }

    async fn add_group(&self, name: &str, stamp: AuditStamp) -> Result<GroupId, StoreError> {
        groups::add_group(&self.writer, name, &stamp).await
    }

    async fn groups(&self, page: Page) -> Result<Vec<DeviceGroup>, StoreError> {
        groups::groups(&self.readers, page).await
    }

    async fn rename_group(
        &self,
        id: GroupId,
        name: &str,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        groups::rename_group(&self.writer, id, name, &stamp).await
    }

    async fn remove_group(&self, id: GroupId, stamp: AuditStamp) -> Result<(), StoreError> {
        groups::remove_group(&self.writer, id, &stamp).await
    }

    async fn bind_devices(
        &self,
        id: GroupId,
        devices: &[EndpointName],
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        groups::bind_devices(&self.writer, id, devices, &stamp).await
    }

    async fn replace_group_devices(
        &self,
        id: GroupId,
        devices: &[EndpointName],
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        groups::replace_group_devices(&self.writer, id, devices, &stamp).await
    }

    async fn unbind_device(
        &self,
        id: GroupId,
        device: &EndpointName,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        groups::unbind_device(&self.writer, id, device, &stamp).await
    }

    async fn group_devices(
        &self,
        id: GroupId,
        page: Page,
    ) -> Result<Vec<EndpointName>, StoreError> {
        groups::group_devices(&self.readers, id, page).await
    }

    async fn create_campaign(
        &self,
        campaign: NewCampaign,
        endpoints: Vec<EndpointName>,
        stamp: AuditStamp,
    ) -> Result<CampaignId, StoreError> {
        let _parts = self.parts.lock().await;
        campaigns::create(&self.writer, &self.readers, campaign, endpoints, &stamp).await
    }

    async fn campaign(&self, id: CampaignId) -> Result<(Campaign, TaskCounts), StoreError> {
        campaigns::campaign(&self.readers, id).await
    }

    async fn campaigns(&self, page: Page) -> Result<Vec<(Campaign, TaskCounts)>, StoreError> {
        campaigns::campaigns(&self.readers, page).await
    }

    async fn campaigns_archived(
        &self,
        archived: bool,
        page: Page,
    ) -> Result<Vec<(Campaign, TaskCounts)>, StoreError> {
        campaigns::campaigns_archived(&self.readers, archived, page).await
    }

    async fn remove_campaign(
        &self,
        id: CampaignId,
        expected: CampaignState,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        let _parts = self.parts.lock().await;
        campaigns::remove(&self.writer, &self.readers, id, expected, &stamp).await
    }

    async fn tasks(
        &self,
        campaign: CampaignId,
        state: Option<TaskState>,
        page: Page,
    ) -> Result<Vec<UpdateTask>, StoreError> {
        campaigns::tasks(&self.readers, campaign, state, page).await
    }

    async fn phase_counts(
        &self,
        campaign: CampaignId,
    ) -> Result<Vec<(u16, TaskCounts)>, StoreError> {
        campaigns::phase_counts(&self.readers, campaign).await
    }

    async fn updated_in_phase(
        &self,
        campaign: CampaignId,
        phase: u16,
    ) -> Result<Vec<(EndpointName, Utc)>, StoreError> {
        campaigns::updated_in_phase(&self.readers, campaign, phase).await
    }

    async fn add_token(&self, token: StoredToken, stamp: AuditStamp) -> Result<(), StoreError> {
        tokens::add_token(&self.writer, token, &stamp).await
    }

    async fn token(&self, sha256: &[u8; 32]) -> Result<StoredToken, StoreError> {
        tokens::token(&self.readers, sha256).await
    }

    async fn tokens(&self, page: Page) -> Result<Vec<StoredToken>, StoreError> {
        tokens::tokens(&self.readers, page).await
    }

    async fn remove_token(&self, name: &str, stamp: AuditStamp) -> Result<(), StoreError> {
        tokens::remove_token(&self.writer, name, &stamp).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TaskId;

    fn long_line(number: u32) -> Record {
        Record::Timeline(TimelineEntry {
            at: Utc::from_unix_ms(0),
            endpoint: EndpointName::parse(&format!("device-{number}")).unwrap(),
            task: TaskId(1),
            attempt: 1,
            step: crate::model::TimelineStep::Note,
            detail: "x".repeat(3000),
        })
    }

    #[tokio::test]
    async fn a_full_database_says_so_writes_nothing_and_goes_on_when_there_is_space() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("store.db"))
            .await
            .unwrap();
        // Meets SQLITE_FULL as a full disk does.
        let mut write = store.writer.begin().await.unwrap();
        sqlx::query("PRAGMA max_page_count = 100")
            .execute(write.connection())
            .await
            .unwrap();
        write.finish(0, Ok(())).await.unwrap();
        let lines: Vec<Record> = (0..200).map(long_line).collect();
        let full = store.commit(lines.clone()).await;
        assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
        let first = EndpointName::parse("device-0").unwrap();
        assert_eq!(store.timeline(&first, 1).await.unwrap(), []);
        // The connection was given up, and with it its limit.
        store.commit(lines).await.unwrap();
        assert_eq!(store.timeline(&first, 1).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_write_that_is_dropped_midway_is_rolled_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("store.db"))
            .await
            .unwrap();
        let mut write = store.writer.begin().await.unwrap();
        sqlx::query("INSERT INTO device_groups (name, created_at) VALUES ('lost', 0)")
            .execute(write.connection())
            .await
            .unwrap();
        drop(write);
        let stamp = AuditStamp {
            at: Utc::from_unix_ms(0),
            actor: crate::model::AuditActor::server(),
        };
        store.add_group("kept", stamp).await.unwrap();
        let all = Page {
            after: None,
            limit: 9,
        };
        let groups = store.groups(all).await.unwrap();
        let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["kept"]);
    }

    #[tokio::test]
    async fn once_it_cannot_be_trusted_nothing_is_written_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("store.db"))
            .await
            .unwrap();
        let write = store.writer.begin().await.unwrap();
        let fsync: Result<(), _> = Err(StoreError::Fatal("fsync".to_owned()));
        assert!(write.finish(0, fsync).await.is_err());
        let next = store.commit(vec![long_line(1)]).await;
        assert!(matches!(next, Err(StoreError::Fatal(_))));
        assert!(matches!(store.check().await, Err(StoreError::Fatal(_))));
    }
}
