//! Which rows a page has.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::model::EndpointName;
use crate::store::Page;

/// The page of a map whose keys are texts.
pub(super) fn page_by_text<V: Clone>(
    map: &BTreeMap<String, V>,
    page: &Page,
    include: impl Fn(&V) -> bool,
) -> Vec<V> {
    let after = page.after.clone().unwrap_or_default();
    map.range((Bound::Excluded(after), Bound::Unbounded))
        .map(|(_, value)| value)
        .filter(|value| include(value))
        .take(limit(page))
        .cloned()
        .collect()
}

/// The part of an ordered list of names that a page asks for.
pub(super) fn page_of_names<'a, V>(
    rows: impl Iterator<Item = (&'a EndpointName, V)>,
    page: &Page,
) -> Vec<V> {
    let after = page.after.as_deref().unwrap_or_default();
    rows.skip_while(|(name, _)| name.as_str() <= after)
        .take(limit(page))
        .map(|(_, row)| row)
        .collect()
}

pub(super) fn limit(page: &Page) -> usize {
    usize::try_from(page.limit).unwrap_or(usize::MAX)
}
