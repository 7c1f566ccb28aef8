//! Lists of a group's devices, as they are sent.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::HttpState;
use crate::http::error::{Problem, kinds};
use crate::model::EndpointName;
use crate::store::StoreError;

/// How many unknown devices a problem names.
const UNKNOWN_NAMED_MAX: usize = 20;

/// Devices of a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupDevices {
    /// Their endpoint client names.
    devices: Vec<String>,
}

impl GroupDevices {
    pub(super) fn parse(&self, state: &HttpState) -> Result<Vec<EndpointName>, Problem> {
        let endpoint =
            |(index, text): (usize, &String)| state.endpoint(&format!("devices[{index}]"), text);
        self.devices.iter().enumerate().map(endpoint).collect()
    }
}

/// What became of a write that takes known devices only.
pub(super) async fn members_or_unknown(
    state: &HttpState,
    group: u64,
    devices: &[EndpointName],
    written: Result<(), StoreError>,
) -> Result<(), Problem> {
    match written {
        Ok(()) => Ok(()),
        Err(StoreError::NotFound) => Err(unknown_devices(state, group, devices).await),
        Err(error) => Err(Problem::of_store(error, format_args!("group {group}"))),
    }
}

/// Names the first devices that are not there; where all are, it is the group that is not.
async fn unknown_devices(state: &HttpState, group: u64, devices: &[EndpointName]) -> Problem {
    let mut unknown: Vec<(usize, &EndpointName)> = Vec::new();
    for (index, endpoint) in devices.iter().enumerate() {
        let is_unknown = match state.store.device(endpoint).await {
            Ok(_) => false,
            Err(StoreError::NotFound) => !unknown.iter().any(|(_, known)| *known == endpoint),
            Err(error) => return error.into(),
        };
        if is_unknown {
            unknown.push((index, endpoint));
        }
        if unknown.len() > UNKNOWN_NAMED_MAX {
            break;
        }
    }
    let Some((first, _)) = unknown.first() else {
        return Problem::of_store(StoreError::NotFound, format_args!("group {group}"));
    };
    let named = unknown.iter().take(UNKNOWN_NAMED_MAX);
    let named: Vec<_> = named.map(|(_, name)| format!("'{name}'")).collect();
    let more = if unknown.len() > UNKNOWN_NAMED_MAX {
        ", and of more"
    } else {
        ""
    };
    let detail = format!(
        "devices[{first}]: there is no device of the name {}{more}",
        named.join(", ")
    );
    Problem::new(kinds::UNKNOWN_REFERENCE, detail).with_field(format!("devices[{first}]"))
}
