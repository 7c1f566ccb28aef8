//! HTML that cannot say what it was not meant to: markup is in the program's text, and everything else
//! is escaped. Sans-IO.

use std::fmt::Write;

/// A text in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::harness) struct Words {
    pub(in crate::harness) en: &'static str,
    pub(in crate::harness) zh: &'static str,
}

/// A text in both languages.
pub(in crate::harness) const fn words(en: &'static str, zh: &'static str) -> Words {
    Words { en, zh }
}

/// A page as it is written.
#[derive(Debug, Default)]
pub(in crate::harness) struct Page {
    html: String,
}

impl Page {
    /// Markup, which only the program's own text can be.
    pub(in crate::harness) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.html.push_str(markup);
        self
    }

    /// A text from anywhere. Characters that would end it, reverse its direction or not be seen are
    /// written out.
    pub(in crate::harness) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.html.push_str("&amp;"),
                '<' => self.html.push_str("&lt;"),
                '>' => self.html.push_str("&gt;"),
                '"' => self.html.push_str("&quot;"),
                '\'' => self.html.push_str("&#39;"),
                '\n' | '\t' => self.html.push(c),
                '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}' => self.escaped(c),
                c if c.is_control() => self.escaped(c),
                c => self.html.push(c),
            }
        }
        self
    }

    /// The beginning of a text that may be of any length.
    pub(in crate::harness) fn text_of_at_most(
        &mut self,
        text: &str,
        chars_max: usize,
    ) -> &mut Self {
        match text.char_indices().nth(chars_max) {
            Some((end, _)) => {
                self.text(text.get(..end).unwrap_or_default());
                self.raw("…")
            }
            None => self.text(text),
        }
    }

    /// Both languages, of which the page shows one.
    pub(in crate::harness) fn words(&mut self, words: Words) -> &mut Self {
        self.both(words.en, words.zh)
    }

    /// The same, where the texts are put together.
    pub(in crate::harness) fn both(&mut self, en: &str, zh: &str) -> &mut Self {
        self.raw("<span class=\"en\" lang=\"en\">").text(en);
        self.raw("</span><span class=\"zh\" lang=\"zh-CN\">")
            .text(zh);
        self.raw("</span>")
    }

    /// A whole number.
    pub(in crate::harness) fn count(&mut self, count: u64) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(self.html, "{count}");
        self
    }

    /// A share of the width or height, 0 to 1, in per cent.
    pub(in crate::harness) fn percent(&mut self, share: f64) -> &mut Self {
        let share = if share.is_finite() {
            share.clamp(0.0, 1.0)
        } else {
            0.0
        };
        let _ = write!(self.html, "{:.2}%", share * 100.0);
        self
    }

    /// A list of lines through points from 0 to 1, y upwards, in a field of 1000 by 1000. Points that
    /// lie on the way between others are left out.
    pub(in crate::harness) fn path(
        &mut self,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> &mut Self {
        let mut before: Option<(i32, i32)> = None;
        let mut held: Option<(i32, i32)> = None;
        for (x, y) in points {
            let point = (place(x), 1000 - place(y));
            let Some(last) = held.or(before) else {
                let _ = write!(self.html, "M{} {}", point.0, point.1);
                before = Some(point);
                continue;
            };
            if point == last {
                continue;
            }
            let straight = before.is_some_and(|before| before.1 == last.1 && last.1 == point.1);
            if let (Some(held), false) = (held, straight) {
                let _ = write!(self.html, "L{} {}", held.0, held.1);
                before = Some(held);
            }
            held = Some(point);
        }
        if let Some(held) = held {
            let _ = write!(self.html, "L{} {}", held.0, held.1);
        }
        self
    }

    /// A filled field of a path, from 0 to 1, y downwards.
    pub(in crate::harness) fn field(
        &mut self,
        (x0, x1): (f64, f64),
        (y0, y1): (f64, f64),
    ) -> &mut Self {
        let (left, right) = (place(x0), place(x1));
        let (top, bottom) = (place(y0), place(y1));
        let (width, height) = (right - left, bottom - top);
        let _ = write!(self.html, "M{left} {top}h{width}v{height}h-{width}z");
        self
    }

    /// The whole page.
    pub(in crate::harness) fn finish(self) -> String {
        self.html
    }

    fn escaped(&mut self, c: char) {
        let _ = write!(self.html, "\\u{{{:x}}}", u32::from(c));
    }
}

fn place(share: f64) -> i32 {
    let share = if share.is_finite() { share } else { 0.0 };
    (share.clamp(0.0, 1.0) * 1000.0).round() as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::default();
        write(&mut page);
        page.finish()
    }

    #[test]
    fn what_ends_a_text_or_hides_in_it_is_written_out() {
        let html = written(|page| {
            page.text("<b>\"'&\u{202e}\u{0}\u{7f}");
        });
        assert_eq!(html, "&lt;b&gt;&quot;&#39;&amp;\\u{202e}\\u{0}\\u{7f}");
    }

    #[test]
    fn a_line_keeps_its_corners_and_no_more() {
        let html = written(|page| {
            let points = [
                (0.0, 0.0),
                (0.1, 0.0),
                (0.2, 0.0),
                (0.3, 0.5),
                (0.4, 0.5),
                (1.0, 0.5),
            ];
            page.path(points);
        });
        assert_eq!(html, "M0 1000L200 1000L300 500L1000 500");
    }

    #[test]
    fn figures_that_are_none_are_places_all_the_same() {
        let html = written(|page| {
            page.path([(f64::NAN, f64::INFINITY)]).percent(f64::NAN);
        });
        assert_eq!(html, "M0 10000.00%");
    }

    proptest! {
        #[test]
        fn no_text_makes_markup(text in any::<String>()) {
            let html = written(|page| { page.text(&text); });
            let found = html.contains(['<', '>', '"', '\'']);
            prop_assert!(!found, "{}", html);
        }
    }
}
