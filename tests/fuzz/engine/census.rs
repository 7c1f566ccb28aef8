//! How often each handler was reached: by the engine's own counters, and by what it answered.

use std::collections::BTreeMap;

use narrowcast::coap::{self, Code, DecodeError, Message, OptionNumber};
use narrowcast::engine::EngineCounters;

use super::adversary::{Half, Hostile, Origin};

/// A row of the table, and the counter that it shows.
type Row<C> = (&'static str, fn(&C) -> u64);

const COAP: &[Row<coap::Counters>] = &[
    ("coap: malformed", |it| it.malformed),
    ("coap: ping", |it| it.pings),
    ("coap: duplicate", |it| it.duplicates),
    ("coap: duplicate's answer pushed out", |it| {
        it.duplicates_evicted
    }),
    ("coap: request", |it| it.requests),
    ("coap: critical option", |it| it.bad_options),
    ("coap: request refused", |it| it.refused),
    ("coap: acknowledgement matched", |it| it.acknowledgements),
    ("coap: reset matched", |it| it.resets),
    ("coap: response matched", |it| it.responses),
    ("coap: response or notification unmatched", |it| {
        it.unmatched
    }),
    ("coap: notification matched", |it| it.notifications),
    ("coap: notification stale", |it| it.stale_notifications),
    ("coap: Block1 body dropped", |it| it.bodies_dropped),
];

const ENGINE: &[Row<EngineCounters>] = &[
    ("engine: Register", |it| it.registers),
    ("engine: Update", |it| it.registration_updates),
    ("engine: Deregister", |it| it.deregisters),
    ("engine: registration request refused", |it| {
        it.registrations_refused
    }),
    ("engine: block served", |it| it.blocks),
    ("engine: attempt failed", |it| it.attempts_failed),
    ("engine: Send", |it| it.sends),
    ("engine: Send of nobody", |it| it.sends_unknown),
    ("engine: Send of several", |it| it.sends_ambiguous),
    ("engine: Send malformed", |it| it.sends_malformed),
];

/// What every run must reach beside, with its name in the table.
const HANDLERS: &[&str] = &[
    "sent: random or changed bytes",
    "sent: made for a handler",
    "sent: by strangers",
    "sent: by captured devices",
    "sent: in an honest device's name",
    "decode: sound",
    "decode: ShortHeader",
    "decode: Version",
    "decode: TokenLength",
    "decode: ReservedClass",
    "decode: NotEmpty",
    "decode: Truncated",
    "decode: ReservedNibble",
    "decode: OptionNumber",
    "decode: TooManyOptions",
    "decode: NoPayload",
    "decode: longer than any datagram",
    "register: 2.01",
    "register: 2.31",
    "register: 4.00",
    "register: 4.02",
    "register: 4.03",
    "register: 4.08",
    "register: 4.12",
    "register: 4.13",
    "register: 4.15",
    "register: 5.03",
    "location: 2.02",
    "location: 2.04",
    "location: 4.00",
    "location: 4.04",
    "location: 4.05",
    "fw: 2.05",
    "fw: 4.00",
    "fw: 4.04",
    "fw: 4.05",
    "send: 2.04",
    "send: 4.00",
    "send: 4.04",
    "send: 4.15",
    "well-known: 2.05",
    "well-known: 4.05",
    "elsewhere: 4.04",
    "elsewhere: 4.05",
    "elsewhere: 5.05",
];

#[derive(Debug, Default)]
pub(crate) struct Census {
    counts: BTreeMap<String, u64>,
}

impl Census {
    /// A hostile datagram, before the engine has it.
    pub(crate) fn sent(&mut self, datagram: &Hostile, datagram_bytes_max: usize) {
        self.add(match datagram.half {
            Half::Bytes => "sent: random or changed bytes",
            Half::Structure => "sent: made for a handler",
        });
        self.add(match datagram.origin {
            Origin::Stranger => "sent: by strangers",
            Origin::Captured => "sent: by captured devices",
            Origin::Honest => "sent: in an honest device's name",
        });
        if datagram.bytes.len() > datagram_bytes_max {
            return self.add("decode: longer than any datagram");
        }
        match Message::decode(&datagram.bytes, 32) {
            Ok(_) => self.add("decode: sound"),
            Err(error) => self.add(decode_error(error)),
        }
    }

    /// What the engine answered to a hostile datagram.
    pub(crate) fn answered(&mut self, request: &Message, code: Code) {
        let path: Vec<&[u8]> = request
            .options
            .all(OptionNumber::URI_PATH)
            .map(AsRef::as_ref)
            .collect();
        let handler = match path.as_slice() {
            [b"rd"] => "register",
            [b"rd", _] => "location",
            [b"fw", _] => "fw",
            [b"dp"] => "send",
            [b".well-known", b"core"] => "well-known",
            _ => "elsewhere",
        };
        self.add(&format!("{handler}: {code}"));
    }

    /// What the engine counted by one hostile datagram.
    pub(crate) fn counted(
        &mut self,
        (coap, engine): (coap::Counters, EngineCounters),
        (coap_now, engine_now): (coap::Counters, EngineCounters),
    ) {
        for (row, of) in COAP {
            self.add_times(row, of(&coap_now) - of(&coap));
        }
        for (row, of) in ENGINE {
            self.add_times(row, of(&engine_now) - of(&engine));
        }
    }

    pub(crate) fn print(&self) {
        println!("{:<44} {:>9}", "reached by hostile datagrams", "times");
        for (row, count) in &self.counts {
            println!("{row:<44} {count:>9}");
        }
    }

    /// Every handler was reached, and as many datagrams were sent as were to be.
    pub(crate) fn check(&self, datagrams: u64) {
        let halves = &HANDLERS[..2];
        for half in halves {
            assert_eq!(self.count(half), datagrams / 2, "{half}");
        }
        let coap = COAP.iter().map(|(row, _)| row);
        let engine = ENGINE.iter().map(|(row, _)| row);
        let all = HANDLERS.iter().chain(coap).chain(engine);
        let missed: Vec<_> = all.filter(|row| self.count(row) == 0).collect();
        assert!(missed.is_empty(), "not reached: {missed:?}");
    }

    fn add(&mut self, row: &str) {
        self.add_times(row, 1);
    }

    fn add_times(&mut self, row: &str, times: u64) {
        if times > 0 {
            *self.counts.entry(row.to_owned()).or_default() += times;
        }
    }

    fn count(&self, row: &str) -> u64 {
        self.counts.get(row).copied().unwrap_or_default()
    }
}

fn decode_error(error: DecodeError) -> &'static str {
    match error {
        DecodeError::ShortHeader => "decode: ShortHeader",
        DecodeError::Version => "decode: Version",
        DecodeError::TokenLength => "decode: TokenLength",
        DecodeError::ReservedClass => "decode: ReservedClass",
        DecodeError::NotEmpty => "decode: NotEmpty",
        DecodeError::Truncated => "decode: Truncated",
        DecodeError::ReservedNibble => "decode: ReservedNibble",
        DecodeError::OptionNumber => "decode: OptionNumber",
        DecodeError::TooManyOptions => "decode: TooManyOptions",
        DecodeError::NoPayload => "decode: NoPayload",
    }
}
