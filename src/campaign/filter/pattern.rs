//! A text in which `*` stands for any characters, none among them.

use std::fmt;

/// What a value is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// What stands before, between and behind the stars: one more than there are stars.
    literals: Vec<String>,
}

impl Pattern {
    /// A pattern of these literals with a star between each two.
    pub(super) fn new(literals: Vec<String>) -> Self {
        Self { literals }
    }

    /// The text, where it has no star.
    pub(super) fn exact(&self) -> Option<&str> {
        match self.literals.as_slice() {
            [text] => Some(text),
            _ => None,
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let Some((first, behind)) = self.literals.split_first() else {
            return text.is_empty();
        };
        let Some((last, between)) = behind.split_last() else {
            return text == first;
        };
        let Some(rest) = text.strip_prefix(first.as_str()) else {
            return false;
        };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else {
            return false;
        };
        // The first place that fits leaves the most for those behind.
        for literal in between {
            match rest.split_once(literal.as_str()) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        true
    }
}

/// As it is written in a filter: in quotation marks where it must be.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let literals = || self.literals.iter().flat_map(|literal| literal.chars());
        let is_empty = self.literals.len() < 2 && literals().next().is_none();
        let is_plain = !is_empty && literals().all(|it| !is_reserved(it) && it != '*');
        if is_plain {
            return f.write_str(&self.literals.join("*"));
        }
        f.write_str("\"")?;
        for (index, literal) in self.literals.iter().enumerate() {
            if index > 0 {
                f.write_str("*")?;
            }
            for character in literal.chars() {
                if matches!(character, '"' | '\\' | '*') {
                    f.write_str("\\")?;
                }
                write!(f, "{character}")?;
            }
        }
        f.write_str("\"")
    }
}

/// What ends a value that is not in quotation marks.
pub(super) fn is_reserved(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(
            character,
            '"' | '\'' | '(' | ')' | ';' | ',' | '=' | '!' | '~' | '<' | '>' | '\\'
        )
}
