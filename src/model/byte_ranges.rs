//! Which bytes of a file are meant, as ranges that do not touch.

use std::ops::Range;

/// A set of byte offsets. Where it would have more than [`Self::RANGES_MAX`] parts, the smallest is
/// forgotten: what it says is in it always is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteRanges {
    /// In order, none empty, a gap between each two.
    parts: Vec<Range<u64>>,
}

impl ByteRanges {
    /// The most parts.
    pub const RANGES_MAX: usize = 64;

    /// Adds these offsets.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.parts.partition_point(|part| part.end < range.start);
        let last = self.parts.partition_point(|part| part.start <= range.end);
        let touched = &self.parts[first..last];
        let start = touched.first().map_or(range.start, |part| part.start);
        let end = touched.last().map_or(range.end, |part| part.end);
        let whole = start.min(range.start)..end.max(range.end);
        self.parts.splice(first..last, [whole]);
        if self.parts.len() > Self::RANGES_MAX {
            let sizes = self.parts.iter().map(|part| part.end - part.start);
            let smallest = sizes.enumerate().min_by_key(|(_, size)| *size);
            if let Some((index, _)) = smallest {
                self.parts.remove(index);
            }
        }
    }

    /// Whether each offset below `size_bytes` is in it.
    pub fn covers(&self, size_bytes: u64) -> bool {
        size_bytes == 0
            || self
                .parts
                .first()
                .is_some_and(|part| part.start == 0 && part.end >= size_bytes)
    }

    /// How many offsets are in it.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.end - part.start).sum()
    }

    /// As text, `0-512,1024-2000`: first offset and the one behind the last.
    pub fn to_text(&self) -> String {
        let parts = self.parts.iter();
        let parts: Vec<_> = parts
            .map(|part| format!("{}-{}", part.start, part.end))
            .collect();
        parts.join(",")
    }

    /// Reads what [`Self::to_text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut ranges = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (start, end) = part.split_once('-')?;
            ranges.insert(start.parse().ok()?..end.parse().ok()?);
        }
        Some(ranges)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn of(parts: &[Range<u64>]) -> ByteRanges {
        let mut ranges = ByteRanges::default();
        parts.iter().for_each(|part| ranges.insert(part.clone()));
        ranges
    }

    #[test]
    fn what_touches_is_one_and_a_gap_is_not_covered() {
        assert_eq!(of(&[5..9, 0..5]).to_text(), "0-9");
        assert_eq!(of(&[0..4, 5..9, 2..2]).to_text(), "0-4,5-9");
        assert_eq!(of(&[0..4, 5..9, 3..6]).to_text(), "0-9");
        assert!(of(&[0..4, 4..9]).covers(9));
        assert!(!of(&[0..4, 5..9]).covers(9));
        assert!(!of(&[1..5, 5..9]).covers(9));
        assert!(ByteRanges::default().covers(0));
    }

    #[test]
    fn beyond_its_bound_it_forgets_the_smallest_and_claims_nothing_more() {
        let most = u64::try_from(ByteRanges::RANGES_MAX).unwrap();
        let mut ranges = ByteRanges::default();
        for part in 0..=most {
            let size = if part == 7 { 1 } else { 3 };
            ranges.insert(part * 10..part * 10 + size);
        }
        assert_eq!(ranges.bytes(), most * 3);
        assert!(!ranges.to_text().contains("70-71"));
    }

    #[test]
    fn what_is_no_list_of_ranges_is_not_read() {
        for text in ["1", "a-b", "1-2;3-4", "-"] {
            assert_eq!(ByteRanges::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_offsets_and_is_read_as_it_was_written(
            parts in proptest::collection::vec((0_u64..60, 0_u64..20), 0..30),
        ) {
            let mut ranges = ByteRanges::default();
            let mut offsets = BTreeSet::new();
            for (start, length) in parts {
                ranges.insert(start..start + length);
                offsets.extend(start..start + length);
            }
            prop_assert_eq!(ranges.bytes(), offsets.len() as u64);
            for size in 0..90 {
                let covered = (0..size).all(|offset| offsets.contains(&offset));
                prop_assert_eq!(ranges.covers(size), covered);
            }
            prop_assert_eq!(ByteRanges::parse(&ranges.to_text()), Some(ranges));
        }
    }
}
