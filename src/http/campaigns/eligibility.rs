//! Which of the devices asked for a package is for, and why the others are left out.

use serde::Serialize;
use utoipa::ToSchema;

use crate::campaign::{Field, Ineligible, eligibility};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::model::{Device, EndpointName, Language, Package};
use crate::store::StoreError;

/// A device that was asked for and is not in the campaign.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Excluded {
    /// Its endpoint client name.
    endpoint: String,
    /// Why: `manufacturer_unknown`, `manufacturer_differs`, and likewise for `model` and
    /// `device_type`.
    reason: &'static str,
    /// Why, with both values, in the language of the request.
    detail: String,
}

/// Parts the devices into those that the package is for, and the others.
pub(super) async fn partition(
    state: &HttpState,
    package: &Package,
    devices: Vec<Device>,
    language: Language,
) -> Result<(Vec<EndpointName>, Vec<Excluded>), Problem> {
    let mut included = Vec::new();
    let mut excluded = Vec::new();
    for device in devices {
        let device = complete(state, device).await?;
        match eligibility(&device, package) {
            Ok(()) => included.push(device.endpoint),
            Err(why) => excluded.push(exclusion(&device.endpoint, &why, language)),
        }
    }
    Ok((included, excluded))
}

/// Why the package is not for the device, in the language of the request; `None` where it is.
pub(in crate::http) async fn misfit(
    state: &HttpState,
    device: Device,
    package: &Package,
    language: Language,
) -> Result<Option<String>, Problem> {
    let device = complete(state, device).await?;
    let fit = eligibility(&device, package);
    Ok(fit.err().map(|why| why.text(language)))
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

fn exclusion(endpoint: &EndpointName, why: &Ineligible, language: Language) -> Excluded {
    let reason = match why {
        Ineligible::Unknown(Field::Manufacturer) => "manufacturer_unknown",
        Ineligible::Unknown(Field::Model) => "model_unknown",
        Ineligible::Unknown(Field::DeviceType) => "device_type_unknown",
        Ineligible::Differs { field, .. } => match field {
            Field::Manufacturer => "manufacturer_differs",
            Field::Model => "model_differs",
            Field::DeviceType => "device_type_differs",
        },
    };
    Excluded {
        endpoint: endpoint.to_string(),
        reason,
        detail: why.text(language),
    }
}
