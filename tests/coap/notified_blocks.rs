//! Notifications that come in blocks: RFC 7959 §2.6, §3.4.

use narrowcast::coap::{
    Code, Event, Message, MessageId, MessageType, OptionNumber, Request, Response, Token,
};
use narrowcast::model::Peer;

use crate::lockstep::{Lockstep, RFC, With, ack, address, message, piggybacked, rst};
use crate::transfers::{block, block2, body, content, small};

fn notification(token: Token, sequence: u8, piece: &[u8]) -> Message {
    let id = u16::from(sequence);
    message(MessageType::Confirmable, Code::CONTENT, id, token)
        .with(OptionNumber::ETAG, &[sequence])
        .with(OptionNumber::OBSERVE, &[sequence])
        .body(piece)
}

/// An observation whose first answer is a short one.
fn observed() -> (Lockstep, Token) {
    let mut peer = Lockstep::with(small());
    let (_, asked) = peer.observes();
    peer.hears(piggybacked(&asked, Code::CONTENT).with(OptionNumber::OBSERVE, &[1]));
    assert!(matches!(peer.event(), Event::Response { .. }));
    (peer, asked.token)
}

impl Lockstep {
    /// The first 16 bytes are notified: it is not taken for the whole.
    fn is_notified(&mut self, token: Token, sequence: u8) -> (Peer, Response) {
        let first = notification(token, sequence, &body(16));
        self.hears(first.with(OptionNumber::BLOCK2, &block(0, true, 0).encode()));
        assert_eq!(self.says(), ack(MessageId(u16::from(sequence))));
        let event = self.event();
        let Event::NotificationBegun {
            peer,
            token: of,
            first,
        } = event
        else {
            panic!("{event:?}");
        };
        assert_eq!(of, token);
        (peer, first)
    }

    /// The rest of it is asked for.
    fn fetches(&mut self, token: Token, (peer, first): (Peer, Response)) {
        let request = Request::new(Code::GET, "/19/0/0");
        let endpoint = &mut self.endpoint;
        endpoint.fetch_notification(self.now, &peer, token, request, first, &RFC);
    }

    /// As far as the request for the second block.
    fn begins_fetching(&mut self, token: Token, sequence: u8) -> Message {
        let begun = self.is_notified(token, sequence);
        self.fetches(token, begun);
        let next = self.says();
        assert_eq!(block2(&next), Some(block(1, false, 0)));
        next
    }

    fn notified(&mut self) -> Response {
        let event = self.event();
        let Event::Notification { response, .. } = event else {
            panic!("{event:?}");
        };
        response
    }

    /// What was notified in blocks is counted as broken, and dropped.
    fn drops_it(&mut self) {
        assert_eq!(self.endpoint.counters().transfers_broken, 1);
        assert_eq!(self.endpoint.counters().notifications, 0);
        self.holds_nothing();
    }
}

#[test]
fn the_rest_of_a_notification_is_fetched_without_observing_again() {
    let (mut peer, token) = observed();
    peer.peer = address(40_000);
    let next = peer.begins_fetching(token, 2);
    assert_eq!(next.kind, MessageType::Confirmable);
    assert_eq!(next.options.first(OptionNumber::OBSERVE), None);
    assert_eq!(next.options.all(OptionNumber::URI_PATH).count(), 3);
    assert!(next.token != token);
    peer.hears(content(&next, block(1, true, 0), 2, &body(32)[16..]));
    let next = peer.says();
    assert_eq!(block2(&next), Some(block(2, false, 0)));
    peer.no_event();
    peer.hears(content(&next, block(2, false, 0), 2, &body(40)[32..]));
    let whole = peer.notified();
    assert_eq!(whole.payload, body(40));
    assert_eq!(whole.options.uint(OptionNumber::OBSERVE), Some(2));
    assert_eq!(whole.options.first(OptionNumber::BLOCK2), None);
    peer.holds_nothing();
    peer.hears(notification(token, 3, b"short"));
    assert_eq!(peer.says(), ack(MessageId(3)));
    assert_eq!(&peer.notified().payload[..], b"short");
}

#[test]
fn a_newer_notification_takes_the_place_of_one_that_is_being_fetched() {
    for is_whole in [true, false] {
        let (mut peer, token) = observed();
        let old = peer.begins_fetching(token, 2);
        let next = if is_whole {
            peer.hears(notification(token, 3, b"short"));
            assert_eq!(peer.says(), ack(MessageId(3)));
            assert_eq!(&peer.notified().payload[..], b"short");
            None
        } else {
            Some(peer.begins_fetching(token, 3))
        };
        peer.hears(content(&old, block(1, false, 0), 2, &body(4)));
        peer.no_event();
        if let Some(next) = next {
            peer.hears(content(&next, block(1, false, 0), 3, &body(20)[16..]));
            let whole = peer.notified();
            assert_eq!(whole.payload, body(20));
            assert_eq!(whole.options.uint(OptionNumber::OBSERVE), Some(3));
        }
        assert_eq!(peer.endpoint.counters().transfers_broken, 0);
        peer.holds_nothing();
    }
}

#[test]
fn an_older_notification_leaves_the_fetch_alone() {
    let (mut peer, token) = observed();
    let next = peer.begins_fetching(token, 3);
    peer.hears(notification(token, 2, b"old"));
    assert_eq!(peer.says(), ack(MessageId(2)));
    peer.no_event();
    peer.hears(content(&next, block(1, false, 0), 3, &body(20)[16..]));
    assert_eq!(peer.notified().payload, body(20));
}

#[test]
fn what_changes_while_it_is_fetched_is_fetched_anew() {
    let (mut peer, token) = observed();
    let next = peer.begins_fetching(token, 2);
    peer.hears(content(&next, block(1, false, 0), 9, &body(4)));
    let anew = peer.says();
    assert_eq!(block2(&anew), Some(block(0, false, 0)));
    peer.hears(content(&anew, block(0, true, 0), 9, &[7; 16]));
    let next = peer.says();
    peer.hears(content(&next, block(1, false, 0), 9, &[7; 4]));
    let whole = peer.notified();
    assert_eq!(&whole.payload[..], [7; 20]);
    assert_eq!(whole.options.uint(OptionNumber::OBSERVE), Some(2));
    peer.holds_nothing();
}

#[test]
fn what_cannot_be_fetched_is_counted_and_dropped() {
    let answers: [fn(&Message) -> Message; 3] = [
        |next| piggybacked(next, Code::NOT_FOUND),
        |next| rst(next.id),
        |next| content(next, block(2, false, 0), 2, &body(4)),
    ];
    for answer in answers {
        let (mut peer, token) = observed();
        let next = peer.begins_fetching(token, 2);
        peer.hears(answer(&next));
        peer.drops_it();
    }
    let (mut peer, token) = observed();
    peer.begins_fetching(token, 2);
    while peer.endpoint.poll_timeout().is_some() {
        peer.waits();
        while peer.endpoint.poll_transmit().is_some() {}
    }
    peer.drops_it();
}

#[test]
fn a_notification_that_is_too_long_or_one_too_many_is_dropped() {
    let (mut peer, token) = observed();
    let (from, mut first) = peer.is_notified(token, 2);
    first.options.push_uint(OptionNumber::SIZE2, 65);
    peer.fetches(token, (from, first));
    peer.drops_it();

    let (mut peer, token) = observed();
    let other = peer.asks(narrowcast::coap::Reliability::Confirmable).1;
    peer.hears(content(&other, block(0, true, 0), 1, &body(16)));
    let other = peer.says();
    let begun = peer.is_notified(token, 2);
    peer.fetches(token, begun);
    peer.nothing();
    assert_eq!(peer.endpoint.counters().transfers_broken, 1);
    peer.hears(content(&other, block(1, false, 0), 1, &body(4)));
    assert!(matches!(peer.event(), Event::Response { .. }));
    peer.holds_nothing();
}

#[test]
fn a_notification_that_begins_in_the_middle_is_dropped() {
    let (mut peer, token) = observed();
    let last = notification(token, 2, &body(4));
    peer.hears(last.with(OptionNumber::BLOCK2, &block(1, false, 0).encode()));
    assert_eq!(peer.says(), ack(MessageId(2)));
    let event = peer.event();
    let Event::NotificationBegun {
        peer: from, first, ..
    } = event
    else {
        panic!("{event:?}");
    };
    peer.fetches(token, (from, first));
    peer.drops_it();
}

#[test]
fn what_is_no_longer_observed_is_fetched_no_further() {
    let (mut peer, token) = observed();
    let next = peer.begins_fetching(token, 2);
    peer.endpoint.forget_observation(token);
    peer.hears(content(&next, block(1, false, 0), 2, &body(4)));
    peer.holds_nothing();
    assert_eq!(peer.endpoint.counters().notifications, 0);
}
