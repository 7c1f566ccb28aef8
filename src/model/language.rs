//! The languages that people are spoken to in.

use super::words::words;

words! {
    /// A language of texts for people. Codes, paths and logs are in no language.
    #[derive(Default)]
    pub enum Language {
        /// English.
        #[default]
        En = "en",
        /// 中文.
        Zh = "zh",
    }
}

/// The most ranges of an Accept-Language field that are looked at.
const RANGES_MAX: usize = 32;

impl Language {
    /// The language that a request's `Accept-Language` (RFC 9110 §12.5.4) likes best: the highest
    /// weight, the first of equals; English where none of ours is named.
    pub fn from_accept_language(field: &str) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for range in field.split(',').take(RANGES_MAX) {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let Some(language) = (if tag == "*" {
                Some(Self::default())
            } else {
                Self::from_tag(tag)
            }) else {
                continue;
            };
            let Some(weight) = parts.next().map_or(Some(1.0), weight) else {
                continue;
            };
            if weight > best.map_or(0.0, |(weight, _)| weight) {
                best = Some((weight, language));
            }
        }
        best.map_or_else(Self::default, |(_, language)| language)
    }

    /// The language of a POSIX locale as in `LC_ALL`, `LC_MESSAGES`, `LANG` (`zh_CN.UTF-8`); English
    /// for `C`, `POSIX` and all that is not ours.
    pub fn from_locale(locale: &str) -> Self {
        Self::from_tag(locale).unwrap_or_default()
    }

    /// The language of a tag's first part, whatever script and region follow it.
    fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_', '.', '@']).next()?;
        Self::from_word(&primary.to_ascii_lowercase())
    }
}

/// `q=0.8`; `None` where it is not a weight.
fn weight(parameter: &str) -> Option<f32> {
    let value = parameter
        .strip_prefix("q=")
        .or_else(|| parameter.strip_prefix("Q="))?;
    let weight: f32 = value.trim().parse().ok()?;
    (0.0..=1.0).contains(&weight).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_weight_wins_and_the_first_of_equals() {
        let of = Language::from_accept_language;
        assert_eq!(of("zh-CN,zh;q=0.9,en;q=0.8"), Language::Zh);
        assert_eq!(of("en;q=0.8, zh-Hans-CN"), Language::Zh);
        assert_eq!(of("EN-gb, zh"), Language::En);
        assert_eq!(of("de, fr;q=0.9, zh;q=0.1"), Language::Zh);
        assert_eq!(of("*, zh;q=0.5"), Language::En);
    }

    #[test]
    fn what_is_not_ours_or_refused_or_nonsense_is_english() {
        for field in [
            "", "de", "zh;q=0", "zh;q=2", "zh;q=NaN", "zh;q=", ",;,", "zhx",
        ] {
            assert_eq!(
                Language::from_accept_language(field),
                Language::En,
                "{field}"
            );
        }
    }

    #[test]
    fn a_locale_is_read_by_its_language() {
        for (locale, language) in [
            ("zh_CN.UTF-8", Language::Zh),
            ("zh", Language::Zh),
            ("en_GB", Language::En),
            ("C.UTF-8", Language::En),
            ("POSIX", Language::En),
            ("", Language::En),
        ] {
            assert_eq!(Language::from_locale(locale), language, "{locale}");
        }
    }
}
