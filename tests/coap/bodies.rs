//! Bodies in blocks: RFC 7959 §2.5, §2.9.

use std::time::Duration;

use narrowcast::coap::{BlockValue, Code, EndpointConfig, Message, OptionNumber, Response};

use crate::lockstep::{Lockstep, With, con};

fn piece(id: u16, num: u32, more: bool, fill: u8) -> Message {
    let block = BlockValue { num, more, szx: 0 };
    con(Code::POST, id)
        .path("rd")
        .with(OptionNumber::BLOCK1, &block.encode())
        .body(&[fill; 16])
}

fn block1(message: &Message) -> Option<BlockValue> {
    BlockValue::from_options(&message.options, OptionNumber::BLOCK1).expect("well formed")
}

#[test]
fn a_body_in_pieces_is_one_request_and_each_answer_repeats_its_block() {
    let mut peer = Lockstep::new();
    for num in 0..2 {
        let id = u16::try_from(num).unwrap();
        peer.hears(piece(id, num, true, id as u8));
        let answer = peer.transmits();
        let message = Message::decode(&answer.datagram.to_vec(), 32).unwrap();
        assert_eq!(message.code, Code::CONTINUE);
        assert_eq!(
            block1(&message),
            Some(BlockValue {
                num,
                more: true,
                szx: 0
            })
        );
        peer.hears(piece(id, num, true, id as u8));
        assert_eq!(
            peer.transmits(),
            answer,
            "a duplicate piece is answered, not added"
        );
        peer.no_event();
    }
    peer.hears(piece(2, 2, false, 2));
    let (reply_to, request) = peer.request();
    assert_eq!(request.payload, [[0; 16], [1; 16], [2; 16]].concat());
    assert_eq!(request.path(), Some(vec!["rd"]));
    peer.responds(&reply_to, Response::new(Code::CREATED));
    let answer = peer.says();
    assert_eq!(answer.code, Code::CREATED);
    assert_eq!(
        block1(&answer),
        Some(BlockValue {
            num: 2,
            more: false,
            szx: 0
        })
    );
}

#[test]
fn a_gap_is_4_08() {
    // §2.9.2.
    let mut peer = Lockstep::new();
    peer.hears(piece(1, 1, true, 0));
    assert_eq!(peer.says().code, Code::REQUEST_ENTITY_INCOMPLETE);
    peer.hears(piece(2, 0, true, 0));
    assert_eq!(peer.says().code, Code::CONTINUE);
    peer.hears(piece(3, 2, false, 0));
    assert_eq!(peer.says().code, Code::REQUEST_ENTITY_INCOMPLETE);
    peer.no_event();
}

#[test]
fn a_body_beyond_the_limit_is_4_13_and_says_the_limit() {
    // §2.9.3.
    let mut peer = Lockstep::with(EndpointConfig {
        block1_body_bytes_max: 40,
        ..EndpointConfig::default()
    });
    for num in 0..2 {
        peer.hears(piece(num, num.into(), true, 0));
        assert_eq!(peer.says().code, Code::CONTINUE);
    }
    peer.hears(piece(2, 2, false, 0));
    let answer = peer.says();
    assert_eq!(answer.code, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(answer.options.uint(OptionNumber::SIZE1), Some(40));
    peer.no_event();
}

#[test]
fn bodies_with_different_request_tags_do_not_mix() {
    // RFC 9175 §3.3.
    let mut peer = Lockstep::new();
    let tagged =
        |id, num, more, tag: u8| piece(id, num, more, tag).with(OptionNumber::REQUEST_TAG, &[tag]);
    peer.hears(tagged(1, 0, true, 1));
    peer.says();
    peer.hears(tagged(2, 0, true, 2));
    peer.says();
    peer.hears(tagged(3, 1, false, 1));
    assert_eq!(peer.request().1.payload, [1; 32].as_slice());
    peer.hears(tagged(4, 1, false, 2));
    assert_eq!(peer.request().1.payload, [2; 32].as_slice());
}

#[test]
fn an_idle_body_is_forgotten() {
    let mut peer = Lockstep::new();
    peer.hears(piece(1, 0, true, 0));
    peer.says();
    assert_eq!(peer.waits(), Duration::from_secs(300));
    assert_eq!(peer.endpoint.poll_timeout(), None);
    peer.hears(piece(2, 1, false, 0));
    assert_eq!(peer.says().code, Code::REQUEST_ENTITY_INCOMPLETE);
}

#[test]
fn the_length_of_a_piece_is_that_of_its_block() {
    let mut peer = Lockstep::new();
    let mut short = piece(1, 0, true, 0);
    short.payload = bytes::Bytes::from_static(b"short");
    peer.hears(short);
    assert_eq!(peer.says().code, Code::BAD_REQUEST);
    peer.no_event();
}

#[test]
fn pieces_may_become_smaller_on_the_way() {
    // §2.5: the offset says where one belongs.
    let mut peer = Lockstep::new();
    let first = BlockValue {
        num: 0,
        more: true,
        szx: 1,
    };
    peer.hears(
        con(Code::POST, 1)
            .path("rd")
            .with(OptionNumber::BLOCK1, &first.encode())
            .body(&[7; 32]),
    );
    peer.says();
    peer.hears(piece(2, 2, false, 8));
    assert_eq!(
        peer.request().1.payload,
        [[7; 16], [7; 16], [8; 16]].concat()
    );
}

#[test]
fn what_is_announced_takes_no_room_and_one_beyond_four_bytes_is_ignored() {
    let mut peer = Lockstep::new();
    peer.hears(piece(1, 0, true, 0).with(OptionNumber::SIZE1, &[0xff; 8]));
    assert_eq!(peer.says().code, Code::CONTINUE);
    peer.hears(piece(2, 0, true, 0).with(OptionNumber::SIZE1, &[0xff; 4]));
    assert_eq!(peer.says().code, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(peer.endpoint.held().block1_bodies, 0);
}
