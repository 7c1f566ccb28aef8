//! A place in JSON.

use std::fmt;

use serde_json::Value;

use super::finding::shortened;

/// The way from the root to a value: `devices[0].omCapability`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl JsonPath {
    pub(super) fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    /// The value there.
    pub(super) fn value_mut<'a>(&self, root: &'a mut Value) -> Option<&'a mut Value> {
        self.0.iter().try_fold(root, |value, step| match step {
            Step::Key(key) => value.get_mut(key),
            Step::Index(index) => value.get_mut(index),
        })
    }

    /// The way to the object that holds the value, and its key there; `None` in a list, or at the root.
    pub(super) fn split_key(&self) -> Option<(Self, &str)> {
        match self.0.split_last()? {
            (Step::Key(key), rest) => Some((Self(rest.to_vec()), key)),
            (Step::Index(_), _) => None,
        }
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => f.write_str(&shortened(key))?,
                Step::Key(key) => write!(f, ".{}", shortened(key))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
