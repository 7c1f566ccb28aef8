//! Why a text is no scenario, and where. Sans-IO.

use std::fmt;

use toml::de::{DeTable, DeValue};

/// A fault of a scenario: where it stands, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {}{message}", prefix(field))]
pub struct ScenarioError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The field, `mix[1].uplink.window`; empty where the text is no TOML.
    pub field: String,
    /// What is wrong, or what would be right.
    pub message: String,
}

fn prefix(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("{field}: ")
    }
}

/// A way to a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Field(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// A fault that does not know yet where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) field: Field,
    pub(super) message: String,
}

impl Field {
    pub(super) fn of(key: &str) -> Self {
        Self::default().key(key)
    }

    #[must_use]
    pub(super) fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    #[must_use]
    pub(super) fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }

    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault {
            field: self.clone(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                    let dot = if place == 0 { "" } else { "." };
                    if key.chars().all(is_bare) {
                        write!(f, "{dot}{key}")?;
                    } else {
                        write!(f, "{dot}\"{key}\"")?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl From<&serde_path_to_error::Path> for Field {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        let steps = path.iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        Self(steps.collect())
    }
}

impl Fault {
    /// With its place in the text: that of the field, or of what it would stand in.
    pub(super) fn located(self, text: &str) -> ScenarioError {
        let at = offset(text, &self.field).unwrap_or_default();
        self.at(text, at)
    }

    /// With its place, so many bytes from the beginning.
    pub(super) fn at(self, text: &str, offset: usize) -> ScenarioError {
        let before = text.get(..offset).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        ScenarioError {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            field: self.field.to_string(),
            message: self.message,
        }
    }
}

fn offset(text: &str, field: &Field) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let (first, rest) = field.0.split_first()?;
    let Step::Key(first) = first else {
        return None;
    };
    let (_, mut found) = table
        .get_ref()
        .iter()
        .find(|(key, _)| key.get_ref() == first)?;
    for step in rest {
        let next = match (step, found.get_ref()) {
            (Step::Key(key), DeValue::Table(table)) => {
                let mut entries = table.iter();
                entries
                    .find(|(it, _)| it.get_ref() == key)
                    .map(|(_, it)| it)
            }
            (Step::Index(index), DeValue::Array(array)) => array.get(*index),
            _ => None,
        };
        match next {
            Some(next) => found = next,
            None => break,
        }
    }
    Some(found.span().start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[run]\nseed = 1\n\n[[mix]]\nname = \"a\"\n[[mix]]\n\"名\" = 1\nuplink = { window = \"x\" }\n";

    fn place(field: &Field) -> (usize, usize) {
        let error = field.fault("").located(TEXT);
        (error.line, error.column)
    }

    #[test]
    fn a_field_is_found_where_its_value_stands() {
        let mix = Field::of("mix");
        assert_eq!(place(&Field::of("run").key("seed")), (2, 8));
        assert_eq!(place(&mix.index(0).key("name")), (5, 8));
        let window = mix.index(1).key("uplink").key("window");
        assert_eq!(place(&window), (8, 21));
    }

    #[test]
    fn a_field_that_is_missing_is_found_where_it_would_stand() {
        assert_eq!(place(&Field::of("mix").index(1).key("weight")).0, 6);
        assert_eq!(place(&Field::of("event")), (1, 1));
    }

    #[test]
    fn a_field_is_told_as_one_would_write_it() {
        let field = Field::of("thresholds").key("cell.active{tier=0}").index(2);
        assert_eq!(field.to_string(), "thresholds.\"cell.active{tier=0}\"[2]");
    }
}
