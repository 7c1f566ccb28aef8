//! Observations: RFC 7641.

use std::time::Duration;

use narrowcast::coap::{
    Code, Event, Message, MessageId, MessageType, OptionNumber, Reliability, Request, RequestId,
    Response, Token,
};

use crate::lockstep::{Lockstep, RFC, With, ack, address, con, message, piggybacked, rst};

fn notification(kind: MessageType, id: u16, token: Token, sequence: u8) -> Message {
    message(kind, Code::CONTENT, id, token).with(OptionNumber::OBSERVE, &[sequence])
}

/// An observation that the device has answered with sequence number 10.
fn observed() -> (Lockstep, Token) {
    let mut peer = Lockstep::new();
    let (id, request) = peer.observes();
    assert_eq!(request.options.uint(OptionNumber::OBSERVE), Some(0));
    assert_eq!(request.token.as_slice().len(), 8);
    peer.hears(piggybacked(&request, Code::CONTENT).with(OptionNumber::OBSERVE, &[10]));
    assert!(matches!(peer.event(), Event::Response { id: of, .. } if of == id));
    (peer, request.token)
}

#[test]
fn a_confirmable_notification_is_acknowledged_at_once_from_any_address() {
    // §3.5.
    let (mut peer, token) = observed();
    peer.peer = address(40_000);
    peer.hears(notification(MessageType::Confirmable, 500, token, 11));
    assert_eq!(peer.says(), ack(MessageId(500)));
    assert!(
        matches!(peer.event(), Event::Notification { peer, token: of, .. }
        if peer == address(40_000) && of == token)
    );
    peer.hears(notification(MessageType::Confirmable, 500, token, 11));
    assert_eq!(peer.says(), ack(MessageId(500)));
    peer.no_event();
}

#[test]
fn a_stale_notification_is_acknowledged_and_not_delivered() {
    // §3.4.
    let (mut peer, token) = observed();
    peer.hears(notification(MessageType::Confirmable, 500, token, 9));
    assert_eq!(peer.says(), ack(MessageId(500)));
    peer.no_event();
    assert_eq!(peer.endpoint.counters().stale_notifications, 1);
    peer.passes(Duration::from_secs(129));
    peer.hears(notification(MessageType::NonConfirmable, 501, token, 9));
    assert!(matches!(peer.event(), Event::Notification { .. }));
    peer.nothing();
}

#[test]
fn without_an_observe_option_in_the_response_there_is_no_observation() {
    // §3.1, §4.1.
    for code in [Code::CONTENT, Code::NOT_FOUND] {
        let mut peer = Lockstep::new();
        let (_, request) = peer.observes();
        peer.hears(piggybacked(&request, code));
        assert!(matches!(peer.event(), Event::Response { .. }));
        peer.hears(notification(
            MessageType::Confirmable,
            500,
            request.token,
            1,
        ));
        assert_eq!(peer.says(), rst(MessageId(500)));
        peer.no_event();
    }
}

#[test]
fn a_first_notification_stands_in_for_a_lost_response() {
    let mut peer = Lockstep::new();
    let (id, request) = peer.observes();
    peer.hears(notification(
        MessageType::Confirmable,
        500,
        request.token,
        1,
    ));
    assert_eq!(peer.says(), ack(MessageId(500)));
    assert!(matches!(peer.event(), Event::Response { id: of, .. } if of == id));
    assert_eq!(peer.endpoint.poll_timeout(), None);
    peer.hears(notification(
        MessageType::NonConfirmable,
        501,
        request.token,
        2,
    ));
    assert!(matches!(peer.event(), Event::Notification { .. }));
}

#[test]
fn an_error_code_ends_the_observation() {
    // §3.2, §4.2.
    let (mut peer, token) = observed();
    peer.hears(message(
        MessageType::Confirmable,
        Code::NOT_FOUND,
        500,
        token,
    ));
    assert_eq!(peer.says(), ack(MessageId(500)));
    assert!(matches!(peer.event(), Event::Notification { response, .. }
        if response.code == Code::NOT_FOUND));
    peer.hears(notification(MessageType::Confirmable, 501, token, 12));
    assert_eq!(peer.says(), rst(MessageId(501)));
}

#[test]
fn a_notification_with_an_unknown_token_is_reset() {
    // §3.6: so that the server forgets it.
    let mut peer = Lockstep::new();
    let token = Token::from([3; 8]);
    peer.hears(notification(MessageType::Confirmable, 500, token, 1));
    assert_eq!(peer.says(), rst(MessageId(500)));
    peer.hears(notification(MessageType::NonConfirmable, 501, token, 1));
    assert_eq!(peer.says(), rst(MessageId(501)));
    peer.no_event();
}

#[test]
fn a_cancelled_observation_is_ended_by_a_request_and_its_notifications_rejected() {
    // §3.6.
    let (mut peer, token) = observed();
    let to = peer.peer.clone();
    let id = peer
        .endpoint
        .cancel_observation(
            peer.now,
            &to,
            token,
            Request::new(Code::GET, "/5/0/3"),
            &RFC,
        )
        .unwrap();
    let request = peer.says();
    assert_eq!(request.options.uint(OptionNumber::OBSERVE), Some(1));
    assert_eq!(request.token, token);
    peer.hears(notification(MessageType::Confirmable, 500, token, 11));
    assert_eq!(peer.says(), rst(MessageId(500)));
    peer.no_event();
    peer.hears(piggybacked(&request, Code::CONTENT));
    assert!(matches!(peer.event(), Event::Response { id: of, .. } if of == id));
}

#[test]
fn a_request_that_was_to_begin_an_observation_is_cancelled_with_it() {
    let mut peer = Lockstep::new();
    let (id, request) = peer.observes();
    peer.endpoint.cancel(peer.now, id);
    peer.hears(notification(
        MessageType::Confirmable,
        500,
        request.token,
        1,
    ));
    assert_eq!(peer.says(), rst(MessageId(500)));

    let (_, request) = peer.observes();
    let to = peer.peer.clone();
    let again = Request::new(Code::GET, "/5/0/3");
    peer.endpoint
        .cancel_observation(peer.now, &to, request.token, again, &RFC)
        .unwrap();
    let end = peer.says();
    peer.hears(piggybacked(&request, Code::CONTENT));
    peer.no_event();
    peer.hears(piggybacked(&end, Code::CONTENT));
    assert!(matches!(peer.event(), Event::Response { .. }));
    assert_eq!(peer.endpoint.poll_timeout(), None);
}

#[test]
fn a_restored_observation_takes_any_number_first_and_a_forgotten_one_none() {
    let (mut peer, token) = observed();
    peer.endpoint.restore_observation(token);
    peer.hears(notification(MessageType::NonConfirmable, 500, token, 1));
    assert!(
        matches!(peer.event(), Event::Notification { .. }),
        "a rebooted device counts anew"
    );
    peer.endpoint.forget_observation(token);
    peer.hears(notification(MessageType::Confirmable, 501, token, 2));
    assert_eq!(peer.says(), rst(MessageId(501)));
}

#[test]
fn a_timed_out_observation_is_forgotten_unless_the_device_notified_from_elsewhere() {
    for has_moved in [false, true] {
        let mut peer = Lockstep::new();
        let (_, request) = peer.observes();
        if has_moved {
            peer.peer = address(40_000);
            peer.hears(notification(
                MessageType::NonConfirmable,
                1,
                request.token,
                1,
            ));
            assert!(matches!(peer.event(), Event::Notification { .. }));
        }
        while peer.endpoint.poll_timeout().is_some() {
            peer.waits();
        }
        assert!(matches!(peer.event(), Event::TimedOut { .. }));
        while peer.endpoint.poll_transmit().is_some() {}
        peer.hears(notification(MessageType::Confirmable, 2, request.token, 2));
        let expected = if has_moved {
            ack(MessageId(2))
        } else {
            rst(MessageId(2))
        };
        assert_eq!(peer.says(), expected);
    }
}

fn notify(peer: &mut Lockstep, sequence: u32, reliability: Reliability) -> (RequestId, Message) {
    peer.hears(con(Code::GET, 7).with(OptionNumber::OBSERVE, b""));
    let (reply_to, _) = peer.request();
    peer.responds(&reply_to, Response::new(Code::CONTENT));
    peer.says();
    let response = Response::new(Code::CONTENT).with_diagnostic("2");
    let (to, token) = (peer.peer.clone(), reply_to.token());
    let id = peer
        .endpoint
        .notify(peer.now, &to, token, sequence, response, reliability, &RFC)
        .expect("room");
    (id, peer.says())
}

#[test]
fn a_confirmable_notification_of_ours_is_delivered_reset_or_timed_out() {
    // §4.2, §4.5.
    let mut peer = Lockstep::new();
    let (id, message) = notify(&mut peer, 0x0100_0005, Reliability::Confirmable);
    assert_eq!(message.kind, MessageType::Confirmable);
    assert_eq!(
        message.options.uint(OptionNumber::OBSERVE),
        Some(5),
        "24 bits"
    );
    peer.hears(ack(message.id));
    let to = address(5683);
    let expected = Event::Delivered {
        id,
        peer: to.clone(),
    };
    assert_eq!(peer.event(), expected);

    let mut peer = Lockstep::new();
    let (id, message) = notify(&mut peer, 6, Reliability::Confirmable);
    peer.waits();
    assert_eq!(peer.says(), message);
    peer.hears(rst(message.id));
    assert_eq!(peer.event(), Event::Reset { id, peer: to });
    assert_eq!(peer.endpoint.poll_timeout(), None);
}

#[test]
fn a_non_confirmable_notification_may_be_reset_and_else_ends_in_silence() {
    let mut peer = Lockstep::new();
    let (id, message) = notify(&mut peer, 5, Reliability::NonConfirmable);
    assert_eq!(message.kind, MessageType::NonConfirmable);
    peer.hears(rst(message.id));
    let to = address(5683);
    assert_eq!(peer.event(), Event::Reset { id, peer: to });

    let mut peer = Lockstep::new();
    notify(&mut peer, 5, Reliability::NonConfirmable);
    peer.waits();
    peer.no_event();
    peer.nothing();
    assert_eq!(peer.endpoint.poll_timeout(), None);
}
