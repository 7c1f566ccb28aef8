//! A store that fails again and again, and works again.

use tokio::sync::oneshot;

use super::super::*;
use super::bench::{BLOCK, Bench, IMAGE_BYTES, OTHER, end_commit, endpoint, hear, register};
use crate::coap::{Code, MessageType, OptionNumber, Request};
use crate::engine::Command;
use crate::model::AuditAction;
use crate::store::BlobStore;

/// Longer than any back-off.
const MINUTE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(100);

/// In a minute of back-off, 500 ms and doubled up to 8 s.
const TRIES_PER_MINUTE: std::ops::RangeInclusive<u64> = 8..=12;

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_left_in_peace_while_blocks_go_on_and_recovers_by_itself() {
    let (driver, bench) = Bench::new().await;
    tokio::spawn(driver.run());
    let (mut updating, mut other) = (bench.peer(), bench.peer());
    updating.send(Request::new(Code::GET, BLOCK));
    assert_eq!(updating.next().await.code, Code::CONTENT);

    bench.store.fail(true);
    let before = bench.store.commits();
    let mut turned_away = 0;
    for _ in 0..MINUTE.as_millis() / STEP.as_millis() {
        other.send(register(OTHER, 600, "</3/0>"));
        updating.send(Request::new(Code::GET, BLOCK));
        let block = updating.next().await;
        assert_eq!(block.code, Code::CONTENT);
        assert_eq!(block.payload.len(), 512);
        // The one whose commit fails stays without an answer.
        if let Some(answer) = other.received() {
            assert_eq!(answer.code, Code::SERVICE_UNAVAILABLE);
            let max_age = answer.options.uint(OptionNumber::MAX_AGE).unwrap();
            assert!((1..=9).contains(&max_age), "{max_age} s");
            turned_away += 1;
        }
        tokio::time::advance(STEP).await;
    }
    let tries = bench.store.commits() - before;
    assert!(TRIES_PER_MINUTE.contains(&tries), "{tries} commits");
    let asked = u64::try_from(MINUTE.as_millis() / STEP.as_millis()).unwrap();
    assert!(turned_away >= asked - tries, "{turned_away} of {asked}");

    bench.store.fail(false);
    tokio::time::advance(REBUILD_DELAY_MAX).await;
    other.send(register(OTHER, 600, "</3/0>"));
    let answer = other.next().await;
    assert_eq!(answer.kind, MessageType::Acknowledgement);
    assert_eq!(answer.code, Code::CREATED);
    let restored = bench.store.restore().await.unwrap();
    let mut registered = restored.registrations.iter();
    assert!(registered.any(|it| it.endpoint == endpoint(OTHER)));
    assert!(bench.live.device(&endpoint(OTHER)).is_some());
}

#[tokio::test(start_paused = true)]
async fn of_a_stop_that_could_not_be_committed_no_device_hears_and_no_trace_is_left() {
    let (mut driver, bench) = Bench::new().await;
    driver.drain(None);
    let mut updating = bench.peer();
    let block = || Request::new(Code::GET, BLOCK);
    hear(&mut driver, &mut updating, block());
    assert_eq!(updating.next().await.code, Code::CONTENT);

    bench.store.fail(true);
    let stop = || Command::StopCampaign {
        id: bench.campaign,
        mode: crate::model::StopMode::Hard,
    };
    let (answer, mut answered) = oneshot::channel();
    driver.handle_request(EngineRequest::Command(stop(), None, answer));
    driver.start_commit();
    // What it asks for is withdrawn by the stop.
    hear(&mut driver, &mut updating, block());
    end_commit(&mut driver).await;
    let refused = answered.try_recv().unwrap();
    assert!(
        matches!(refused, Err(EngineError::NotCommitted(_))),
        "{refused:?}"
    );
    hear(&mut driver, &mut updating, block());
    assert_eq!(updating.next().await.code, Code::CONTENT);

    bench.store.fail(false);
    let (answer, mut answered) = oneshot::channel();
    driver.handle_request(EngineRequest::Command(stop(), None, answer));
    driver.commit_not_before = None;
    driver.start_commit();
    hear(&mut driver, &mut updating, block());
    end_commit(&mut driver).await;
    assert_eq!(answered.try_recv().unwrap(), Ok(()));
    driver.start_commit();
    assert_eq!(updating.next().await.code, Code::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn one_failure_after_a_success_waits_no_longer_than_the_first() {
    let (driver, bench) = Bench::new().await;
    tokio::spawn(driver.run());
    let mut device = bench.peer();
    for _ in 0..4 {
        bench.store.fail_after(1);
        device.send(register(OTHER, 600, "</3/0>"));
        let tried = bench.store.commits() + 1;
        while bench.store.commits() < tried {
            tokio::task::yield_now().await;
        }
        // The rebuilt engine answers; the Register has come before or after it.
        device.send(Request::new(Code::GET, BLOCK));
        let mut answer = device.next().await;
        if answer.code == Code::SERVICE_UNAVAILABLE {
            answer = device.next().await;
        }
        assert_eq!(answer.code, Code::CONTENT);
        tokio::time::advance(REBUILD_DELAY + STEP).await;
        device.send(register(OTHER, 600, "</3/0>"));
        assert_eq!(device.next().await.code, Code::CREATED);
    }
}

#[tokio::test]
async fn package_bytes_that_cannot_be_read_now_end_no_campaign() {
    let (driver, bench) = Bench::new().await;
    let (campaign, _) = bench.store.campaign(bench.campaign).await.unwrap();
    let package = bench.store.package(campaign.package).await.unwrap();
    // Of the driver's bytes some are in memory.
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(folder.path(), 1 << 20).unwrap();
    let path = blobs.path(package.file.sha256);
    let rebuild = Rebuild {
        config: driver.parts.rebuild.config.clone(),
        package_bytes: blobs,
    };
    let now = driver.parts.clock.now();
    // A folder opens, and cannot be read.
    std::fs::create_dir_all(&path).unwrap();
    let rebuilt = rebuild.engine(&*bench.store, now).await;
    assert!(matches!(rebuilt, Err(StoreError::Failed(_))));

    std::fs::remove_dir(&path).unwrap();
    let mut rebuilt = rebuild.engine(&*bench.store, now).await.unwrap();
    assert!(is_stopped(&mut rebuilt), "its bytes are gone");
    std::fs::write(&path, [0xa5; IMAGE_BYTES]).unwrap();
    let mut rebuilt = rebuild.engine(&*bench.store, now).await.unwrap();
    assert!(!is_stopped(&mut rebuilt), "its bytes are there");
}

/// Whether an engine says of itself that it stopped a campaign.
fn is_stopped(engine: &mut Engine) -> bool {
    loop {
        let output = engine.poll_output();
        if let Output::Record(Record::Audit(entry)) = &output {
            assert_eq!(entry.action, AuditAction::CampaignStopped);
            return true;
        }
        if let Output::Timeout(_) = output {
            return false;
        }
    }
}
