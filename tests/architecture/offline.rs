//! The commands that are used beside a private key cannot reach a network, nor can what they use in `cli`.

use crate::resolve::{FullPath, Meaning, Resolver, is_under};
use crate::tree::{SourceFile, Tree};

const COMMANDS: &[&str] = &["inspect", "keygen", "profile", "sign", "verify"];

/// Modules of ours that an offline command may use.
const MODULES: &[&str] = &["cli", "clock", "model", "profile", "signing"];

const BANNED_PATHS: &[&str] = &[
    "axum",
    "reqwest",
    "socket2",
    "sqlx",
    "std::net",
    "std::os::fd",
    "std::os::unix::net",
    "std::process::Command",
    "tokio",
    "tower_http",
];

pub(crate) fn faults(tree: &Tree) -> Vec<String> {
    let resolver = Resolver::new(tree);
    let mut faults = Vec::new();
    for file in offline_files(tree, &resolver) {
        for meaning in resolver.meanings(file) {
            if let Some(found) = reaches_out(&meaning) {
                faults.push(format!(
                    "{}:{}: an offline command names `{found}`",
                    file.path, meaning.line
                ));
            }
        }
    }
    faults
}

/// The commands' files and, as long as there are more, the files of `cli` that those name.
fn offline_files<'a>(tree: &'a Tree, resolver: &Resolver<'_>) -> Vec<&'a SourceFile> {
    let mut offline: Vec<&SourceFile> = tree
        .files
        .iter()
        .filter(|file| match file.module.as_slice() {
            [top, command, ..] => top == "cli" && COMMANDS.contains(&command.as_str()),
            _ => false,
        })
        .collect();
    let mut next = 0;
    while let Some(file) = offline.get(next).copied() {
        next += 1;
        let meanings = resolver.meanings(file);
        let paths = meanings.iter().flat_map(|meaning| &meaning.all);
        for path in paths.filter(|path| is_under(path, "crate::cli")) {
            // `cli` itself names every command, and is not what a command uses of it.
            let named = tree
                .files
                .iter()
                .filter(|other| other.module.len() > 1 && path[1..].starts_with(&other.module))
                .max_by_key(|other| other.module.len());
            if let Some(named) = named
                && !offline.iter().any(|known| known.path == named.path)
            {
                offline.push(named);
            }
        }
    }
    offline
}

fn reaches_out(meaning: &Meaning) -> Option<String> {
    let is_banned = |path: &FullPath| {
        let is_module = path[0] == "crate"
            && path
                .get(1)
                .is_some_and(|module| !MODULES.contains(&module.as_str()));
        let holds_banned = meaning.spreads()
            && matches!(
                path.join("::").as_str(),
                "std" | "std::os" | "std::os::unix"
            );
        is_module || holds_banned || BANNED_PATHS.iter().any(|banned| is_under(path, banned))
    };
    meaning
        .all
        .iter()
        .find(|path| is_banned(path))
        .map(|path| path.join("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(path: &str, text: &str) -> Vec<String> {
        faults(&Tree::planted(&[
            (
                "src/cli/mod.rs",
                "mod client; mod passphrase; mod sign; pub use client::Client; \
                 use crate::server::run; pub struct Failure;",
            ),
            ("src/cli/client.rs", "pub struct Client(reqwest::Client);"),
            ("src/cli/passphrase.rs", "use crate::cli::Failure;"),
            (path, text),
        ]))
    }

    #[test]
    fn a_way_to_a_network_is_found() {
        for text in [
            "use crate::http::router;",
            "use crate::{signing::Key, server};",
            "use super::super::server::run;",
            "use crate::sim::load;",
            "use reqwest as r;",
            "fn f() { tokio::net::UdpSocket::bind(a) }",
            "use std::net::TcpStream;",
            "use std::{net as n};",
            "use std::*;",
            "fn f() { std::process::Command::new(\"curl\") }",
            "use super::client::Client;",
            "use super::Client;",
            "use crate::cli::Client as C;",
        ] {
            for path in [
                "src/cli/sign.rs",
                "src/cli/keygen/mod.rs",
                "src/cli/verify/report.rs",
            ] {
                let climbs = text.contains("super");
                if climbs && path != "src/cli/sign.rs" {
                    continue;
                }
                assert!(!faults_of(path, text).is_empty(), "not found: {text}");
            }
        }
    }

    #[test]
    fn signing_and_other_commands_are_left_alone() {
        let own = "use crate::signing::Key; use super::passphrase; use super::Failure; \
                   use std::process::ExitCode; use std::fs; \
                   use std::os::unix::fs::PermissionsExt; // reqwest, crate::http\n\
                   const S: &str = \"tokio::net\";";
        assert!(
            faults_of("src/cli/sign.rs", own).is_empty(),
            "{:?}",
            faults_of("src/cli/sign.rs", own)
        );
        assert!(
            faults_of(
                "src/cli/serve.rs",
                "use crate::server::run; use tokio::net;"
            )
            .is_empty()
        );
    }
}
