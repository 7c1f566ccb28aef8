//! Scenarios to begin with: real files, in the binary. Sans-IO.

use super::{Scenario, ScenarioError};

/// A scenario to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// By which it is asked for.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        &[$(Template {
            name: $name,
            text: include_str!(concat!("templates/", $name, ".toml")),
        }),*]
    };
}

const ALL: &[Template] = templates![
    "smoke",
    "nightly-burst",
    "reconnect-storm",
    "power-cut",
    "bad-cell",
    "cell-1000",
    "mixed-vendors",
    "50k-register",
];

impl Template {
    /// All of them, the simplest first.
    pub const fn all() -> &'static [Self] {
        ALL
    }

    /// The one of this name.
    pub fn find(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|template| template.name == name)
    }

    /// What it comes to.
    ///
    /// # Errors
    /// None: each is read by a test.
    pub fn scenario(self) -> Result<Scenario, ScenarioError> {
        Scenario::parse(self.text)
    }
}
