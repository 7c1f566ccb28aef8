//! How often each handler was reached: by the engine's own counters, and by what it answered.

use std::collections::BTreeMap;

use narrowcast::coap::{self, Code, DecodeError, Message, OptionNumber};
use narrowcast::engine::EngineCounters;

use super::adversary::{Half, Hostile, Origin};

/// What every run must reach, with its name in the table.
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
    "coap: malformed",
    "coap: ping",
    "coap: duplicate",
    "coap: duplicate's answer pushed out",
    "coap: request",
    "coap: critical option",
    "coap: request refused",
    "coap: acknowledgement matched",
    "coap: reset matched",
    "coap: response matched",
    "coap: response or notification unmatched",
    "coap: notification matched",
    "coap: notification stale",
    "coap: Block1 body dropped",
    "engine: Register",
    "engine: Update",
    "engine: Deregister",
    "engine: registration request refused",
    "engine: block served",
    "engine: attempt failed",
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
            [b".well-known", b"core"] => "well-known",
            _ => "elsewhere",
        };
        *self.counts.entry(format!("{handler}: {code}")).or_default() += 1;
    }

    /// What the engine counted by one hostile datagram.
    pub(crate) fn counted(
        &mut self,
        before: (coap::Counters, EngineCounters),
        after: (coap::Counters, EngineCounters),
    ) {
        let rows: [(&str, u64, u64); 20] = {
            let ((coap, engine), (coap_now, engine_now)) = (before, after);
            [
                ("coap: malformed", coap.malformed, coap_now.malformed),
                ("coap: ping", coap.pings, coap_now.pings),
                ("coap: duplicate", coap.duplicates, coap_now.duplicates),
                (
                    "coap: duplicate's answer pushed out",
                    coap.duplicates_evicted,
                    coap_now.duplicates_evicted,
                ),
                ("coap: request", coap.requests, coap_now.requests),
                (
                    "coap: critical option",
                    coap.bad_options,
                    coap_now.bad_options,
                ),
                ("coap: request refused", coap.refused, coap_now.refused),
                (
                    "coap: acknowledgement matched",
                    coap.acknowledgements,
                    coap_now.acknowledgements,
                ),
                ("coap: reset matched", coap.resets, coap_now.resets),
                ("coap: response matched", coap.responses, coap_now.responses),
                (
                    "coap: response or notification unmatched",
                    coap.unmatched,
                    coap_now.unmatched,
                ),
                (
                    "coap: notification matched",
                    coap.notifications,
                    coap_now.notifications,
                ),
                (
                    "coap: notification stale",
                    coap.stale_notifications,
                    coap_now.stale_notifications,
                ),
                (
                    "coap: Block1 body dropped",
                    coap.bodies_dropped,
                    coap_now.bodies_dropped,
                ),
                ("engine: Register", engine.registers, engine_now.registers),
                (
                    "engine: Update",
                    engine.registration_updates,
                    engine_now.registration_updates,
                ),
                (
                    "engine: Deregister",
                    engine.deregisters,
                    engine_now.deregisters,
                ),
                (
                    "engine: registration request refused",
                    engine.registrations_refused,
                    engine_now.registrations_refused,
                ),
                ("engine: block served", engine.blocks, engine_now.blocks),
                (
                    "engine: attempt failed",
                    engine.attempts_failed,
                    engine_now.attempts_failed,
                ),
            ]
        };
        for (row, before, after) in rows {
            if after > before {
                *self.counts.entry(row.to_owned()).or_default() += after - before;
            }
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
        let missed: Vec<_> = HANDLERS.iter().filter(|row| self.count(row) == 0).collect();
        assert!(missed.is_empty(), "not reached: {missed:?}");
    }

    fn add(&mut self, row: &str) {
        if let Some(count) = self.counts.get_mut(row) {
            *count += 1;
        } else {
            self.counts.insert(row.to_owned(), 1);
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
