//! Where a pass-phrase comes from: a file, or a prompt on the terminal. Never a flag or a variable,
//! which other processes can read.

use std::io::{self, IsTerminal};
use std::path::Path;

use zeroize::Zeroizing;

use super::error::CliError;
use super::file;
use super::output::Output;
use crate::signing::Passphrase;

/// The pass-phrase of an existing key.
///
/// # Errors
/// Where no file was given and stdin is no terminal, or it cannot be read.
pub(super) fn existing(from: Option<&Path>, output: &Output) -> Result<Passphrase, CliError> {
    match from {
        Some(path) => of_file(path),
        None => prompt(output.pick("Pass-phrase: ", "私钥口令: ")),
    }
}

/// The pass-phrase of a new key: typed twice, and checked.
///
/// # Errors
/// As [`existing`]; where the two differ, or it is too weak.
pub(super) fn new(from: Option<&Path>, output: &Output) -> Result<Passphrase, CliError> {
    let passphrase = match from {
        Some(path) => of_file(path)?,
        None => {
            let first = prompt(output.pick("New pass-phrase: ", "新私钥口令: "))?;
            first.check_new()?;
            let again = prompt(output.pick("Again: ", "再次输入: "))?;
            if first != again {
                let differ = output.pick("the two pass-phrases differ", "两次输入不一致");
                return Err(CliError::Failed(differ.to_owned()));
            }
            first
        }
    };
    passphrase.check_new()?;
    Ok(passphrase)
}

fn of_file(path: &Path) -> Result<Passphrase, CliError> {
    let passphrase = Passphrase::from_file_text(&file::read_secret_text(path)?);
    if passphrase.is_empty() {
        return Err(CliError::Failed(format!(
            "{}: its first line is empty",
            path.display()
        )));
    }
    Ok(passphrase)
}

fn prompt(question: &str) -> Result<Passphrase, CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::Usage(
            "give the pass-phrase with --passphrase-file FILE (stdin is no terminal to ask on)"
                .to_owned(),
        ));
    }
    let typed = rpassword::prompt_password(question)
        .map_err(|error| CliError::Failed(format!("cannot read the pass-phrase: {error}")))?;
    Ok(Passphrase::new(Zeroizing::new(typed)))
}
