//! `narrowcast scenario`: files to begin with, and what is wrong with one, or what it comes to.

use std::fmt::Write;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::error::CliError;
use super::output::Output;
use crate::harness::scenario::{Expansion, Persona, Scenario, ScenarioError, Template};

/// The longest scenario that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How many cells are told one by one.
const CELLS_SHOWN: usize = 20;

/// Write and check scenarios, for rehearsals and for load.
#[derive(Args, Debug)]
pub(super) struct ScenarioArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(InitArgs),
    Check(CheckArgs),
    Personas(PersonasArgs),
}

/// Write a scenario to begin with.
#[derive(Args, Debug)]
struct InitArgs {
    /// Which one.
    #[arg(long, value_name = "NAME", default_value = "smoke", value_parser = template)]
    template: Template,
    /// Where to; stdout without it. A file that is there already is left as it is.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Check a scenario: what is wrong with it, by line and field, or what it comes to.
#[derive(Args, Debug)]
struct CheckArgs {
    /// The scenario.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Draw devices from this seed, not from that of the file.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// List the personas that a mix can name, with what is known of each and from where.
#[derive(Args, Debug)]
struct PersonasArgs {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl ScenarioArgs {
    pub(super) const fn json(&self) -> bool {
        match &self.command {
            Command::Init(_) => false,
            Command::Check(args) => args.json,
            Command::Personas(args) => args.json,
        }
    }
}

pub(super) fn run(args: &ScenarioArgs, output: &Output) -> Result<(), CliError> {
    match &args.command {
        Command::Init(args) => init(args, output),
        Command::Check(args) => check(args, output),
        Command::Personas(_) => personas(output),
    }
}

fn template(name: &str) -> Result<Template, String> {
    Template::find(name).ok_or_else(|| {
        let names = Template::all().iter().map(|template| template.name);
        format!("one of {}", names.collect::<Vec<_>>().join(", "))
    })
}

fn init(args: &InitArgs, output: &Output) -> Result<(), CliError> {
    let text = args.template.text;
    let Some(path) = &args.out else {
        return output.line(text.trim_end());
    };
    let opened = fs::File::options().write(true).create_new(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| CliError::file("write", path, &error))?;
    let told = output.pick("Written. Check it with:", "已写入。检查命令：");
    output.message(&format!(
        "{told} narrowcast scenario check {}",
        path.display()
    ));
    Ok(())
}

fn check(args: &CheckArgs, output: &Output) -> Result<(), CliError> {
    let text = read(&args.file)?;
    let scenario = match Scenario::parse(&text) {
        Ok(scenario) => scenario,
        Err(error) => return Err(refused(&args.file, &error, output)),
    };
    let expansion = scenario.expansion(args.seed.unwrap_or(scenario.seed));
    let json = serde_json::to_value(&expansion).map_err(CliError::failed)?;
    output.result(
        &json!({ "valid": true, "expansion": json }),
        &told(&expansion, output),
    )
}

fn personas(output: &Output) -> Result<(), CliError> {
    let as_json = |(name, persona): (&str, &Persona)| json!({ "name": name, "title": persona.title, "says": persona.says });
    let as_text =
        |(name, persona): (&str, &Persona)| format!("{name}: {}. {}", persona.title, persona.says);
    let all: Vec<_> = Persona::all().map(as_json).collect();
    let text: Vec<_> = Persona::all().map(as_text).collect();
    output.result(&json!({ "personas": all }), &text.join("\n"))
}

/// A scenario's text; a file that is no text, or too long, is none.
pub(super) fn read(path: &Path) -> Result<String, CliError> {
    let unread = |error: io::Error| CliError::file("read", path, &error);
    let length = fs::metadata(path).map_err(unread)?.len();
    if length > FILE_BYTES_MAX {
        let told = "it is longer than 1 MiB";
        return Err(unread(io::Error::new(io::ErrorKind::FileTooLarge, told)));
    }
    fs::read_to_string(path).map_err(unread)
}

/// A scenario that cannot be used.
pub(super) fn refused(path: &Path, error: &ScenarioError, output: &Output) -> CliError {
    let ScenarioError {
        line,
        column,
        field,
        message,
    } = error;
    let text = match output.language {
        crate::model::Language::En => format!("{}: {error}", path.display()),
        crate::model::Language::Zh => {
            let place = format!("第 {line} 行第 {column} 列");
            format!("{}: {place}（{field}）：{message}", path.display())
        }
    };
    let json = json!({
        "valid": false,
        "line": line,
        "column": column,
        "field": field,
        "message": message,
    });
    output.failure(&json, &text)
}

fn told(expansion: &Expansion, output: &Output) -> String {
    let label = |en, zh| output.pick(en, zh);
    let mut text = format!(
        "{} {}: {} {}",
        label("The scenario holds.", "场景文件有效。"),
        expansion.name,
        expansion.devices,
        label("devices", "台设备"),
    );
    // Writing to a string cannot fail.
    let cell = label("cell", "小区");
    let _ = write!(text, "\n{cell:<12} {:>8} {:>8} {:>8}", "CE0", "CE1", "CE2");
    for of_cell in expansion.cells.iter().take(CELLS_SHOWN) {
        let [ce0, ce1, ce2] = of_cell.levels;
        let _ = write!(text, "\n{:<12} {ce0:>8} {ce1:>8} {ce2:>8}", of_cell.id);
    }
    let cells = expansion.cells.len();
    if cells > CELLS_SHOWN {
        let more = label("more cells", "个更多小区");
        let _ = write!(text, "\n... {} {more}", cells - CELLS_SHOWN);
    }
    for (name, count) in &expansion.mixes {
        let _ = write!(text, "\n{} {name}: {count}", label("mix", "设备类型"));
    }
    text
}
