//! Foreign crates that stay in the place that was made for them, so that they can be replaced.

use crate::resolve::Resolver;
use crate::tree::Tree;

/// A crate and the beginnings of the paths that may name it.
const BORDERS: &[(&str, &[&str])] = &[
    ("axum", &["src/http/", "src/server/"]),
    (
        "base64",
        &[
            "src/harness/report/",
            "src/lwm2m/codec/",
            "src/http/devices/resources/value.rs",
            "src/http/webhooks/create.rs",
            "src/server/webhooks/sign.rs",
            "src/signing/pem.rs",
        ],
    ),
    ("clap", &["src/cli/"]),
    ("coap_lite", &["src/coap/codec.rs"]),
    ("dashmap", &["src/http/live.rs", "src/http/firmware/"]),
    (
        "hmac",
        &[
            "src/harness/agents/secret.rs",
            "src/server/webhooks/sign.rs",
        ],
    ),
    (
        "hyper",
        &[
            "src/http/listener/",
            "src/http/firmware/",
            "src/server/webhooks/client.rs",
        ],
    ),
    (
        "hyper_util",
        &["src/http/listener/", "src/server/webhooks/client.rs"],
    ),
    ("k256", &["src/signing/keys/"]),
    ("minicbor", &["src/lwm2m/codec/"]),
    ("mio", &["src/net/"]),
    ("pkcs8", &["src/signing/"]),
    ("quinn_udp", &["src/net/"]),
    ("rsa", &["src/signing/"]),
    (
        "rustls",
        &["src/http/listener/tls.rs", "src/server/webhooks/client.rs"],
    ),
    ("rustls_native_certs", &["src/server/webhooks/client.rs"]),
    ("sqlx", &["src/store/sqlite"]),
    ("toml", &["src/harness/scenario/", "src/profile/quirks/"]),
    (
        "tokio_rustls",
        &["src/http/listener/tls.rs", "src/server/webhooks/"],
    ),
    ("tokio_stream", &["src/http/events/stream.rs"]),
    ("utoipa", &["src/http/"]),
    ("utoipa_axum", &["src/http/"]),
    ("zip", &["src/signing/", "src/profile/archive.rs"]),
];

pub(crate) fn faults(tree: &Tree) -> Vec<String> {
    let resolver = Resolver::new(tree);
    let mut faults = Vec::new();
    for file in &tree.files {
        for meaning in resolver.meanings(file) {
            let leak = BORDERS.iter().find(|(name, places)| {
                meaning.all.iter().any(|path| path[0] == *name)
                    && !places.iter().any(|place| file.path.starts_with(place))
            });
            if let Some((name, places)) = leak {
                faults.push(format!(
                    "{}:{}: `{name}` stays in {}",
                    file.path,
                    meaning.line,
                    places.join(", ")
                ));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The faults in the last file.
    fn faults_of(path: &str, text: &str) -> Vec<String> {
        let mut faults = faults(&Tree::planted(&[
            (
                "src/store/mod.rs",
                "mod sqlite; pub use sqlite::{Failure, SqliteStore};",
            ),
            (
                "src/store/sqlite.rs",
                "pub use sqlx::Error as Failure; pub struct SqliteStore;",
            ),
            (path, text),
        ]));
        faults.retain(|fault| fault.starts_with(path));
        faults
    }

    #[test]
    fn a_crate_that_leaks_is_found() {
        for (path, text) in [
            ("src/coap/message.rs", "use coap_lite::Packet;"),
            ("src/coap/codec/more.rs", "use coap_lite::Packet;"),
            ("src/engine/mod.rs", "use ::coap_lite as c;"),
            ("src/store/memory.rs", "fn f() { sqlx::query(q) }"),
            ("src/http/rows.rs", "#[derive(sqlx::FromRow)] struct R;"),
            ("src/cli/sign.rs", "use rsa::RsaPrivateKey;"),
            ("src/sim/zip.rs", "use zip::{self as z};"),
            ("src/engine/mod.rs", "use axum::Router;"),
            ("src/model/task.rs", "#[derive(utoipa::ToSchema)] struct T;"),
            ("src/server/live.rs", "use dashmap::DashMap;"),
            ("src/config/mod.rs", "use clap::Parser;"),
            ("src/main.rs", "use clap::Parser;"),
        ] {
            assert_eq!(faults_of(path, text).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn a_type_handed_on_under_another_name_is_a_leak_too() {
        assert!(!faults_of("src/http/error.rs", "use crate::store::Failure;").is_empty());
        assert!(faults_of("src/http/error.rs", "use crate::store::SqliteStore;").is_empty());
    }

    #[test]
    fn a_crate_at_its_border_and_its_mere_name_are_allowed() {
        for (path, text) in [
            ("src/coap/codec.rs", "use coap_lite::Packet;"),
            ("src/store/sqlite/rows.rs", "use sqlx::Row;"),
            ("src/http/live.rs", "use dashmap::DashMap;"),
            ("src/server/run.rs", "use axum::serve;"),
            (
                "src/http/mod.rs",
                "// sqlx\nconst S: &str = \"sqlx::query\"; fn zip(zip: u8) {}",
            ),
            (
                "src/model/mod.rs",
                "fn f(a: A) { a.iter().zip(b); Iterator::zip(a, b); }",
            ),
            (
                "src/model/mod.rs",
                "#[cfg(test)] mod tests { use sqlx::Row; }",
            ),
        ] {
            let found = faults_of(path, text);
            assert!(found.is_empty(), "{found:?} of `{text}`");
        }
    }
}
