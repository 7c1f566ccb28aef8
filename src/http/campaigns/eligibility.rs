//! Which of the devices asked for a package is for, and why the others are left out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::ToSchema;

use crate::campaign::{Field, Ineligible, eligibility, precedence, startable};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::profiles::{DeviceTypes, TypeOf};
use crate::model::{
    CampaignId, CampaignTargets, Device, DeviceReport, EndpointName, InstalledSequences, Language,
    Package,
};
use crate::store::{DeviceDetails, StoreError};

/// A device that was asked for and is not in the campaign.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Excluded {
    /// Its endpoint client name.
    endpoint: String,
    /// Why: `denied`, `not_allowed`, `manufacturer_unknown`, `manufacturer_differs`, and likewise for
    /// `model` and `device_type`; `downgrade` where it runs a higher signed sequence;
    /// `source_version_differs` where it reported a version that the package cannot start from; `in_campaign`
    /// where another campaign has it that is not over.
    reason: &'static str,
    /// Why, with both values, in the language of the request.
    detail: String,
}

impl Excluded {
    /// The word of why.
    pub(super) fn reason(&self) -> &'static str {
        self.reason
    }

    /// Why, in words.
    pub(super) fn into_detail(self) -> String {
        self.detail
    }
}

/// Those that are left out: all are counted, the first are listed.
#[derive(Debug)]
pub(super) struct Exclusions {
    listed_max: usize,
    pub(super) listed: Vec<Excluded>,
    pub(super) count: usize,
    /// How many there are for each reason.
    pub(super) reasons: BTreeMap<&'static str, usize>,
}

impl Exclusions {
    pub(super) fn new(listed_max: usize) -> Self {
        Self {
            listed_max,
            listed: Vec::new(),
            count: 0,
            reasons: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, endpoint: &EndpointName, why: &Exclusion, language: Language) {
        self.count += 1;
        let reason = why.reason();
        *self.reasons.entry(reason).or_default() += 1;
        if self.listed.len() < self.listed_max {
            self.listed.push(Excluded {
                endpoint: endpoint.to_string(),
                reason,
                detail: in_words(&why.why, why.fitting, language),
            });
        }
    }
}

/// Whether a device that was asked for is in.
pub(super) enum Verdict {
    In,
    Out(Exclusion),
}

/// Why a device is left out.
pub(super) struct Exclusion {
    why: Ineligible,
    /// Where no profile could say its device type, how many have its names.
    fitting: Option<usize>,
}

/// A device that is judged.
pub(super) struct Candidate {
    /// What is known of it, completed by profiles.
    pub(super) details: DeviceDetails,
    /// The campaign whose task of it has not ended.
    in_campaign: Option<CampaignId>,
}

/// Judges devices one by one; what it needs to know is read once for all.
pub(super) struct Judge {
    package: Package,
    types: DeviceTypes,
    installed: InstalledSequences,
    allow: Option<BTreeSet<EndpointName>>,
    deny: BTreeSet<EndpointName>,
}

impl Judge {
    pub(super) async fn read(
        state: &HttpState,
        package: &Package,
        may_downgrade: bool,
        targets: &CampaignTargets,
    ) -> Result<Self, Problem> {
        let installed = if may_downgrade {
            InstalledSequences::default()
        } else {
            state.store.installed_sequences(package).await?
        };
        let allow = targets.allow.as_ref();
        Ok(Self {
            package: package.clone(),
            types: DeviceTypes::read(state).await?,
            installed,
            allow: allow.map(|allow| allow.iter().cloned().collect()),
            deny: targets.deny.iter().cloned().collect(),
        })
    }

    /// Devices of a page, with what is to be known of each: what the operator left out is filled in.
    pub(super) async fn candidates(
        &self,
        state: &HttpState,
        found: Vec<DeviceDetails>,
    ) -> Result<Vec<Candidate>, StoreError> {
        let names: Vec<_> = found.iter().map(|it| it.device.endpoint.clone()).collect();
        let mut busy = state.store.in_other_campaigns(&names).await?;
        let candidates = found.into_iter().map(|details| {
            let in_campaign = busy.remove(&details.device.endpoint);
            let (device, _) = complete(&self.types, details.device, &details.report);
            Candidate {
                details: DeviceDetails { device, ..details },
                in_campaign,
            }
        });
        Ok(candidates.collect())
    }

    /// Whether the device, which is complete, is of the manufacturer and model that the package is for.
    pub(super) fn is_of_product(&self, details: &DeviceDetails) -> bool {
        details.device.manufacturer.as_ref() == Some(&self.package.manufacturer)
            && details.device.model.as_ref() == Some(&self.package.model)
    }

    /// The list that keeps out has the first word, the one that lets in the second.
    pub(super) fn judge(&self, candidate: &Candidate) -> Verdict {
        let Candidate {
            details,
            in_campaign,
        } = candidate;
        let device = &details.device;
        let mut fitting = None;
        let why = if self.deny.contains(&device.endpoint) {
            Err(Ineligible::Denied)
        } else if (self.allow.as_ref()).is_some_and(|allow| !allow.contains(&device.endpoint)) {
            Err(Ineligible::NotAllowed)
        } else {
            fitting = profiles_fitting(&self.types, device);
            eligibility(device, &self.package).and_then(|()| {
                let version = details.report.firmware_version.as_ref();
                let running = self.installed.of(&device.endpoint, version);
                precedence(running, &self.package)?;
                startable(version, &self.package)?;
                in_campaign.map_or(Ok(()), |other| Err(Ineligible::InCampaign(other)))
            })
        };
        match why {
            Ok(()) => Verdict::In,
            Err(why) => Verdict::Out(Exclusion { why, fitting }),
        }
    }
}

/// Why the package is not for the device, in the language of the request; `None` where it is.
pub(in crate::http) async fn misfit(
    state: &HttpState,
    device: Device,
    package: &Package,
    language: Language,
) -> Result<Option<String>, Problem> {
    let types = DeviceTypes::read(state).await?;
    let report = match state.store.report(&device.endpoint).await {
        Ok(report) => report,
        Err(StoreError::NotFound) => DeviceReport::default(),
        Err(error) => return Err(error.into()),
    };
    let (device, fitting) = complete(&types, device, &report);
    let fit = eligibility(&device, package);
    Ok(fit.err().map(|why| in_words(&why, fitting, language)))
}

/// Fills in what the operator left out: manufacturer and model from what the device reported of itself,
/// the device type from the only profile that has these (decisions, 15). Where the device type stays
/// unknown, how many profiles have them.
pub(in crate::http) fn complete(
    types: &DeviceTypes,
    mut device: Device,
    report: &DeviceReport,
) -> (Device, Option<usize>) {
    if device.manufacturer.is_none() {
        device.manufacturer.clone_from(&report.manufacturer);
    }
    if device.model.is_none() {
        device.model.clone_from(&report.model);
    }
    let (None, Some(manufacturer), Some(model)) =
        (&device.device_type, &device.manufacturer, &device.model)
    else {
        return (device, None);
    };
    match types.of(manufacturer, model) {
        TypeOf::Only(device_type) => {
            device.device_type = Some(device_type);
            (device, None)
        }
        TypeOf::Ambiguous(profiles) => (device, Some(profiles)),
    }
}

/// How many profiles have the names of a device whose type none of them could say.
fn profiles_fitting(types: &DeviceTypes, device: &Device) -> Option<usize> {
    let (None, Some(manufacturer), Some(model)) =
        (&device.device_type, &device.manufacturer, &device.model)
    else {
        return None;
    };
    match types.of(manufacturer, model) {
        TypeOf::Only(_) => None,
        TypeOf::Ambiguous(profiles) => Some(profiles),
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

impl Exclusion {
    /// The stable word.
    const fn reason(&self) -> &'static str {
        match &self.why {
            Ineligible::Denied => "denied",
            Ineligible::NotAllowed => "not_allowed",
            Ineligible::Unknown(Field::Manufacturer) => "manufacturer_unknown",
            Ineligible::Unknown(Field::Model) => "model_unknown",
            Ineligible::Unknown(Field::DeviceType) => "device_type_unknown",
            Ineligible::Differs { field, .. } => match field {
                Field::Manufacturer => "manufacturer_differs",
                Field::Model => "model_differs",
                Field::DeviceType => "device_type_differs",
            },
            Ineligible::Downgrade { .. } => "downgrade",
            Ineligible::SourceVersionDiffers { .. } => "source_version_differs",
            Ineligible::InCampaign(_) => "in_campaign",
        }
    }
}
