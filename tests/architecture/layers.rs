//! Who may use whom.

use crate::names::{Form, Names};
use crate::resolve::Resolver;
use crate::tree::{SourceFile, Tree};

/// Lowest first. A module uses only modules of the rows before its own; those of one row do not
/// use each other.
const ROWS: &[&[&str]] = &[
    &["clock"],
    &["model"],
    &["coap", "signing", "profile", "store", "net"],
    &["lwm2m"],
    &["fota", "scheduler", "campaign"],
    &["engine"],
    &["http", "config", "sim"],
    &["server", "harness"],
    &["cli"],
    &["main"],
];

/// What the rows would allow and we do not: a server that can simulate its devices is not one.
const FORBIDDEN: &[(&str, &str)] = &[("server", "sim")];

/// What `src/main.rs` may use.
const MAIN_USES: &[&str] = &["cli"];

pub(crate) fn faults(tree: &Tree) -> Vec<String> {
    let resolver = Resolver::new(tree);
    let mut faults = Vec::new();
    for file in &tree.files {
        if file.top().is_empty() {
            root_faults(file, &mut faults);
            continue;
        }
        if row(file.top()).is_none() {
            faults.push(format!(
                "{}: `{}` is not in the table of rows",
                file.path,
                file.top()
            ));
            continue;
        }
        use_faults(file, &resolver, &mut faults);
    }
    faults
}

fn use_faults(file: &SourceFile, resolver: &Resolver<'_>, faults: &mut Vec<String>) {
    let own = file.top();
    for meaning in resolver.meanings(file) {
        let at = format!("{}:{}", file.path, meaning.line);
        for path in meaning.direct.iter().filter(|path| path[0] == "crate") {
            match path.get(1).map(String::as_str) {
                None if matches!(meaning.form, Form::Use { .. }) => faults.push(format!(
                    "{at}: the crate's root gets no other name and is not taken whole"
                )),
                None => {}
                Some(used) if used == own => {}
                Some(used) => {
                    if let Some(fault) = use_fault(own, used) {
                        faults.push(format!("{at}: {fault}"));
                    }
                }
            }
        }
    }
}

fn use_fault(own: &str, used: &str) -> Option<String> {
    let Some(used_row) = row(used) else {
        return Some(format!(
            "`crate::{used}` is not a module in the table of rows"
        ));
    };
    let allowed = row(own).is_some_and(|own_row| used_row < own_row)
        && !FORBIDDEN.contains(&(own, used))
        && (own != "main" || MAIN_USES.contains(&used));
    (!allowed).then(|| format!("`{own}` may not use `{used}`"))
}

/// `src/lib.rs` only lists the modules: what stood there would belong to no row.
fn root_faults(file: &SourceFile, faults: &mut Vec<String>) {
    for item in &file.syntax.items {
        let is_list = matches!(item, syn::Item::Mod(module) if module.content.is_none());
        if !is_list {
            faults.push(format!("{}: it holds more than `mod` lines", file.path));
        }
    }
    for word in Names::of(file).words {
        if word.is_attribute && word.text == "macro_use" {
            faults.push(format!(
                "{}:{}: `macro_use` would cross the rows",
                file.path, word.line
            ));
        }
    }
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(path: &str, text: &str) -> Vec<String> {
        faults(&Tree::planted(&[
            ("src/store/mod.rs", "pub use crate::model::Task;"),
            (path, text),
        ]))
    }

    #[test]
    fn a_module_above_or_beside_is_found_in_every_spelling() {
        for text in [
            "use crate::server::run;",
            "use crate::{model::Peer, server::run};",
            "use crate::{model::{Peer, Task}, fota::{self}};",
            "use crate :: server :: run;",
            "use super::super::server;",
            "use super::super::{server::run};",
            "pub use super::super::server as s;",
            "use crate::{self as root};",
            "use crate as root; fn f() { root::server::run() }",
            "use super::super as up; fn f() { up::server::run() }",
            "use crate::*;",
            "use super::super::*;",
            "use crate::fota::Session;",
            "use crate::campaign;",
            "use crate::engine::Command as C;",
            "fn f() { crate::server::run() }",
            "fn f() { narrowcast::server::run() }",
            "fn f() { crate::\n\n  /* where */ server::run() }",
            "fn f(x: &dyn crate::engine::Out) {}",
            "fn f() { println!(\"{}\", crate::server::PORT) }",
            "macro_rules! m { () => { $crate::server::run() } }",
            "macro_rules! m { ($m:ident) => { crate::$m::run() } }",
            "fn f() { m! { use crate::{server, http}; } }",
            "mod inner { use super::super::super::server::run; }",
            "#[serde(with = \"crate::http::form\")] struct S;",
            "use crate::no_such_module;",
        ] {
            let found = faults_of("src/scheduler/queue.rs", text);
            assert!(!found.is_empty(), "not found: {text}");
        }
    }

    #[test]
    fn lower_rows_and_mere_words_are_allowed() {
        for text in [
            "use crate::model::Task; use crate::clock::Now; use crate::lwm2m::Path;",
            "use super::tier::Tier; use self::inner::X; mod inner {}",
            "use crate::scheduler::tier;",
            "use crate::store::Task;",
            "//! See [`crate::server`].\n// use crate::server;\nconst S: &str = \"crate::server\";",
            "/// `crate::server::run`\nfn server(server: u8) -> u8 { server }",
            "fn f(x: X) { x.server.http(); let cli = server::<u8>(); }",
            "#[cfg(test)] mod tests { use crate::server::run; use crate::fota::*; }",
            "pub(crate) fn f() {} pub(in crate::scheduler) fn g() {}",
        ] {
            let found = faults_of("src/scheduler/queue.rs", text);
            assert!(found.is_empty(), "{found:?} of `{text}`");
        }
    }

    #[test]
    fn a_module_that_is_not_in_the_table_is_found() {
        assert_eq!(
            faults_of("src/helpers/mod.rs", "fn f() {}"),
            ["src/helpers/mod.rs: `helpers` is not in the table of rows"]
        );
    }

    #[test]
    fn the_root_lists_modules_and_nothing_else() {
        assert!(faults_of("src/lib.rs", "//! The map.\n\npub mod clock;\nmod model;").is_empty());
        for text in [
            "pub use clock::Now; pub mod clock;",
            "fn helper() {}",
            "mod inline { fn f() {} }",
            "#[macro_use] mod model;",
        ] {
            assert!(
                !faults_of("src/lib.rs", text).is_empty(),
                "not found: {text}"
            );
        }
    }

    #[test]
    fn the_server_does_not_know_the_simulator_and_main_only_the_commands() {
        assert!(!faults_of("src/server/run.rs", "use crate::sim::World;").is_empty());
        assert!(faults_of("src/cli/demo.rs", "use crate::sim::World;").is_empty());
        assert!(faults_of("src/main.rs", "use narrowcast::cli;").is_empty());
        assert!(!faults_of("src/main.rs", "use narrowcast::server;").is_empty());
    }
}
