//! Links over time, without a socket and on a clock that stands.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use hyper::body::Body as _;
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;

use super::file_body::{ASK_EVERY, CutOff, FileBody};
use super::*;
use crate::clock::{Instant, SystemClock};
use crate::http::firmware::{Downloads, firmware_router};
use crate::model::{
    AuditActor, Component, DeviceModel, DeviceType, FirmwareVersion, LinkState, Manufacturer,
    Package, PackageFile, PackageKind, Provenance, ReleaseNotes,
};
use crate::store::{MemoryStore, SqliteStore};

const FILE: &[u8] = b"0123456789";
const HOUR: Duration = Duration::from_secs(3600);

struct Bench {
    store: Arc<dyn Store>,
    bytes: BlobStore,
    _folder: TempDir,
    clock: SystemClock,
    file_sha256: Sha256Digest,
    package: PackageId,
}

impl Bench {
    async fn new() -> Self {
        Self::with(Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap()).await
    }

    /// With a store that takes its time.
    async fn on_disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("db/store.db")).await;
        Self::with(Arc::new(store.unwrap()), folder).await
    }

    async fn with(store: Arc<dyn Store>, folder: TempDir) -> Self {
        let bytes = BlobStore::open(&folder.path().join("bytes"), 1 << 20).unwrap();
        let file_sha256 = bytes.put(FILE).unwrap();
        let clock = SystemClock::new();
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
    async fn add(&self, links: &Arc<Links>, age: Duration) -> DownloadCapability {
        let added = links.add(self.link(age), stamp(self.clock)).await;
        added.unwrap().1
    }

    fn link(&self, age: Duration) -> DownloadLink {
        let now = self.clock.now().utc.unix_ms();
        let made_at = Utc::from_unix_ms(now - i64::try_from(age.as_millis()).unwrap());
        DownloadLink {
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
        }
    }

    /// The only link's whole file, whose answer has begun, and what comes of its first piece.
    async fn first_piece(
        &self,
        links: &Arc<Links>,
        ask_at: Instant,
        before: impl AsyncFnOnce(),
    ) -> Result<usize, CutOff> {
        let link = links.all().remove(0);
        let mut body = FileBody {
            links: Arc::clone(links),
            file: links.files.open(self.file_sha256).await.unwrap(),
            clock: self.clock,
            cuts: link.cuts(),
            ask_at,
            link,
            part: 0..FILE.len() as u64,
            reading: None,
        };
        before().await;
        let piece = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let piece = piece.unwrap()?;
        Ok(piece.data_ref().unwrap().len())
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

#[tokio::test]
async fn what_ends_while_it_is_sent_is_cut_off_and_asked_anew() {
    let bench = Bench::new().await;
    let links = bench.links().await;
    let later = bench.clock.now().instant + ASK_EVERY;
    let good = bench.add(&links, Duration::ZERO).await;
    let sent = bench.first_piece(&links, later, async || {}).await;
    assert_eq!(sent.unwrap(), FILE.len());
    let cut = bench.first_piece(&links, later, async || links.cut(&[bench.package]));
    assert!(matches!(cut.await, Err(CutOff::Ended)));
    // It may be that the revocation that it was cut off for was not made.
    assert_eq!(bench.get(&links, good).await, (200, FILE.len()));
    // Or was made, and nobody said so.
    let gone = async || {
        let removed = bench
            .store
            .remove_package(bench.package, stamp(bench.clock));
        removed.await.unwrap();
    };
    let unheard = bench.first_piece(&links, later, gone).await;
    assert_eq!(unheard.unwrap(), FILE.len());
    let asked = bench
        .first_piece(&links, Instant::ORIGIN, async || {})
        .await;
    assert!(matches!(asked, Err(CutOff::Ended)));
}

#[tokio::test]
async fn what_expires_while_it_is_sent_is_cut_off() {
    let bench = Bench::new().await;
    let links = bench.links().await;
    bench.add(&links, HOUR).await;
    let later = bench.clock.now().instant + ASK_EVERY;
    let expired = bench.first_piece(&links, later, async || {}).await;
    assert!(matches!(expired, Err(CutOff::Expired)));
}

#[tokio::test]
async fn a_link_that_only_the_store_knows_as_ended_ends_when_it_is_asked_again() {
    let bench = Bench::new().await;
    let links = bench.links().await;
    let capability = bench.add(&links, Duration::ZERO).await;
    let id = bench.stored().await[0].id;
    let stamp = || stamp(bench.clock);
    bench.store.revoke_link(id, stamp()).await.unwrap();
    let again = links.revoke(bench.package, id, stamp()).await;
    assert!(matches!(again, Err(StoreError::NotFound)), "{again:?}");
    assert_eq!(bench.get(&links, capability).await.0, 410);
}

#[tokio::test]
async fn a_link_is_made_and_ended_whole_where_who_asked_left() {
    let bench = Bench::on_disk().await;
    let links = bench.links().await;
    leave(links.add(bench.link(Duration::ZERO), stamp(bench.clock))).await;
    let mut is_done = false;
    for _ in 0..1000 {
        is_done = links.all().len() == 1;
        if is_done {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(is_done, "it was not made: {:?}", bench.stored().await);

    let capability = bench.add(&links, Duration::ZERO).await;
    let id = bench.stored().await[1].id;
    leave(links.revoke(bench.package, id, stamp(bench.clock))).await;
    for _ in 0..1000 {
        if bench.get(&links, capability).await.0 == 410 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it was not ended: {:?}", bench.stored().await);
}

/// Drops what has only begun.
async fn leave<T>(work: impl Future<Output = T>) {
    let mut work = pin!(work);
    let is_begun = poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_pending())).await;
    assert!(is_begun, "it was done at once");
}
