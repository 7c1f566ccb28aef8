//! `narrowcast config`: the commented default file, what a setting means, and what is wrong with a file.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::error::CliError;
use super::output::Output;
use crate::config::{Config, Setting, default_file, explained};

/// Print, explain or check settings.
#[derive(Args, Debug)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Print the commented default file.
    Init,
    /// Say what a setting means, its default and its variable in the environment.
    Explain {
        /// Such as `cells.limits.tier0`; a section, such as `cells`, names all that are in it. Left out:
        /// every setting.
        key: Option<String>,
    },
    /// Say what is wrong with a file.
    Check {
        /// The file.
        file: PathBuf,
    },
}

pub(super) fn run(args: &ConfigArgs, output: &Output) -> Result<(), CliError> {
    match &args.verb {
        ConfigVerb::Init => output.line(default_file().trim_end()),
        ConfigVerb::Explain { key } => explain(key.as_deref().unwrap_or_default(), output),
        ConfigVerb::Check { file } => {
            let config = Config::load(Some(file)).map_err(CliError::failed)?;
            config.check().map_err(CliError::failed)?;
            output.line("ok")
        }
    }
}

fn explain(key: &str, output: &Output) -> Result<(), CliError> {
    let settings = explained();
    let section = format!("{key}.");
    let is_asked = |setting: &&Setting| {
        key.is_empty() || setting.key == key || setting.key.starts_with(&section)
    };
    let asked: Vec<_> = settings.iter().filter(is_asked).collect();
    if asked.is_empty() {
        let reason = format!("there is no setting {key}; `narrowcast config explain` lists all");
        return Err(CliError::Failed(reason));
    }
    let lines = asked.iter().map(|setting| setting.to_string());
    output.line(&lines.collect::<Vec<_>>().join("\n\n"))
}
