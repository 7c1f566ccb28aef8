//! What holds over a link that loses, doubles and reorders: seeds tell which.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use narrowcast::coap::{
    BlockValue, Code, Event, OptionNumber, Options, Reliability, Request, RequestId, Response,
    block2_slice,
};

use crate::lockstep::RFC;
use crate::pair::{Link, Pair, Side};

const LOSSY: Link = Link {
    loss: 25,
    duplication: 20,
    delay_max: Duration::from_secs(3),
};
const STEPS_MAX: usize = 100_000;

/// Runs until nothing is under way; what to do with an event is the caller's.
fn run(pair: &mut Pair, mut on_event: impl FnMut(&mut Pair, Side, Event)) {
    for _ in 0..STEPS_MAX {
        let Some(events) = pair.step() else {
            return;
        };
        for (side, event) in events {
            on_event(pair, side, event);
        }
    }
    panic!("it never ends");
}

/// Sends a confirmable request from one side to the other.
fn ask(pair: &mut Pair, from: Side, request: Request) -> RequestId {
    let (now, to) = (pair.now, from.other().peer());
    pair.endpoint(from)
        .request(now, &to, request, Reliability::Confirmable, &RFC)
        .expect("room")
}

/// Asks the server for the block at `offset` in blocks of `szx`.
fn fetch(pair: &mut Pair, offset: usize, szx: u8) {
    let block = BlockValue {
        num: u32::try_from(offset >> (szx + 4)).expect("small"),
        more: false,
        szx,
    };
    let mut request = Request::new(Code::GET, "/fw");
    block.put(&mut request.options, OptionNumber::BLOCK2);
    ask(pair, Side::Device, request);
}

fn block2(options: &Options) -> BlockValue {
    BlockValue::from_options(options, OptionNumber::BLOCK2)
        .expect("well formed")
        .expect("there")
}

#[test]
fn every_request_ends_exactly_once_and_is_processed_at_most_once() {
    for seed in 0..40 {
        let mut pair = Pair::new(seed, LOSSY);
        let mut asked = BTreeSet::new();
        for number in 0..12 {
            let request = Request::new(Code::POST, "/n").with_query(&number.to_string());
            asked.insert(ask(&mut pair, Side::Server, request));
        }
        let mut ended = BTreeMap::new();
        let mut processed = Vec::new();
        run(&mut pair, |pair, side, event| match event {
            Event::Request {
                reply_to, request, ..
            } => {
                assert_eq!(side, Side::Device);
                let query = request.queries().unwrap()[0].to_owned();
                let number: u32 = query.parse().unwrap();
                // A third of the requests is answered separately.
                if number.is_multiple_of(3) {
                    pair.device.acknowledge(pair.now, &reply_to);
                }
                let mut response = Response::new(Code::CHANGED);
                response.payload = Bytes::from(query.clone());
                pair.device.respond(pair.now, &reply_to, response);
                processed.push(query);
            }
            Event::Response { id, response, .. } => {
                assert_eq!(
                    ended.insert(id, Some(response.payload)),
                    None,
                    "seed {seed}"
                );
            }
            Event::TimedOut { id, .. } => {
                assert_eq!(ended.insert(id, None), None, "seed {seed}");
            }
            other @ (Event::Notification { .. }
            | Event::NotificationBegun { .. }
            | Event::BlockTaken { .. }
            | Event::Broken { .. }
            | Event::Delivered { .. }
            | Event::Reset { .. }) => panic!("seed {seed}: {other:?}"),
        });
        assert_eq!(
            ended.keys().copied().collect::<BTreeSet<_>>(),
            asked,
            "seed {seed}"
        );
        let distinct: BTreeSet<_> = processed.iter().collect();
        assert_eq!(
            distinct.len(),
            processed.len(),
            "seed {seed}: processed twice"
        );
        let answered: Vec<_> = ended.values().flatten().collect();
        assert!(
            answered.len() >= 10,
            "seed {seed}: {} answered",
            answered.len()
        );
        for (number, answer) in ended.values().enumerate() {
            if let Some(answer) = answer {
                assert_eq!(
                    answer,
                    number.to_string().as_bytes(),
                    "seed {seed}: mixed up"
                );
            }
        }
    }
}

#[test]
fn a_device_downloads_an_image_block_by_block_and_late_changes_of_size_are_right() {
    let image: Bytes = (0..9_000_u32)
        .flat_map(u32::to_be_bytes)
        .collect::<Vec<u8>>()
        .into();
    for seed in 0..6 {
        let mut pair = Pair::new(seed, LOSSY);
        let mut fetched = Vec::new();
        fetch(&mut pair, 0, 6);
        run(&mut pair, |pair, _, event| match event {
            Event::Request {
                reply_to, request, ..
            } => {
                let asked = Some(block2(&request.options));
                let (block, slice) = block2_slice(&image, asked, 6).unwrap();
                let size_bytes = u32::try_from(image.len()).unwrap();
                let response = Response::new(Code::CONTENT).with_block2(block, slice, size_bytes);
                pair.server.respond_stateless(&reply_to, response);
            }
            Event::Response { response, .. } => {
                let block = block2(&response.options);
                assert_eq!(block.offset(), fetched.len(), "seed {seed}");
                fetched.extend_from_slice(&response.payload);
                if !block.more {
                    return;
                }
                // Half way the device turns to smaller blocks.
                let szx = if fetched.len() < image.len() / 2 {
                    6
                } else {
                    4
                };
                fetch(pair, fetched.len(), szx);
            }
            Event::TimedOut { .. } => fetch(pair, fetched.len(), 4),
            other @ (Event::Notification { .. }
            | Event::NotificationBegun { .. }
            | Event::BlockTaken { .. }
            | Event::Broken { .. }
            | Event::Delivered { .. }
            | Event::Reset { .. }) => panic!("seed {seed}: {other:?}"),
        });
        assert_eq!(fetched, image, "seed {seed}");
    }
}

#[test]
fn notifications_are_delivered_in_order_of_their_numbers() {
    for seed in 0..40 {
        let mut pair = Pair::new(seed, LOSSY);
        let to = Side::Device.peer();
        let request = Request::new(Code::GET, "/5/0/3");
        let now = pair.now;
        pair.server.observe(now, &to, request, &RFC).unwrap();
        let mut sequence = 0;
        let mut heard = Vec::new();
        let mut notify = |pair: &mut Pair, token| {
            sequence += 1;
            let mut response = Response::new(Code::CONTENT);
            response.payload = Bytes::from(sequence.to_string());
            let to = Side::Server.peer();
            let reliability = Reliability::Confirmable;
            let now = pair.now;
            pair.device
                .notify(now, &to, token, sequence, response, reliability, &RFC)
                .unwrap();
        };
        let mut observed = None;
        run(&mut pair, |pair, _, event| match event {
            Event::Request { reply_to, .. } => {
                let mut response = Response::new(Code::CONTENT);
                response.options.push_uint(OptionNumber::OBSERVE, 0);
                pair.device.respond(pair.now, &reply_to, response);
                observed = Some(reply_to.token());
                for _ in 0..6 {
                    notify(pair, reply_to.token());
                }
            }
            Event::Notification {
                token, response, ..
            } => {
                assert_eq!(Some(token), observed);
                heard.push(response.options.uint(OptionNumber::OBSERVE).unwrap());
            }
            Event::Response { .. }
            | Event::TimedOut { .. }
            | Event::BlockTaken { .. }
            | Event::Broken { .. }
            | Event::Delivered { .. }
            | Event::NotificationBegun { .. }
            | Event::Reset { .. } => {}
        });
        assert!(heard.is_sorted(), "seed {seed}: {heard:?}");
        assert!(heard.len() >= 3, "seed {seed}: {heard:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let history = |seed| {
        let mut pair = Pair::new(seed, LOSSY);
        for _ in 0..3 {
            ask(&mut pair, Side::Server, Request::new(Code::GET, "/3/0/3"));
        }
        let mut history = Vec::new();
        run(&mut pair, |pair, side, event| {
            if let Event::Request { reply_to, .. } = &event {
                let response = Response::new(Code::CONTENT);
                pair.device.respond(pair.now, reply_to, response);
            }
            history.push(format!("{:?} {side:?} {event:?}", pair.now));
        });
        (history, *pair.server.counters(), *pair.device.counters())
    };
    assert_eq!(history(7), history(7));
    assert_ne!(history(7).0, history(8).0);
}

#[test]
fn a_body_arrives_whole_and_once_or_its_request_ends_otherwise() {
    let image: Bytes = (0..4_000_u32)
        .flat_map(u32::to_be_bytes)
        .collect::<Vec<u8>>()
        .into();
    let mut whole = 0;
    for seed in 0..40 {
        let mut pair = Pair::new(seed, LOSSY);
        let mut request = Request::new(Code::PUT, "/5/0/0");
        request.payload = image.clone();
        ask(&mut pair, Side::Server, request);
        let (mut arrived, mut ended, mut taken) = (0, Vec::new(), 0);
        run(&mut pair, |pair, side, event| match event {
            Event::Request {
                reply_to, request, ..
            } => {
                assert_eq!(
                    (side, &request.payload),
                    (Side::Device, &image),
                    "seed {seed}"
                );
                arrived += 1;
                let response = Response::new(Code::CHANGED);
                pair.device.respond(pair.now, &reply_to, response);
            }
            Event::BlockTaken { taken_bytes, .. } => {
                assert!(taken_bytes > taken, "seed {seed}: it was not begun again");
                taken = taken_bytes;
            }
            Event::Response { response, .. } => ended.push(Some(response.code)),
            Event::TimedOut { .. } => ended.push(None),
            other @ (Event::Notification { .. }
            | Event::NotificationBegun { .. }
            | Event::Broken { .. }
            | Event::Delivered { .. }
            | Event::Reset { .. }) => panic!("seed {seed}: {other:?}"),
        });
        assert!(arrived <= 1, "seed {seed}: it arrived {arrived} times");
        match *ended.as_slice() {
            [Some(code)] => {
                assert_eq!((code, arrived), (Code::CHANGED, 1), "seed {seed}");
                assert_eq!(taken, image.len() as u64, "seed {seed}");
                whole += 1;
            }
            [None] => {}
            _ => panic!("seed {seed}: {ended:?}"),
        }
        assert_eq!(pair.server.held().transfers, 0, "seed {seed}");
        assert_eq!(pair.server.held().requests, 0, "seed {seed}");
    }
    assert!(whole >= 20, "{whole} of 40 arrived");
}

#[test]
fn a_long_answer_is_fetched_whole_over_a_bad_link() {
    let text: Bytes = (0..1_000_u32)
        .flat_map(u32::to_be_bytes)
        .collect::<Vec<u8>>()
        .into();
    let mut whole = 0;
    for seed in 0..40 {
        let mut pair = Pair::new(seed, LOSSY);
        ask(&mut pair, Side::Server, Request::new(Code::GET, "/19/0/0"));
        let mut ended = Vec::new();
        run(&mut pair, |pair, _, event| match event {
            Event::Request {
                reply_to, request, ..
            } => {
                let asked = BlockValue::from_options(&request.options, OptionNumber::BLOCK2);
                let (block, slice) = block2_slice(&text, asked.unwrap(), 4).unwrap();
                let response = Response::new(Code::CONTENT)
                    .with_block2(block, slice, 4_000)
                    .with_etag(Bytes::from_static(b"v1"));
                // Every other answer is separate.
                if block.num.is_multiple_of(2) {
                    pair.device.acknowledge(pair.now, &reply_to);
                }
                pair.device.respond(pair.now, &reply_to, response);
            }
            Event::Response { response, .. } => ended.push(Some(response.payload)),
            Event::TimedOut { .. } => ended.push(None),
            other @ (Event::Notification { .. }
            | Event::NotificationBegun { .. }
            | Event::BlockTaken { .. }
            | Event::Broken { .. }
            | Event::Delivered { .. }
            | Event::Reset { .. }) => panic!("seed {seed}: {other:?}"),
        });
        assert_eq!(ended.len(), 1, "seed {seed}");
        if let Some(payload) = ended.remove(0) {
            assert_eq!(payload, text, "seed {seed}");
            whole += 1;
        }
    }
    assert!(whole >= 20, "{whole} of 40 were fetched");
}
