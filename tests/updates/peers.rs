//! Where the programs that nobody here wrote lie. A missing one fails the test.

use std::env;
use std::path::{Path, PathBuf};

const INSTALL: &str = "run: tests/peers/install.sh target/peers";

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program below `NARROWCAST_PEERS`, or else below `target/peers`.
pub(crate) fn installed(program: &str) -> PathBuf {
    let peers = env::var_os("NARROWCAST_PEERS").map_or_else(
        || root().join("target/peers"),
        |peers| root().join(PathBuf::from(peers)),
    );
    let program = peers.join(program);
    assert!(
        program.exists(),
        "{} is missing; {INSTALL}",
        program.display()
    );
    program
}

/// A program on the `PATH`.
pub(crate) fn on_path(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("{program} is not on the PATH; {INSTALL}"))
}
