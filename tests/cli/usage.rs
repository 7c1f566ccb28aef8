//! Help and wrong usage.

use std::collections::BTreeSet;

use crate::program::run;

fn here() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn help_goes_to_stdout_and_names_every_command() {
    let help = run(here().path(), &["--help"]).exits(0);
    assert_eq!(help.stderr, "");
    let named: BTreeSet<_> = help
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .collect();
    for command in [
        "keygen", "sign", "verify", "serve", "demo", "load", "agent", "scenario", "token",
        "config", "openapi",
    ] {
        assert!(named.contains(command), "{command} of {named:?}");
        let help = run(here().path(), &[command, "--help"]).exits(0);
        assert!(help.stdout.contains("Usage: narrowcast"), "{command}");
    }
}

#[test]
fn help_of_serve_explains_every_flag() {
    let help = run(here().path(), &["serve", "--help"]).exits(0).stdout;
    for flag in [
        "--config",
        "--data-dir",
        "--coap",
        "--http",
        "--public-host",
        "--onboarding",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
}

#[test]
fn an_unknown_flag_is_named_and_exits_with_2() {
    for command in [
        &["--frobnicate"][..],
        &["serve", "--frobnicate"],
        &["demo", "--frobnicate"],
        &["token", "create", "ci", "--role", "viewer", "--frobnicate"],
        &["config", "init", "--frobnicate"],
        &["openapi", "--frobnicate"],
    ] {
        run(here().path(), command)
            .exits(2)
            .says(&["--frobnicate", "Usage:"]);
    }
}

#[test]
fn a_number_of_devices_outside_the_range_exits_with_2() {
    for devices in ["0", "10001", "many"] {
        run(here().path(), &["demo", "--devices", devices])
            .exits(2)
            .says(&["--devices", devices]);
    }
}
