//! Whether a package is for a device: manufacturer, model and device type, each exactly.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::HttpState;
use crate::http::error::Problem;
use crate::model::{Device, EndpointName, Package};
use crate::store::StoreError;

/// A device that was asked for and is not in the campaign.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Excluded {
    /// Its endpoint client name.
    endpoint: String,
    /// Why: `manufacturer_unknown`, `manufacturer_differs`, and likewise for `model` and
    /// `device_type`.
    reason: &'static str,
    /// Why, with both values.
    detail: String,
}

/// Parts the devices into those that the package is for, and the others.
pub(super) async fn partition(
    state: &HttpState,
    package: &Package,
    devices: Vec<Device>,
) -> Result<(Vec<EndpointName>, Vec<Excluded>), Problem> {
    let mut included = Vec::new();
    let mut excluded = Vec::new();
    for device in devices {
        let device = complete(state, device).await?;
        match exclusion(package, &device) {
            None => included.push(device.endpoint),
            Some(exclusion) => excluded.push(exclusion),
        }
    }
    Ok((included, excluded))
}

/// Fills in what the operator left out from what the device reported of itself.
async fn complete(state: &HttpState, device: Device) -> Result<Device, Problem> {
    if device.manufacturer.is_some() && device.model.is_some() {
        return Ok(device);
    }
    match state.store.report(&device.endpoint).await {
        Ok(report) => Ok(Device {
            manufacturer: device.manufacturer.or(report.manufacturer),
            model: device.model.or(report.model),
            ..device
        }),
        Err(StoreError::NotFound) => Ok(device),
        Err(error) => Err(error.into()),
    }
}

fn exclusion(package: &Package, device: &Device) -> Option<Excluded> {
    let pairs = [
        (
            ["manufacturer_unknown", "manufacturer_differs"],
            device.manufacturer.as_ref().map(|name| name.as_str()),
            package.manufacturer.as_str(),
        ),
        (
            ["model_unknown", "model_differs"],
            device.model.as_ref().map(|name| name.as_str()),
            package.model.as_str(),
        ),
        (
            ["device_type_unknown", "device_type_differs"],
            device.device_type.as_ref().map(|name| name.as_str()),
            package.device_type.as_str(),
        ),
    ];
    pairs
        .into_iter()
        .find_map(|([unknown, differs], has, wants)| {
            let (reason, detail) = match has {
                None => (unknown, format!("not known; the package is for '{wants}'")),
                Some(has) if has != wants => {
                    (differs, format!("'{has}'; the package is for '{wants}'"))
                }
                Some(_) => return None,
            };
            Some(Excluded {
                endpoint: device.endpoint.to_string(),
                reason,
                detail,
            })
        })
}
