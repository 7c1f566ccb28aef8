//! `POST /api/v1/packages/{id}/links`.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LinkView, find_package, is_blocked};
use crate::engine::uri_file_name;
use crate::http::auth::Role;
use crate::http::error::{Problem, kinds};
use crate::http::extract::{OptionalJsonBody, PathParams};
use crate::http::firmware::AddError;
use crate::http::packages::check_expiry;
use crate::http::{HttpState, fields};
use crate::model::{
    AuditActor, DownloadCapability, DownloadLink, LinkId, LinkProgress, Package, PackageFile,
    Provenance, Sha256Digest,
};

/// The longest URL of `AT+QFOTADL`, in bytes.
const URL_BYTES_MAX: usize = 511;
/// The longest file name of `AT+QFOTADL`, in bytes.
const FILE_NAME_BYTES_MAX: usize = 63;
const DEVICE_CHARS_MAX: usize = 255;
const EXPIRES_IN_SECONDS_MIN: u64 = 60;
/// How many times over a file may be sent, where the operator does not say.
const BUDGET_FILES: u64 = 3;
/// The most that an operator may say.
const BUDGET_FILES_MAX: u64 = 1000;

/// A link to make. All of it may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CreateLink {
    /// Which file of the package, by its name in the archive; needed where it has several.
    file: Option<String>,
    /// The last segment of the URL, under which a module stores the file: 1 to 63 letters, digits, `.`, `-`
    /// and `_`. Left out: the file's own name, its other characters replaced by `_`.
    file_name: Option<String>,
    /// Which device it is for: an endpoint client name, or any text.
    device: Option<String>,
    /// How long it is good, in seconds: 60 or more; a day, unless the server is set otherwise. Never longer
    /// than the package's `notAfter`.
    expires_in_seconds: Option<u64>,
    /// How many bytes it may send in all: the file's size to 1000 times that; 3 times, if left out.
    budget_bytes: Option<u64>,
}

/// A link that was made. `Debug` is left out: it holds the capability.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedLink {
    /// For `AT+QFOTADL="<url>"`, or `AT+QFOTADL=2,"<url>"` for an MCU's file: shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The same by HTTPS, where the server listens for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    https_url: Option<String>,
    /// What it is.
    #[serde(flatten)]
    link: LinkView,
}

/// Makes a URL that ends, for one file of a package. Who has it may fetch the file, from any address and
/// in any parts, until its time or its budget is over. It is shown this once, and no `Idempotency-Key`
/// shows it again. No device is known here, so nothing is compared with what one runs: an operator makes a
/// link to an older package too. One to a package without a signature needs an admin.
#[utoipa::path(post, path = "/api/v1/packages/{id}/links", tag = "packages",
    params(("id" = u64, Path, description = "The package's number")), request_body = CreateLink,
    responses((status = 201, description = "Made", body = CreatedLink)))]
pub(crate) async fn create_link(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    OptionalJsonBody(body): OptionalJsonBody<CreateLink>,
) -> Result<(StatusCode, Json<CreatedLink>), Problem> {
    let package = find_package(&state, id).await?;
    let bases = &state.link_bases;
    if bases.http.is_none() && bases.https.is_none() {
        let detail =
            "the server has no listener that modules fetch by HTTP from, or no host to name";
        return Err(Problem::new(kinds::NO_DEVICE_LISTENER, detail));
    }
    check_signed(&package, &actor)?;
    let link = body.link(&state, &package)?;
    check_expiry(package.not_after, state.now_utc())?;
    if is_blocked(&state, &package).await? {
        let key = package.key_id().unwrap_or_default();
        let detail = format!("package {id} was signed with key {key}, which is revoked");
        return Err(Problem::new(kinds::KEY_REVOKED, detail));
    }
    for base in bases.http.iter().chain(&bases.https) {
        let bytes = url(base, DownloadCapability([0; 16]), &link.file_name).len();
        if bytes > URL_BYTES_MAX {
            let detail = format!(
                "the URL would have {bytes} bytes, and modules take {URL_BYTES_MAX}: give the server a \
                 shorter public host"
            );
            return Err(Problem::new(kinds::NO_DEVICE_LISTENER, detail));
        }
    }
    let added = state.links.add(link, state.stamp(actor)).await;
    let (link, capability) = added.map_err(|error| match error {
        AddError::Full(_) => Problem::new(kinds::LIMIT_REACHED, error.to_string()),
        AddError::Store(error) => Problem::of_store(error, format_args!("package {id}")),
    })?;
    let url = |base: &String| url(base, capability, &link.file_name);
    let (http_url, https_url) = (bases.http.as_ref().map(url), bases.https.as_ref().map(url));
    let created = CreatedLink {
        url: http_url,
        https_url,
        link: LinkView::of(link, false, state.now_utc()),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// A link asks for no approver, so what nobody signed is not let out by an operator alone.
fn check_signed(package: &Package, actor: &AuditActor) -> Result<(), Problem> {
    match package.provenance {
        Provenance::Unsigned { .. } if actor.role != Role::Admin.word() => {
            let detail = "only an admin may make a link to a package without a signature";
            Err(Problem::new(kinds::FORBIDDEN, detail))
        }
        Provenance::Unsigned { .. } | Provenance::Signed { .. } => Ok(()),
    }
}

impl CreateLink {
    fn link(self, state: &HttpState, package: &Package) -> Result<DownloadLink, Problem> {
        let file = self.find_file(package)?;
        let file_name = match &self.file_name {
            Some(name) if is_plain(name) => name.clone(),
            Some(_) => {
                let fault = format!(
                    "must have 1 to {FILE_NAME_BYTES_MAX} letters, digits, '.', '-' and '_', the first no \
                     '.': modules store the file under it"
                );
                return Err(Problem::invalid_field("file_name", fault));
            }
            None => uri_file_name(&file.name),
        };
        if let Some(device) = &self.device {
            fields::title("device", device, DEVICE_CHARS_MAX)?;
        }
        let now = state.now_utc();
        let expires_at = now + self.ttl(state)?;
        Ok(DownloadLink {
            id: LinkId(0),
            package: package.id,
            capability_sha256: Sha256Digest([0; 32]),
            file_name,
            file_sha256: file.sha256,
            size_bytes: file.size_bytes,
            created_at: now,
            expires_at: package
                .not_after
                .map_or(expires_at, |end| end.min(expires_at)),
            budget_bytes: self.budget_bytes(file.size_bytes)?,
            device: self.device,
            revoked_at: None,
            progress: LinkProgress::default(),
        })
    }

    fn find_file<'p>(&self, package: &'p Package) -> Result<&'p PackageFile, Problem> {
        let names = || {
            let names: Vec<_> = package.files().map(|file| file.name.as_str()).collect();
            names.join(", ")
        };
        match &self.file {
            Some(name) => {
                let found = package.files().find(|file| file.name == *name);
                found.ok_or_else(|| {
                    let detail = format!("file: package {} has {}", package.id.0, names());
                    Problem::new(kinds::UNKNOWN_REFERENCE, detail).with_field("file")
                })
            }
            None if package.more_files.is_empty() => Ok(&package.file),
            None => Err(Problem::invalid_field(
                "file",
                format!("must name one of {}", names()),
            )),
        }
    }

    fn ttl(&self, state: &HttpState) -> Result<Duration, Problem> {
        let most = state.links.limits.ttl_max.as_secs();
        match self.expires_in_seconds {
            None => Ok(state.links.limits.ttl),
            Some(seconds) if (EXPIRES_IN_SECONDS_MIN..=most).contains(&seconds) => {
                Ok(Duration::from_secs(seconds))
            }
            Some(_) => Err(Problem::invalid_field(
                "expires_in_seconds",
                format!("must be {EXPIRES_IN_SECONDS_MIN} to {most}"),
            )),
        }
    }

    fn budget_bytes(&self, size_bytes: u64) -> Result<u64, Problem> {
        let most = size_bytes.saturating_mul(BUDGET_FILES_MAX);
        match self.budget_bytes {
            None => Ok(size_bytes.saturating_mul(BUDGET_FILES)),
            Some(bytes) if (size_bytes..=most).contains(&bytes) => Ok(bytes),
            Some(_) => Err(Problem::invalid_field(
                "budget_bytes",
                format!("must be {size_bytes}, the file's size, to {most}"),
            )),
        }
    }
}

fn url(base: &str, capability: DownloadCapability, file_name: &str) -> String {
    format!("{base}{}/{file_name}", capability.to_hex())
}

/// Whether every module takes this name as it stands.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=FILE_NAME_BYTES_MAX).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_every_module_takes_is_plain() {
        for name in ["fota.pack", "a", "BC25-R01_v2.bin", &"x".repeat(63)] {
            assert!(is_plain(name), "{name}");
        }
        for name in [
            "",
            ".a",
            "..",
            "a/b",
            "a b",
            "a%20b",
            "固件.bin",
            &"x".repeat(64),
        ] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
