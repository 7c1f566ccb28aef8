//! The message layer: RFC 7252 §3 and §4.

use std::time::Duration;

use narrowcast::coap::{
    Code, EndpointConfig, Event, Message, MessageId, MessageType, Reliability, Response, Token,
};

use crate::lockstep::{Lockstep, RFC, ack, address, con, message, non, piggybacked, rst};

#[test]
fn an_empty_confirmable_message_is_answered_with_a_reset() {
    // §4.3: "CoAP ping".
    let mut peer = Lockstep::new();
    peer.hears_bytes(b"\x40\x00\x12\x34");
    assert_eq!(peer.says(), rst(MessageId(0x1234)));
    assert_eq!(peer.endpoint.counters().pings, 1);
    peer.hears_bytes(b"\x50\x00\x12\x35");
    peer.nothing();
    peer.no_event();
}

#[test]
fn a_ping_is_repeated_until_a_reset_or_an_acknowledgement_says_that_the_peer_is_there() {
    // §4.3, §4.2.
    for answer in [rst, ack] {
        let mut peer = Lockstep::new();
        let (to, now) = (peer.peer.clone(), peer.now);
        let id = peer.endpoint.ping(now, &to, &RFC).expect("room");
        let ping = peer.says();
        assert_eq!(ping, Message::empty(MessageType::Confirmable, ping.id));
        peer.waits();
        assert_eq!(peer.says(), ping, "it is the same message");
        // A request has to wait for it (§4.7), and nothing that merely looks like it is its answer.
        let request = peer.asks_quietly(Reliability::Confirmable);
        peer.hears(rst(MessageId(ping.id.0.wrapping_add(1))));
        peer.nothing();
        peer.no_event();
        peer.hears(answer(ping.id));
        let told = Event::Delivered { id, peer: to };
        assert_eq!(peer.event(), told);
        assert_eq!(peer.says().code, Code::GET);
        peer.endpoint.cancel(peer.now, request);
        assert_eq!(peer.endpoint.held().requests, 0);
    }
}

#[test]
fn a_ping_that_nobody_answers_ends_and_one_that_is_let_go_is_not_repeated() {
    let mut peer = Lockstep::new();
    let (to, now) = (peer.peer.clone(), peer.now);
    let id = peer.endpoint.ping(now, &to, &RFC).expect("room");
    for _ in 0..=4 {
        peer.says();
        peer.no_event();
        peer.waits();
    }
    peer.nothing();
    let told = Event::TimedOut {
        id,
        peer: to.clone(),
    };
    assert_eq!(peer.event(), told);
    let now = peer.now;
    let id = peer.endpoint.ping(now, &to, &RFC).expect("room");
    let ping = peer.says();
    peer.endpoint.cancel(now, id);
    peer.hears(rst(ping.id));
    peer.no_event();
    assert_eq!(peer.endpoint.poll_timeout(), None);
}

#[test]
fn format_errors_are_reset_in_a_confirmable_message_and_ignored_in_any_other() {
    // §3, §4.2, §4.3: after the header's first nibble.
    let tails = [
        "9010001",       // token length 9
        "8010001ff",     // token cut short
        "0010001ff",     // marker without payload
        "0010001f0",     // reserved nibble
        "0210001",       // class 1
        "0c10001",       // class 6
        "0e10001",       // class 7
        "100000101",     // Empty with a token
        "0000001ff01",   // Empty with a payload
        "0010001e0ffff", // option number beyond 65535
    ];
    for tail in tails {
        for (kind, is_answered) in [("4", true), ("5", false), ("6", false), ("7", false)] {
            let mut peer = Lockstep::new();
            peer.hears_bytes(&hex::decode(format!("{kind}{tail}")).unwrap());
            if is_answered {
                assert_eq!(peer.says(), rst(MessageId(1)), "{tail}");
            }
            peer.nothing();
            peer.no_event();
            assert_eq!(peer.endpoint.counters().malformed, 1, "{kind}{tail}");
        }
    }
}

#[test]
fn another_version_and_a_short_header_are_ignored_in_silence() {
    // §3: "Messages with unknown version numbers MUST be silently ignored."
    let mut peer = Lockstep::new();
    for wire in ["00010001", "80010001", "c0010001", "400100", "40", ""] {
        peer.hears_bytes(&hex::decode(wire).unwrap());
        peer.nothing();
        peer.no_event();
    }
    assert_eq!(peer.endpoint.counters().malformed, 6);
}

#[test]
fn a_duplicate_is_answered_with_the_same_bytes_and_given_up_once() {
    // §4.5.
    let mut peer = Lockstep::new();
    peer.hears(con(Code::POST, 7));
    let (reply_to, _) = peer.request();
    peer.responds(&reply_to, Response::new(Code::CREATED));
    let first = peer.transmits();
    assert!(!first.stateless);
    peer.passes(Duration::from_secs(246));
    peer.hears(con(Code::POST, 7));
    assert_eq!(peer.transmits(), first);
    peer.no_event();
    assert_eq!(peer.endpoint.counters().duplicates, 1);
    // From another address it is another message.
    peer.peer = address(9999);
    peer.hears(con(Code::POST, 7));
    peer.request();
}

#[test]
fn an_id_is_free_again_after_exchange_lifetime() {
    // §4.4, §4.8.2.
    let mut peer = Lockstep::new();
    peer.hears(con(Code::POST, 7));
    let (reply_to, _) = peer.request();
    peer.responds(&reply_to, Response::new(Code::CHANGED));
    peer.says();
    peer.passes(Duration::from_secs(249));
    peer.hears(con(Code::POST, 7));
    peer.request();
}

#[test]
fn a_duplicate_of_a_large_answer_shares_its_body() {
    let mut peer = Lockstep::with(EndpointConfig {
        unproved_answer_bytes_max: usize::MAX,
        ..EndpointConfig::default()
    });
    peer.hears(con(Code::GET, 7));
    let (reply_to, _) = peer.request();
    let mut response = Response::new(Code::CONTENT);
    response.payload = vec![5; 512].into();
    let body = response.payload.clone();
    peer.responds(&reply_to, response);
    let first = peer.transmits();
    peer.hears(con(Code::GET, 7));
    let second = peer.transmits();
    assert_eq!(first, second);
    assert_eq!(second.datagram.body.as_ptr(), body.as_ptr());
}

#[test]
fn a_duplicate_non_confirmable_request_is_ignored() {
    // §4.5.
    let mut peer = Lockstep::new();
    peer.hears(non(Code::POST, 7));
    let (reply_to, _) = peer.request();
    peer.responds(&reply_to, Response::new(Code::CHANGED));
    assert_eq!(peer.says().kind, MessageType::NonConfirmable);
    peer.hears(non(Code::POST, 7));
    peer.nothing();
    peer.no_event();
    peer.passes(Duration::from_secs(147));
    peer.hears(non(Code::POST, 7));
    peer.request();
}

#[test]
fn a_stateless_answer_is_not_kept_and_may_leave_at_once() {
    let mut peer = Lockstep::new();
    for _ in 0..2 {
        peer.hears(con(Code::GET, 7));
        let (reply_to, _) = peer.request();
        let mut response = Response::new(Code::CONTENT);
        response.payload = vec![5; 512].into();
        let body = response.payload.clone();
        peer.endpoint.respond_stateless(&reply_to, response);
        let transmit = peer.transmits();
        assert!(transmit.stateless);
        assert_eq!(transmit.datagram.body.as_ptr(), body.as_ptr());
    }
    assert_eq!(peer.endpoint.counters().duplicates, 0);
}

#[test]
fn a_confirmable_message_is_repeated_with_doubled_waits_and_then_given_up() {
    // §4.2, §4.8.2: four retransmissions, over within MAX_TRANSMIT_WAIT.
    let mut peer = Lockstep::new();
    let begun = peer.now;
    let (id, first) = peer.asks(Reliability::Confirmable);
    let wait = peer.waits();
    assert!((2000..=3000).contains(&wait.as_millis()));
    assert_eq!(peer.says(), first, "the same message id and bytes");
    for doubling in 1..4 {
        assert_eq!(peer.waits(), wait * (1 << doubling));
        assert_eq!(peer.says(), first);
        peer.no_event();
    }
    assert_eq!(peer.waits(), wait * 16);
    peer.nothing();
    let expected = Event::TimedOut {
        id,
        peer: address(5683),
    };
    assert_eq!(peer.event(), expected);
    let total = peer.now - begun;
    assert!(total >= Duration::from_secs(62) && total <= Duration::from_secs(93));
    assert_eq!(peer.endpoint.poll_timeout(), None);
    let counters = peer.endpoint.counters();
    assert_eq!((counters.retransmissions, counters.timeouts), (4, 1));
}

#[test]
fn a_reset_ends_the_request() {
    // §4.2: "failed delivery".
    for reliability in [Reliability::Confirmable, Reliability::NonConfirmable] {
        let mut peer = Lockstep::new();
        let (id, request) = peer.asks(reliability);
        peer.hears(rst(MessageId(request.id.0.wrapping_add(1))));
        peer.no_event();
        peer.hears(rst(request.id));
        let expected = Event::Reset {
            id,
            peer: address(5683),
        };
        assert_eq!(peer.event(), expected);
        assert_eq!(peer.endpoint.poll_timeout(), None);
    }
}

#[test]
fn stray_acknowledgements_and_resets_are_never_answered() {
    // §4.2: "MUST NOT" respond to an ACK or RST.
    let mut peer = Lockstep::new();
    peer.hears(ack(MessageId(1)));
    peer.hears(rst(MessageId(1)));
    let token = Token::new(b"x").unwrap();
    peer.hears(message(
        MessageType::Acknowledgement,
        Code::CONTENT,
        1,
        token,
    ));
    peer.hears(message(MessageType::Acknowledgement, Code::GET, 1, token));
    peer.nothing();
    peer.no_event();
}

#[test]
fn one_interaction_at_a_time_is_outstanding_to_a_peer() {
    // §4.7: NSTART = 1.
    let mut peer = Lockstep::new();
    let (_, first) = peer.asks(Reliability::Confirmable);
    peer.asks_quietly(Reliability::Confirmable);
    peer.asks_quietly(Reliability::NonConfirmable);
    peer.nothing();
    // An empty ACK ends the message layer's interest, and the next may go.
    peer.hears(ack(first.id));
    let second = peer.says();
    assert_ne!(second.id, first.id);
    peer.hears(piggybacked(&second, Code::CONTENT));
    let third = peer.says();
    assert_eq!(third.kind, MessageType::NonConfirmable);
    // Peers do not wait for each other.
    peer.peer = address(1);
    peer.asks(Reliability::Confirmable);
}

#[test]
fn a_cancelled_request_is_not_repeated_and_lets_the_next_one_go() {
    let mut peer = Lockstep::new();
    let (first, _) = peer.asks(Reliability::Confirmable);
    let second = peer.asks_quietly(Reliability::Confirmable);
    let third = peer.asks_quietly(Reliability::Confirmable);
    peer.endpoint.cancel(peer.now, second);
    peer.nothing();
    peer.endpoint.cancel(peer.now, first);
    peer.says();
    peer.endpoint.cancel(peer.now, third);
    peer.nothing();
    peer.no_event();
    assert_eq!(peer.endpoint.poll_timeout(), None);
    peer.endpoint.cancel(peer.now, third);
}

#[test]
fn what_waited_for_a_cancelled_request_has_its_whole_time() {
    let mut peer = Lockstep::new();
    let (first, _) = peer.asks(Reliability::Confirmable);
    peer.asks_quietly(Reliability::Confirmable);
    // Nothing is handed to the endpoint meanwhile.
    peer.now = peer.now + Duration::from_millis(1_900);
    peer.endpoint.cancel(peer.now, first);
    peer.says();
    let waited = peer.waits();
    assert!(waited >= RFC.ack_timeout, "{waited:?}");
}

#[test]
fn message_ids_to_one_peer_follow_each_other() {
    // §4.4.
    let mut peer = Lockstep::new();
    let (_, first) = peer.asks(Reliability::NonConfirmable);
    peer.hears(message(
        MessageType::NonConfirmable,
        Code::CONTENT,
        1,
        first.token,
    ));
    let (_, second) = peer.asks(Reliability::NonConfirmable);
    assert_eq!(second.id, MessageId(first.id.0.wrapping_add(1)));
    assert_ne!(second.token, first.token);
    assert_eq!(second.token.as_slice().len(), 8);
}
