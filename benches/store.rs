//! What a durable commit costs: 256 records at a time, in a small and in a large database.

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use narrowcast::clock::Utc;
use narrowcast::model::{
    AuditActor, AuditStamp, BindingMode, CampaignTargets, Component, DeviceModel, DeviceType,
    EndpointName, FirmwareVersion, Lwm2mVersion, Manufacturer, Package, PackageFile, PackageId,
    PackageKind, Peer, Phase, Provenance, Record, Registration, RegistrationSlot, ReleaseNotes,
    RetryPolicy, Sha256Digest, TaskId, TaskState, UpdateTask,
};
use narrowcast::store::{NewCampaign, SqliteStore, Store};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::Runtime;

const BATCH: u32 = 256;
const ROWS: [u32; 2] = [10_000, 200_000];

fn endpoint(number: u32) -> EndpointName {
    EndpointName::parse(&format!("urn:imei:{number:015}")).expect("a valid name")
}

/// A registration as an NB-IoT module makes it; `version` changes its port.
fn registration(slot: u32, version: u16, links: &Arc<str>) -> Record {
    let [_, a, b, c] = slot.to_be_bytes();
    Record::Registered(Registration {
        slot: RegistrationSlot(slot),
        secret: u128::from(slot) << 64 | u128::from(version),
        endpoint: endpoint(slot),
        peer: Peer::Address(([10, a, b, c], version).into()),
        version: Lwm2mVersion::V1_0,
        binding: BindingMode { queue_mode: true },
        lifetime: Duration::from_secs(86_400),
        links: Arc::clone(links),
        registered_at: Utc::from_unix_ms(1_700_000_000_000),
        expires_at: Utc::from_unix_ms(1_700_086_400_000),
    })
}

fn links() -> Arc<str> {
    "</>;rt=\"oma.lwm2m\";ct=11543,</1/0>,</3/0>,</4/0>,</5/0>,</19/0>,</19/1>".into()
}

async fn package(store: &SqliteStore) -> PackageId {
    let package = Package {
        id: PackageId(0),
        manufacturer: Manufacturer::parse("Quectel").expect("a name"),
        model: DeviceModel::parse("BC95").expect("a name"),
        device_type: DeviceType::parse("WaterMeter").expect("a name"),
        protocol: "LWM2M".to_owned(),
        target_version: FirmwareVersion::parse("V2").expect("a version"),
        source_versions: Vec::new(),
        kind: PackageKind::Full,
        component: Component::Module,
        file: PackageFile {
            name: "app.bin".to_owned(),
            sha256: Sha256Digest([1; 32]),
            size_bytes: 1,
        },
        more_files: Vec::new(),
        archive_sha256: Sha256Digest([2; 32]),
        provenance: Provenance::Signed {
            key_id: String::new(),
        },
        sequence: None,
        not_after: None,
        release_notes: ReleaseNotes::default(),
        uploaded_at: Utc::from_unix_ms(0),
    };
    store
        .add_package(
            package,
            AuditStamp {
                at: Utc::from_unix_ms(0),
                actor: AuditActor::server(),
            },
        )
        .await
        .expect("a package")
}

/// A database with so many registrations and tasks.
async fn filled(rows: u32) -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&folder.path().join("store.db"))
        .await
        .expect("a database");
    let links = links();
    for first in (0..rows).step_by(4096) {
        let slots = first..rows.min(first + 4096);
        let records = slots.map(|slot| registration(slot, 5683, &links)).collect();
        store.commit(records).await.expect("a commit");
    }
    let campaign = NewCampaign {
        name: "bench".to_owned(),
        package: package(&store).await,
        targets: CampaignTargets::default(),
        retry: RetryPolicy::default(),
        downgrade: None,
        admission: None,
        policy: Default::default(),
        phase_sizes: Vec::new(),
        created_at: Utc::from_unix_ms(0),
    };
    let endpoints = (0..rows).map(endpoint).collect();
    let made = store
        .create_campaign(
            campaign,
            endpoints,
            AuditStamp {
                at: Utc::from_unix_ms(0),
                actor: AuditActor::server(),
            },
        )
        .await;
    made.expect("a campaign");
    (folder, store)
}

fn commits(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("commit_256");
    group.throughput(Throughput::Elements(u64::from(BATCH)));
    group.sample_size(20);
    for rows in ROWS {
        let (_folder, store) = runtime.block_on(filled(rows));
        let links = links();
        let mut rng = StdRng::seed_from_u64(1);
        let mut next_slot = rows;
        group.bench_function(BenchmarkId::new("register", rows), |bencher| {
            bencher.to_async(&runtime).iter(|| {
                let slots = next_slot..next_slot + BATCH;
                next_slot += BATCH;
                store.commit(slots.map(|slot| registration(slot, 5683, &links)).collect())
            });
        });
        group.bench_function(BenchmarkId::new("update", rows), |bencher| {
            bencher.to_async(&runtime).iter(|| {
                let record = |_| registration(rng.gen_range(0..rows), rng.r#gen(), &links);
                store.commit((0..BATCH).map(record).collect())
            });
        });
        let campaign = narrowcast::model::CampaignId(1);
        group.bench_function(BenchmarkId::new("task", rows), |bencher| {
            bencher.to_async(&runtime).iter(|| {
                let record = |_| {
                    let number = rng.gen_range(0..rows);
                    let id = TaskId(u64::from(number) + 1);
                    let at = Utc::from_unix_ms(rng.gen_range(0..1 << 40));
                    // One record in five changes the state, as in a task's life.
                    let states = [TaskState::Pending, TaskState::Running, TaskState::Failed];
                    let state = states[usize::from(rng.gen_ratio(1, 5)) * rng.gen_range(1..3)];
                    Record::Task(UpdateTask {
                        state,
                        phase: Phase::Downloading,
                        ..UpdateTask::new(id, campaign, endpoint(number), at)
                    })
                };
                store.commit((0..BATCH).map(record).collect())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, commits);
criterion_main!(benches);
