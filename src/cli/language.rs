//! In which language a command speaks.

use std::env;

use crate::model::Language;

/// The first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set decides (POSIX §8.2).
pub(super) fn language_of_environment() -> Language {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .filter_map(|name| env::var(name).ok())
        .find(|value| !value.is_empty())
        .map_or_else(Language::default, |value| Language::from_locale(&value))
}
