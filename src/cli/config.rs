//! `narrowcast config`: the commented default file, and what is wrong with one.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::error::CliError;
use super::output::Output;
use crate::config::{Config, default_file};

/// Print or check settings.
#[derive(Args, Debug)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Print the commented default file.
    Init,
    /// Say what is wrong with a file.
    Check {
        /// The file.
        file: PathBuf,
    },
}

pub(super) fn run(args: &ConfigArgs, output: &Output) -> Result<(), CliError> {
    match &args.verb {
        ConfigVerb::Init => output.line(default_file().trim_end()),
        ConfigVerb::Check { file } => {
            let config = Config::load(Some(file)).map_err(CliError::failed)?;
            config.check().map_err(CliError::failed)?;
            output.line("ok")
        }
    }
}
