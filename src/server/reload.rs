//! Settings that a running server takes up, and those that wait for its next start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::rest::tiers;
use crate::config::Config;
use crate::engine::Command;
use crate::http::{CurrentTiers, EngineError, EngineHandle};

/// What is taken up; the rest needs a restart.
const TAKEN_UP: [&str; 2] = ["cells.limits.", "cells.overrides"];

/// Why settings were not taken up. The server goes on with those that it has.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The engine did not take them.
    #[error("the limits were not taken up: {0}")]
    Engine(#[from] EngineError),
    /// They cannot be compared with those that count.
    #[error("the settings cannot be compared: {0}")]
    Compare(#[from] serde_json::Error),
}

/// Takes up settings while the server runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reloader {
    /// What counts now; what waits for a restart is as it was at the start.
    config: Arc<Mutex<Config>>,
    engine: EngineHandle,
    tiers: CurrentTiers,
}

/// What differs from the settings that count, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// What was taken up: the key, what counted and what counts now.
    pub taken_up: Vec<(String, String, String)>,
    /// Keys that need a restart.
    pub waiting: Vec<String>,
}

impl Reloader {
    pub(super) fn new(config: &Config, engine: EngineHandle) -> Self {
        Self {
            config: Arc::new(Mutex::new(config.clone())),
            engine,
            tiers: CurrentTiers::new(tiers(&config.cells)),
        }
    }

    pub(super) fn tiers(&self) -> CurrentTiers {
        self.tiers.clone()
    }

    /// Takes up the limits of these settings, which were checked, and answers what differs.
    ///
    /// # Errors
    /// Where the engine does not take them; then nothing has changed.
    pub async fn take_up(&self, new: &Config) -> Result<Reloaded, ReloadError> {
        let now = self.lock().clone();
        let reloaded = compare(&now, new)?;
        if reloaded.taken_up.is_empty() {
            return Ok(reloaded);
        }
        let engine = new.engine();
        let limits = engine.tier_limits;
        let command = Command::SetCellLimits {
            limits,
            overrides: engine.cell_limits,
        };
        self.engine.command(command).await?;
        self.tiers.set_limits(limits);
        let mut config = self.lock();
        config.cells.limits = new.cells.limits;
        config.cells.overrides.clone_from(&new.cells.overrides);
        Ok(reloaded)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn compare(now: &Config, new: &Config) -> Result<Reloaded, serde_json::Error> {
    let (now, new) = (keys(now)?, keys(new)?);
    let mut reloaded = Reloaded::default();
    let all: std::collections::BTreeSet<_> = now.keys().chain(new.keys()).collect();
    for key in all {
        let value = |of: &BTreeMap<String, Value>| {
            of.get(key)
                .map_or_else(|| "none".to_owned(), Value::to_string)
        };
        let (before, after) = (value(&now), value(&new));
        if before == after {
            continue;
        }
        if TAKEN_UP.iter().any(|taken| key.starts_with(taken)) {
            reloaded.taken_up.push((key.clone(), before, after));
        } else {
            reloaded.waiting.push(key.clone());
        }
    }
    Ok(reloaded)
}

/// Each setting under its key, such as `cells.limits.tier0`.
fn keys(config: &Config) -> Result<BTreeMap<String, Value>, serde_json::Error> {
    let mut keys = BTreeMap::new();
    flatten(String::new(), serde_json::to_value(config)?, &mut keys);
    Ok(keys)
}

fn flatten(key: String, value: Value, keys: &mut BTreeMap<String, Value>) {
    let Value::Object(section) = value else {
        keys.insert(key, value);
        return;
    };
    for (name, value) in section {
        let key = if key.is_empty() {
            name
        } else {
            format!("{key}.{name}")
        };
        flatten(key, value, keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_up_is_told_from_what_needs_a_restart() {
        let now = Config::default();
        assert_eq!(compare(&now, &now).unwrap(), Reloaded::default());
        let mut new = now.clone();
        new.cells.limits.tier0 = 40;
        new.cells.rsrp_borders_dbm = [-100, -110, -120];
        new.http.requests_max = 7;
        let reloaded = compare(&now, &new).unwrap();
        let tier0 = "cells.limits.tier0".to_owned();
        let expected = [(tier0, "50".to_owned(), "40".to_owned())];
        assert_eq!(reloaded.taken_up, expected);
        assert_eq!(
            reloaded.waiting,
            ["cells.rsrp_borders_dbm", "http.requests_max"]
        );
    }
}
