//! `narrowcast audit`: whether the audit log is whole, and its entries for elsewhere.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::error::CliError;
use super::output::Output;
use crate::clock::Utc;
use crate::server::STORE_FILE;
use crate::store::{AuditBreak, AuditChain, AuditEntry, AuditHead, Page, SqliteStore, Store};

/// How many entries are read at a time.
const PAGE_ENTRIES: u32 = 1000;

/// Check and export the audit log.
#[derive(Args, Debug)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    verb: AuditVerb,
}

#[derive(Debug, Subcommand)]
enum AuditVerb {
    /// Compute the chain of hashes again: exit 0 with its length and its head where it holds, 1 with
    /// the number of the first entry that does not hold, or of one that was noted and is gone.
    Verify(VerifyArgs),
    /// Write the entries to stdout.
    Export(ExportArgs),
}

#[derive(Args, Debug)]
struct VerifyArgs {
    /// The server's data directory.
    #[arg(long, value_name = "DIR", default_value = "./narrowcast-data")]
    data_dir: PathBuf,
    /// A head that was noted elsewhere: from the server's log, `GET /api/v1/audit/head` or an earlier
    /// `verify`. May be given several times.
    #[arg(long, value_name = "SHA256@N")]
    head: Vec<AuditHead>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct ExportArgs {
    /// How to write them.
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// None before this time, such as 2026-11-21T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<Utc>,
    /// None at or after this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<Utc>,
    /// The server's data directory.
    #[arg(long, value_name = "DIR", default_value = "./narrowcast-data")]
    data_dir: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A table, for spreadsheets.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl AuditArgs {
    pub(super) fn json(&self) -> bool {
        match &self.verb {
            AuditVerb::Verify(args) => args.json,
            AuditVerb::Export(_) => false,
        }
    }
}

pub(super) fn run(args: &AuditArgs, output: &Output) -> Result<(), CliError> {
    match &args.verb {
        AuditVerb::Verify(args) => super::runtime()?.block_on(verify(args, output)),
        AuditVerb::Export(args) => super::runtime()?.block_on(export(args)),
    }
}

async fn verify(args: &VerifyArgs, output: &Output) -> Result<(), CliError> {
    let mut chain = AuditChain::default();
    let mut broken: Option<AuditBreak> = None;
    // An entry that is gone is told of only where the rest holds: what is altered comes before it.
    let mut rewritten: Option<AuditBreak> = None;
    each_entry(&args.data_dir, |entry| {
        if broken.is_none() {
            broken = chain.follow(&entry).err();
            let mut noted = args.head.iter();
            if broken.is_none() && noted.any(|head| head.contradicts(&entry)) {
                rewritten = rewritten.or(Some(AuditBreak::Rewritten(entry.number)));
            }
        }
        Ok(())
    })
    .await?;
    let noted_max = args.head.iter().map(|head| head.entries).max();
    let cut = noted_max
        .filter(|noted| *noted > chain.entries)
        .map(|_| AuditBreak::Cut(chain.entries.saturating_add(1)));
    let Some(broken) = broken.or(rewritten).or(cut) else {
        let head = hex::encode(chain.head);
        let entries = chain.entries;
        let json = json!({ "holds": true, "entries": entries, "head": head });
        let text = output.pick("entries hold; head", "条记录完整；链头");
        return output.result(&json, &format!("{entries} {text} {head}@{entries}"));
    };
    let json = json!({
        "holds": false, "entry": broken.number(), "reason": broken.to_string(),
    });
    let text = match broken {
        AuditBreak::Missing(number) => format!("缺少第 {number} 条记录"),
        AuditBreak::Unlinked(number) => format!("第 {number} 条记录与上一条不衔接"),
        AuditBreak::Altered(number) => format!("第 {number} 条记录被改动"),
        AuditBreak::Rewritten(number) => {
            format!("第 {number} 条记录不是当时记下的那一条：整条链被重新计算过")
        }
        AuditBreak::Cut(number) => format!("从第 {number} 条起的记录被截去"),
    };
    Err(output.failure(&json, output.pick(&broken.to_string(), &text)))
}

async fn export(args: &ExportArgs) -> Result<(), CliError> {
    let mut written = match args.format {
        Format::Csv => Export::Csv(Box::new(csv::Writer::from_writer(io::stdout()))),
        Format::Ndjson => Export::Ndjson(io::stdout()),
    };
    let in_range = |entry: &AuditEntry| {
        args.from.is_none_or(|from| entry.at >= from) && args.to.is_none_or(|to| entry.at < to)
    };
    let mut result = written.head();
    each_entry(&args.data_dir, |entry| {
        if result.is_ok() && in_range(&entry) {
            result = written.entry(&entry);
        }
        Ok(())
    })
    .await?;
    match result.and_then(|()| written.end()) {
        // A reader that has gone away is no fault.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::Failed(format!("cannot write to stdout: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Hands over all entries by number.
async fn each_entry(
    data_dir: &Path,
    mut take: impl FnMut(AuditEntry) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let path = data_dir.join(STORE_FILE);
    if !path.exists() {
        let reason = format!("there is no server's store in {}", data_dir.display());
        return Err(CliError::Failed(reason));
    }
    let store = SqliteStore::open_beside(&path)
        .await
        .map_err(CliError::failed)?;
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: PAGE_ENTRIES,
        };
        let entries = store.audit_entries(page).await.map_err(CliError::failed)?;
        after = entries.last().map(|entry| entry.number.to_string());
        if after.is_none() {
            store.close().await;
            return Ok(());
        }
        entries.into_iter().try_for_each(&mut take)?;
    }
}

const COLUMNS: [&str; 10] = [
    "number", "at", "actor", "role", "action", "kind", "object", "details", "previous", "sha256",
];

/// Where entries are written to.
enum Export {
    Csv(Box<csv::Writer<io::Stdout>>),
    Ndjson(io::Stdout),
}

impl Export {
    fn head(&mut self) -> io::Result<()> {
        match self {
            Self::Csv(writer) => writer.write_record(COLUMNS).map_err(io::Error::from),
            Self::Ndjson(_) => Ok(()),
        }
    }

    fn entry(&mut self, entry: &AuditEntry) -> io::Result<()> {
        let texts = [
            entry.number.to_string(),
            entry.at.to_string(),
            entry.actor.clone(),
            entry.role.clone(),
            entry.action.clone(),
            entry.kind.clone(),
            entry.object.clone(),
            entry.details.clone(),
            hex::encode(entry.previous),
            hex::encode(entry.sha256),
        ];
        match self {
            Self::Csv(writer) => {
                let cells = texts.map(|text| cell(visible(&text)));
                writer.write_record(cells).map_err(io::Error::from)
            }
            Self::Ndjson(stdout) => {
                let [
                    _,
                    at,
                    actor,
                    role,
                    action,
                    kind,
                    object,
                    details,
                    previous,
                    sha256,
                ] = texts;
                // The details as the text that was hashed.
                let line = json!({
                    "number": entry.number, "at": at, "actor": actor, "role": role,
                    "action": action, "kind": kind, "object": object, "details": details,
                    "previous": previous, "sha256": sha256,
                });
                // Nothing outside of the strings is escaped so, and inside it is the same text.
                writeln!(stdout, "{}", visible(&line.to_string()))
            }
        }
    }

    fn end(mut self) -> io::Result<()> {
        match &mut self {
            Self::Csv(writer) => writer.flush(),
            Self::Ndjson(stdout) => stdout.flush(),
        }
    }
}

/// With escapes, as JSON has them, for what would not be seen or would turn what stands around it: the
/// controls and the marks of direction.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let is_unseen = character.is_control()
            || matches!(character,
                '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if is_unseen {
            // All of them are of the first plane.
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A spreadsheet takes a cell that begins so for a formula; an apostrophe makes it a text.
fn cell(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text
    }
}

fn parse_time(text: &str) -> Result<Utc, String> {
    let time: Result<jiff::Timestamp, _> = text.parse();
    time.map(|time| Utc::from_unix_ms(time.as_millisecond()))
        .map_err(|_| "a time such as 2026-11-21T08:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_written_as_json_has_it() {
        let text = "a\u{202e}b\n\u{7f}\u{2028}夜";
        assert_eq!(visible(text), "a\\u202eb\\u000a\\u007f\\u2028夜");
        let line = json!({ "object": text }).to_string();
        let read: serde_json::Value = serde_json::from_str(&visible(&line)).unwrap();
        assert_eq!(read["object"], text);
    }
}
