//! `narrowcast sign`: makes `NAME_signed.zip`, offline.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use rand::rngs::OsRng;
use serde_json::json;

use super::error::CliError;
use super::file::{self, Existing};
use super::output::Output;
use super::passphrase;
use crate::signing::{self, KeyError, PackageLimits, PrivateKey, zip_firmware};

/// Sign a firmware package: a .zip as it stands, any other file zipped first.
#[derive(Args, Debug)]
pub(super) struct SignArgs {
    /// The private key (private.pem).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File whose first line is the key's pass-phrase; asked for on the terminal where it is left
    /// out.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// What is said of the firmware, and signed with it; for a .zip, put it into the zip instead.
    #[arg(long, value_name = "FILE")]
    info: Option<PathBuf>,
    /// The signed file; NAME_signed.zip beside INPUT where it is left out.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The firmware (.bin), or a .zip of it.
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &SignArgs, output: &Output) -> Result<(), CliError> {
    let limits = PackageLimits::default();
    let name = package_name(&args.input)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| args.input.with_file_name(format!("{name}_signed.zip")));
    if out == args.input {
        return Err(CliError::Usage("--out would overwrite INPUT".to_owned()));
    }
    let zip = inner_zip(args, &limits)?;
    let key = private_key(args, output)?;
    let signed = signing::sign(&name, &zip, &key, &limits, &mut OsRng)?;
    file::write(&out, &signed, 0o644, Existing::Replace)?;

    let key_id = key.public_key().id().to_string();
    output.message(output.pick("Signed.", "签名成功!"));
    let json = json!({
        "signed": out.display().to_string(),
        "size": signed.len(),
        "key_id": key_id,
    });
    output.result(&json, &out.display().to_string())
}

/// The bytes that are signed.
fn inner_zip(args: &SignArgs, limits: &PackageLimits) -> Result<Bytes, CliError> {
    if is_zip(&args.input) {
        if args.info.is_some() {
            return Err(CliError::Usage(
                "a .zip is signed as it stands: put package-info.json into it, or give the firmware \
                 file itself with --info"
                    .to_owned(),
            ));
        }
        return Ok(file::read(&args.input, limits.archive_bytes_max)?.into());
    }
    let firmware = file::read(&args.input, limits.firmware_bytes_max)?;
    let info = match &args.info {
        Some(path) => Some(file::read(path, limits.info_bytes_max)?),
        None => None,
    };
    let file_name = text_of(args.input.file_name());
    Ok(zip_firmware(
        &file_name,
        &firmware,
        info.as_deref(),
        limits,
    )?)
}

/// Asks for a pass-phrase only where the key is encrypted.
fn private_key(args: &SignArgs, output: &Output) -> Result<PrivateKey, CliError> {
    let pem = file::read_secret_text(&args.key)?;
    match PrivateKey::from_pem(&pem, None) {
        Err(KeyError::PassphraseNeeded) => {
            let passphrase = passphrase::existing(args.passphrase_file.as_deref(), output)?;
            PrivateKey::from_pem(&pem, Some(&passphrase))
        }
        other => other,
    }
    .map_err(|error| CliError::in_file(&args.key, &error))
}

/// The file's name without its extension.
fn package_name(input: &Path) -> Result<String, CliError> {
    let name = text_of(input.file_stem());
    if name.is_empty() {
        return Err(CliError::Usage("INPUT must name a file".to_owned()));
    }
    Ok(name)
}

fn is_zip(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

fn text_of(name: Option<&std::ffi::OsStr>) -> String {
    name.unwrap_or_default().to_string_lossy().into_owned()
}
