//! Quirk sets: what is known of modules and their clients, as settings with a reason. They are data;
//! see `sets.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::settings::change_settings;
use crate::model::{Language, SettingChanges};

const SETS: &str = include_str!("sets.toml");

static READ: LazyLock<Vec<QuirkSet>> = LazyLock::new(|| {
    parse(SETS).unwrap_or_else(|fault| {
        tracing::error!(%fault, "the quirk sets cannot be read");
        Vec::new()
    })
});

/// What is known of one kind of module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuirkSet {
    /// By which a product names it.
    pub name: String,
    /// What it is of.
    pub title: String,
    /// Beginnings of the models that it is offered for.
    pub models: Vec<String>,
    /// The settings.
    pub changes: SettingChanges,
    says: [String; 2],
}

impl QuirkSet {
    /// Every set, by name.
    pub fn all() -> &'static [Self] {
        &READ
    }

    /// The set of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|set| set.name == name)
    }

    /// The set for products of this model, where one is known.
    pub fn of_model(model: &str) -> Option<&'static Self> {
        let model = model.to_lowercase();
        let fits = |beginning: &String| model.starts_with(&beginning.to_lowercase());
        Self::all().iter().find(|set| set.models.iter().any(fits))
    }

    /// Why these settings, and where that is from.
    pub fn says(&self, language: Language) -> &str {
        let [en, zh] = &self.says;
        match language {
            Language::En => en,
            Language::Zh => zh,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    title: String,
    models: Vec<String>,
    says: String,
    says_zh: String,
    settings: Map<String, Value>,
}

fn parse(text: &str) -> Result<Vec<QuirkSet>, String> {
    let tables: BTreeMap<String, Table> =
        toml::from_str(text).map_err(|error| error.to_string())?;
    let set = |(name, table): (String, Table)| {
        let mut changes = SettingChanges::default();
        let changed = change_settings(&mut changes, &table.settings);
        changed.map_err(|error| format!("{name}: {error}"))?;
        Ok(QuirkSet {
            name,
            title: table.title,
            models: table.models,
            changes,
            says: [table.says, table.says_zh],
        })
    };
    tables.into_iter().map(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_read_with_its_settings_and_a_reason_that_names_its_source() {
        let sets = parse(SETS).unwrap();
        let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
        let known = [
            "bc25",
            "constant_version",
            "ec616s",
            "liteos",
            "onenet",
            "wakaama",
            "xy1100",
        ];
        assert_eq!(names, known);
        for set in &sets {
            assert!(!set.changes.is_empty(), "{}", set.name);
            assert!(set.says(Language::En).contains("Source: "), "{}", set.name);
            assert!(set.says(Language::Zh).contains("来源："), "{}", set.name);
            assert_eq!(QuirkSet::find(&set.name), Some(set));
        }
        assert_eq!(QuirkSet::find("ec616"), None);
    }

    #[test]
    fn a_set_is_offered_for_the_models_that_begin_with_one_of_its_own() {
        let offered = |model| QuirkSet::of_model(model).map(|set| set.name.as_str());
        assert_eq!(offered("BC25-B5"), Some("bc25"));
        assert_eq!(offered("xy1100E"), Some("xy1100"));
        assert_eq!(offered("NBIoTDevice"), None);
        assert_eq!(offered(""), None);
        // One model is offered one set.
        let all = QuirkSet::all().iter();
        for beginning in all.flat_map(|set| &set.models) {
            let fits = |set: &&QuirkSet| {
                let mut models = set.models.iter();
                models.any(|it| beginning.to_lowercase().starts_with(&it.to_lowercase()))
            };
            assert_eq!(
                QuirkSet::all().iter().filter(fits).count(),
                1,
                "{beginning}"
            );
        }
    }

    #[test]
    fn a_fault_in_a_set_is_told_by_its_name() {
        for (settings, told) in [
            (
                "radio_unit = \"rssi\"",
                "x: radio_unit: must be one of auto",
            ),
            ("radio_units = \"csq\"", "x: radio_units: is no setting"),
        ] {
            let text = format!(
                "[x]\ntitle = \"\"\nmodels = []\nsays = \"\"\nsays_zh = \"\"\n[x.settings]\n{settings}\n"
            );
            let fault = parse(&text).unwrap_err();
            assert!(fault.contains(told), "{fault}");
        }
    }
}
