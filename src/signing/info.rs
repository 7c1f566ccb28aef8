//! `package-info.json`: what the signer says of the firmware, signed with it.

use serde::{Deserialize, Serialize};

use crate::clock::Utc;

/// A `package-info.json` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// Not the JSON that is expected. Unknown fields are refused: one could be a restriction.
    #[error("package-info.json: {0}")]
    Json(String),
    /// Made for a later version of this format.
    #[error("package-info.json has format {0}: only format 1 is known")]
    Format(u32),
    /// Made for something else, with the same key.
    #[error("package-info.json is for the purpose {0:?}: only \"firmware\" is installed")]
    Purpose(String),
    /// A text that is empty, over-long, or has control characters.
    #[error("package-info.json: `{0}` must have 1 to 255 bytes and no control characters")]
    Text(&'static str),
    /// Not 64 hexadecimal digits.
    #[error("package-info.json: `sha256` must be 64 lower-case hexadecimal digits")]
    Sha256,
    /// More than any store of ours keeps.
    #[error("package-info.json: `sequence` must be at most 9223372036854775807")]
    Sequence,
    /// Not a time.
    #[error("package-info.json: `notAfter` must be a time like 2027-01-31T00:00:00Z")]
    NotAfter,
}

/// The signed statement about a package's firmware.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackageInfo {
    /// Always 1.
    pub format: u32,
    /// Always `firmware`: keeps a signature over other things from being used here.
    pub purpose: String,
    /// 厂商名称.
    pub manufacturer: String,
    /// 型号.
    pub model: String,
    /// 设备类型.
    pub device_type: String,
    /// 目标版本.
    pub version: String,
    /// 支持设备源版本; an empty list is signed as "any".
    #[serde(default)]
    pub source_versions: Option<Vec<String>>,
    /// Grows with each release: what tells a downgrade, since version strings have no order. At most
    /// `i64::MAX`.
    #[serde(default)]
    pub sequence: Option<u64>,
    /// SHA-256 of the one firmware file, hexadecimal.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Not to be installed after this time (RFC 3339). Whoever knows the time checks it.
    #[serde(default)]
    pub not_after: Option<String>,
    /// 协议, `LWM2M` or `CoAP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// `full` or `delta`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `module` or `mcu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
}

/// What was typed into the upload form.
#[derive(Clone, Copy, Debug)]
pub struct FormFields<'a> {
    /// 厂商名称.
    pub manufacturer: &'a str,
    /// 型号.
    pub model: &'a str,
    /// 设备类型.
    pub device_type: &'a str,
    /// 协议.
    pub protocol: &'a str,
    /// 目标版本.
    pub version: &'a str,
    /// 支持设备源版本, in any order.
    pub source_versions: &'a [String],
    /// `full` or `delta`.
    pub kind: &'a str,
    /// `module` or `mcu`.
    pub component: &'a str,
}

/// A form field that is not what was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {form:?} in the form, and {signed:?} is signed")]
pub struct Mismatch {
    /// The form's name of the field.
    pub field: &'static str,
    /// What the form says.
    pub form: String,
    /// What the signed `package-info.json` says.
    pub signed: String,
}

impl PackageInfo {
    /// The entry's name in the inner zip.
    pub const FILE_NAME: &'static str = "package-info.json";

    /// Parses and checks the file.
    ///
    /// # Errors
    /// Where it is not JSON with exactly the known fields, or one of them is not sound.
    pub fn parse(json: &[u8]) -> Result<Self, InfoError> {
        let info: Self =
            serde_json::from_slice(json).map_err(|error| InfoError::Json(error.to_string()))?;
        if info.format != 1 {
            return Err(InfoError::Format(info.format));
        }
        if info.purpose != "firmware" {
            return Err(InfoError::Purpose(info.purpose));
        }
        info.check_texts()?;
        if info
            .sha256
            .as_deref()
            .is_some_and(|sha256| !is_sha256(sha256))
        {
            return Err(InfoError::Sha256);
        }
        if info.sequence.is_some_and(|it| i64::try_from(it).is_err()) {
            return Err(InfoError::Sequence);
        }
        if info.not_after.is_some() && info.expires_at().is_none() {
            return Err(InfoError::NotAfter);
        }
        Ok(info)
    }

    /// `notAfter` as a time; `None` where there is none.
    pub fn expires_at(&self) -> Option<Utc> {
        let timestamp: jiff::Timestamp = self.not_after.as_deref()?.parse().ok()?;
        Some(Utc::from_unix_ms(timestamp.as_millisecond()))
    }

    /// Each form field that is not what was signed; none: they agree. Fields that the signer left
    /// out bind nothing. Source versions agree as sets.
    pub fn agrees_with(&self, form: &FormFields<'_>) -> Vec<Mismatch> {
        let fields = [
            ("manufacturer", form.manufacturer, Some(&self.manufacturer)),
            ("model", form.model, Some(&self.model)),
            ("device_type", form.device_type, Some(&self.device_type)),
            ("protocol", form.protocol, self.protocol.as_ref()),
            ("version", form.version, Some(&self.version)),
            ("kind", form.kind, self.kind.as_ref()),
            ("component", form.component, self.component.as_ref()),
        ];
        let mut mismatches: Vec<Mismatch> = fields
            .into_iter()
            .filter_map(|(field, form, signed)| Some((field, form, signed?)))
            .filter(|(_, form, signed)| form != signed)
            .map(|(field, form, signed)| Mismatch {
                field,
                form: form.to_owned(),
                signed: signed.clone(),
            })
            .collect();
        let form = as_set(form.source_versions);
        let signed = self.source_versions.as_deref().map(as_set);
        if let Some(signed) = signed.filter(|signed| *signed != form) {
            mismatches.push(Mismatch {
                field: "source_versions",
                form: form.join(", "),
                signed: signed.join(", "),
            });
        }
        mismatches
    }

    fn check_texts(&self) -> Result<(), InfoError> {
        let given = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let fields = [
            ("manufacturer", vec![self.manufacturer.clone()]),
            ("model", vec![self.model.clone()]),
            ("deviceType", vec![self.device_type.clone()]),
            ("version", vec![self.version.clone()]),
            (
                "sourceVersions",
                self.source_versions.clone().unwrap_or_default(),
            ),
            ("protocol", vec![given(&self.protocol)]),
            ("kind", vec![given(&self.kind)]),
            ("component", vec![given(&self.component)]),
        ];
        for (field, texts) in fields {
            if texts.iter().any(|text| {
                text.is_empty() || text.len() > 255 || text.chars().any(char::is_control)
            }) {
                return Err(InfoError::Text(field));
            }
        }
        Ok(())
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn as_set(versions: &[String]) -> Vec<&str> {
    let mut versions: Vec<&str> = versions.iter().map(String::as_str).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = r#"{"format":1,"purpose":"firmware","manufacturer":"quectel",
        "model":"NBIoTDevice","deviceType":"WaterMeter","version":"BC25PAR01A04",
        "sourceVersions":["BC25PAR01A03"],"sequence":104,"sha256":null,"notAfter":null}"#;

    fn form() -> FormFields<'static> {
        FormFields {
            manufacturer: "quectel",
            model: "NBIoTDevice",
            device_type: "WaterMeter",
            protocol: "LWM2M",
            version: "BC25PAR01A04",
            source_versions: &[],
            kind: "delta",
            component: "module",
        }
    }

    fn changed(from: &str, to: &str) -> Result<PackageInfo, InfoError> {
        assert!(SEED.contains(from));
        PackageInfo::parse(SEED.replace(from, to).as_bytes())
    }

    #[test]
    fn the_form_agrees_field_by_field() {
        let info = PackageInfo::parse(SEED.as_bytes()).unwrap();
        let sources = ["BC25PAR01A03".to_owned(), "BC25PAR01A03".to_owned()];
        let agreed = FormFields {
            source_versions: &sources,
            ..form()
        };
        assert_eq!(info.agrees_with(&agreed), []);

        let other = FormFields {
            version: "BC25PAR01A05",
            model: "nbiotdevice",
            ..form()
        };
        let mismatches = info.agrees_with(&other);
        let fields: Vec<_> = mismatches.iter().map(|mismatch| mismatch.field).collect();
        assert_eq!(fields, ["model", "version", "source_versions"]);
        assert_eq!(
            mismatches[1].to_string(),
            "`version` is \"BC25PAR01A05\" in the form, and \"BC25PAR01A04\" is signed"
        );
    }

    #[test]
    fn a_field_that_was_signed_though_optional_binds() {
        let info = changed(
            "\"sequence\":104",
            "\"kind\":\"full\",\"protocol\":\"LWM2M\"",
        )
        .unwrap();
        let sources = ["BC25PAR01A03".to_owned()];
        let mismatches = info.agrees_with(&FormFields {
            source_versions: &sources,
            ..form()
        });
        assert_eq!(mismatches.len(), 1);
        assert_eq!(mismatches[0].field, "kind");
    }

    #[test]
    fn source_versions_bind_only_where_they_are_signed() {
        let with = |to| changed("\"sourceVersions\":[\"BC25PAR01A03\"],", to).unwrap();
        let sources = ["BC25PAR01A03".to_owned()];
        let form = FormFields {
            source_versions: &sources,
            ..form()
        };
        assert_eq!(with("").agrees_with(&form), []);
        assert_eq!(with("\"sourceVersions\":[],").agrees_with(&form).len(), 1);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(matches!(PackageInfo::parse(b"{}"), Err(InfoError::Json(_))));
        assert!(matches!(PackageInfo::parse(b""), Err(InfoError::Json(_))));
        assert_eq!(
            changed("\"format\":1", "\"format\":2"),
            Err(InfoError::Format(2))
        );
        assert_eq!(
            changed("\"purpose\":\"firmware\"", "\"purpose\":\"codec\""),
            Err(InfoError::Purpose("codec".to_owned()))
        );
        assert!(matches!(
            changed(
                "\"sequence\"",
                "\"notBefore\":\"2030-01-01T00:00:00Z\",\"sequence\""
            ),
            Err(InfoError::Json(_))
        ));
        assert!(matches!(
            changed("\"sequence\":104", "\"sequence\":104,\"sequence\":105"),
            Err(InfoError::Json(_))
        ));
        assert_eq!(
            changed("\"quectel\"", "\"\""),
            Err(InfoError::Text("manufacturer"))
        );
        assert_eq!(
            changed("\"quectel\"", "\"a\\u0000b\""),
            Err(InfoError::Text("manufacturer"))
        );
        assert_eq!(
            changed("\"sha256\":null", "\"sha256\":\"AB\""),
            Err(InfoError::Sha256)
        );
        assert_eq!(
            changed("\"sequence\":104", "\"sequence\":9223372036854775808"),
            Err(InfoError::Sequence)
        );
        changed("\"sequence\":104", "\"sequence\":9223372036854775807").unwrap();
        assert_eq!(
            changed("\"notAfter\":null", "\"notAfter\":\"soon\""),
            Err(InfoError::NotAfter)
        );
    }

    #[test]
    fn the_end_of_validity_is_a_time() {
        let info = changed(
            "\"notAfter\":null",
            "\"notAfter\":\"1970-01-01T00:00:01+00:00\"",
        );
        assert_eq!(info.unwrap().expires_at(), Some(Utc::from_unix_ms(1000)));
    }
}
