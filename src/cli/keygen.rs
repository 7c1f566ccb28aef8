//! `narrowcast keygen`: a manufacturer's key pair, made offline.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rand::rngs::OsRng;
use serde_json::json;

use super::error::CliError;
use super::file::{self, Existing};
use super::output::Output;
use super::passphrase;
use crate::signing::{KEY_BITS, KEY_BITS_DEFAULT, PrivateKey};

/// Make a key pair for signing packages: private.pem (encrypted) and public.pem.
#[derive(Args, Debug)]
pub(super) struct KeygenArgs {
    /// Folder for private.pem and public.pem; made where it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// File whose first line is the pass-phrase (12 characters of two classes at least); asked for
    /// on the terminal where it is left out.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// What the key signs with, always over SHA-256.
    #[arg(long, value_enum, default_value_t = Algorithm::Rsa)]
    algorithm: Algorithm,
    /// Length of an RSA key: 2048 (where it is left out), 3072 or 4096.
    #[arg(long, value_name = "BITS", value_parser = parse_bits)]
    bits: Option<usize>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// The two that the carriers' tool offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    /// RSASSA-PKCS1-v1_5.
    Rsa,
    /// ECDSA on the curve secp256k1.
    #[value(name = "ecdsa-secp256k1")]
    EcdsaSecp256k1,
}

pub(super) fn run(args: &KeygenArgs, output: &Output) -> Result<(), CliError> {
    if args.algorithm == Algorithm::EcdsaSecp256k1 && args.bits.is_some() {
        let fault = "--bits is for RSA keys: one on secp256k1 has 256 bits";
        return Err(CliError::Usage(fault.to_owned()));
    }
    let private_path = args.out.join("private.pem");
    let public_path = args.out.join("public.pem");
    for path in [&private_path, &public_path] {
        refuse_existing(path, output)?;
    }
    let passphrase = passphrase::new(args.passphrase_file.as_deref(), output)?;
    let key = match args.algorithm {
        Algorithm::Rsa => PrivateKey::generate(args.bits.unwrap_or(KEY_BITS_DEFAULT), &mut OsRng)?,
        Algorithm::EcdsaSecp256k1 => PrivateKey::generate_secp256k1(&mut OsRng)?,
    };
    let private_pem = key.to_encrypted_pem(&passphrase, &mut OsRng)?;
    let public_pem = key.public_key().to_pem()?;

    fs::create_dir_all(&args.out).map_err(|error| CliError::file("write", &args.out, &error))?;
    file::write(&private_path, private_pem.as_bytes(), 0o600, Existing::Keep)?;
    file::write(&public_path, public_pem.as_bytes(), 0o644, Existing::Keep)?;

    let key_id = key.public_key().id().to_string();
    output.message(output.pick(
        "The private key stays with you; the server wants public.pem only.",
        "私钥请自行妥善保管；只需将 public.pem 上传到服务器。",
    ));
    let json = json!({
        "key_id": key_id,
        "algorithm": key.public_key().algorithm().word(),
        "bits": key.public_key().bits(),
        "private_key": private_path.display().to_string(),
        "public_key": public_path.display().to_string(),
    });
    let text = format!(
        "{}\n{}\nkey id {key_id}",
        private_path.display(),
        public_path.display()
    );
    output.result(&json, &text)
}

fn refuse_existing(path: &Path, output: &Output) -> Result<(), CliError> {
    if !path.exists() {
        return Ok(());
    }
    let reason = output.pick(
        "is there already, and a key is never overwritten: choose another folder",
        "已存在，不会覆盖密钥：请换一个目录",
    );
    Err(CliError::Failed(format!("{} {reason}", path.display())))
}

fn parse_bits(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|bits| KEY_BITS.contains(bits))
        .ok_or_else(|| "2048, 3072 or 4096".to_owned())
}
