//! In which language a command speaks.

use std::env;

/// A language of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// English.
    En,
    /// 中文.
    Zh,
}

impl Language {
    /// The text in this language.
    pub(super) fn pick<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }

    fn of_locale(locale: &str) -> Self {
        if locale.to_ascii_lowercase().starts_with("zh") {
            Self::Zh
        } else {
            Self::En
        }
    }
}

/// The first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set decides (POSIX §8.2).
pub(super) fn language_of_environment() -> Language {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .filter_map(|name| env::var(name).ok())
        .find(|value| !value.is_empty())
        .map_or(Language::En, |value| Language::of_locale(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_locales_speak_chinese_and_all_others_english() {
        for locale in ["zh_CN.UTF-8", "zh", "zh_TW", "ZH-Hans"] {
            assert_eq!(Language::of_locale(locale), Language::Zh, "{locale}");
        }
        for locale in ["C.UTF-8", "en_US.UTF-8", "de_DE", "POSIX"] {
            assert_eq!(Language::of_locale(locale), Language::En, "{locale}");
        }
    }
}
