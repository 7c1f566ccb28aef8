//! A peer that sends as fast as it can delays nobody but other peers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::super::*;
use super::bench::{Bench, CoapPeer, OTHER, register};
use crate::coap::{Code, MessageId, OptionNumber, Request};
use crate::engine::Command;
use crate::http::CellsPage;

/// Far more than anything here takes, also on a busy machine.
const LATEST: Duration = Duration::from_millis(1500);
const POLL: Duration = Duration::from_millis(5);

const FIRST_CELL: CellsPage = CellsPage {
    after: None,
    limit: 1,
};

/// A thread that sends until this is dropped.
struct Flood {
    ends: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Flood {
    fn begin(mut stranger: CoapPeer) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let told = ends.clone();
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                stranger.send(register("stranger", 600, "</3/0>"));
            }
        });
        Self {
            ends,
            thread: Some(thread),
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(thread::JoinHandle::join));
    }
}

#[tokio::test(start_paused = true)]
async fn of_all_that_is_there_datagrams_are_taken_last() {
    let (mut driver, bench) = Bench::new().await;
    bench.peer().send(Request::new(Code::GET, "/"));
    driver.parts.link.readable().await.unwrap();
    let handle = bench.engine.clone();
    tokio::spawn(async move { handle.cells(FIRST_CELL).await });
    let commit = tokio::spawn(async { (Ok(()), Duration::ZERO) });
    while !commit.is_finished() || driver.parts.requests.is_empty() {
        tokio::task::yield_now().await;
    }
    driver.in_flight = Some(InFlight {
        commit,
        batch: Batch::default(),
    });
    driver.deadline = Some(Instant::ORIGIN);
    bench.stop.send(true).unwrap();

    assert!(matches!(driver.select().await, Input::Committed(_)));
    driver.in_flight = None;
    assert!(matches!(driver.select().await, Input::Shutdown));
    bench.stop.send(false).unwrap();
    assert!(matches!(driver.select().await, Input::Timeout));
    driver.deadline = None;
    assert!(matches!(driver.select().await, Input::Request(Some(_))));
    assert!(matches!(driver.select().await, Input::Readable(Ok(()))));
}

/// Waits for the server's question to a device, or its repetition; how long it took.
async fn asked(device: &CoapPeer) -> (MessageId, Duration) {
    let clock = SystemClock::new();
    loop {
        match device.received() {
            Some(message) if message.code == Code::GET => {
                assert!(message.options.first(OptionNumber::OBSERVE).is_some());
                return (message.id, clock.now().instant.since_origin());
            }
            Some(_) => {}
            None => tokio::time::sleep(POLL).await,
        }
    }
}

/// One worker for all: where there are more, it is also their number that helps.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn while_a_peer_floods_timers_requests_commits_and_the_end_are_in_time() {
    let (driver, bench) = Bench::new().await;
    let running = tokio::spawn(driver.run());
    let mut device = bench.peer();
    device.send(register(OTHER, 600, "</3/0>,</19/0>"));
    let (question, _) = asked(&device).await;

    let flood = Flood::begin(bench.peer());
    // The timer: it is repeated 200 to 300 ms later, as it was not acknowledged.
    let (repeated, took) = asked(&device).await;
    assert_eq!(repeated, question);
    assert!(took < LATEST, "{took:?}");
    let clock = SystemClock::new();
    let cells = bench.engine.cells(FIRST_CELL).await;
    assert_eq!(cells.map(|cells| cells.len()), Ok(1));
    // A command is answered when it is committed.
    let stop = Command::StopCampaign {
        id: bench.campaign,
        mode: crate::model::StopMode::Hard,
    };
    assert_eq!(bench.engine.command(stop).await, Ok(()));
    bench.stop.send(true).unwrap();
    running.await.unwrap().unwrap();
    let took = clock.now().instant.since_origin();
    assert!(took < LATEST, "{took:?}");
    drop(flood);
}
