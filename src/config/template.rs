//! The commented default file.

/// The file that `config init` prints; reading it gives the defaults.
pub fn default_file() -> String {
    include_str!("default.toml").to_owned()
}
