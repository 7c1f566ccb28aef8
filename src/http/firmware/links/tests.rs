//! Links over time, without a socket and on a clock that stands.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;

use super::*;
use crate::clock::SystemClock;
use crate::http::firmware::{Downloads, firmware_router};
use crate::model::{
    AuditActor, Component, DeviceModel, DeviceType, FirmwareVersion, LinkState, Manufacturer,
    Package, PackageFile, PackageKind, Provenance, ReleaseNotes,
};
use crate::store::MemoryStore;

const FILE: &[u8] = b"0123456789";
const HOUR: Duration = Duration::from_secs(3600);

struct Bench {
    store: Arc<MemoryStore>,
    bytes: BlobStore,
    _folder: TempDir,
    clock: SystemClock,
    file_sha256: Sha256Digest,
    package: PackageId,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bytes = BlobStore::open(folder.path(), 1 << 20).unwrap();
        let file_sha256 = bytes.put(FILE).unwrap();
        let (store, clock) = (Arc::new(MemoryStore::new()), SystemClock::new());
        let package = package(file_sha256);
        let package = store.add_package(package, stamp(clock)).await.unwrap();
        Self {
            store,
            bytes,
            _folder: folder,
            clock,
            file_sha256,
            package,
        }
    }

    /// As after a start.
    async fn links(&self) -> Arc<Links> {
        let limits = LinkLimits {
            kept: HOUR,
            ..LinkLimits::default()
        };
        let links = Links::load(self.store.clone(), self.bytes.clone(), limits).await;
        Arc::new(links.unwrap())
    }

    /// A link that was made so long ago, and is good for an hour.
    async fn add(&self, links: &Links, age: Duration) -> DownloadCapability {
        let now = self.clock.now().utc.unix_ms();
        let made_at = Utc::from_unix_ms(now - i64::try_from(age.as_millis()).unwrap());
        let link = DownloadLink {
            id: LinkId(0),
            package: self.package,
            capability_sha256: Sha256Digest([0; 32]),
            file_name: "fota.pack".to_owned(),
            file_sha256: self.file_sha256,
            size_bytes: FILE.len() as u64,
            device: None,
            created_at: made_at,
            expires_at: made_at + HOUR,
            budget_bytes: 30,
            revoked_at: None,
            progress: LinkProgress::default(),
        };
        links.add(link, stamp(self.clock)).await.unwrap().1
    }

    async fn get(&self, links: &Arc<Links>, capability: DownloadCapability) -> (u16, usize) {
        let downloads = Arc::<Downloads>::default();
        let router = firmware_router(downloads, Arc::clone(links), self.clock);
        let path = format!("/fw/{}/fota.pack", capability.to_hex());
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1000).await;
        (status, body.map_or(0, |body| body.len()))
    }

    async fn stored(&self) -> Vec<DownloadLink> {
        let page = Page {
            after: None,
            limit: 9,
        };
        self.store.links(None, page).await.unwrap()
    }
}

fn stamp(clock: SystemClock) -> AuditStamp {
    AuditStamp {
        at: clock.now().utc,
        actor: AuditActor::server(),
    }
}

fn package(sha256: Sha256Digest) -> Package {
    Package {
        id: PackageId(0),
        manufacturer: Manufacturer::parse("Acme").unwrap(),
        model: DeviceModel::parse("NB-1").unwrap(),
        device_type: DeviceType::parse("WaterMeter").unwrap(),
        protocol: "LWM2M".to_owned(),
        target_version: FirmwareVersion::parse("2").unwrap(),
        source_versions: Vec::new(),
        kind: PackageKind::Full,
        component: Component::Mcu,
        file: PackageFile {
            name: "mcu.bin".to_owned(),
            sha256,
            size_bytes: FILE.len() as u64,
        },
        more_files: Vec::new(),
        archive_sha256: sha256,
        provenance: Provenance::Unsigned {
            by: "test".to_owned(),
            reason: "a test".to_owned(),
        },
        sequence: None,
        not_after: None,
        release_notes: ReleaseNotes::default(),
        uploaded_at: Utc::from_unix_ms(0),
    }
}

#[tokio::test]
async fn a_link_opens_until_its_time_is_over_also_after_a_restart() {
    let bench = Bench::new().await;
    let links = bench.links().await;
    let good = bench.add(&links, HOUR - Duration::from_secs(60)).await;
    let over = bench.add(&links, HOUR).await;
    for links in [links, bench.links().await] {
        assert_eq!(bench.get(&links, good).await, (200, FILE.len()));
        assert_eq!(bench.get(&links, over).await.0, 410);
    }
    let states = bench.stored().await;
    let states = states.iter().map(|link| link.state(bench.clock.now().utc));
    let states: Vec<_> = states.collect();
    assert_eq!(states, [LinkState::Waiting, LinkState::Expired]);
}

#[tokio::test(start_paused = true)]
async fn what_was_fetched_is_written_down_and_what_is_over_for_long_is_taken_away() {
    let bench = Bench::new().await;
    let links = bench.links().await;
    let good = bench.add(&links, Duration::ZERO).await;
    let kept = bench.add(&links, HOUR + HOUR / 2).await;
    let gone = bench.add(&links, HOUR * 2).await;
    let (stop, stopped) = watch::channel(false);
    let keeping = tokio::spawn(Arc::clone(&links).keep(bench.clock, stopped));
    bench.get(&links, good).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let stored = bench.stored().await;
    let hashes: Vec<_> = stored.iter().map(|link| link.capability_sha256).collect();
    assert_eq!(hashes, [sha256(good), sha256(kept)]);
    assert_eq!(stored[0].progress.bytes_served, 10);
    assert!(stored[0].progress.first_fetch_at.is_some());
    assert_eq!(bench.get(&links, kept).await.0, 410);
    assert_eq!(bench.get(&links, gone).await.0, 404);
    // What is fetched after the last look is written when it is asked for.
    stop.send(true).unwrap();
    keeping.await.unwrap();
    bench.get(&links, good).await;
    links.write_down().await;
    assert_eq!(bench.stored().await[0].progress.bytes_served, 20);
}
