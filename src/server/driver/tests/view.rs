//! What REST sees of devices whose records are committed together.

use super::super::*;
use super::bench::{Bench, OTHER, end_commit, endpoint, hear, register};
use crate::coap::{Code, Message, OptionNumber, Request};

/// Commits all that has gathered, at once.
async fn commit(driver: &mut Driver, bench: &Bench) {
    let before = bench.store.commits();
    driver.start_commit();
    end_commit(driver).await;
    assert_eq!(bench.store.commits(), before + 1);
}

/// The end of the registration whose answer waits for its commit.
fn deregister(driver: &Driver) -> Request {
    let answers = driver.gathered.transmits.iter();
    let location = answers
        .map(|transmit| Message::decode(&transmit.datagram.to_vec(), 32).unwrap())
        .find(|answer| answer.code == Code::CREATED)
        .unwrap();
    let segments: Vec<_> = location
        .options
        .all(OptionNumber::LOCATION_PATH)
        .map(|segment| String::from_utf8(segment.to_vec()).unwrap())
        .collect();
    Request::new(Code::DELETE, &format!("/{}", segments.join("/")))
}

#[tokio::test(start_paused = true)]
async fn a_device_that_left_and_came_back_in_one_commit_is_shown() {
    let (mut driver, bench) = Bench::new().await;
    driver.drain(None);
    let mut device = bench.peer();
    hear(&mut driver, &mut device, register(OTHER, 600, "</3/0>"));
    let leave = deregister(&driver);
    commit(&mut driver, &bench).await;
    assert!(bench.live.device(&endpoint(OTHER)).is_some());

    hear(&mut driver, &mut device, leave);
    hear(&mut driver, &mut device, register(OTHER, 900, "</3/0>"));
    commit(&mut driver, &bench).await;
    let shown = bench.live.device(&endpoint(OTHER)).unwrap();
    assert_eq!(shown.lifetime_seconds, 900);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_came_and_left_in_one_commit_is_not_shown() {
    let (mut driver, bench) = Bench::new().await;
    driver.drain(None);
    let mut device = bench.peer();
    hear(&mut driver, &mut device, register(OTHER, 600, "</3/0>"));
    let leave = deregister(&driver);
    hear(&mut driver, &mut device, leave);
    commit(&mut driver, &bench).await;
    assert_eq!(bench.live.device(&endpoint(OTHER)), None);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_came_back_while_its_leaving_was_committed_is_shown() {
    let (mut driver, bench) = Bench::new().await;
    driver.drain(None);
    let mut device = bench.peer();
    hear(&mut driver, &mut device, register(OTHER, 600, "</3/0>"));
    let leave = deregister(&driver);
    commit(&mut driver, &bench).await;

    hear(&mut driver, &mut device, leave);
    driver.start_commit();
    hear(&mut driver, &mut device, register(OTHER, 600, "</3/0>"));
    end_commit(&mut driver).await;
    assert!(bench.live.device(&endpoint(OTHER)).is_some());
    commit(&mut driver, &bench).await;
    assert!(bench.live.device(&endpoint(OTHER)).is_some());
}
