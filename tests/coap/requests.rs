//! Requests and responses: RFC 7252 §5.2 and §5.3.

use std::time::Duration;

use narrowcast::coap::{Code, Event, MessageId, MessageType, Reliability, Response, Token};

use crate::lockstep::{Lockstep, With, ack, address, con, message, non, piggybacked, rst, token};

fn response_of(event: Event) -> Response {
    let Event::Response { response, .. } = event else {
        panic!("{event:?}");
    };
    response
}

#[test]
fn a_confirmable_request_is_answered_in_its_acknowledgement() {
    // §5.2.1.
    let mut peer = Lockstep::new();
    peer.hears(con(Code::GET, 7).path("rd").body(b"body"));
    let (reply_to, request) = peer.request();
    assert_eq!(request.path(), Some(vec!["rd"]));
    assert_eq!(request.payload, "body");
    assert_eq!(
        (reply_to.peer(), reply_to.token()),
        (&address(5683), token())
    );
    peer.responds(&reply_to, Response::new(Code::CONTENT).with_diagnostic("x"));
    let expected = message(MessageType::Acknowledgement, Code::CONTENT, 7, token());
    assert_eq!(peer.says(), expected.body(b"x"));
}

#[test]
fn a_non_confirmable_request_is_answered_by_a_non_confirmable_response() {
    // §5.2.3.
    let mut peer = Lockstep::new();
    peer.hears(non(Code::GET, 7));
    let (reply_to, _) = peer.request();
    peer.responds(&reply_to, Response::new(Code::CONTENT));
    let answer = peer.says();
    assert_eq!(answer.kind, MessageType::NonConfirmable);
    assert_eq!((answer.code, answer.token), (Code::CONTENT, token()));
    assert_eq!(peer.endpoint.poll_timeout(), None);
}

#[test]
fn after_an_acknowledgement_the_response_is_separate_and_repeated_until_acknowledged() {
    // §5.2.2.
    let mut peer = Lockstep::new();
    peer.hears(con(Code::GET, 7));
    let (reply_to, _) = peer.request();
    peer.endpoint.acknowledge(peer.now, &reply_to);
    assert_eq!(peer.says(), ack(MessageId(7)));
    peer.hears(con(Code::GET, 7));
    assert_eq!(peer.says(), ack(MessageId(7)), "the duplicate too");
    peer.no_event();
    peer.passes(Duration::from_secs(20));
    peer.responds(&reply_to, Response::new(Code::CONTENT));
    let separate = peer.says();
    assert_eq!(separate.kind, MessageType::Confirmable);
    assert_eq!((separate.code, separate.token), (Code::CONTENT, token()));
    peer.waits();
    assert_eq!(peer.says(), separate);
    peer.hears(ack(separate.id));
    assert_eq!(peer.endpoint.poll_timeout(), None);
    peer.no_event();
    peer.hears(con(Code::GET, 7));
    assert_eq!(peer.says(), ack(MessageId(7)), "and after the response");
}

#[test]
fn nobody_is_told_what_became_of_a_separate_response() {
    for is_reset in [false, true] {
        let mut peer = Lockstep::new();
        peer.hears(con(Code::GET, 7));
        let (reply_to, _) = peer.request();
        peer.endpoint.acknowledge(peer.now, &reply_to);
        peer.says();
        peer.responds(&reply_to, Response::new(Code::CONTENT));
        let separate = peer.says();
        if is_reset {
            peer.hears(rst(separate.id));
        } else {
            while peer.endpoint.poll_timeout().is_some() {
                peer.waits();
            }
        }
        peer.no_event();
        assert_eq!(peer.endpoint.poll_timeout(), None);
    }
}

#[test]
fn a_piggybacked_response_ends_its_request() {
    let mut peer = Lockstep::new();
    let (id, request) = peer.asks(Reliability::Confirmable);
    peer.hears(piggybacked(&request, Code::CONTENT).body(b"1.0"));
    let expected = Event::Response {
        id,
        peer: address(5683),
        response: Response::new(Code::CONTENT).with_diagnostic("1.0"),
    };
    assert_eq!(peer.event(), expected);
    assert_eq!(peer.endpoint.poll_timeout(), None);
    peer.hears(piggybacked(&request, Code::CONTENT));
    peer.nothing();
    peer.no_event();
}

#[test]
fn a_piggybacked_response_with_another_token_or_from_another_address_is_ignored() {
    // §5.3.2.
    let mut peer = Lockstep::new();
    let (_, request) = peer.asks(Reliability::Confirmable);
    peer.hears(message(
        MessageType::Acknowledgement,
        Code::CONTENT,
        request.id.0,
        token(),
    ));
    peer.no_event();
    peer.peer = address(1);
    peer.hears(piggybacked(&request, Code::CONTENT));
    peer.no_event();
    peer.waits();
    assert_eq!(peer.says(), request, "it is still repeated");
}

#[test]
fn an_empty_acknowledgement_stops_repeating_and_the_wait_for_the_response_is_bounded() {
    // §5.2.2.
    let mut peer = Lockstep::new();
    let (id, request) = peer.asks(Reliability::Confirmable);
    peer.hears(ack(request.id));
    peer.hears(ack(request.id));
    assert_eq!(peer.waits(), Duration::from_secs(247), "EXCHANGE_LIFETIME");
    peer.nothing();
    let expected = Event::TimedOut {
        id,
        peer: address(5683),
    };
    assert_eq!(peer.event(), expected);
}

#[test]
fn a_separate_response_is_acknowledged_and_its_duplicate_again() {
    let mut peer = Lockstep::new();
    let (_, request) = peer.asks(Reliability::Confirmable);
    peer.hears(ack(request.id));
    let separate = message(MessageType::Confirmable, Code::CONTENT, 99, request.token);
    peer.hears(separate.clone());
    assert_eq!(peer.says(), ack(MessageId(99)));
    assert_eq!(response_of(peer.event()).code, Code::CONTENT);
    peer.hears(separate);
    assert_eq!(peer.says(), ack(MessageId(99)), "not a Reset");
    peer.no_event();
    assert_eq!(peer.endpoint.poll_timeout(), None);
}

#[test]
fn a_separate_response_before_or_without_the_acknowledgement_counts_for_both() {
    // §5.2.2: "also serves as an acknowledgement".
    for kind in [MessageType::Confirmable, MessageType::NonConfirmable] {
        let mut peer = Lockstep::new();
        let (_, request) = peer.asks(Reliability::Confirmable);
        peer.hears(message(kind, Code::CONTENT, 99, request.token));
        assert_eq!(response_of(peer.event()).code, Code::CONTENT);
        if kind == MessageType::Confirmable {
            assert_eq!(peer.says(), ack(MessageId(99)));
        }
        peer.nothing();
        peer.hears(ack(request.id));
        peer.no_event();
        assert_eq!(peer.endpoint.poll_timeout(), None);
    }
}

#[test]
fn a_non_confirmable_request_takes_any_kind_of_response_and_times_out() {
    let mut peer = Lockstep::new();
    let (_, request) = peer.asks(Reliability::NonConfirmable);
    assert_eq!(request.kind, MessageType::NonConfirmable);
    peer.hears(message(
        MessageType::NonConfirmable,
        Code::CONTENT,
        9,
        request.token,
    ));
    assert_eq!(response_of(peer.event()).code, Code::CONTENT);
    let (id, _) = peer.asks(Reliability::NonConfirmable);
    assert_eq!(peer.waits(), Duration::from_secs(93), "MAX_TRANSMIT_WAIT");
    peer.nothing();
    let expected = Event::TimedOut {
        id,
        peer: address(5683),
    };
    assert_eq!(peer.event(), expected);
}

#[test]
fn a_response_that_nobody_waits_for_is_reset_if_confirmable_and_else_ignored() {
    // §4.2, §5.3.2.
    let mut peer = Lockstep::new();
    let token = Token::from([9; 8]);
    peer.hears(message(MessageType::Confirmable, Code::CHANGED, 5, token));
    assert_eq!(peer.says(), rst(MessageId(5)));
    peer.hears(message(
        MessageType::NonConfirmable,
        Code::CHANGED,
        6,
        token,
    ));
    peer.nothing();
    peer.hears(message(
        MessageType::Acknowledgement,
        Code::CHANGED,
        7,
        token,
    ));
    peer.nothing();
    peer.no_event();
}

#[test]
fn an_unknown_method_is_answered_4_05() {
    // §5.8.
    let mut peer = Lockstep::new();
    for detail in [8, 31] {
        peer.hears(con(Code::new(0, detail), u16::from(detail)));
        let answer = peer.says();
        assert_eq!(answer.kind, MessageType::Acknowledgement);
        assert_eq!(answer.code, Code::METHOD_NOT_ALLOWED);
        peer.no_event();
    }
}
