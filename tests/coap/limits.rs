//! Every bound has an answer, and nothing grows with what has ended.

use std::time::Duration;

use narrowcast::coap::{
    BlockValue, Code, Endpoint, EndpointConfig, Full, OptionNumber, Reliability, Request, Response,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::lockstep::{Lockstep, RFC, With, address, con, piggybacked};

fn small() -> EndpointConfig {
    EndpointConfig {
        requests_max: 4,
        queue_per_peer_max: 2,
        observations_max: 1,
        dedup_entries_max: 2,
        ..EndpointConfig::default()
    }
}

fn ask(endpoint: &mut Endpoint, peer: &Lockstep, port: u16) -> Result<(), Full> {
    let request = Request::new(Code::GET, "/3/0/3");
    let to = address(port);
    let reliability = Reliability::Confirmable;
    endpoint
        .request(peer.now, &to, request, reliability, &RFC)
        .map(|_| ())
}

#[test]
fn requests_and_the_queue_of_a_peer_are_bounded() {
    let peer = Lockstep::with(small());
    let mut endpoint = Endpoint::new(small(), rand::SeedableRng::seed_from_u64(1));
    for _ in 0..3 {
        assert_eq!(ask(&mut endpoint, &peer, 1), Ok(()));
    }
    assert_eq!(
        ask(&mut endpoint, &peer, 1),
        Err(Full),
        "one sent, two queued"
    );
    assert_eq!(ask(&mut endpoint, &peer, 2), Ok(()));
    assert_eq!(ask(&mut endpoint, &peer, 3), Err(Full), "four in all");
}

#[test]
fn a_refused_observation_leaves_no_trace() {
    let mut peer = Lockstep::with(small());
    let (_, request) = peer.observes();
    let to = peer.peer.clone();
    let again = Request::new(Code::GET, "/5/0/3");
    let refused = peer.endpoint.observe(peer.now, &to, again.clone(), &RFC);
    assert_eq!(refused, Err(Full));
    peer.hears(piggybacked(&request, Code::NOT_FOUND));
    peer.event();
    assert!(peer.endpoint.observe(peer.now, &to, again, &RFC).is_ok());
}

#[test]
fn the_oldest_answer_for_duplicates_is_pushed_out_and_counted() {
    let mut peer = Lockstep::with(small());
    for id in 1..=3 {
        peer.hears(con(Code::POST, id));
        let (reply_to, _) = peer.request();
        peer.responds(&reply_to, Response::new(Code::CHANGED));
        peer.says();
    }
    assert_eq!(peer.endpoint.counters().duplicates_evicted, 1);
    peer.hears(con(Code::POST, 3));
    peer.says();
    peer.no_event();
    peer.hears(con(Code::POST, 1));
    peer.request();
}

#[test]
fn a_datagram_that_is_too_large_is_dropped() {
    let mut peer = Lockstep::new();
    peer.hears(con(Code::POST, 1).body(&[0; 2048]));
    peer.nothing();
    peer.no_event();
    assert_eq!(peer.endpoint.counters().malformed, 1);
}

#[test]
fn ten_thousand_half_open_bodies_do_not_keep_a_clean_peer_out() {
    let mut peer = Lockstep::new();
    let open = |id: u16, path: String, num, more| {
        let block = BlockValue { num, more, szx: 0 };
        con(Code::POST, id)
            .with(OptionNumber::URI_PATH, path.as_bytes())
            .with(OptionNumber::BLOCK1, &block.encode())
            .body(&[1; 16])
    };
    peer.peer = address(9);
    peer.hears(open(0, "rd".to_owned(), 0, true));
    assert_eq!(peer.says().code, Code::CONTINUE);
    for attack in 0..10_000_u16 {
        peer.peer = address(1000 + attack % 250);
        peer.hears(open(attack, attack.to_string(), 0, true));
        assert_eq!(peer.says().code, Code::CONTINUE);
    }
    peer.peer = address(9);
    peer.hears(open(1, "rd".to_owned(), 1, false));
    assert_eq!(peer.request().1.payload, [1; 32].as_slice());
}

proptest! {
    #[test]
    fn arbitrary_datagrams_never_panic_and_never_make_more_than_one_answer(
        datagrams in vec(vec(any::<u8>(), 0..40), 1..20),
    ) {
        let mut peer = Lockstep::new();
        peer.asks(Reliability::Confirmable);
        for mut datagram in datagrams {
            if let Some(first) = datagram.first_mut() {
                *first = *first & 0x3f | 0x40;
            }
            peer.hears_bytes(&datagram);
            let mut answers = 0;
            while peer.endpoint.poll_transmit().is_some() {
                answers += 1;
            }
            prop_assert!(answers <= 1);
            while peer.endpoint.poll_event().is_some() {}
            peer.passes(Duration::from_millis(1));
        }
    }
}
