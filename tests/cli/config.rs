//! `config init`, `config explain` and `config check`, and which of a flag, a variable and the file is heard.

use std::collections::BTreeSet;

use narrowcast::config::Config;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Run, command, run};
use crate::server::Site;

fn with_file(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("narrowcast.toml"), text).unwrap();
    folder
}

fn check(text: &str) -> Run {
    let folder = with_file(text);
    run(folder.path(), &["config", "check", "narrowcast.toml"])
}

fn default_file() -> String {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["config", "init"]).exits(0).stdout
}

#[test]
fn the_default_file_is_sound_and_so_is_one_with_everything_in_use() {
    let text = default_file();
    assert_eq!(check(&text).exits(0).stdout, "ok\n");

    // Its commented examples are settings too.
    let uncommented: Vec<_> = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(example) if example.contains(" = ") || example.starts_with("[[") => example,
            Some(_) | None => line,
        })
        .collect();
    for example in ["listen = \"0.0.0.0:5683\"", "[[cells.overrides]]"] {
        assert!(uncommented.contains(&example), "{example}");
    }
    assert_eq!(check(&uncommented.join("\n")).exits(0).stdout, "ok\n");
}

/// Every setting of these, under its key.
fn keys(section: &str, settings: &Value, found: &mut BTreeSet<String>) {
    let Value::Object(fields) = settings else {
        found.insert(section.to_owned());
        return;
    };
    for (name, value) in fields {
        let dot = if section.is_empty() { "" } else { "." };
        keys(&format!("{section}{dot}{name}"), value, found);
    }
}

#[test]
fn each_setting_is_explained_with_its_default_and_the_variable_that_sets_it() {
    let folder = with_file("");
    let mut all = BTreeSet::new();
    keys(
        "",
        &serde_json::to_value(Config::default()).unwrap(),
        &mut all,
    );
    // A list of tables is explained by what is in each.
    assert!(all.remove("cells.overrides"));
    let listed = run(folder.path(), &["config", "explain"]).exits(0).stdout;
    let told: BTreeSet<_> = listed
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(' '))
        .map(str::to_owned)
        .collect();
    assert!(all.remove("cells.border_overrides"));
    let in_list = [
        "cells.overrides.cell_id",
        "cells.overrides.limits",
        "cells.border_overrides.cell_id",
        "cells.border_overrides.rsrp_borders_dbm",
        "cells.border_overrides.sinr_borders_db",
    ];
    let in_list = in_list.map(str::to_owned).into_iter();
    assert_eq!(told, all.iter().cloned().chain(in_list).collect());
    for key in &all {
        let said = run(folder.path(), &["config", "explain", key])
            .exits(0)
            .stdout;
        let lines: Vec<_> = said.lines().collect();
        let [name, meaning, value, variable] = lines.as_slice() else {
            panic!("{key}: {said}");
        };
        assert_eq!(name, key);
        assert!(meaning.trim().len() > 15, "{key}: {meaning}");
        // The variable is heard: its value counts as it is told, and a letter more sets nothing.
        let value = value
            .split_once(": ")
            .or_else(|| value.split_once("such as "))
            .unwrap()
            .1;
        for (variable, is_known) in [
            (variable.trim().to_owned(), true),
            (format!("{}X", variable.trim()), false),
        ] {
            let check = command(folder.path(), &["config", "check", "narrowcast.toml"])
                .env(&variable, value)
                .output()
                .unwrap();
            let said = String::from_utf8(check.stderr).unwrap();
            assert_eq!(
                !said.contains("unknown field"),
                is_known,
                "{variable}: {said}"
            );
        }
    }
    let section = run(folder.path(), &["config", "explain", "cells.limits"]).exits(0);
    assert_eq!(
        section
            .stdout
            .matches("NARROWCAST__CELLS__LIMITS__")
            .count(),
        4
    );
    run(folder.path(), &["config", "explain", "cells.limit"])
        .exits(1)
        .says(&["no setting cells.limit"]);
}

#[test]
fn an_unknown_key_is_named() {
    check("[coap]\nlisten_on = \"127.0.0.1:5683\"\n")
        .exits(1)
        .says(&["listen_on", "coap"]);
    check("[colour]\nred = 1\n").exits(1).says(&["colour"]);
}

#[test]
fn a_wrong_value_is_named_with_its_key_and_file() {
    check("[http]\nlisten = \"here\"\n")
        .exits(1)
        .says(&["http.listen", "narrowcast.toml"]);
    check("[update]\nresult_timeout = \"soon\"\n")
        .exits(1)
        .says(&["update.result_timeout", "narrowcast.toml"]);
    check("[coap]\nonboarding = \"perhaps\"\n")
        .exits(1)
        .says(&["coap.onboarding", "perhaps"]);
    check("[update]\nslot_held = \"until_download\"\n")
        .exits(1)
        .says(&["update.slot_held", "`until_result`, `until_downloaded`"]);
    check("[cells]\nsinr_borders_db = [1, 2, 3]\n")
        .exits(1)
        .says(&["cells.sinr_borders_db"]);
}

#[test]
fn a_public_host_that_no_device_could_ask_is_named() {
    check("[coap]\npublic_host = \"203.0.113.5:5683\"\n")
        .exits(1)
        .says(&["coap.public_host", "203.0.113.5:5683"]);
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["serve", "--public-host", "0.0.0.0"])
        .exits(1)
        .says(&["--public-host", "0.0.0.0"]);
}

#[test]
fn devices_that_shall_fetch_by_http_need_a_listener_with_an_address() {
    const HTTP: &str = "[update]\ndownload = \"http\"\n";
    check(HTTP)
        .exits(1)
        .says(&["update.download", "device_http.listen", "--device-http"]);
    check(&format!("{HTTP}[device_http]\nlisten = \"0.0.0.0:8090\"\n"))
        .exits(1)
        .says(&["0.0.0.0:8090", "device_http.public_host", "--public-host"]);
    check(&format!(
        "{HTTP}[device_http]\nlisten = \"0.0.0.0:8090\"\npublic_host = \"203.0.113.5\"\n"
    ))
    .exits(0);
    let folder = with_file(HTTP);
    let serve = ["serve", "--config", "narrowcast.toml"];
    run(folder.path(), &serve).exits(1).says(&["--device-http"]);
}

#[test]
fn what_is_no_toml_is_said_with_its_line() {
    check("[http]\nlisten = \n")
        .exits(1)
        .says(&["narrowcast.toml", "line 2"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["config", "check", "missing.toml"])
        .exits(1)
        .says(&["missing.toml"]);
    run(folder.path(), &["serve", "--config", "missing.toml"])
        .exits(1)
        .says(&["missing.toml"]);
}

#[test]
fn a_server_with_a_faulty_file_does_not_start() {
    let folder = with_file("[coap]\nlisten_on = \"127.0.0.1:5683\"\n");
    run(folder.path(), &["serve", "--config", "narrowcast.toml"])
        .exits(1)
        .says(&["listen_on"]);
    assert!(!folder.path().join("narrowcast-data").exists());
}

#[test]
fn a_variable_that_sets_nothing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let serve = command(folder.path(), &["serve"])
        .env("NARROWCAST__HTTP__LISTENS", "127.0.0.1:0")
        .output()
        .unwrap();
    Run::from(serve).exits(1).says(&["listens", "NARROWCAST__"]);
}

#[test]
fn a_word_that_is_a_number_needs_no_quotes_in_a_variable() {
    let folder = with_file("");
    for (unit, code) in [("36133", 0), ("csq", 0), ("36134", 1)] {
        let check = command(folder.path(), &["config", "check", "narrowcast.toml"])
            .env("NARROWCAST__UPDATE__RADIO_UNIT", unit)
            .output()
            .unwrap();
        Run::from(check).exits(code);
    }
}

/// The address on which a server listens for operators, by who sets it. Each has a loopback address of
/// its own.
fn heard(file: bool, variable: bool, flag: bool) -> String {
    let site = Site::new();
    let text = "[http]\nlisten = \"127.0.0.2:0\"\n";
    std::fs::write(site.path().join("narrowcast.toml"), text).unwrap();
    let file: &[&str] = if file {
        &["--config", "narrowcast.toml"]
    } else {
        &[]
    };
    let variable: &[(&str, &str)] = if variable {
        &[("NARROWCAST__HTTP__LISTEN", "127.0.0.3:0")]
    } else {
        &[]
    };
    let flag: &[&str] = if flag {
        &["--http", "127.0.0.4:0"]
    } else {
        &[]
    };
    let server = site.serve_with(flag, file, variable);
    let (address, _) = server.listener("http").rsplit_once(':').unwrap();
    address.to_owned()
}

#[test]
fn a_flag_overrides_a_variable_which_overrides_the_file() {
    assert_eq!(heard(true, false, false), "127.0.0.2");
    assert_eq!(heard(false, true, false), "127.0.0.3");
    assert_eq!(heard(true, true, false), "127.0.0.3");
    assert_eq!(heard(true, true, true), "127.0.0.4");
}
