//! What the client does with bodies that take several blocks: RFC 7959 §2.4, §2.5, §2.9.

use std::time::Duration;

use bytes::Bytes;
use narrowcast::coap::{
    BlockValue, Code, EndpointConfig, Event, Message, OptionNumber, Reliability, Request,
    RequestId, Response, TransferError,
};

use crate::lockstep::{Lockstep, RFC, With, ack, address, con, decode, piggybacked};

/// Blocks of 16 bytes.
pub(crate) fn small() -> EndpointConfig {
    EndpointConfig {
        block1_szx: 0,
        block2_body_bytes_max: 64,
        block2_bodies_max: 1,
        block_restarts_max: 2,
        ..EndpointConfig::default()
    }
}

pub(crate) fn body(length: u8) -> Bytes {
    (0..length).collect()
}

impl Lockstep {
    /// The request ends for this reason.
    fn breaks_off(&mut self, id: RequestId, error: TransferError) {
        let peer = self.peer.clone();
        assert_eq!(self.event(), Event::Broken { id, peer, error });
    }

    /// Sends a body, and the first message that this takes.
    fn writes(&mut self, body: Bytes) -> (RequestId, Message) {
        let mut request = Request::new(Code::PUT, "/5/0/0");
        request.payload = body;
        let peer = self.peer.clone();
        let id = self
            .endpoint
            .request(self.now, &peer, request, Reliability::Confirmable, &RFC)
            .expect("room");
        (id, self.says())
    }

    fn taken(&mut self) -> u64 {
        let event = self.event();
        let Event::BlockTaken { taken_bytes, .. } = event else {
            panic!("{event:?}");
        };
        taken_bytes
    }

    pub(crate) fn holds_nothing(&mut self) {
        self.nothing();
        self.no_event();
        let held = self.endpoint.held();
        assert_eq!((held.transfers, held.requests), (0, 0));
        assert_eq!(self.endpoint.poll_timeout(), None);
    }
}

pub(crate) fn block(num: u32, more: bool, szx: u8) -> BlockValue {
    BlockValue { num, more, szx }
}

fn block1(message: &Message) -> BlockValue {
    BlockValue::from_options(&message.options, OptionNumber::BLOCK1)
        .expect("well formed")
        .expect("there")
}

pub(crate) fn block2(message: &Message) -> Option<BlockValue> {
    BlockValue::from_options(&message.options, OptionNumber::BLOCK2).expect("well formed")
}

/// The answer to a piece, with this Block1.
fn answer(piece: &Message, code: Code, block: BlockValue) -> Message {
    piggybacked(piece, code).with(OptionNumber::BLOCK1, &block.encode())
}

/// One block of a representation.
pub(crate) fn content(asked: &Message, block: BlockValue, etag: u8, piece: &[u8]) -> Message {
    piggybacked(asked, Code::CONTENT)
        .with(OptionNumber::ETAG, &[etag])
        .with(OptionNumber::BLOCK2, &block.encode())
        .body(piece)
}

#[test]
fn a_long_body_goes_out_in_blocks_under_one_request() {
    let mut peer = Lockstep::with(small());
    let (id, first) = peer.writes(body(40));
    assert_eq!(block1(&first), block(0, true, 0));
    assert_eq!(first.options.uint(OptionNumber::SIZE1), Some(40));
    assert_eq!(first.payload, body(16));
    peer.hears(answer(&first, Code::CONTINUE, block(0, true, 0)));
    assert_eq!(peer.taken(), 16);
    let second = peer.says();
    assert_eq!(block1(&second), block(1, true, 0));
    assert_eq!(second.options.uint(OptionNumber::SIZE1), None);
    assert_eq!(second.payload, body(32).slice(16..));
    assert!(first.id != second.id && first.token != second.token);
    peer.hears(answer(&second, Code::CONTINUE, block(1, true, 0)));
    assert_eq!(peer.taken(), 32);
    let last = peer.says();
    assert_eq!(block1(&last), block(2, false, 0));
    assert_eq!(last.payload, body(40).slice(32..));
    let done = answer(&last, Code::CHANGED, block(2, false, 0));
    peer.hears(done.clone());
    assert!(matches!(
        peer.endpoint.poll_event(),
        Some(Event::BlockTaken {
            taken_bytes: 40,
            ..
        })
    ));
    assert!(
        matches!(peer.event(), Event::Response { id: of, response, .. }
            if of == id && response.code == Code::CHANGED)
    );
    peer.hears(done);
    peer.holds_nothing();
}

#[test]
fn a_body_of_one_block_has_no_block_option() {
    let mut peer = Lockstep::with(small());
    let (_, only) = peer.writes(body(16));
    assert_eq!(only.options.first(OptionNumber::BLOCK1), None);
}

#[test]
fn a_block_is_a_shared_slice_of_the_body() {
    let mut peer = Lockstep::new();
    let image = Bytes::from(vec![7; 2000]);
    let mut request = Request::new(Code::PUT, "/5/0/0");
    request.payload = image.clone();
    let to = peer.peer.clone();
    let now = peer.now;
    peer.endpoint
        .request(now, &to, request, Reliability::Confirmable, &RFC)
        .unwrap();
    for num in 0..3_u32 {
        let transmit = peer.transmits();
        let at = 512 * num as usize;
        let slice = &image[at..at + 512];
        assert_eq!(transmit.datagram.body.as_ptr(), slice.as_ptr(), "copied");
        let piece = decode(&transmit);
        peer.hears(answer(&piece, Code::CONTINUE, block(num, true, 5)));
        peer.taken();
    }
}

#[test]
fn a_smaller_size_in_the_first_answer_holds_from_there_on() {
    // §2.5 and figure 9.
    let mut peer = Lockstep::with(EndpointConfig {
        block1_szx: 2,
        ..small()
    });
    let (_, first) = peer.writes(body(100));
    assert_eq!(block1(&first), block(0, true, 2));
    peer.hears(answer(&first, Code::CONTINUE, block(0, true, 0)));
    assert_eq!(peer.taken(), 64);
    let second = peer.says();
    assert_eq!(block1(&second), block(4, true, 0));
    assert_eq!(second.payload, body(80).slice(64..));
    // It is not made larger again.
    peer.hears(answer(&second, Code::CONTINUE, block(4, true, 6)));
    peer.taken();
    assert_eq!(block1(&peer.says()), block(5, true, 0));
}

#[test]
fn too_large_with_a_smaller_size_begins_again_with_that() {
    // §2.9.3.
    let mut peer = Lockstep::with(EndpointConfig {
        block1_szx: 1,
        ..small()
    });
    let (id, first) = peer.writes(body(70));
    let too_large = Code::REQUEST_ENTITY_TOO_LARGE;
    peer.hears(answer(&first, too_large, block(0, true, 0)));
    let again = peer.says();
    assert_eq!(block1(&again), block(0, true, 0));
    // No smaller one: that is the end.
    peer.hears(answer(&again, too_large, block(0, true, 0)));
    assert!(
        matches!(peer.event(), Event::Response { id: of, response, .. }
            if of == id && response.code == too_large)
    );
    peer.holds_nothing();
}

#[test]
fn incomplete_begins_again_a_bounded_number_of_times() {
    // §2.9.2.
    let mut peer = Lockstep::with(small());
    let (id, mut piece) = peer.writes(body(40));
    let incomplete = Code::REQUEST_ENTITY_INCOMPLETE;
    for _ in 0..2 {
        peer.hears(answer(&piece, Code::CONTINUE, block(0, true, 0)));
        peer.taken();
        piece = peer.says();
        assert_eq!(block1(&piece).num, 1);
        peer.hears(answer(&piece, incomplete, block(1, true, 0)));
        piece = peer.says();
        assert_eq!(block1(&piece).num, 0);
    }
    peer.hears(answer(&piece, incomplete, block(0, true, 0)));
    assert!(
        matches!(peer.event(), Event::Response { id: of, response, .. }
            if of == id && response.code == incomplete)
    );
    peer.holds_nothing();
}

#[test]
fn an_answer_that_does_not_say_what_was_taken_ends_it() {
    let without_block = |piece: &Message| piggybacked(piece, Code::CHANGED);
    let another_block = |piece: &Message| answer(piece, Code::CONTINUE, block(3, true, 0));
    for answered in [
        without_block as fn(&Message) -> Message,
        another_block as fn(&Message) -> Message,
    ] {
        let mut peer = Lockstep::with(small());
        let (id, first) = peer.writes(body(40));
        peer.hears(answered(&first));
        peer.breaks_off(id, TransferError::OutOfStep);
        peer.holds_nothing();
    }
}

#[test]
fn a_device_that_acts_on_each_block_by_itself_gets_the_next() {
    // §2.3: 2.04 without "more" for a block that is not the last.
    let mut peer = Lockstep::with(small());
    let (_, first) = peer.writes(body(40));
    peer.hears(answer(&first, Code::CHANGED, block(0, false, 0)));
    assert_eq!(peer.taken(), 16);
    assert_eq!(block1(&peer.says()).num, 1);
}

#[test]
fn an_error_on_the_way_is_the_response() {
    let mut peer = Lockstep::with(small());
    let (id, first) = peer.writes(body(40));
    peer.hears(piggybacked(&first, Code::METHOD_NOT_ALLOWED));
    assert!(
        matches!(peer.event(), Event::Response { id: of, response, .. }
            if of == id && response.code == Code::METHOD_NOT_ALLOWED)
    );
    peer.holds_nothing();
}

#[test]
fn a_block_that_is_never_answered_times_the_request_out() {
    let mut peer = Lockstep::with(small());
    let (id, first) = peer.writes(body(40));
    peer.hears(answer(&first, Code::CONTINUE, block(0, true, 0)));
    peer.taken();
    peer.says();
    for _ in 0..4 {
        peer.waits();
        assert_eq!(block1(&peer.says()).num, 1, "sent again");
    }
    peer.waits();
    let to = peer.peer.clone();
    assert_eq!(peer.event(), Event::TimedOut { id, peer: to });
    peer.holds_nothing();
}

#[test]
fn a_cancelled_body_is_sent_no_further() {
    let mut peer = Lockstep::with(small());
    let (id, first) = peer.writes(body(40));
    peer.endpoint.cancel(peer.now, id);
    peer.hears(answer(&first, Code::CONTINUE, block(0, true, 0)));
    peer.holds_nothing();
}

#[test]
fn one_interaction_at_a_time_and_others_go_between_blocks() {
    // RFC 7252 §4.7.
    let mut peer = Lockstep::with(small());
    let (_, first) = peer.writes(body(40));
    peer.asks_quietly(Reliability::Confirmable);
    peer.nothing();
    peer.hears(answer(&first, Code::CONTINUE, block(0, true, 0)));
    peer.taken();
    let read = peer.says();
    assert_eq!(read.code, Code::GET);
    peer.hears(piggybacked(&read, Code::CONTENT));
    peer.event();
    assert_eq!(block1(&peer.says()).num, 1);
}

#[test]
fn an_answer_to_a_block_may_be_separate() {
    let mut peer = Lockstep::with(small());
    let (_, first) = peer.writes(body(40));
    peer.hears(ack(first.id));
    let mut separate = con(Code::CONTINUE, 77);
    separate.token = first.token;
    peer.hears(separate.with(OptionNumber::BLOCK1, &block(0, true, 0).encode()));
    assert_eq!(peer.taken(), 16);
    assert_eq!(
        decode(&peer.transmits()),
        ack(narrowcast::coap::MessageId(77))
    );
    assert_eq!(block1(&peer.says()).num, 1);
}

#[test]
fn a_response_in_blocks_is_fetched_whole() {
    for separate in [false, true] {
        let mut peer = Lockstep::with(small());
        let (id, asked) = peer.asks(Reliability::Confirmable);
        let mut first = content(&asked, block(0, true, 0), 1, &body(16));
        if separate {
            peer.hears(ack(asked.id));
            first = Message {
                kind: narrowcast::coap::MessageType::Confirmable,
                id: narrowcast::coap::MessageId(9),
                ..first
            };
        }
        peer.hears(first);
        if separate {
            peer.transmits();
        }
        let next = peer.says();
        assert_eq!(block2(&next), Some(block(1, false, 0)));
        assert_eq!(
            next.options.all(OptionNumber::URI_PATH).count(),
            asked.options.all(OptionNumber::URI_PATH).count()
        );
        assert!(next.token != asked.token);
        peer.hears(content(&next, block(1, false, 0), 1, &body(20)[16..]));
        let expected = Response::new(Code::CONTENT).with_etag(Bytes::from_static(&[1]));
        let Event::Response {
            id: of, response, ..
        } = peer.event()
        else {
            panic!("no response");
        };
        assert_eq!(of, id);
        assert_eq!(response.payload, body(20));
        assert_eq!(response.options, expected.options);
        peer.holds_nothing();
    }
}

#[test]
fn what_changes_on_the_way_is_fetched_anew_and_not_for_ever() {
    let mut peer = Lockstep::with(small());
    let (id, mut asked) = peer.asks(Reliability::Confirmable);
    for etag in 1..=2 {
        peer.hears(content(&asked, block(0, true, 0), etag, &body(16)));
        asked = peer.says();
        assert_eq!(block2(&asked), Some(block(1, false, 0)));
        peer.hears(content(&asked, block(1, true, 0), etag + 1, &body(16)));
        asked = peer.says();
        assert_eq!(block2(&asked), Some(block(0, false, 0)));
    }
    peer.hears(content(&asked, block(0, true, 0), 3, &body(16)));
    asked = peer.says();
    peer.hears(content(&asked, block(1, true, 0), 4, &body(16)));
    peer.breaks_off(id, TransferError::Changed);
    peer.holds_nothing();
}

#[test]
fn a_response_that_is_too_long_or_out_of_step_is_not_fetched() {
    let too_long = |asked: &Message| {
        content(asked, block(0, true, 0), 1, &body(16)).with(OptionNumber::SIZE2, &[65])
    };
    let short = |asked: &Message| content(asked, block(0, true, 0), 1, &body(15));
    let not_the_first = |asked: &Message| content(asked, block(1, true, 0), 1, &body(16));
    let cases = [
        (too_long as fn(&Message) -> Message, TransferError::TooLarge),
        (short as fn(&Message) -> Message, TransferError::OutOfStep),
        (
            not_the_first as fn(&Message) -> Message,
            TransferError::OutOfStep,
        ),
    ];
    for (answered, error) in cases {
        let mut peer = Lockstep::with(small());
        let (id, asked) = peer.asks(Reliability::Confirmable);
        peer.hears(answered(&asked));
        let to = peer.peer.clone();
        assert_eq!(
            peer.event(),
            Event::Broken {
                id,
                peer: to,
                error
            }
        );
        peer.holds_nothing();
    }
}

#[test]
fn an_endless_response_ends_at_the_limit() {
    let mut peer = Lockstep::with(small());
    let (_, mut asked) = peer.asks(Reliability::Confirmable);
    for num in 0..4 {
        peer.hears(content(&asked, block(num, true, 0), 1, &body(16)));
        asked = peer.says();
    }
    peer.hears(content(&asked, block(4, true, 0), 1, &body(16)));
    assert!(
        matches!(peer.event(), Event::Broken { error, .. } if error == TransferError::TooLarge)
    );
    peer.holds_nothing();
}

#[test]
fn as_many_responses_as_may_be_are_fetched_at_once() {
    let mut peer = Lockstep::with(small());
    let (_, asked) = peer.asks(Reliability::Confirmable);
    peer.hears(content(&asked, block(0, true, 0), 1, &body(16)));
    let next = peer.says();
    peer.peer = address(1);
    let (_, asked) = peer.asks(Reliability::Confirmable);
    peer.hears(content(&asked, block(0, true, 0), 1, &body(16)));
    assert!(matches!(peer.event(), Event::Broken { error, .. } if error == TransferError::TooMany));
    peer.peer = address(5683);
    peer.hears(content(&next, block(1, false, 0), 1, &body(4)));
    assert!(matches!(peer.event(), Event::Response { .. }));
    peer.holds_nothing();
}

#[test]
fn an_error_while_a_response_is_fetched_is_the_response() {
    let mut peer = Lockstep::with(small());
    let (id, asked) = peer.asks(Reliability::Confirmable);
    peer.hears(content(&asked, block(0, true, 0), 1, &body(16)));
    let next = peer.says();
    peer.hears(piggybacked(&next, Code::NOT_FOUND));
    assert!(
        matches!(peer.event(), Event::Response { id: of, response, .. }
            if of == id && response.code == Code::NOT_FOUND)
    );
    peer.holds_nothing();
}

#[test]
fn the_first_answer_of_an_observation_may_come_in_blocks() {
    // §2.6: the rest is fetched without Observe; the observation stands.
    let mut peer = Lockstep::with(small());
    let (id, asked) = peer.observes();
    let first = content(&asked, block(0, true, 0), 1, &body(16));
    peer.hears(first.with(OptionNumber::OBSERVE, &[5]));
    let next = peer.says();
    assert_eq!(next.options.first(OptionNumber::OBSERVE), None);
    peer.hears(content(&next, block(1, false, 0), 1, &body(4)));
    assert!(
        matches!(peer.event(), Event::Response { id: of, response, .. }
            if of == id && response.payload.len() == 20
                && response.options.uint(OptionNumber::OBSERVE) == Some(5))
    );
    let mut notification = con(Code::CONTENT, 3).with(OptionNumber::OBSERVE, &[6]);
    notification.token = asked.token;
    peer.hears(notification);
    assert!(matches!(peer.event(), Event::Notification { .. }));
}

#[test]
fn what_another_method_answers_in_blocks_is_not_asked_for_again() {
    let mut peer = Lockstep::with(small());
    let (_, asked) = peer.writes(body(3));
    peer.hears(content(&asked, block(0, true, 0), 1, &body(16)));
    assert!(matches!(peer.event(), Event::Response { .. }));
    peer.passes(Duration::from_secs(1));
    peer.holds_nothing();
}

#[test]
fn whoever_asks_for_a_block_gets_that_block() {
    let mut peer = Lockstep::with(small());
    let mut request = Request::new(Code::GET, "/fw");
    block(0, false, 0).put(&mut request.options, OptionNumber::BLOCK2);
    let to = peer.peer.clone();
    peer.endpoint
        .request(peer.now, &to, request, Reliability::Confirmable, &RFC)
        .unwrap();
    let asked = peer.says();
    peer.hears(content(&asked, block(0, true, 0), 1, &body(16)));
    assert!(matches!(peer.event(), Event::Response { response, .. }
        if response.payload.len() == 16));
    peer.holds_nothing();
}
