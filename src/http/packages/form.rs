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
use crate::model::{Component, FirmwareVersion, PackageKind};
use crate::store::{BlobError, IncomingBlob, StoreError};

/// No text field is longer, in bytes: 64 source versions of the longest kind.
const TEXT_BYTES_MAX: usize = 16 * 1024;
const SOURCE_VERSIONS_MAX: usize = 64;
const PROTOCOLS: [&str; 2] = ["LWM2M", "CoAP"];
const TEXT_FIELDS: [&str; 7] = [
    "manufacturer",
    "model",
    "device_type",
    "protocol",
    "version",
    "kind",
    "component",
];

/// An upload as parsed.
pub(super) struct PackageForm {
    pub(super) archive: IncomingBlob,
    pub(super) claims: PackageClaims,
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
) -> Result<PackageForm, Problem> {
    let mut form = RawForm::default();
    while let Some(field) = multipart.next_field().await.map_err(malformed)? {
        let name = field.name().unwrap_or_default().to_owned();
        form.read_field(&name, field, state).await?;
    }
    form.parse()
}

impl RawForm {
    async fn read_field(
        &mut self,
        name: &str,
        field: Field<'_>,
        state: &HttpState,
    ) -> Result<(), Problem> {
        if name == "file" {
            if self.archive.is_some() {
                return Err(twice(name));
            }
            self.archive = Some(receive(field, state).await?);
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
        ] = self.texts;
        let source_versions = self
            .source_versions
            .iter()
            .map(|text| fields::name::<FirmwareVersion>("source_versions", text))
            .collect::<Result<Vec<_>, _>>()?;
        let kind = match kind {
            Some(text) => fields::word("kind", &text, PackageKind::ALL, PackageKind::word)?,
            None => PackageKind::Full,
        };
        if kind == PackageKind::Delta && source_versions.is_empty() {
            let fault = "a delta package needs the versions that it applies to";
            return Err(Problem::invalid_field("source_versions", fault));
        }
        Ok(PackageForm {
            claims: PackageClaims {
                manufacturer: fields::name(
                    "manufacturer",
                    &required("manufacturer", manufacturer)?,
                )?,
                model: fields::name("model", &required("model", model)?)?,
                device_type: fields::name("device_type", &required("device_type", device_type)?)?,
                version: fields::name("version", &required("version", version)?)?,
                source_versions,
                protocol: parse_protocol(&required("protocol", protocol)?)?.to_owned(),
                kind,
                component: match component {
                    Some(text) => {
                        fields::word("component", &text, Component::ALL, Component::word)?
                    }
                    None => Component::Module,
                },
            },
            archive: required("file", self.archive)?,
        })
    }
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
