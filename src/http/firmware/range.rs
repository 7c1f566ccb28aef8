//! Which bytes a `Range` asks for (RFC 9110 §14).

use std::ops::Range;

/// What is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// All bytes: none were asked for, or in a way that is not understood, or several ranges at once,
    /// which together could be more than all (RFC 9110 §14.2).
    Whole,
    /// These.
    Part(Range<u64>),
    /// None of them are there.
    Unsatisfiable,
}

/// What the value of a `Range` field selects of `size_bytes` bytes.
pub(super) fn select(range: &[u8], size_bytes: u64) -> Selection {
    let Some(one) = only_range(range) else {
        return Selection::Whole;
    };
    let Some((first, last)) = one.split_once('-') else {
        return Selection::Whole;
    };
    let range = match (first, last) {
        ("", last) => number(last).map(|length| size_bytes.saturating_sub(length)..size_bytes),
        (first, "") => number(first).map(|first| first..size_bytes),
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => {
                Some(first..last.saturating_add(1).min(size_bytes))
            }
            _ => None,
        },
    };
    match range {
        Some(range) if range.is_empty() => Selection::Unsatisfiable,
        Some(range) => Selection::Part(range),
        None => Selection::Whole,
    }
}

/// The one range of a set of byte ranges; empty elements of the list are none (RFC 9110 §5.6.1.2).
fn only_range(range: &[u8]) -> Option<&str> {
    let (unit, set) = std::str::from_utf8(range).ok()?.split_once('=')?;
    if !unit.trim_matches(BLANK).eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut ranges = set
        .split(',')
        .map(|range| range.trim_matches(BLANK))
        .filter(|range| !range.is_empty());
    let one = ranges.next()?;
    ranges.next().is_none().then_some(one)
}

/// OWS (RFC 9110 §5.6.3).
const BLANK: [char; 2] = [' ', '\t'];

/// One or more digits. A number beyond all sizes is one beyond all sizes.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(range: &str) -> Option<Range<u64>> {
        match select(range.as_bytes(), 1000) {
            Selection::Part(range) => Some(range),
            Selection::Whole | Selection::Unsatisfiable => None,
        }
    }

    #[test]
    fn closed_open_and_suffix_ranges_are_cut_to_what_is_there() {
        for (range, selected) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-511", 0..512),
            ("bytes=512-1023", 512..1000),
            ("bytes=999-", 999..1000),
            ("bytes=0-", 0..1000),
            ("bytes=-1", 999..1000),
            ("bytes=-1000", 0..1000),
            ("bytes=-9999", 0..1000),
            ("bytes=0-18446744073709551615", 0..1000),
            ("bytes=0-99999999999999999999999", 0..1000),
            ("bytes=-99999999999999999999999", 0..1000),
            ("bytes=007-0008", 7..9),
            ("BYTES=1-2", 1..3),
            (" bytes = 1-2 ", 1..3),
            ("bytes=,1-2,, ", 1..3),
        ] {
            assert_eq!(part(range), Some(selected), "{range}");
        }
    }

    #[test]
    fn what_lies_behind_the_end_is_not_satisfiable() {
        for range in [
            "bytes=1000-",
            "bytes=1000-1000",
            "bytes=99999999999999999999999-",
            "bytes=-0",
        ] {
            let selection = select(range.as_bytes(), 1000);
            assert_eq!(selection, Selection::Unsatisfiable, "{range}");
        }
    }

    #[test]
    fn what_is_no_single_range_selects_everything() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=2-1",
            "bytes=1-2,4-5",
            "bytes=0-,0-,0-",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1 -2",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes=0x1-2",
            "lines=1-2",
            "bytes:1-2",
        ] {
            let selection = select(range.as_bytes(), 1000);
            assert_eq!(selection, Selection::Whole, "{range}");
        }
        assert_eq!(select(b"bytes=0-\xff", 1000), Selection::Whole);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_the_answer_lies_within_the_image(
            range in prop_oneof![".*", "bytes=[0-9]{0,22}-[0-9]{0,22}", "bytes=[-0-9, ]{0,24}"],
            size_bytes in 1_u64..5000,
        ) {
            match select(range.as_bytes(), size_bytes) {
                Selection::Part(part) => {
                    prop_assert!(part.start < part.end && part.end <= size_bytes);
                }
                Selection::Whole | Selection::Unsatisfiable => {}
            }
        }

        #[test]
        fn a_range_within_the_image_is_answered_as_asked(
            (size_bytes, first, last) in (1_u64..5000)
                .prop_flat_map(|size| (Just(size), 0..size))
                .prop_flat_map(|(size, first)| (Just(size), Just(first), first..size)),
        ) {
            let closed = format!("bytes={first}-{last}");
            let asked = Selection::Part(first..last + 1);
            prop_assert_eq!(select(closed.as_bytes(), size_bytes), asked);
            let open = format!("bytes={first}-");
            let asked = Selection::Part(first..size_bytes);
            prop_assert_eq!(select(open.as_bytes(), size_bytes), asked);
            let suffix = format!("bytes=-{}", size_bytes - first);
            let asked = Selection::Part(first..size_bytes);
            prop_assert_eq!(select(suffix.as_bytes(), size_bytes), asked);
        }
    }
}
