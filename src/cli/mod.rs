//! The `narrowcast` command line: data to stdout, messages to stderr; exit 0 done, 1 failed, 2 wrong
//! usage, 99 a threshold is broken.

mod agent;
mod audit;
mod compare;
mod config;
mod demo;
mod error;
mod file;
mod impair;
mod inspect;
mod keygen;
mod language;
mod limit;
mod load;
mod openapi;
mod output;
mod passphrase;
mod profile;
mod report;
mod run_result;
mod scenario;
mod serve;
mod sign;
mod simulate;
mod telemetry;
mod token;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::error::CliError;
use self::language::language_of_environment;
use self::output::Output;
use crate::model::Language;

/// Self-hosted firmware updates for private NB-IoT networks.
#[derive(Debug, Parser)]
#[command(name = "narrowcast", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One variant a command, one file a command.
#[derive(Debug, Subcommand)]
enum Command {
    Keygen(keygen::KeygenArgs),
    Sign(sign::SignArgs),
    Verify(verify::VerifyArgs),
    Inspect(inspect::InspectArgs),
    Profile(profile::ProfileArgs),
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Load(Box<load::LoadArgs>),
    Agent(agent::AgentArgs),
    Scenario(scenario::ScenarioArgs),
    Simulate(simulate::SimulateArgs),
    Token(token::TokenArgs),
    Audit(audit::AuditArgs),
    Impair(Box<impair::ImpairArgs>),
    Config(config::ConfigArgs),
    Report(report::ReportArgs),
    Compare(compare::CompareArgs),
    /// Print the OpenAPI document of the REST interface.
    Openapi,
}

impl Command {
    fn run(&self, language: Language) -> Result<(), CliError> {
        match self {
            Self::Keygen(args) => keygen::run(args, &Output::new(language, args.json)),
            Self::Sign(args) => sign::run(args, &Output::new(language, args.json)),
            Self::Verify(args) => verify::run(args, &Output::new(language, args.json)),
            Self::Inspect(args) => inspect::run(args, &Output::new(language, args.json)),
            Self::Profile(args) => profile::run(args, &Output::new(language, args.json())),
            Self::Serve(args) => serve::run(args, &Output::new(language, false)),
            Self::Demo(args) => demo::run(args, &Output::new(language, args.json)),
            Self::Load(args) => load::run(args, &Output::new(language, args.json)),
            Self::Agent(args) => agent::run(args, &Output::new(language, args.json)),
            Self::Scenario(args) => scenario::run(args, &Output::new(language, args.json())),
            Self::Simulate(args) => simulate::run(args, &Output::new(language, args.json)),
            Self::Token(args) => token::run(args, &Output::new(language, args.json())),
            Self::Audit(args) => audit::run(args, &Output::new(language, args.json())),
            Self::Impair(args) => impair::run(args, &Output::new(language, args.json)),
            Self::Config(args) => config::run(args, &Output::new(language, false)),
            Self::Report(args) => report::run(args, &Output::new(language, args.json)),
            Self::Compare(args) => compare::run(args, &Output::new(language, args.json)),
            Self::Openapi => openapi::run(&Output::new(language, false)),
        }
    }
}

/// Parses the arguments and runs one command.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with exit 0, faults to stderr with 2. There is nobody to
            // tell where neither can be written.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let language = language_of_environment();
    match cli.command.run(language) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Output::new(language, false).error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// The runtime of the commands that talk to a network.
fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CliError::failed)
}
