//! `narrowcast inspect`: what is in a signed package, without a key.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::error::CliError;
use super::output::Output;
use super::verify::refusal;
use crate::signing::{self, Inspection, PackageLimits, VerifyError};

/// Show what is in a signed package, without a key: nothing is verified.
#[derive(Args, Debug)]
pub(super) struct InspectArgs {
    /// The signed package (NAME_signed.zip).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &InspectArgs, output: &Output) -> Result<(), CliError> {
    let archive =
        fs::File::open(&args.file).map_err(|error| CliError::file("read", &args.file, &error))?;
    match signing::inspect(archive, &PackageLimits::default()) {
        Ok(package) => {
            output.message(output.pick(
                "Nothing is verified here: `narrowcast verify --key public.pem` does that.",
                "此处未验证签名：请使用 `narrowcast verify --key public.pem` 验签。",
            ));
            output.result(&as_json(&package), &as_text(&package, output))
        }
        Err(VerifyError::Io(fault)) => Err(CliError::file("read", &args.file, &fault.into())),
        Err(error) => Err(output.failure(
            &json!({ "code": error.code(), "reason": error.to_string() }),
            &refusal(&error, output),
        )),
    }
}

fn as_json(package: &Inspection) -> Value {
    let file = |name: &str, size_bytes: u64, sha256: String| json!({ "name": name, "size": size_bytes, "sha256": sha256 });
    let entries = package.entries.iter();
    let firmware = package.payload.firmware.iter();
    json!({
        "verified": false,
        "sha256": package.archive_sha256.to_string(),
        "entries": entries
            .map(|it| file(&it.name, it.size_bytes, it.sha256.to_string()))
            .collect::<Vec<_>>(),
        "manifest": package.manifest,
        "firmware": firmware
            .map(|it| file(&it.name, it.size_bytes, it.sha256.to_string()))
            .collect::<Vec<_>>(),
        "info": package.payload.info,
    })
}

fn as_text(package: &Inspection, output: &Output) -> String {
    let label = |en, zh| output.pick(en, zh);
    let mut text = format!(
        "{} sha256 {}",
        label("package", "软件包"),
        package.archive_sha256
    );
    let mut file = |kind: &str, name: &str, size_bytes: u64, sha256: &dyn std::fmt::Display| {
        // Writing to a string cannot fail.
        let bytes = label("bytes", "字节");
        let _ = write!(text, "\n{kind} {name} {size_bytes} {bytes} sha256 {sha256}");
    };
    for it in &package.entries {
        file(label("entry", "条目"), &it.name, it.size_bytes, &it.sha256);
    }
    for it in &package.payload.firmware {
        file(
            label("firmware", "固件"),
            &it.name,
            it.size_bytes,
            &it.sha256,
        );
    }
    fields(&mut text, "manifest.json", &package.manifest);
    if let Some(info) = &package.payload.info {
        // A struct of texts, numbers and lists is always JSON.
        let info = serde_json::to_value(info).unwrap_or_default();
        fields(&mut text, "package-info.json", &info);
    }
    text
}

/// One line a field. Nobody vouches for these texts: what a terminal might obey is written out.
fn fields(text: &mut String, file: &str, object: &Value) {
    for (name, value) in object.as_object().into_iter().flatten() {
        let value = match value {
            Value::Null => continue,
            Value::String(value) => value.clone(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                value.to_string()
            }
        };
        let _ = write!(text, "\n{file} {name} {}", value.escape_debug());
    }
}
