//! Settings that a running server takes up, and those that wait for its next start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::config::Config;
use crate::engine::Command;
use crate::http::{EngineError, EngineHandle};
use crate::model::AuditActor;

/// What is taken up; the rest needs a restart.
const TAKEN_UP: [&str; 2] = ["cells.limits.", "cells.overrides"];

/// Why settings were not taken up. The server goes on with those that it has.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The engine did not take them.
    #[error("the limits were not taken up: {0}")]
    Engine(EngineError),
    /// The engine was told of them and gave no answer: they may hold, now or later.
    #[error("it is not known whether the limits hold: {0}")]
    NotKnown(EngineError),
    /// They cannot be compared with those that count.
    #[error("the settings cannot be compared: {0}")]
    Compare(#[from] serde_json::Error),
}

impl From<EngineError> for ReloadError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::TimedOut(_) | EngineError::Ended => Self::NotKnown(error),
            EngineError::Refused(_)
            | EngineError::NotCommitted(_)
            | EngineError::NoSpace
            | EngineError::Busy
            | EngineError::Halted => Self::Engine(error),
        }
    }
}

/// Takes up settings while the server runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reloader {
    counts: Arc<Mutex<Counts>>,
    engine: EngineHandle,
}

#[derive(Debug)]
struct Counts {
    /// What counts now; what waits for a restart is as it was at the start.
    config: Config,
    /// Whether the engine may have other limits, which it was told of and did not answer.
    is_uncertain: bool,
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
            counts: Arc::new(Mutex::new(Counts {
                config: config.clone(),
                is_uncertain: false,
            })),
            engine,
        }
    }

    /// Takes up the limits of these settings, which were checked, and answers what differs.
    ///
    /// # Errors
    /// Where the engine does not take them; then nothing has changed. Where it does not answer, that is
    /// not known: the next call tells it again what is to count.
    pub async fn take_up(&self, new: &Config) -> Result<Reloaded, ReloadError> {
        let (reloaded, is_uncertain) = {
            let now = self.lock();
            (compare(&now.config, new)?, now.is_uncertain)
        };
        if reloaded.taken_up.is_empty() && !is_uncertain {
            return Ok(reloaded);
        }
        let engine = new.engine();
        let command = Command::SetCellLimits {
            limits: engine.tier_limits,
            overrides: engine.cell_limits,
        };
        // Should nobody wait for the answer any more, it is not known either.
        self.lock().is_uncertain = true;
        let taken = self.engine.command_by(AuditActor::server(), command).await;
        if let Err(error) = taken {
            let error = ReloadError::from(error);
            self.lock().is_uncertain = is_uncertain || matches!(error, ReloadError::NotKnown(_));
            return Err(error);
        }
        let mut now = self.lock();
        now.is_uncertain = false;
        now.config.cells.limits = new.cells.limits;
        now.config.cells.overrides.clone_from(&new.cells.overrides);
        Ok(reloaded)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
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
    use crate::http::{EngineRequest, engine_channel};

    #[tokio::test(start_paused = true)]
    async fn after_an_engine_that_did_not_answer_the_limits_are_told_again_even_the_old_ones() {
        let patience = std::time::Duration::from_secs(1);
        let (handle, mut requests) = engine_channel(4, patience);
        let old = Config::default();
        let reloader = Reloader::new(&old, handle);
        let mut new = old.clone();
        new.cells.limits.tier0 = 40;

        let error = reloader.take_up(&new).await.unwrap_err();
        assert!(matches!(error, ReloadError::NotKnown(_)), "{error}");
        // It is in the queue yet, and will be carried out.
        let Some(EngineRequest::Command(Command::SetCellLimits { .. }, Some(actor), _)) =
            requests.recv().await
        else {
            panic!("limits");
        };
        assert_eq!(actor, AuditActor::server());

        let answered = async {
            let Some(EngineRequest::Command(Command::SetCellLimits { limits, .. }, _, answer)) =
                requests.recv().await
            else {
                panic!("limits");
            };
            assert_eq!(limits, old.engine().tier_limits);
            answer.send(Ok(())).unwrap();
        };
        let (reloaded, ()) = tokio::join!(reloader.take_up(&old), answered);
        assert_eq!(reloaded.unwrap(), Reloaded::default());
        // All is known now.
        assert_eq!(reloader.take_up(&old).await.unwrap(), Reloaded::default());
        assert!(requests.try_recv().is_err());
    }

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
