//! The frame of a chart. The drawing stretches with the page and the words around it do not, so that a
//! chart can be read on a telephone, on a wall and on paper. Sans-IO.
//!
//! Written by hand: plotters' SVG has its colours fixed, so that no page could be dark, and draws words
//! that shrink with it; charming needs a script of a megabyte.

use super::markup::{Page, Words};
use super::scale::Mark;

/// What stands around a drawing.
#[derive(Debug)]
pub(in crate::harness) struct Frame<'a> {
    /// What it shows.
    pub(in crate::harness) title: Words,
    /// How to read it.
    pub(in crate::harness) note: Words,
    /// Below.
    pub(in crate::harness) x: Vec<Mark>,
    /// At the left.
    pub(in crate::harness) y: Vec<Mark>,
    /// What each line is.
    pub(in crate::harness) legend: Vec<Key<'a>>,
}

/// A line's name.
#[derive(Clone, Copy, Debug)]
pub(in crate::harness) struct Key<'a> {
    /// Its class in the style sheet.
    pub(in crate::harness) class: &'static str,
    /// Its name.
    pub(in crate::harness) name: Name<'a>,
}

/// A name from the program, or from anywhere.
#[derive(Clone, Copy, Debug)]
pub(in crate::harness) enum Name<'a> {
    /// Ours.
    Words(Words),
    /// Any.
    Text(&'a str),
}

impl Frame<'_> {
    /// The chart, with what `draw` writes into a field of 1000 by 1000.
    pub(in crate::harness) fn chart(&self, page: &mut Page, draw: impl FnOnce(&mut Page)) {
        page.raw("<figure class=\"chart\"><figcaption><h3>");
        page.words(self.title).raw("</h3><p>");
        page.words(self.note).raw("</p></figcaption>");
        page.raw("<div class=\"plot\"><div class=\"y\">");
        for (at, text) in &self.y {
            page.raw("<span style=\"bottom:").percent(*at);
            page.raw("\">").text(text).raw("</span>");
        }
        page.raw("</div><svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"");
        page.text(self.title.en).raw("\"><path class=\"grid\" d=\"");
        for (at, _) in &self.y {
            page.path([(0.0, *at), (1.0, *at)]);
        }
        page.raw("\"/>");
        draw(page);
        page.raw("</svg><div class=\"x\">");
        for (at, text) in &self.x {
            page.raw("<span style=\"left:").percent(*at);
            page.raw("\">").text(text).raw("</span>");
        }
        page.raw("</div></div>");
        self.legend(page);
        page.raw("</figure>");
    }

    fn legend(&self, page: &mut Page) {
        if self.legend.is_empty() {
            return;
        }
        page.raw("<ul class=\"legend\">");
        for key in &self.legend {
            page.raw("<li><i class=\"").raw(key.class).raw("\"></i>");
            match key.name {
                Name::Words(name) => page.words(name),
                Name::Text(name) => page.text_of_at_most(name, 60),
            };
            page.raw("</li>");
        }
        page.raw("</ul>");
    }
}

/// A line of this class.
pub(in crate::harness) fn line(
    page: &mut Page,
    class: &'static str,
    points: impl IntoIterator<Item = (f64, f64)>,
) {
    page.raw("<path class=\"line ").raw(class).raw("\" d=\"");
    page.path(points).raw("\"/>");
}

/// The field between two lines over the same places.
pub(in crate::harness) fn band(
    page: &mut Page,
    class: &'static str,
    lower: &[(f64, f64)],
    upper: &[(f64, f64)],
) {
    page.raw("<path class=\"area ").raw(class).raw("\" d=\"");
    page.path(upper.iter().chain(lower.iter().rev()).copied());
    page.raw("Z\"/>");
}

/// A list made at most so long by joining neighbours.
pub(in crate::harness) fn joined(
    values: &[u64],
    parts_max: usize,
    join: fn(&[u64]) -> u64,
) -> Vec<u64> {
    let size = values.len().div_ceil(parts_max).max(1);
    values.chunks(size).map(join).collect()
}

/// The highest of some.
pub(in crate::harness) fn most(values: &[u64]) -> u64 {
    values.iter().copied().max().unwrap_or_default()
}

/// The last of some.
pub(in crate::harness) fn last(values: &[u64]) -> u64 {
    values.last().copied().unwrap_or_default()
}

/// All of some.
pub(in crate::harness) fn sum(values: &[u64]) -> u64 {
    values.iter().copied().fold(0, u64::saturating_add)
}
