//! `narrowcast profile`: what in a carrier's product profile would stop a firmware upgrade.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::error::CliError;
use super::file::{self, Existing};
use super::output::Output;
use super::verify::refusal;
use crate::model::Language;
use crate::profile::{
    FieldMatch, Finding, FourFields, Profile, ProfileError, ProfileLimits, Severity, TreeFault,
};
use crate::signing::{self, PackageLimits, VerifyError};

/// Product profiles of the carriers' platforms.
#[derive(Args, Debug)]
pub(super) struct ProfileArgs {
    #[command(subcommand)]
    verb: ProfileVerb,
}

#[derive(Debug, Subcommand)]
enum ProfileVerb {
    Lint(LintArgs),
}

/// Say what would stop a firmware upgrade: exit 0 where nothing does, 1 with the reasons.
#[derive(Args, Debug)]
struct LintArgs {
    /// The profile: the platform's zip, or plain JSON.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A signed package (NAME_signed.zip) to compare with: device type, manufacturer, model,
    /// protocol. Its signature is not verified.
    #[arg(long, value_name = "FW_SIGNED.zip")]
    package: Option<PathBuf>,
    /// Write the device part to this file, with what can be mended safely.
    #[arg(long, value_name = "OUT")]
    mend: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl ProfileArgs {
    pub(super) fn json(&self) -> bool {
        match &self.verb {
            ProfileVerb::Lint(args) => args.json,
        }
    }
}

pub(super) fn run(args: &ProfileArgs, output: &Output) -> Result<(), CliError> {
    match &args.verb {
        ProfileVerb::Lint(args) => lint(args, output),
    }
}

fn lint(args: &LintArgs, output: &Output) -> Result<(), CliError> {
    let limits = ProfileLimits::default();
    let bytes = file::read(&args.file, limits.file_bytes_max as u64)?;
    let profile = Profile::decode(&bytes, &limits).map_err(|error| {
        output.failure(
            &json!({ "ok": false, "code": error.code(), "reason": error.to_string() }),
            &unreadable(&error, output),
        )
    })?;
    let package = args.package.as_deref();
    let package = package.map(|path| four_fields(path, output)).transpose()?;
    let report = Report {
        findings: profile.lint(package.as_ref()),
        matches: package.map_or_else(Vec::new, |package| profile.matches(&package)),
        mended: match &args.mend {
            Some(path) => Some(mend(&profile, path)?),
            None => None,
        },
    };
    output.result(&report.as_json(output.language), &report.as_text(output))?;
    if report.is_ok() {
        return Ok(());
    }
    Err(CliError::Reported)
}

/// Writes the mended device part; what was mended.
fn mend(profile: &Profile, path: &Path) -> Result<Vec<Finding>, CliError> {
    let (document, mended) = profile.mend();
    let mut text = serde_json::to_string_pretty(&document).map_err(CliError::failed)?;
    text.push('\n');
    file::write(path, text.as_bytes(), 0o644, Existing::Replace)?;
    Ok(mended)
}

/// What a package says of itself in its signed `package-info.json`.
fn four_fields(path: &Path, output: &Output) -> Result<FourFields, CliError> {
    let archive = fs::File::open(path).map_err(|error| CliError::file("read", path, &error))?;
    let package = match signing::inspect(archive, &PackageLimits::default()) {
        Ok(package) => package,
        Err(VerifyError::Io(fault)) => return Err(CliError::file("read", path, &fault.into())),
        Err(error) => {
            return Err(output.failure(
                &json!({ "ok": false, "code": error.code(), "reason": error.to_string() }),
                &refusal(&error, output),
            ));
        }
    };
    let Some(info) = package.payload.info else {
        let reason =
            "the package has no package-info.json that says what it is for: sign it with one";
        let zh = "软件包中没有 package-info.json，无法得知其适用产品，请带上该文件重新签名";
        return Err(output.failure(
            &json!({ "ok": false, "code": "package_without_info", "reason": reason }),
            output.pick(reason, zh),
        ));
    };
    Ok(FourFields {
        device_type: info.device_type,
        manufacturer: info.manufacturer,
        model: info.model,
        protocol: info.protocol,
    })
}

/// What is said in the end.
struct Report {
    findings: Vec<Finding>,
    /// One a device; none where no package was given.
    matches: Vec<[FieldMatch; 4]>,
    /// `None` where nothing was to be mended.
    mended: Option<Vec<Finding>>,
}

impl Report {
    fn is_ok(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings.filter(|it| it.severity() == severity).count()
    }

    fn as_json(&self, language: Language) -> Value {
        let finding = |it: &Finding| {
            json!({
                "code": it.code.word(),
                "severity": it.severity().word(),
                "path": it.path,
                "found": it.found,
                "write": it.write,
                "mendable": it.is_mendable(),
                "text": it.text(language),
            })
        };
        let field = |it: &FieldMatch| {
            json!({
                "field": it.field,
                "profile": it.profile,
                "package": it.package,
                "match": it.holds(),
            })
        };
        let device = |fields: &[FieldMatch; 4]| fields.iter().map(field).collect::<Vec<_>>();
        json!({
            "ok": self.is_ok(),
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
            "matches": self.matches.iter().map(device).collect::<Vec<_>>(),
            "mended": self.mended.as_ref().map(|mended| mended.iter().map(finding).collect::<Vec<_>>()),
        })
    }

    fn as_text(&self, output: &Output) -> String {
        let label = |en, zh| output.pick(en, zh);
        let mut text = String::new();
        // Writing to a string cannot fail.
        for it in &self.findings {
            let severity = match it.severity() {
                Severity::Error => label("error", "错误"),
                Severity::Warning => label("warning", "警告"),
                Severity::Hint => label("hint", "提示"),
            };
            let (code, told) = (it.code.word(), it.text(output.language));
            let _ = writeln!(text, "{severity} {code} {told}");
        }
        for (index, fields) in self.matches.iter().enumerate() {
            for it in fields {
                let _ = writeln!(text, "devices[{index}] {}", in_words(it, output));
            }
        }
        if let Some(mended) = &self.mended {
            let mended = mended.len();
            let _ = writeln!(text, "{} {mended}", label("mended:", "已修正："));
        }
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let _ = match output.language {
            Language::En => write!(text, "errors: {errors}, warnings: {warnings}"),
            Language::Zh => write!(text, "错误：{errors}，警告：{warnings}"),
        };
        text
    }
}

/// One field of the profile beside the package's.
fn in_words(it: &FieldMatch, output: &Output) -> String {
    let label = |en, zh| output.pick(en, zh);
    let verdict = if it.holds() {
        label("matches", "一致")
    } else {
        label("DIFFERS", "不一致")
    };
    let shown = |value: &Option<String>| match value {
        Some(text) => format!("{text:?}"),
        None => label("not said", "未声明").to_owned(),
    };
    let (profile, package) = (label("profile", "产品模型"), label("package", "软件包"));
    format!(
        "{} {verdict}: {profile} {}, {package} {}",
        it.field,
        shown(&it.profile),
        shown(&it.package)
    )
}

fn unreadable(error: &ProfileError, output: &Output) -> String {
    let zh = match error {
        ProfileError::TooLarge { .. }
        | ProfileError::UnpacksTooLarge { .. }
        | ProfileError::TooManyEntries { .. } => "文件过大",
        ProfileError::Zip(_) => "压缩包无法解压",
        ProfileError::Tree(TreeFault::Path(_) | TreeFault::Kind(_)) => "压缩包中含有不安全的条目",
        ProfileError::Tree(TreeFault::OuterFolder(_)) => {
            "请直接压缩 profile 与 service 两个目录，不要包含外层目录"
        }
        ProfileError::Tree(
            TreeFault::Unexpected(_)
            | TreeFault::SameName
            | TreeFault::Twice(_)
            | TreeFault::NoDevicePart
            | TreeFault::NoServicePart,
        ) => "压缩包目录结构不符",
        ProfileError::Json { .. } => "JSON 格式错误",
        ProfileError::Shape { .. } => "内容不是产品模型",
    };
    let head = output.pick("The profile cannot be read", "无法读取产品模型");
    match output.language {
        Language::En => format!("{head}: {error}"),
        Language::Zh => format!("{head}：{zh}（{error}）"),
    }
}
