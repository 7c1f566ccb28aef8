//! Which of the devices asked for a package is for, and why the others are left out.

use serde::Serialize;
use utoipa::ToSchema;

use crate::campaign::{Field, Ineligible, eligibility, precedence};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::profiles::{DeviceTypes, TypeOf};
use crate::model::{Device, EndpointName, InstalledSequences, Language, Package};
use crate::store::StoreError;

/// A device that was asked for and is not in the campaign.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Excluded {
    /// Its endpoint client name.
    endpoint: String,
    /// Why: `manufacturer_unknown`, `manufacturer_differs`, and likewise for `model` and
    /// `device_type`; `downgrade` where it runs a higher signed sequence.
    reason: &'static str,
    /// Why, with both values, in the language of the request.
    detail: String,
}

/// Parts the devices into those that the package is for, and the others.
pub(super) async fn partition(
    state: &HttpState,
    package: &Package,
    may_downgrade: bool,
    devices: Vec<Device>,
    language: Language,
) -> Result<(Vec<EndpointName>, Vec<Excluded>), Problem> {
    let installed = if may_downgrade {
        InstalledSequences::default()
    } else {
        state.store.installed_sequences(package).await?
    };
    let types = DeviceTypes::read(state).await?;
    let mut included = Vec::new();
    let mut excluded = Vec::new();
    for device in devices {
        let (device, fitting) = complete(state, &types, device).await?;
        let mut fits = eligibility(&device, package);
        if fits.is_ok() {
            let running = running(state, &device.endpoint, &installed, package).await?;
            fits = precedence(running, package);
        }
        match fits {
            Ok(()) => included.push(device.endpoint),
            Err(why) => excluded.push(exclusion(&device.endpoint, &why, fitting, language)),
        }
    }
    Ok((included, excluded))
}

/// The sequence that a device runs, where it could be higher than the package's.
async fn running(
    state: &HttpState,
    endpoint: &EndpointName,
    installed: &InstalledSequences,
    package: &Package,
) -> Result<Option<u64>, Problem> {
    let mut known = installed
        .versions
        .values()
        .chain(installed.devices.values());
    if !known.any(|sequence| Some(*sequence) > package.sequence) {
        return Ok(None);
    }
    let version = match state.store.report(endpoint).await {
        Ok(report) => report.firmware_version,
        Err(StoreError::NotFound) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(installed.of(endpoint, version.as_ref()))
}

/// Why the package is not for the device, in the language of the request; `None` where it is.
pub(in crate::http) async fn misfit(
    state: &HttpState,
    device: Device,
    package: &Package,
    language: Language,
) -> Result<Option<String>, Problem> {
    let types = DeviceTypes::read(state).await?;
    let (device, fitting) = complete(state, &types, device).await?;
    let fit = eligibility(&device, package);
    Ok(fit.err().map(|why| in_words(&why, fitting, language)))
}

/// Fills in what the operator left out: manufacturer and model from what the device reported of itself,
/// the device type from the only profile that has these (decisions, 15). Where the device type stays
/// unknown, how many profiles have them.
pub(in crate::http) async fn complete(
    state: &HttpState,
    types: &DeviceTypes,
    mut device: Device,
) -> Result<(Device, Option<usize>), Problem> {
    if device.manufacturer.is_none() || device.model.is_none() {
        match state.store.report(&device.endpoint).await {
            Ok(report) => {
                device.manufacturer = device.manufacturer.or(report.manufacturer);
                device.model = device.model.or(report.model);
            }
            Err(StoreError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (None, Some(manufacturer), Some(model)) =
        (&device.device_type, &device.manufacturer, &device.model)
    else {
        return Ok((device, None));
    };
    match types.of(manufacturer, model) {
        TypeOf::Only(device_type) => {
            device.device_type = Some(device_type);
            Ok((device, None))
        }
        TypeOf::Ambiguous(profiles) => Ok((device, Some(profiles))),
    }
}

/// Why a device does not fit; where no profile could say its device type, how many have its names.
fn in_words(why: &Ineligible, fitting: Option<usize>, language: Language) -> String {
    let text = why.text(language);
    match (why, fitting, language) {
        (Ineligible::Unknown(Field::DeviceType), Some(profiles), Language::En) => {
            format!(
                "{text}; {profiles} profiles have its manufacturer and model, where one would say it"
            )
        }
        (Ineligible::Unknown(Field::DeviceType), Some(profiles), Language::Zh) => {
            format!("{text};有 {profiles} 个产品模型与其厂商名称和型号一致,仅有一个时才能据此确定")
        }
        _ => text,
    }
}

fn exclusion(
    endpoint: &EndpointName,
    why: &Ineligible,
    fitting: Option<usize>,
    language: Language,
) -> Excluded {
    let reason = match why {
        Ineligible::Unknown(Field::Manufacturer) => "manufacturer_unknown",
        Ineligible::Unknown(Field::Model) => "model_unknown",
        Ineligible::Unknown(Field::DeviceType) => "device_type_unknown",
        Ineligible::Differs { field, .. } => match field {
            Field::Manufacturer => "manufacturer_differs",
            Field::Model => "model_differs",
            Field::DeviceType => "device_type_differs",
        },
        Ineligible::Downgrade { .. } => "downgrade",
    };
    Excluded {
        endpoint: endpoint.to_string(),
        reason,
        detail: in_words(why, fitting, language),
    }
}
