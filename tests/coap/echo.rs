//! Echo: RFC 9175 §2. Here the scripted peer is one that asks us, then one that we ask.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use narrowcast::coap::{
    Code, ContentFormat, Event, Message, MessageType, OptionNumber, Reliability, ReplyTo, Request,
    Response, TransmissionParameters,
};
use narrowcast::model::{Identity, Peer};
use proptest::prelude::*;

use crate::lockstep::{Lockstep, RFC, With, ack, address, con, message, non, piggybacked};
use crate::pair::{Link, Pair, Side};

const ECHO: OptionNumber = OptionNumber::ECHO;
/// Above 136 bytes with whatever stands around it.
const LONG: usize = 200;

fn long() -> Response {
    Response::new(Code::CONTENT).with_payload(ContentFormat::TEXT, vec![b'x'; LONG])
}

fn asked(peer: &mut Lockstep, request: Message) -> ReplyTo {
    peer.hears(request);
    peer.request().0
}

/// What a request that gets the long answer is answered with.
fn answer(peer: &mut Lockstep, request: Message) -> Message {
    let reply_to = asked(peer, request);
    peer.responds(&reply_to, long());
    peer.says()
}

/// The value that a stranger is told to come back with.
fn challenge(peer: &mut Lockstep, id: u16) -> Bytes {
    let answer = answer(peer, con(Code::GET, id).path("long"));
    assert_eq!(answer.code, Code::UNAUTHORIZED);
    assert!(answer.payload.is_empty());
    answer.options.first(ECHO).expect("an Echo option").clone()
}

#[test]
fn a_long_answer_waits_until_its_request_comes_again_with_the_echo_value() {
    let mut peer = Lockstep::new();
    let value = challenge(&mut peer, 1);
    let again = con(Code::GET, 2).path("long").with(ECHO, &value);
    let answer = answer(&mut peer, again);
    assert_eq!((answer.code, answer.payload.len()), (Code::CONTENT, LONG));
    assert_eq!(peer.endpoint.counters().unproved, 1);
}

#[test]
fn a_challenge_is_the_same_for_the_same_second_and_nothing_is_kept_for_it() {
    let mut peer = Lockstep::new();
    let values: BTreeSet<Bytes> = (0..100).map(|id| challenge(&mut peer, id)).collect();
    assert_eq!(values.len(), 1);
    assert_eq!(peer.endpoint.held().dedup_entries, 0);
}

#[test]
fn a_value_holds_for_one_address_and_for_a_time() {
    let mut peer = Lockstep::new();
    let value = challenge(&mut peer, 1);
    let with_value = |id| con(Code::GET, id).path("long").with(ECHO, &value);

    peer.peer = address(5684);
    assert_eq!(answer(&mut peer, with_value(2)).code, Code::UNAUTHORIZED);
    peer.peer = address(5683);
    // EXCHANGE_LIFETIME: as long as the request may be on its way.
    peer.passes(Duration::from_secs(240));
    assert_eq!(answer(&mut peer, with_value(3)).code, Code::CONTENT);
    peer.passes(Duration::from_secs(1000));
    assert_eq!(answer(&mut peer, with_value(4)).code, Code::UNAUTHORIZED);
}

#[test]
fn a_value_that_was_made_up_proves_nothing() {
    let mut peer = Lockstep::new();
    let value = challenge(&mut peer, 1);
    let mut forged: Vec<Vec<u8>> = vec![vec![0], vec![0xff; 12], vec![0xff; 40], value[..4].into()];
    for at in 0..value.len() {
        let mut one = value.to_vec();
        one[at] ^= 1;
        forged.push(one);
    }
    for (id, value) in (2..).zip(forged) {
        let request = con(Code::GET, id).path("long").with(ECHO, &value);
        assert_eq!(answer(&mut peer, request).code, Code::UNAUTHORIZED);
    }
}

#[test]
fn a_secured_peer_and_a_short_answer_need_no_echo() {
    let mut peer = Lockstep::new();
    let reply_to = asked(&mut peer, con(Code::GET, 1).path("short"));
    peer.responds(
        &reply_to,
        Response::new(Code::CONTENT).with_diagnostic("ok"),
    );
    assert_eq!(peer.says().code, Code::CONTENT);

    peer.peer = Peer::Secured(Identity::new("meter-1"));
    let answer = answer(&mut peer, con(Code::GET, 2).path("long"));
    assert_eq!(answer.code, Code::CONTENT);
}

#[test]
fn what_was_done_is_not_asked_for_again_and_its_answer_loses_its_text() {
    let mut peer = Lockstep::new();
    let refused = Response {
        payload: vec![b'x'; LONG].into(),
        ..Response::new(Code::BAD_REQUEST)
    };
    let reply_to = asked(&mut peer, con(Code::POST, 1).path("rd"));
    peer.responds(&reply_to, refused);
    let answer = peer.says();
    assert_eq!((answer.code, answer.payload.len()), (Code::BAD_REQUEST, 0));
}

proptest! {
    /// §2.4, of whatever is asked and whatever is to be answered.
    #[test]
    fn no_stranger_gets_more_than_136_bytes_or_three_times_what_it_sent(
        asked_bytes in 0_usize..900,
        answer_bytes in 0_usize..1100,
        is_get: bool,
        is_confirmable: bool,
    ) {
        let mut peer = Lockstep::new();
        let code = if is_get { Code::GET } else { Code::POST };
        let request = if is_confirmable { con(code, 1) } else { non(code, 1) };
        let request = request.path("x").body(&vec![b'q'; asked_bytes]);
        let size_bytes = request.clone().encode().len();
        let reply_to = asked(&mut peer, request);
        let answer = Response::new(Code::CONTENT)
            .with_payload(ContentFormat::TEXT, vec![b'x'; answer_bytes]);
        peer.responds(&reply_to, answer);
        let sent_bytes = peer.transmits().datagram.len();
        peer.nothing();
        prop_assert!(sent_bytes <= 136.max(3 * size_bytes), "{sent_bytes} for {size_bytes}");
    }
}

/// The device's answer that wants to see an Echo.
fn wants_echo(request: &Message) -> Message {
    piggybacked(request, Code::UNAUTHORIZED).with(ECHO, b"fresh")
}

#[test]
fn a_request_of_ours_goes_out_again_with_the_value_that_the_device_wants() {
    let mut peer = Lockstep::new();
    let (id, first) = peer.asks(Reliability::Confirmable);
    peer.hears(wants_echo(&first));
    peer.no_event();
    let second = peer.says();
    assert_eq!(
        second.options.first(ECHO).map(AsRef::as_ref),
        Some(&b"fresh"[..])
    );
    assert_eq!(second.code, first.code);
    assert_eq!(
        second
            .options
            .all(OptionNumber::URI_PATH)
            .collect::<Vec<_>>(),
        first
            .options
            .all(OptionNumber::URI_PATH)
            .collect::<Vec<_>>()
    );
    assert_ne!(second.id, first.id);
    // §4.2: another request, another token.
    assert_ne!(second.token, first.token);
    peer.hears(piggybacked(&second, Code::CONTENT).body(b"0"));
    assert!(
        matches!(peer.event(), Event::Response { id: of, response, .. }
        if of == id && response.payload == b"0"[..])
    );
    assert_eq!(peer.endpoint.counters().echoed, 1);
}

#[test]
fn an_echo_value_that_is_too_short_or_too_long_is_not_sent_back() {
    for length in [0, 41, 255, 900] {
        let mut peer = Lockstep::new();
        let (id, first) = peer.asks(Reliability::Confirmable);
        peer.hears(piggybacked(&first, Code::UNAUTHORIZED).with(ECHO, &vec![7; length]));
        assert!(
            matches!(peer.event(), Event::Response { id: of, response, .. }
            if of == id && response.code == Code::UNAUTHORIZED)
        );
        peer.nothing();
    }
    for length in [1, 40] {
        let mut peer = Lockstep::new();
        let (_, first) = peer.asks(Reliability::Confirmable);
        peer.hears(piggybacked(&first, Code::UNAUTHORIZED).with(ECHO, &vec![7; length]));
        let value = peer.says().options.first(ECHO).cloned();
        assert_eq!(value.map(|value| value.len()), Some(length));
    }
}

#[test]
fn a_value_is_used_once_and_each_block_may_want_one_of_its_own() {
    let mut peer = Lockstep::new();
    let (id, first) = peer.asks(Reliability::Confirmable);
    peer.hears(wants_echo(&first));
    let again = peer.says();
    // The first of two blocks of 16 bytes, with more to come.
    let block = |of: &Message, bits: u8, body: &[u8]| {
        piggybacked(of, Code::CONTENT)
            .with(OptionNumber::BLOCK2, &[bits])
            .body(body)
    };
    peer.hears(block(&again, 0x08, &[b'a'; 16]));
    let second = peer.says();
    assert!(second.options.first(OptionNumber::BLOCK2).is_some());
    assert_eq!(second.options.first(ECHO), None);
    peer.hears(piggybacked(&second, Code::UNAUTHORIZED).with(ECHO, b"other"));
    let second = peer.says();
    let value = second.options.first(ECHO).map(AsRef::as_ref);
    assert_eq!(value, Some(&b"other"[..]));
    peer.hears(block(&second, 0x10, b"b"));
    assert!(
        matches!(peer.event(), Event::Response { id: of, response, .. }
        if of == id && response.payload.len() == 17)
    );
}

#[test]
fn a_device_that_asks_for_echo_again_and_again_is_refused_the_third_request() {
    let mut peer = Lockstep::new();
    let (id, first) = peer.asks(Reliability::Confirmable);
    peer.hears(wants_echo(&first));
    let second = peer.says();
    peer.hears(wants_echo(&second));
    assert!(
        matches!(peer.event(), Event::Response { id: of, response, .. }
        if of == id && response.code == Code::UNAUTHORIZED)
    );
    peer.nothing();
}

#[test]
fn an_observation_keeps_its_token_through_an_echo() {
    let mut peer = Lockstep::new();
    let (_, first) = peer.observes();
    peer.hears(wants_echo(&first));
    let second = peer.says();
    assert_eq!(second.token, first.token);
    peer.hears(piggybacked(&second, Code::CONTENT).with(OptionNumber::OBSERVE, &[1]));
    assert!(matches!(peer.event(), Event::Response { .. }));
    let notification = message(MessageType::NonConfirmable, Code::CONTENT, 9, first.token);
    peer.hears(notification.with(OptionNumber::OBSERVE, &[2]));
    assert!(matches!(peer.event(), Event::Notification { .. }));
}

#[test]
fn a_body_that_was_acknowledged_before_the_device_asked_for_echo_is_sent_whole_again() {
    let mut peer = Lockstep::new();
    let (to, body) = (peer.peer.clone(), "u".repeat(90));
    let write = Request::new(Code::PUT, "/5/0/1").with_payload(ContentFormat::TEXT, body.clone());
    let parameters: &TransmissionParameters = &RFC;
    let sent = peer
        .endpoint
        .request(peer.now, &to, write, Reliability::Confirmable, parameters);
    sent.expect("room");
    let first = peer.says();
    peer.hears(ack(first.id));
    let separate = message(
        MessageType::Confirmable,
        Code::UNAUTHORIZED,
        77,
        first.token,
    );
    peer.hears(separate.with(ECHO, b"fresh"));
    let kinds = [peer.transmits(), peer.transmits()].map(|one| crate::lockstep::decode(&one));
    assert_eq!(kinds[0].kind, MessageType::Acknowledgement);
    assert_eq!(kinds[1].payload, body.as_bytes());
}

#[test]
fn two_endpoints_come_to_a_long_answer_over_a_lossy_link() {
    const LOSSY: Link = Link {
        loss: 25,
        duplication: 20,
        delay_max: Duration::from_secs(3),
    };
    let mut whole = 0;
    for seed in 0..50 {
        let mut pair = Pair::new(seed, LOSSY);
        let (now, to) = (pair.now, Side::Server.peer());
        let request = Request::new(Code::GET, "/long");
        let asked = pair
            .device
            .request(now, &to, request, Reliability::Confirmable, &RFC);
        asked.expect("room");
        while let Some(events) = pair.step() {
            for (side, event) in events {
                match (side, event) {
                    (Side::Server, Event::Request { reply_to, .. }) => {
                        let now = pair.now;
                        pair.server.respond(now, &reply_to, long());
                    }
                    (Side::Device, Event::Response { response, .. }) => {
                        assert_eq!(response.payload.len(), LONG);
                        whole += 1;
                    }
                    (_, event) => assert!(matches!(event, Event::TimedOut { .. }), "{event:?}"),
                }
            }
        }
    }
    assert!(whole >= 45, "{whole} of 50");
}
