//! The configuration file.

use narrowcast::config::{Config, default_file};
use proptest::prelude::*;

use crate::mutate::{cases, mutants};

const TOKENS: &[&str] = &[
    "\n[update]\n",
    "\n[[cells.overrides]]\ncell_id = 4294967295\n",
    "limits = { tier0 = 4294967296 }\n",
    "[coap]\nlisten = \"[::]:0\"\n",
    "= -1\n",
    "= 1e400\n",
    "= \"9999999999999y\"\n",
    "= \"0s\"\n",
    "= [[[[[[[[[[[[[[[[[[[[\n",
    "a.b.c.d.e.f.g = 1\n",
    "#",
    "\"",
    "'''",
    "\u{feff}",
    "\0",
    "\r",
];

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn a_mutant_of_the_default_file_is_settings_that_read_back_or_refused_in_words(
        bytes in mutants(vec![default_file().into_bytes(), uncommented()], TOKENS),
    ) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        match Config::load(Some(file.path())) {
            Ok(config) => {
                // What flags may still say is asked for here, such as a certificate.
                if let Err(error) = config.check() {
                    prop_assert!(!error.to_string().is_empty());
                }
                let _ = config.engine();
                std::fs::write(file.path(), toml::to_string(&config).unwrap()).unwrap();
                let again = Config::load(Some(file.path())).unwrap();
                let json = |config: &Config| serde_json::to_value(config).unwrap();
                prop_assert_eq!(json(&again), json(&config));
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

/// The default file with the settings that it only shows.
fn uncommented() -> Vec<u8> {
    let file = default_file();
    let lines = file.lines().map(|line| {
        let setting = line.strip_prefix("# ").filter(|rest| {
            rest.starts_with("[[")
                || rest
                    .split_once(" = ")
                    .is_some_and(|(key, _)| !key.contains(' '))
        });
        setting.unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

#[test]
fn what_the_default_file_only_shows_can_be_set() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), uncommented()).unwrap();
    let config = Config::load(Some(file.path())).unwrap();
    assert!(config.coap.listen.is_some() && !config.cells.overrides.is_empty());
}
