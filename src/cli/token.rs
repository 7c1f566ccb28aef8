//! `narrowcast token`: API tokens, made beside a running server or without one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::error::CliError;
use super::output::Output;
use crate::clock::SystemClock;
use crate::http::{Role, is_token_name, new_token};
use crate::model::{AuditActor, AuditStamp};
use crate::server::{STORE_FILE, open_data_dir};
use crate::store::{SqliteStore, Store, StoreError};

/// Make API tokens.
#[derive(Args, Debug)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
enum TokenVerb {
    /// Make a token and print it once.
    Create(CreateArgs),
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// Who or what it is for; unique.
    #[arg(value_parser = parse_name)]
    name: String,
    /// What it allows.
    #[arg(long, value_name = "ROLE", value_parser = parse_role)]
    role: Role,
    /// The server's data directory.
    #[arg(long, value_name = "DIR", default_value = "./narrowcast-data")]
    data_dir: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl TokenArgs {
    pub(super) fn json(&self) -> bool {
        match &self.verb {
            TokenVerb::Create(args) => args.json,
        }
    }
}

pub(super) fn run(args: &TokenArgs, output: &Output) -> Result<(), CliError> {
    match &args.verb {
        TokenVerb::Create(args) => super::runtime()?.block_on(create(args, output)),
    }
}

async fn create(args: &CreateArgs, output: &Output) -> Result<(), CliError> {
    open_data_dir(&args.data_dir).map_err(CliError::failed)?;
    let store = SqliteStore::open_beside(&args.data_dir.join(STORE_FILE))
        .await
        .map_err(CliError::failed)?;
    let at = SystemClock::new().now().utc;
    let token = new_token(&args.name, args.role, at);
    let actor = AuditActor::cli();
    let added = store.add_token(token.stored, AuditStamp { at, actor });
    let added = added.await;
    store.close().await;
    added.map_err(|error| match error {
        StoreError::Conflict(_) => {
            CliError::Failed(format!("a token named {:?} is there already", args.name))
        }
        error @ (StoreError::NotFound
        | StoreError::Full
        | StoreError::Fatal(_)
        | StoreError::Failed(_)) => CliError::failed(error),
    })?;
    let json = json!({ "name": args.name, "role": args.role.word(), "token": token.text });
    output.result(&json, &token.text)
}

fn parse_name(text: &str) -> Result<String, String> {
    if is_token_name(text) {
        Ok(text.to_owned())
    } else {
        Err("1 to 50 characters, none of them a control character".to_owned())
    }
}

fn parse_role(text: &str) -> Result<Role, String> {
    Role::ALL
        .into_iter()
        .find(|role| role.word() == text)
        .ok_or_else(|| {
            let roles: Vec<_> = Role::ALL.into_iter().map(Role::word).collect();
            format!("one of {}", roles.join(", "))
        })
}
