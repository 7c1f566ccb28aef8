//! The upload form: multipart fields read within their bounds, then parsed.

use std::io::Write;

use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};

use crate::http::blocking::blocking;
use crate::http::error::{Problem, kinds};
use crate::http::extract::{too_large, too_slow};
use crate::http::listener::is_too_slow;
use crate::http::{HttpState, PackageClaims, fields};
use crate::model::{Component, FirmwareVersion, PackageKind, ReleaseNotes, Sha256Digest};
use crate::store::{BlobError, IncomingBlob, StoreError};

/// No text field is longer, in bytes: 64 source versions of the longest kind.
const TEXT_BYTES_MAX: usize = 16 * 1024;
const SOURCE_VERSIONS_MAX: usize = 64;
const PROTOCOLS: [&str; 2] = ["LWM2M", "CoAP"];
const TEXT_FIELDS: [&str; 14] = [
    "manufacturer",
    "model",
    "device_type",
    "protocol",
    "version",
    "kind",
    "component",
    "sequence",
    "sha256",
    "not_after",
    "release_notes_zh",
    "release_notes_en",
    "unsigned",
    "reason",
];

/// An upload as parsed.
pub(super) struct PackageForm {
    pub(super) archive: IncomingBlob,
    pub(super) claims: PackageClaims,
    pub(super) notes: ReleaseNotes,
    /// Why it has no signature; `None`: it has one.
    pub(super) unsigned: Option<String>,
}

/// What is known of a file that has come, whatever becomes of its form: for the audit log.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// Its name as the client gave it; empty where it gave none, or none that is accepted.
    pub(super) name: String,
    /// SHA-256 of its bytes; `None` where they did not come whole.
    pub(super) sha256: Option<Sha256Digest>,
}

/// An upload as sent: texts in the order of [`TEXT_FIELDS`].
#[derive(Default)]
struct RawForm {
    archive: Option<IncomingBlob>,
    texts: [Option<String>; TEXT_FIELDS.len()],
    source_versions: Vec<String>,
}

/// Reads a form within the limit of its archive's size; the archive goes to the disk as it comes.
pub(super) async fn read_form(
    mut multipart: Multipart,
    state: &HttpState,
    arrived: &mut Arrived,
) -> Result<PackageForm, Problem> {
    let mut form = RawForm::default();
    while let Some(field) = multipart.next_field().await.map_err(malformed)? {
        let name = field.name().unwrap_or_default().to_owned();
        form.read_field(&name, field, state, arrived).await?;
    }
    form.parse()
}

impl RawForm {
    async fn read_field(
        &mut self,
        name: &str,
        field: Field<'_>,
        state: &HttpState,
        arrived: &mut Arrived,
    ) -> Result<(), Problem> {
        if name == "file" {
            if self.archive.is_some() {
                return Err(twice(name));
            }
            // Only a name within the bounds is kept.
            let file_name = field.file_name().unwrap_or_default();
            check_file_name(file_name)?;
            file_name.clone_into(&mut arrived.name);
            let archive = receive(field, state).await?;
            arrived.sha256 = Some(archive.sha256());
            self.archive = Some(archive);
            return Ok(());
        }
        if matches!(name, "source_versions" | "source_versions[]") {
            let text = read_text(name, field).await?;
            let versions = text.split(',').map(str::trim).filter(|one| !one.is_empty());
            self.source_versions.extend(versions.map(str::to_owned));
            return if self.source_versions.len() > SOURCE_VERSIONS_MAX {
                let fault = format!("at most {SOURCE_VERSIONS_MAX} versions");
                Err(Problem::invalid_field("source_versions", fault))
            } else {
                Ok(())
            };
        }
        let Some(index) = TEXT_FIELDS.iter().position(|known| *known == name) else {
            let fault = format!(
                "is not known; the fields are file, source_versions, {}",
                TEXT_FIELDS.join(", ")
            );
            return Err(Problem::invalid_field(name, fault));
        };
        let text = read_text(name, field).await?;
        set_once(&mut self.texts[index], name, text)
    }

    fn parse(self) -> Result<PackageForm, Problem> {
        let [
            manufacturer,
            model,
            device_type,
            protocol,
            version,
            kind,
            component,
            sequence,
            sha256,
            not_after,
            notes_zh,
            notes_en,
            unsigned,
            reason,
        ] = self.texts;
        let source_versions = parse_source_versions(&self.source_versions)?;
        let kind = match kind {
            Some(text) => fields::word("kind", &text, PackageKind::ALL, PackageKind::word)?,
            None => PackageKind::Full,
        };
        if kind == PackageKind::Delta && source_versions.is_empty() {
            let fault = "a delta package needs the versions that it applies to";
            return Err(Problem::invalid_field("source_versions", fault));
        }
        let manufacturer = required("manufacturer", manufacturer)?;
        let device_type = required("device_type", device_type)?;
        let component = match component {
            Some(text) => fields::word("component", &text, Component::ALL, Component::word)?,
            None => Component::Module,
        };
        let claims = PackageClaims {
            manufacturer: fields::name("manufacturer", &manufacturer)?,
            model: fields::name("model", &required("model", model)?)?,
            device_type: fields::name("device_type", &device_type)?,
            version: fields::name("version", &required("version", version)?)?,
            source_versions,
            protocol: parse_protocol(&required("protocol", protocol)?)?.to_owned(),
            kind,
            component,
            sequence: sequence.map(|text| parse_sequence(&text)).transpose()?,
            sha256: sha256.map(|text| parse_sha256(&text)).transpose()?,
            not_after: not_after
                .map(|text| fields::timestamp("not_after", &text))
                .transpose()?,
        };
        Ok(PackageForm {
            claims,
            notes: parse_notes(notes_zh.unwrap_or_default(), notes_en.unwrap_or_default())?,
            unsigned: parse_unsigned(unsigned.as_deref(), reason)?,
            archive: required("file", self.archive)?,
        })
    }
}

fn parse_source_versions(texts: &[String]) -> Result<Vec<FirmwareVersion>, Problem> {
    let versions = texts
        .iter()
        .map(|text| fields::name::<FirmwareVersion>("source_versions", text));
    versions.collect()
}

fn parse_sequence(text: &str) -> Result<u64, Problem> {
    // As large as the store can hold.
    let sequence = text.parse().ok().filter(|it| i64::try_from(*it).is_ok());
    sequence.ok_or_else(|| Problem::invalid_field("sequence", "must be a number without a sign"))
}

fn parse_sha256(text: &str) -> Result<Sha256Digest, Problem> {
    let mut sha256 = [0; 32];
    hex::decode_to_slice(text, &mut sha256)
        .map_err(|_| Problem::invalid_field("sha256", "must be 64 hexadecimal digits"))?;
    Ok(Sha256Digest(sha256))
}

/// Why the package is not signed; `None` where it is.
fn parse_unsigned(
    unsigned: Option<&str>,
    reason: Option<String>,
) -> Result<Option<String>, Problem> {
    match (unsigned, reason) {
        (Some("true"), reason) => Ok(Some(required("reason", reason)?)),
        (None | Some("false"), None) => Ok(None),
        (None | Some("false"), Some(_)) => {
            let fault = "is of a package without a signature; set unsigned to true with it";
            Err(Problem::invalid_field("reason", fault))
        }
        (Some(_), _) => Err(Problem::invalid_field("unsigned", "must be true or false")),
    }
}

/// Release notes: lines of plain text.
pub(super) fn parse_notes(zh: String, en: String) -> Result<ReleaseNotes, Problem> {
    for (field, text) in [("release_notes_zh", &zh), ("release_notes_en", &en)] {
        let chars_max = ReleaseNotes::CHARS_MAX;
        if text.chars().count() > chars_max || text.chars().any(is_no_plain_text) {
            let fault = format!(
                "must have at most {chars_max} characters, and no control characters but line ends"
            );
            return Err(Problem::invalid_field(field, fault));
        }
    }
    Ok(ReleaseNotes { zh, en })
}

fn is_no_plain_text(c: char) -> bool {
    turns_text(c) || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

/// Characters that turn the direction of what stands around them (UAX #9 §2).
fn turns_text(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// The name is shown and audited, and is the firmware's where nobody signed another.
fn check_file_name(name: &str) -> Result<(), Problem> {
    let is_path = |c: char| matches!(c, '/' | '\\');
    if name.len() > 255
        || name
            .chars()
            .any(|c| is_path(c) || c.is_control() || turns_text(c))
    {
        let fault = "its name must be a plain file name of at most 255 bytes: no path, no control \
                     characters";
        return Err(Problem::invalid_field("file", fault));
    }
    Ok(())
}

/// Both spellings of the seeds are accepted, in any case.
fn parse_protocol(text: &str) -> Result<&'static str, Problem> {
    PROTOCOLS
        .into_iter()
        .find(|protocol| protocol.eq_ignore_ascii_case(text))
        .ok_or_else(|| Problem::invalid_field("protocol", "must be LWM2M or CoAP"))
}

fn required<T>(name: &str, value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::invalid_field(name, "is missing"))
}

fn set_once<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), Problem> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice(name)),
    }
}

fn twice(name: &str) -> Problem {
    Problem::invalid_field(name, "is there twice")
}

async fn read_text(name: &str, field: Field<'_>) -> Result<String, Problem> {
    let bytes = read_bytes(field, TEXT_BYTES_MAX)
        .await
        .map_err(|problem| problem.with_field(name))?;
    String::from_utf8(bytes.into()).map_err(|_| Problem::invalid_field(name, "must be UTF-8"))
}

/// Writes a field to the disk, a chunk at a time.
async fn receive(mut field: Field<'_>, state: &HttpState) -> Result<IncomingBlob, Problem> {
    let bytes_max = state.limits.package_bytes_max;
    let mut left = bytes_max;
    let mut incoming = state.package_bytes.begin().map_err(StoreError::from)?;
    while let Some(chunk) = field.chunk().await.map_err(malformed)? {
        left = left
            .checked_sub(chunk.len())
            .ok_or_else(|| too_large(bytes_max))?;
        incoming = blocking(move || {
            let written = incoming.write_all(&chunk).map_err(BlobError::from);
            written.map_err(StoreError::from)?;
            Ok(incoming)
        })
        .await?;
    }
    Ok(incoming)
}

async fn read_bytes(mut field: Field<'_>, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = field.chunk().await.map_err(malformed)? {
        if chunk.len() > bytes_max - bytes.len() {
            return Err(too_large(bytes_max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn malformed(error: MultipartError) -> Problem {
    if is_too_slow(&error) {
        return too_slow();
    }
    let kind = if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        kinds::TOO_LARGE
    } else {
        kinds::MALFORMED_BODY
    };
    Problem::new(kind, error.body_text())
}
