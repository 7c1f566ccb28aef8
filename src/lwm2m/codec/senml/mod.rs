//! SenML packs (RFC 8428) as LwM2M uses them (LwM2M 1.1 §7.4.4, §7.4.5): what JSON and CBOR share.
//!
//! ```text
//!   payload ──► json, cbor ──► Fields ──► Resolver ──► Resolved ──► SenmlRecord
//!                              as they     base values  by name      by path
//!                              stand       applied
//! ```

pub(in crate::lwm2m) mod cbor;
mod error;
mod fields;
pub(in crate::lwm2m) mod json;
mod resolve;

use std::time::Duration;

pub use error::{PackError, PackLimits};
pub(in crate::lwm2m::codec) use fields::{Fields, Number};
pub(in crate::lwm2m::codec) use resolve::{Resolved, Resolver};

use crate::clock::Utc;
use crate::lwm2m::path::{Path, parse_id};
use crate::lwm2m::value::Value;

/// Below this a time is relative to the moment of receipt, from it on to 1970 (RFC 8428 §4.5.3).
const ABSOLUTE_TIME_SECONDS_MIN: f64 = 268_435_456.0;

/// One value of one resource, as a pack brings it.
#[derive(Clone, Debug, PartialEq)]
pub struct SenmlRecord {
    /// The resource.
    pub path: Path,
    /// Which of its instances, where it has several.
    pub resource_instance: Option<u16>,
    /// The value.
    pub value: Value,
    /// When it was so, in seconds, base time included: since 1970, or relative to the moment of
    /// receipt (see [`Self::at`]). `None`: now, as far as the device knows.
    pub time_seconds: Option<f64>,
}

impl SenmlRecord {
    /// A value of now.
    pub const fn new(path: Path, value: Value) -> Self {
        Self {
            path,
            resource_instance: None,
            value,
            time_seconds: None,
        }
    }

    /// When the value was so, for a pack that was received at `now` (RFC 8428 §4.5.3).
    pub fn at(&self, now: Utc) -> Utc {
        let seconds = self.time_seconds.unwrap_or(0.0);
        let since = if self.is_relative() {
            now
        } else {
            Utc::from_unix_ms(0)
        };
        let offset = Duration::try_from_secs_f64(seconds.abs()).unwrap_or(Duration::MAX);
        if seconds < 0.0 {
            let ms = i64::try_from(offset.as_millis()).unwrap_or(i64::MAX);
            Utc::from_unix_ms(since.unix_ms().saturating_sub(ms))
        } else {
            since + offset
        }
    }

    /// Whether its time counts from the moment of receipt.
    pub(in crate::lwm2m) fn is_relative(&self) -> bool {
        self.time_seconds
            .is_none_or(|seconds| seconds < ABSOLUTE_TIME_SECONDS_MIN)
    }

    /// Its name within its object instance: `3`, or `8/0`.
    pub(super) fn name_in_instance(&self) -> Result<String, PackError> {
        let resource = self.path.resource.ok_or(PackError::Name)?;
        Ok(match self.resource_instance {
            Some(instance) => format!("{resource}/{instance}"),
            None => resource.to_string(),
        })
    }

    /// What all names within its object instance begin with: `/3/0/`.
    pub(super) fn base_name(&self) -> Result<String, PackError> {
        let instance = self.path.instance.ok_or(PackError::Name)?;
        Ok(format!("/{}/{instance}/", self.path.object))
    }
}

/// Reads names as paths.
pub(super) fn records(resolved: Vec<Resolved>) -> Result<Vec<SenmlRecord>, PackError> {
    resolved.into_iter().map(record).collect()
}

fn record(resolved: Resolved) -> Result<SenmlRecord, PackError> {
    let name = resolved.name.as_str();
    let (path, resource_instance) = match name.match_indices('/').nth(3) {
        Some((at, _)) => {
            let instance = parse_id(&name[at + 1..]).ok_or(PackError::Name)?;
            (Path::parse(&name[..at]), Some(instance))
        }
        None => (Path::parse(name), None),
    };
    let path = path.filter(|path| path.resource.is_some());
    Ok(SenmlRecord {
        path: path.ok_or(PackError::Name)?,
        resource_instance,
        value: resolved.value,
        time_seconds: resolved.time_seconds,
    })
}

/// `66:0` (LwM2M 1.1 §7.4.4).
pub(super) fn parse_object_link(text: &str) -> Result<Value, PackError> {
    let link = text
        .split_once(':')
        .and_then(|(object, instance)| Some((parse_id(object)?, parse_id(instance)?)));
    let (object, instance) = link.ok_or(PackError::ObjectLink)?;
    Ok(Value::ObjectLink { object, instance })
}

#[cfg(test)]
pub(in crate::lwm2m) mod tests;
