//! `narrowcast verify`: says what was signed, and by which key.

use std::fmt::Write;
use std::path::PathBuf;
use std::{fs, io};

use clap::Args;
use serde_json::{Value, json};

use super::error::CliError;
use super::file;
use super::output::Output;
use crate::model::Language;
use crate::signing::{self, PackageLimits, PublicKey, VerifiedPackage, VerifyError};

/// Verify a signed package: exit 0 where it holds, 1 with the reason where it does not.
#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    /// A public key (public.pem); several may be given.
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
    /// The signed package (NAME_signed.zip).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &VerifyArgs, output: &Output) -> Result<(), CliError> {
    let limits = PackageLimits::default();
    let mut keys = Vec::new();
    for path in &args.key {
        let pem = file::read_secret_text(path)?;
        keys.push(PublicKey::from_pem(&pem).map_err(|error| CliError::in_file(path, &error))?);
    }
    let archive =
        fs::File::open(&args.file).map_err(|error| CliError::file("read", &args.file, &error))?;
    match signing::verify(archive, &keys, &limits, &mut io::sink()) {
        Ok(package) => output.result(&as_json(&package), &as_text(&package, output)),
        Err(VerifyError::Io(fault)) => Err(CliError::file("read", &args.file, &fault.into())),
        Err(error) => Err(output.failure(
            &json!({ "verified": false, "code": error.code(), "reason": error.to_string() }),
            &refusal(&error, output),
        )),
    }
}

fn as_json(package: &VerifiedPackage) -> Value {
    let firmware: Vec<Value> = package
        .firmware
        .iter()
        .map(|file| {
            json!({
                "name": file.name,
                "size": file.size_bytes,
                "sha256": file.sha256.to_string(),
            })
        })
        .collect();
    json!({
        "verified": true,
        "key_id": package.key_id.to_string(),
        "payload": package.inner_zip_name,
        "sha256": package.archive_sha256.to_string(),
        "firmware": firmware,
        "info": package.info,
    })
}

fn as_text(package: &VerifiedPackage, output: &Output) -> String {
    let label = |en, zh| output.pick(en, zh);
    let mut text = label("The signature holds.", "验证签名成功!").to_owned();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\n{} {}\n{} {}",
        label("key id", "密钥标识"),
        package.key_id,
        label("payload", "原始软件包"),
        package.inner_zip_name,
    );
    for file in &package.firmware {
        let (name, size) = (&file.name, file.size_bytes);
        let _ = write!(
            text,
            "\n{} {name} {size} {} sha256 {}",
            label("firmware", "固件"),
            label("bytes", "字节"),
            file.sha256,
        );
    }
    if let Some(info) = &package.info {
        let _ = write!(
            text,
            "\n{} {} {} {} {}",
            label("signed for", "签名信息"),
            info.manufacturer,
            info.model,
            info.device_type,
            info.version,
        );
    }
    text
}

/// `验签异常!` is the carriers' sentence; the cause stands behind it.
pub(super) fn refusal(error: &VerifyError, output: &Output) -> String {
    let zh = match error {
        VerifyError::TooLarge { .. } => "文件过大",
        VerifyError::Zip(_) | VerifyError::NotSigned => "不是带签名软件包",
        VerifyError::Repacked => "软件包在签名后被重新打包或修改",
        VerifyError::Manifest(_) | VerifyError::ManifestMismatch(_) => "manifest.json 与内容不符",
        VerifyError::NoKey => "没有可用的公钥",
        VerifyError::UnknownKey { .. } => "签名所用密钥不在给定公钥之中",
        VerifyError::SignatureLength { .. } | VerifyError::BadSignature { .. } => {
            "签名不匹配：内容被修改，或由其他密钥签名"
        }
        VerifyError::Payload(_) => "签名有效，但软件包内容不可用",
        VerifyError::Io(_) => "无法读取文件",
    };
    let head = output.pick("The package is not accepted", "验签异常!");
    match output.language {
        Language::En => format!("{head}: {error}"),
        Language::Zh => format!("{head} {zh}（{error}）"),
    }
}
