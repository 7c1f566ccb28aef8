//! Options: RFC 7252 §5.4, §5.7.2; RFC 7959 §2.2.

use narrowcast::coap::{Code, MessageId, MessageType, OptionNumber, Reliability};

use crate::lockstep::{Lockstep, With, con, message, non, piggybacked, rst};

const UNKNOWN_CRITICAL: OptionNumber = OptionNumber(9001);

#[test]
fn an_unknown_critical_option_is_4_02_in_a_confirmable_request() {
    // §5.4.1, and §5.4.3, §5.4.5: too long and repeated options are as good as unknown.
    let requests = [
        con(Code::GET, 1).with(UNKNOWN_CRITICAL, b""),
        con(Code::GET, 2).with(OptionNumber::URI_PATH, &[b'x'; 256]),
        con(Code::GET, 3).with(OptionNumber::URI_PORT, &[1; 5]),
        con(Code::GET, 4)
            .with(OptionNumber::ACCEPT, b"")
            .with(OptionNumber::ACCEPT, b""),
        con(Code::PUT, 5).with(OptionNumber::IF_MATCH, b""),
        con(Code::PUT, 6).with(OptionNumber::IF_NONE_MATCH, b""),
    ];
    for request in requests {
        let mut peer = Lockstep::new();
        peer.hears(request);
        let answer = peer.says();
        assert_eq!(answer.code, Code::BAD_OPTION);
        assert_eq!(answer.kind, MessageType::Acknowledgement);
        assert!(answer.payload.starts_with(b"critical option "));
        peer.no_event();
    }
}

#[test]
fn an_unknown_critical_option_has_a_non_confirmable_request_rejected() {
    let mut peer = Lockstep::new();
    peer.hears(non(Code::GET, 3).with(UNKNOWN_CRITICAL, b""));
    assert_eq!(peer.says(), rst(MessageId(3)));
    peer.no_event();
}

#[test]
fn an_unknown_critical_option_has_a_response_rejected() {
    // §5.4.1: a Reset where it is confirmable, silence in an ACK.
    let mut peer = Lockstep::new();
    let (_, request) = peer.asks(Reliability::Confirmable);
    peer.hears(piggybacked(&request, Code::CONTENT).with(UNKNOWN_CRITICAL, b""));
    peer.nothing();
    peer.no_event();
    let separate = message(MessageType::Confirmable, Code::CONTENT, 9, request.token);
    peer.hears(separate.with(UNKNOWN_CRITICAL, b""));
    assert_eq!(peer.says(), rst(MessageId(9)));
    peer.no_event();
    assert_eq!(peer.endpoint.counters().bad_options, 2);
}

#[test]
fn unknown_elective_options_are_ignored() {
    let mut peer = Lockstep::new();
    let request = con(Code::GET, 3)
        .path("rd")
        .with(OptionNumber(9002), &[0; 300])
        .with(OptionNumber::SIZE1, &[1; 5]);
    peer.hears(request);
    let (_, request) = peer.request();
    assert_eq!(request.options.first(OptionNumber::SIZE1), None);
}

#[test]
fn a_proxy_is_not_to_be_had_here() {
    // §5.7.2, §5.10.2.
    for number in [OptionNumber::PROXY_URI, OptionNumber::PROXY_SCHEME] {
        let mut peer = Lockstep::new();
        peer.hears(con(Code::GET, 3).with(number, b"coap"));
        assert_eq!(peer.says().code, Code::PROXYING_NOT_SUPPORTED);
        peer.no_event();
    }
}

#[test]
fn a_reserved_block_size_is_4_00() {
    // RFC 7959 §2.2.
    for number in [OptionNumber::BLOCK1, OptionNumber::BLOCK2] {
        let mut peer = Lockstep::new();
        peer.hears(con(Code::POST, 3).with(number, &[0x07]));
        assert_eq!(peer.says().code, Code::BAD_REQUEST);
        peer.no_event();
    }
}
