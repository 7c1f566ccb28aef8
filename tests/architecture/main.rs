//! Holds the shape of `src/`: who may use whom, what stays free of I/O, where foreign crates end,
//! how a file is laid out. Each rule is a file here, with its table on top and, below, faults that
//! it must find and look-alikes that it must leave alone.

mod borders;
mod layers;
mod names;
mod offline;
mod resolve;
mod sans_io;
mod shape;
mod tree;

use tree::Tree;

#[test]
fn modules_use_only_lower_rows() {
    assert_none(layers::faults);
}

#[test]
fn sans_io_modules_do_no_io() {
    assert_none(sans_io::faults);
}

#[test]
fn foreign_crates_stay_at_their_border() {
    assert_none(borders::faults);
}

#[test]
fn files_are_short_and_hide_nothing() {
    assert_none(shape::faults);
}

#[test]
fn offline_commands_cannot_reach_a_network() {
    assert_none(offline::faults);
}

fn assert_none(rule: impl Fn(&Tree) -> Vec<String>) {
    let tree = match Tree::read() {
        Ok(tree) => tree,
        Err(error) => panic!("{error}"),
    };
    assert!(!tree.files.is_empty(), "there is nothing under src/");
    let faults = rule(&tree);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
