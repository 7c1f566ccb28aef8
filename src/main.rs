//! The `narrowcast` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    narrowcast::cli::run()
}
