//! `narrowcast sign`: makes `NAME_signed.zip`, offline.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use rand::rngs::OsRng;
use serde_json::json;

use super::error::CliError;
use super::file::{self, Existing};
use super::output::Output;
use super::passphrase;
use crate::signing::{self, KeyError, PackageLimits, PrivateKey, firmware_stem, zip_firmware_to};

/// Sign a firmware package: a .zip as it stands, any other file, or several, zipped first.
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
    /// The one .zip is the firmware itself: it is zipped as any other file is.
    #[arg(long)]
    wrap: bool,
    /// The signed file; NAME_signed.zip beside the first INPUT where it is left out.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The firmware, or a .zip of it; up to five firmware files for one package (.bin .zip .rar .pack
    /// .mini_1 .mini_2 .py .tar .tar.gz .s19 .bin_1 .bin_2).
    #[arg(value_name = "INPUT", required = true, num_args = 1..)]
    inputs: Vec<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &SignArgs, output: &Output) -> Result<(), CliError> {
    let limits = PackageLimits::default();
    let Some(first) = args.inputs.first() else {
        return Err(CliError::Usage("INPUT must name a file".to_owned()));
    };
    let name = package_name(first)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| first.with_file_name(format!("{name}_signed.zip")));
    // As files, not as texts: `./x.zip` is `x.zip`.
    let overwrites = fs::canonicalize(&out).is_ok_and(|out| {
        (args.inputs.iter()).any(|it| fs::canonicalize(it).is_ok_and(|it| it == out))
    });
    if overwrites || args.inputs.contains(&out) {
        return Err(CliError::Usage("--out would overwrite INPUT".to_owned()));
    }
    let zip = inner_zip(args, &out, &limits)?;
    let key = private_key(args, output)?;
    file::write_with(&out, 0o644, Existing::Replace, |signed| {
        Ok(signing::sign_to(
            signed, &name, &zip, &key, &limits, &mut OsRng,
        )?)
    })?;

    let key_id = key.public_key().id().to_string();
    output.message(output.pick("Signed.", "签名成功!"));
    let size = fs::metadata(&out).map_err(|error| CliError::file("read", &out, &error))?;
    let json = json!({
        "signed": out.display().to_string(),
        "size": size.len(),
        "key_id": key_id,
    });
    output.result(&json, &out.display().to_string())
}

/// The zip that is signed: the one given, or one that is made and goes with the process.
fn inner_zip(args: &SignArgs, out: &Path, limits: &PackageLimits) -> Result<File, CliError> {
    if let [zip] = args.inputs.as_slice()
        && is_zip(zip)
        && !args.wrap
    {
        if args.info.is_some() {
            return Err(CliError::Usage(
                "a .zip is signed as it stands: put package-info.json into it, or give the firmware \
                 file itself with --info"
                    .to_owned(),
            ));
        }
        return file::open(zip, limits.archive_bytes_max);
    }
    let info = match &args.info {
        Some(path) => Some(file::read(path, limits.info_bytes_max)?),
        None => None,
    };
    let mut opened = Vec::new();
    for input in &args.inputs {
        let file = file::open(input, limits.firmware_bytes_max)?;
        opened.push((text_of(input.file_name()), file));
    }
    let files = opened
        .iter_mut()
        .map(|(name, file)| (name.as_str(), file as &mut dyn Read));
    let folder = file::folder_of(out);
    let mut zip =
        tempfile::tempfile_in(folder).map_err(|error| CliError::file("write", folder, &error))?;
    zip_firmware_to(&mut zip, files.collect(), info.as_deref(), limits)?;
    Ok(zip)
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
    let name = text_of(input.file_name());
    if name.is_empty() {
        return Err(CliError::Usage("INPUT must name a file".to_owned()));
    }
    let stem = firmware_stem(&name).map(str::to_owned);
    Ok(stem.unwrap_or_else(|| text_of(input.file_stem())))
}

fn is_zip(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

fn text_of(name: Option<&std::ffi::OsStr>) -> String {
    name.unwrap_or_default().to_string_lossy().into_owned()
}
