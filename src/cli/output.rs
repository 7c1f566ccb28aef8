//! Where a command's words go: data to stdout, messages to stderr.

use std::io::{self, Write};

use serde_json::Value;

use super::error::CliError;
use crate::model::Language;

/// One command's outlets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) language: Language,
    json: bool,
}

impl Output {
    pub(super) fn new(language: Language, json: bool) -> Self {
        Self { language, json }
    }

    /// The text in the command's language.
    pub(super) fn pick<'a>(&self, en: &'a str, zh: &'a str) -> &'a str {
        match self.language {
            Language::En => en,
            Language::Zh => zh,
        }
    }

    /// The command's result: one line of JSON with `--json`, else `text`.
    ///
    /// # Errors
    /// Where stdout cannot be written; a reader that has gone away is no fault.
    pub(super) fn result(&self, json: &Value, text: &str) -> Result<(), CliError> {
        let line = if self.json {
            json.to_string()
        } else {
            text.to_owned()
        };
        self.line(&line)
    }

    /// A line of data, whatever `--json` says.
    ///
    /// # Errors
    /// Where stdout cannot be written; a reader that has gone away is no fault.
    pub(super) fn line(&self, line: &str) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CliError::Failed(format!("cannot write to stdout: {error}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// A result that is a failure: with `--json` on stdout for the script that reads it, else a
    /// message.
    pub(super) fn failure(&self, json: &Value, text: &str) -> CliError {
        if !self.json {
            self.message(text);
        } else if let Err(error) = self.result(json, text) {
            return error;
        }
        CliError::Reported
    }

    /// A message for the person at the terminal.
    pub(super) fn message(&self, text: &str) {
        // There is nobody to tell where stderr cannot be written.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Says why the command failed.
    pub(super) fn error(&self, error: &CliError) {
        match error {
            CliError::Reported | CliError::Ended(_) => {}
            CliError::Usage(_) => {
                let label = self.pick("usage", "用法错误");
                self.message(&format!("narrowcast: {label}: {error}"));
            }
            CliError::Failed(_) => {
                let label = self.pick("error", "错误");
                self.message(&format!("narrowcast: {label}: {error}"));
            }
        }
    }
}
