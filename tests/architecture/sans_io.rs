//! What neither waits, nor reads a clock, nor touches a socket, a file or chance: given the same
//! inputs, it does the same again.

use crate::names::{Form, Names};
use crate::resolve::{FullPath, Meaning, Resolver, is_under};
use crate::tree::{SourceFile, Tree};

/// Modules that are so as a whole. Elsewhere a file can say it of itself, see [`is_sans_io`].
const MODULES: &[&str] = &[
    "model",
    "coap",
    "signing",
    "profile",
    "lwm2m",
    "fota",
    "scheduler",
    "campaign",
    "engine",
    "sim",
];

/// Parts of modules that are so as a whole: a run on the virtual clock is the same again.
const PARTS: &[&str] = &[
    "harness::metric",
    "harness::observer",
    "harness::result",
    "harness::scenario",
    "harness::simulate",
    "harness::threshold",
    "net::impair",
];

/// Of [`MODULES`], what is not: devices on real sockets.
const EXCEPT: &[&str] = &["sim::fleet"];

/// What a sans-IO file may use beside them. Of `clock`, the reader itself is a banned word.
const NEIGHBOURS: &[&str] = &["clock"];

/// Whose worlds have paths and a store.
const WORLDS: &[&str] = &["sim", "harness"];

/// Of modules that do I/O, what does none, and worlds are made of: how a bad path is, and the store that is
/// in memory.
const NEIGHBOUR_PARTS: &[&str] = &[
    "net::impair",
    "net::BitRate",
    "net::Direction",
    "net::Impairer",
    "net::Impairment",
    "net::ImpairmentError",
    "net::Jitter",
    "net::NatMapping",
    "net::OneWay",
    "net::Probability",
    "store::memory",
    "store::MemoryStore",
    "store::NewCampaign",
    "store::Page",
    "store::Store",
    "store::StoreError",
    "store::StoredProfile",
];

/// The mark: a file's opening comment has this word.
const MARK: &str = "Sans-IO";

/// Crates that do no I/O, or whose I/O lies under a banned path. `tracing` hands its events to
/// whoever listens, and answers nothing that a core could depend on.
const CRATES: &[&str] = &[
    "std",
    "base64",
    "bytes",
    "coap_lite",
    "hdrhistogram",
    "hex",
    "hmac",
    "humantime_serde",
    "jiff",
    "k256",
    "minicbor",
    "pkcs8",
    "rand",
    "rsa",
    "serde",
    "serde_json",
    "serde_path_to_error",
    "sha2",
    "subtle",
    "thiserror",
    "toml",
    "tracing",
    "zeroize",
    "zip",
];

const BANNED_PATHS: &[&str] = &[
    "rand::prelude",
    "rand::random",
    "rand::rng",
    "std::collections::hash_map::RandomState",
    "std::env",
    "std::fs",
    "std::hash::RandomState",
    "std::io::Stderr",
    "std::io::Stdin",
    "std::io::Stdout",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::os",
    "std::process",
    "std::sync::Barrier",
    "std::sync::Condvar",
    "std::sync::mpsc",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// Addresses are words; whatever else `std::net` has reaches the network.
const ADDRESSES: &[&str] = &[
    "AddrParseError",
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
];

/// Banned in any position, as a method too.
const BANNED_WORDS: &[&str] = &[
    "OsRng",
    "SystemClock",
    "ThreadRng",
    "async",
    "await",
    "from_entropy",
    "from_os_rng",
    "getrandom",
    "thread_rng",
];

const BANNED_MACROS: &[&str] = &["dbg", "eprint", "eprintln", "print", "println"];

pub(crate) fn faults(tree: &Tree) -> Vec<String> {
    let resolver = Resolver::new(tree);
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| is_sans_io(file)) {
        for meaning in resolver.meanings(file) {
            if let Some(found) = io_path(&meaning).or_else(|| io_neighbour(tree, file, &meaning)) {
                faults.push(format!(
                    "{}:{}: sans-IO, but it names `{found}`",
                    file.path, meaning.line
                ));
            }
        }
        for word in Names::of(file).words {
            let text = word.text.as_str();
            if BANNED_WORDS.contains(&text) || (word.is_macro_call && BANNED_MACROS.contains(&text))
            {
                faults.push(format!(
                    "{}:{}: sans-IO, but it says `{text}`",
                    file.path, word.line
                ));
            }
        }
    }
    faults
}

/// A file of the sans-IO modules, or one that says `Sans-IO` in its opening comment.
fn is_sans_io(file: &SourceFile) -> bool {
    (MODULES.contains(&file.top()) && !is_of(&file.module, EXCEPT))
        || is_of(&file.module, PARTS)
        || file.syntax.attrs.iter().any(|attribute| {
            matches!(
                &attribute.meta,
                syn::Meta::NameValue(syn::MetaNameValue {
                    value: syn::Expr::Lit(syn::ExprLit {
                        lit: syn::Lit::Str(comment),
                        ..
                    }),
                    ..
                }) if comment.value().contains(MARK)
            )
        })
}

/// Whether a path lies in one of these.
fn is_of(path: &[String], parts: &[&str]) -> bool {
    parts.iter().any(|part| {
        let part: Vec<&str> = part.split("::").collect();
        path.len() >= part.len() && path.iter().zip(&part).all(|(one, other)| one == other)
    })
}

fn io_path(meaning: &Meaning) -> Option<String> {
    let is_clock_call = |path: &FullPath| {
        path.last().is_some_and(|last| last == "now")
            && (path.len() > 2 || meaning.form == Form::Associated)
    };
    meaning
        .all
        .iter()
        .find(|path| {
            is_banned(path) || (meaning.spreads() && holds_banned(path)) || is_clock_call(path)
        })
        .map(|path| path.join("::"))
}

fn is_banned(path: &FullPath) -> bool {
    let is_socket = is_under(path, "std::net")
        && path
            .get(2)
            .is_some_and(|name| !ADDRESSES.contains(&name.as_str()));
    let is_foreign = !matches!(path[0].as_str(), "crate" | crate::resolve::UNKNOWN)
        && !CRATES.contains(&path[0].as_str());
    is_socket || is_foreign || BANNED_PATHS.iter().any(|banned| is_under(path, banned))
}

/// Whether a banned path lies under `path`: `use std::*`, `pub use std::time`.
fn holds_banned(path: &FullPath) -> bool {
    BANNED_PATHS.iter().chain(&["std::net"]).any(|banned| {
        is_under(
            &banned.split("::").map(str::to_owned).collect::<Vec<_>>(),
            &path.join("::"),
        )
    })
}

/// A module of ours that does I/O, or that has I/O in the file named.
fn io_neighbour(tree: &Tree, own: &SourceFile, meaning: &Meaning) -> Option<String> {
    let does_io = |path: &FullPath| {
        let Some(("crate", inner)) = path.split_first().map(|(a, b)| (a.as_str(), b)) else {
            return false;
        };
        let Some(top) = inner.first().map(String::as_str) else {
            return false;
        };
        // Whoever lists the parts of a module names all of them.
        if is_of(inner, EXCEPT) && own.module.len() > 1 {
            return true;
        }
        let is_of_a_world = WORLDS.contains(&own.top()) && is_of(inner, NEIGHBOUR_PARTS);
        if MODULES.contains(&top) || NEIGHBOURS.contains(&top) || is_of_a_world {
            return false;
        }
        // Who may see an item, `pub(super)`, is nothing that it uses.
        if own.module.len() > inner.len() && own.module.starts_with(inner) && !meaning.spreads() {
            return false;
        }
        // A marked file may use the marked files beside it.
        let named = tree
            .files
            .iter()
            .filter(|file| file.module.len() > 1 && inner.starts_with(&file.module))
            .max_by_key(|file| file.module.len());
        match named {
            Some(file) if file.top() == own.top() => !is_sans_io(file),
            _ => top != own.top(),
        }
    };
    meaning
        .all
        .iter()
        .find(|path| does_io(path))
        .map(|path| path.join("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(path: &str, text: &str) -> Vec<String> {
        faults(&Tree::planted(&[
            ("src/net/radio.rs", "//! Sans-IO: signal and noise."),
            ("src/net/load.rs", "//! Devices on real sockets."),
            (path, text),
        ]))
    }

    #[test]
    fn io_is_found_in_every_spelling() {
        for text in [
            "use tokio::net::UdpSocket;",
            "use tokio;",
            "fn f() { tokio::spawn(x) }",
            "#[tokio::main] fn f() {}",
            "use std::net::UdpSocket;",
            "use std::net::{SocketAddr, TcpStream};",
            "use std::net; fn f() { net::TcpListener::bind(a) }",
            "use std::net::ToSocketAddrs as _;",
            "use std::net::*;",
            "pub use std::net;",
            "use std::{fs as f};",
            "use std::{collections::BTreeMap, fs};",
            "use std::fs::File;",
            "use std::*;",
            "use std as s; fn g() { s::fs::read(p) }",
            "use core as s; fn g() { s::net::UdpSocket }",
            "fn f() { ::std::fs::read(p) }",
            "fn f() { std::thread::sleep(d) }",
            "fn f() { std::process::exit(1) }",
            "fn f() { std::env::var(k) }",
            "use std::os::fd::AsRawFd;",
            "fn f() { std::io::stdout() }",
            "use std::io; fn f() { io::stdin() }",
            "use std::sync::mpsc::channel;",
            "use sqlx::Row;",
            "use reqwest::Client;",
            "async fn f() {}",
            "fn f() { let x = async { 1 }; }",
            "fn f() { g().await }",
            "fn f() { m!(g().await) }",
            "fn f() { println!(\"x\") }",
            "fn f() { std::eprintln!(\"x\") }",
            "fn f() { dbg!(x); }",
            "use crate::store::Store;",
            "use crate::net::Socket;",
        ] {
            assert!(
                !faults_of("src/engine/routes.rs", text).is_empty(),
                "not found: {text}"
            );
        }
    }

    #[test]
    fn a_clock_is_found_in_every_spelling() {
        for text in [
            "use std::time::Instant;",
            "use std::time::{Duration, SystemTime};",
            "use std::time as t; fn f() { t::Instant::now() }",
            "use std::time::*;",
            "pub use std::time;",
            "use crate::clock::SystemClock;",
            "fn f(c: &crate::clock::SystemClock) {}",
            "fn f() { jiff::Timestamp::now() }",
            "use jiff::Zoned as Z; fn f() { Z::now() }",
            "fn f() { <T as Clock>::now() }",
            "fn f() { let read = Instant::now; }",
        ] {
            assert!(
                !faults_of("src/coap/dedup.rs", text).is_empty(),
                "not found: {text}"
            );
        }
    }

    #[test]
    fn chance_that_no_seed_repeats_is_found_in_every_spelling() {
        for text in [
            "fn f() { rand::thread_rng() }",
            "use rand as r; fn f() { r::thread_rng() }",
            "use rand::{random as r};",
            "fn f() { rand::random::<u8>() }",
            "use rand::rngs::{OsRng, StdRng};",
            "use rand::prelude::*;",
            "fn f() { StdRng::from_entropy() }",
            "fn f(r: R) { r.from_entropy() }",
            "fn f() { <StdRng as SeedableRng>::from_entropy() }",
            "use getrandom::fill;",
            "use std::hash::RandomState;",
            "use std::collections::{hash_map::RandomState, HashMap};",
        ] {
            assert!(
                !faults_of("src/fota/session.rs", text).is_empty(),
                "not found: {text}"
            );
        }
    }

    #[test]
    fn what_only_looks_like_io_is_allowed() {
        for text in [
            "use std::net::{IpAddr, SocketAddr}; fn f(a: std::net::Ipv4Addr) {}",
            "use std::net; fn f(a: net::SocketAddr) { a == net::SocketAddr::V4(b); }",
            "use std::time::Duration; use crate::clock::{Instant, Now}; fn f(now: Now) { now.instant; }",
            "use std::io::{self, Read}; fn f(r: impl Read) -> io::Result<()> {}",
            "use rand::rngs::StdRng; use rand::{Rng, SeedableRng}; fn f(r: &mut StdRng) { r.random() }",
            "use std::collections::{BTreeMap, HashMap}; use std::{fmt, str};",
            "//! No tokio, no std::fs, no .await\n/* Instant::now() */ fn f() {}",
            "/// `std::fs::read`, `println!`\nconst S: &str = \"tokio::net thread_rng() .await\";",
            "fn f(x: X) { x.now(); x.env.process; let fs = 1; }",
            "enum State { Thread, File, Process } fn f(r#async: u8) {}",
            "#[cfg(test)] mod tests { use std::fs; fn f() { println!(\"x\") } }",
            "use crate::coap::Code; use bytes::Bytes; use serde::Serialize;",
        ] {
            let found = faults_of("src/engine/routes.rs", text);
            assert!(found.is_empty(), "{found:?} of `{text}`");
        }
    }

    #[test]
    fn a_file_of_a_shell_is_held_to_its_own_word() {
        let marked = "//! Sans-IO: what a device answers.\n";
        let with = |code: &str| faults_of("src/net/device.rs", &format!("{marked}{code}"));
        assert!(with("use super::radio::Signal; use crate::engine::Engine;").is_empty());
        assert!(!with("use super::load::Load;").is_empty());
        assert!(!with("use std::fs;").is_empty());
        assert!(!with("use crate::store::Store;").is_empty());
        assert!(faults_of("src/net/device.rs", "//! Sockets.\nuse std::fs;").is_empty());
    }

    #[test]
    fn a_marked_file_may_say_who_sees_its_items() {
        let with = |code: &str| {
            let marked = format!("//! Sans-IO.\n{code}");
            faults(&Tree::planted(&[
                (
                    "src/net/far/mod.rs",
                    "//! Sockets.\nmod device;\nmod socket;",
                ),
                ("src/net/far/socket.rs", "//! Sockets."),
                ("src/net/far/device.rs", &marked),
            ]))
        };
        let found = with("pub(super) fn f() {} pub(in crate::net::far) fn g() {}");
        assert!(found.is_empty(), "{found:?}");
        for text in [
            "use super::*;",
            "use super::socket::Socket;",
            "use super::Sockets;",
            "use crate::net::far as f; fn g() { f::socket::open() }",
        ] {
            assert!(!with(text).is_empty(), "not found: {text}");
        }
    }

    #[test]
    fn io_handed_on_by_a_neighbour_is_found() {
        let tree = Tree::planted(&[
            ("src/coap/mod.rs", "mod codec; pub use codec::Clock;"),
            ("src/coap/codec.rs", "pub use std::time::Instant as Clock;"),
            ("src/engine/mod.rs", "use crate::coap::Clock;"),
        ]);
        let found = faults(&tree);
        assert!(
            found
                .iter()
                .any(|fault| fault.starts_with("src/engine/mod.rs:1:")),
            "{found:?}"
        );
    }
}
