//! What each setting means: read from the commented default file, which is the one place that says so.

use std::fmt;

use super::default_file;

/// A setting as the default file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key, such as `cells.limits.tier0`.
    pub key: String,
    /// What it means. Settings that stand under one comment share it.
    pub meaning: String,
    /// Its default as TOML; `None` where it has none.
    pub default: Option<String>,
    /// What it may look like, where it has no default.
    pub example: Option<String>,
    /// The variable in the environment that overrides it; `None` for what stands in a list.
    pub variable: Option<String>,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.key)?;
        writeln!(f, "  {}", self.meaning)?;
        match (&self.default, &self.example) {
            (Some(default), _) => writeln!(f, "  default: {default}")?,
            (None, Some(example)) => writeln!(f, "  not set by default; such as {example}")?,
            (None, None) => writeln!(f, "  not set by default")?,
        }
        match &self.variable {
            Some(variable) => write!(f, "  {variable}"),
            None => write!(f, "  only in the file"),
        }
    }
}

/// Every setting, in the order of the default file.
pub fn explained() -> Vec<Setting> {
    let mut settings = Vec::new();
    let (mut section, mut is_list) = (String::new(), false);
    let mut comment = Comment::default();
    for line in default_file().lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if let Some((name, value)) = assignment(bare) {
            let is_default = bare.len() == line.len();
            let set = |wanted| (is_default == wanted).then(|| value.to_owned());
            let key = format!("{section}{name}");
            let variable = format!("NARROWCAST__{}", key.replace('.', "__").to_uppercase());
            settings.push(Setting {
                variable: (!is_list).then_some(variable),
                key,
                meaning: comment.take(),
                default: set(true),
                example: set(false),
            });
        } else if let Some(name) = bare.strip_prefix('[') {
            // A comment above a section is of what is in it.
            is_list = name.starts_with('[');
            section = format!("{}.", name.trim_matches(['[', ']']));
        } else if line.starts_with('#') {
            comment.add(bare.trim_start_matches('#'));
        } else {
            comment.end();
        }
    }
    settings
}

/// `name = value`; a sentence in a comment is none.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(" = ")?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_name)).then_some((name, value))
}

/// The comment that stands above.
#[derive(Debug, Default)]
struct Comment {
    text: String,
    /// A setting has come since: the next line of a comment begins another.
    taken: bool,
}

impl Comment {
    fn add(&mut self, line: &str) {
        if std::mem::take(&mut self.taken) {
            self.text.clear();
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(line.trim());
    }

    fn take(&mut self) -> String {
        self.taken = true;
        self.text.clone()
    }

    /// A blank line: what follows is of something else.
    fn end(&mut self) {
        self.taken = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(key: &str) -> Setting {
        let all = explained();
        let found = all.into_iter().find(|setting| setting.key == key);
        found.unwrap_or_else(|| panic!("{key} is not explained"))
    }

    #[test]
    fn what_stands_above_a_setting_is_its_meaning() {
        let awake = setting("update.awake_time");
        assert_eq!(
            awake.meaning,
            "How long a queue-mode device listens after its last message."
        );
        assert_eq!(awake.default.as_deref(), Some("\"93s\""));
        let variable = awake.variable.as_deref();
        assert_eq!(variable, Some("NARROWCAST__UPDATE__AWAKE_TIME"));
        // Several share a comment, a section's comment is of what is in it, and some have no default.
        let headers = setting("http.headers_max");
        assert!(
            headers.meaning.starts_with("The head of a request"),
            "{headers}"
        );
        assert_eq!(setting("http.header_bytes_max").meaning, headers.meaning);
        let tier0 = setting("cells.limits.tier0");
        assert!(
            tier0.meaning.starts_with("How many devices of one cell"),
            "{tier0}"
        );
        let host = setting("coap.public_host");
        assert_eq!(
            (host.default, host.example.as_deref()),
            (None, Some("\"203.0.113.5\""))
        );
        assert!(
            host.meaning.starts_with("The host that devices fetch"),
            "{}",
            host.meaning
        );
        let cell = setting("cells.overrides.cell_id");
        assert_eq!(cell.meaning, "A cell with limits of its own:");
        assert_eq!(cell.variable, None);
    }
}
