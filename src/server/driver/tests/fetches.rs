//! What devices fetch by HTTP, as the driver shows and learns it.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tokio::sync::oneshot;
use tower::ServiceExt;

use super::super::*;
use super::bench::{BLOCK, Bench, IMAGE_BYTES, end_commit};
use crate::engine::Command;
use crate::http::{LinkLimits, Links, firmware_router};
use crate::model::{TimelineStep, UpdateTask};
use crate::store::{BlobStore, Page};

/// The status and how many bytes came.
async fn fetch(bench: &Bench) -> (u16, usize) {
    let folder = tempfile::tempdir().unwrap();
    let bytes = BlobStore::open(folder.path(), 0).unwrap();
    let links = Links::load(bench.store.clone(), bytes, LinkLimits::default()).await;
    let links = Arc::new(links.unwrap());
    let router = firmware_router(bench.downloads.clone(), links, SystemClock::new());
    let request = Request::get(format!("{BLOCK}/firmware.bin")).body(Body::empty());
    let response = router.oneshot(request.unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, body.len())
}

#[tokio::test(start_paused = true)]
async fn what_was_fetched_before_a_restart_is_there_before_the_driver_runs() {
    let (_driver, bench) = Bench::new().await;
    assert_eq!(fetch(&bench).await, (200, IMAGE_BYTES));
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_could_not_be_committed_ends_no_download_and_one_that_was_does() {
    let (mut driver, bench) = Bench::new().await;
    for (fails, before, after) in [(true, 503, 200), (false, 503, 404)] {
        bench.store.fail(fails);
        let (answer, _answered) = oneshot::channel();
        let stop = Command::StopCampaign {
            id: bench.campaign,
            mode: crate::model::StopMode::Hard,
        };
        driver.handle_request(EngineRequest::Command(stop, None, answer));
        driver.commit_not_before = None;
        driver.start_commit();
        assert_eq!(fetch(&bench).await.0, before);
        end_commit(&mut driver).await;
        assert_eq!(fetch(&bench).await.0, after);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_fetched_counts_as_a_block_does() {
    let (mut driver, bench) = Bench::new().await;
    let page = Page {
        after: None,
        limit: 1,
    };
    let tasks = bench.store.tasks(bench.campaign, None, page.clone()).await;
    let task = tasks.unwrap().remove(0).id;
    assert_eq!(bench.live.progress(task), None);
    assert_eq!(fetch(&bench).await.0, 200);
    while !matches!(driver.select().await, Input::Fetched) {
        // What is due at the start.
        driver.deadline = None;
        driver.observe();
    }
    driver.handle_fetched();
    let progress = bench.live.progress(task).unwrap();
    assert_eq!(progress.bytes_served, IMAGE_BYTES as u64);
    // The session has heard its device, and says so.
    let steps = driver.gathered.records.iter();
    let begun = steps.filter(|record| {
        matches!(record, Record::Timeline(entry) if entry.step == TimelineStep::DownloadBegun)
    });
    assert_eq!(begun.count(), 1);
    // Of its campaign they are counted once, before the commit and after it.
    let counted = || async {
        let (_, counts) = bench.store.campaign(bench.campaign).await.unwrap();
        let live = bench.live.uncommitted_bytes(bench.campaign);
        (counts.bytes_served, live)
    };
    assert_eq!(counted().await, (0, IMAGE_BYTES as i64));
    let stored = bench.store.tasks(bench.campaign, None, page).await;
    let stored = UpdateTask {
        bytes_served: IMAGE_BYTES as u64,
        ..stored.unwrap().remove(0)
    };
    driver.gathered.records.push(Record::Task(stored));
    driver.start_commit();
    end_commit(&mut driver).await;
    assert_eq!(counted().await, (IMAGE_BYTES as u64, 0));
}
