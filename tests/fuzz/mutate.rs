//! Seeds with a few changes each, as proptest strategies: a failure shrinks to few changes of one seed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One change. Places count modulo the length.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Set(Index, u8),
    Cut(Index),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize, usize),
    /// The rest of another seed, from there on.
    Splice(Index, Vec<u8>, Index),
}

/// Seeds with up to five changes, and some as they are. `tokens` are words of the format, which are
/// put in as they stand.
pub(crate) fn mutants(
    seeds: Vec<Vec<u8>>,
    tokens: &'static [&'static str],
) -> impl Strategy<Value = Vec<u8>> {
    let changes = vec(change(seeds.clone(), tokens), 0..6);
    (select(seeds), changes).prop_map(|(seed, changes)| {
        changes.iter().fold(seed, |mut bytes, change| {
            apply(&mut bytes, change);
            bytes
        })
    })
}

fn change(seeds: Vec<Vec<u8>>, tokens: &'static [&'static str]) -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let edge = select(vec![0, 1, 0x7f, 0x80, 0xfe, 0xff]);
    let token = if tokens.is_empty() {
        vec(any::<u8>(), 1..5).boxed()
    } else {
        select(tokens)
            .prop_map(|token| token.as_bytes().to_vec())
            .boxed()
    };
    prop_oneof![
        4 => (at(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        2 => (at(), edge).prop_map(|(at, byte)| Change::Set(at, byte)),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => at().prop_map(Change::Cut),
        2 => (at(), 1..9_usize).prop_map(|(at, len)| Change::Remove(at, len)),
        1 => (at(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        3 => (at(), token).prop_map(|(at, token)| Change::Insert(at, token)),
        1 => (at(), 1..40_usize, 1..60_usize).prop_map(|(at, len, times)| {
            Change::Repeat(at, len, times)
        }),
        1 => (at(), select(seeds), at()).prop_map(|(at, other, from)| {
            Change::Splice(at, other, from)
        }),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let len = bytes.len();
    let place = |at: &Index| at.index(len + 1);
    match change {
        Change::Flip(at, bit) => {
            if let Some(byte) = bytes.get_mut(place(at)) {
                *byte ^= 1 << bit;
            }
        }
        Change::Set(at, value) => {
            if let Some(byte) = bytes.get_mut(place(at)) {
                *byte = *value;
            }
        }
        Change::Cut(at) => bytes.truncate(place(at)),
        Change::Remove(at, count) => {
            let from = place(at);
            bytes.drain(from..len.min(from + count));
        }
        Change::Insert(at, new) => {
            let from = place(at);
            bytes.splice(from..from, new.iter().copied());
        }
        Change::Repeat(at, count, times) => {
            let from = place(at);
            let piece = bytes[from..len.min(from + count)].repeat(*times);
            bytes.splice(from..from, piece);
        }
        Change::Splice(at, other, from) => {
            bytes.truncate(place(at));
            bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
        }
    }
}

/// So many cases: a target takes a second or two.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}
