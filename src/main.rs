//! The `narrowcast` command.

fn main() {}
