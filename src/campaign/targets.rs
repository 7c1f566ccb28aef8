//! Who is in a campaign: distinct devices, each of which must fit the package.
//!
//! What a device runs is read when its turn comes. Here stands what it last said of it, if it did.

use std::collections::BTreeSet;

use crate::model::{CampaignId, Device, EndpointName, FirmwareVersion, Language, Package};

/// More devices were named than a campaign may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a campaign may have at most {targets_max} devices")]
pub struct TooManyTargets {
    /// The limit.
    pub targets_max: usize,
}

/// The devices of a campaign, each once, however many of its groups it is in.
#[derive(Clone, Debug)]
pub struct TargetSet {
    targets_max: usize,
    endpoints: BTreeSet<EndpointName>,
}

impl TargetSet {
    /// An empty set that takes at most `targets_max` devices.
    pub fn new(targets_max: usize) -> Self {
        Self {
            targets_max,
            endpoints: BTreeSet::new(),
        }
    }

    /// Adds single devices, or a page of a group's members.
    ///
    /// # Errors
    /// At the first device that is one too many; the campaign is not to be made.
    pub fn extend(
        &mut self,
        endpoints: impl IntoIterator<Item = EndpointName>,
    ) -> Result<(), TooManyTargets> {
        for endpoint in endpoints {
            if self.endpoints.len() >= self.targets_max && !self.endpoints.contains(&endpoint) {
                return Err(TooManyTargets {
                    targets_max: self.targets_max,
                });
            }
            self.endpoints.insert(endpoint);
        }
        Ok(())
    }

    /// How many devices are in.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether nobody is in.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// The devices by endpoint name.
    pub fn into_endpoints(self) -> Vec<EndpointName> {
        self.endpoints.into_iter().collect()
    }
}

/// What device and package must have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// 厂商名称.
    Manufacturer,
    /// 型号.
    Model,
    /// 设备类型.
    DeviceType,
}

/// Why a device is left out, or does not fit a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ineligible {
    /// 黑名单: it is on the list of those that are kept out.
    Denied,
    /// 白名单: it is not on the list of those that are let in.
    NotAllowed,
    /// Nobody has said this of the device.
    Unknown(Field),
    /// Device and package differ.
    Differs {
        /// In what.
        field: Field,
        /// What the device is.
        device: String,
        /// What the package is for.
        package: String,
    },
    /// The package has a lower signed sequence than what the device runs.
    Downgrade {
        /// The device's.
        running: u64,
        /// The package's.
        package: u64,
    },
    /// 支持设备源版本: the package cannot start from the version that the device reported.
    SourceVersionDiffers {
        /// What it reported.
        running: FirmwareVersion,
        /// What the package can start from.
        sources: Vec<FirmwareVersion>,
    },
    /// 任务冲突: a campaign that is not over has the device.
    InCampaign(CampaignId),
}

/// Whether the device fits the package: manufacturer, model and device type are the same, letter by
/// letter (seeds 000 and 004).
///
/// # Errors
/// The first thing that does not fit.
pub fn eligibility(device: &Device, package: &Package) -> Result<(), Ineligible> {
    compare(
        Field::Manufacturer,
        device.manufacturer.as_ref().map(|name| name.as_str()),
        package.manufacturer.as_str(),
    )?;
    compare(
        Field::Model,
        device.model.as_ref().map(|name| name.as_str()),
        package.model.as_str(),
    )?;
    compare(
        Field::DeviceType,
        device.device_type.as_ref().map(|name| name.as_str()),
        package.device_type.as_str(),
    )
}

/// Whether the package may replace what the device runs.
///
/// # Errors
/// Where that has a higher signed sequence.
pub fn precedence(running: Option<u64>, package: &Package) -> Result<(), Ineligible> {
    match (running, package.sequence) {
        (Some(running), Some(package)) if running > package => {
            Err(Ineligible::Downgrade { running, package })
        }
        _ => Ok(()),
    }
}

/// Whether the package can start from what the device reported; whoever runs its version already has no need.
///
/// # Errors
/// Where it reported another version than those that the package names.
pub fn startable(reported: Option<&FirmwareVersion>, package: &Package) -> Result<(), Ineligible> {
    let sources = &package.source_versions;
    match reported {
        Some(running)
            if !sources.is_empty()
                && *running != package.target_version
                && !sources.contains(running) =>
        {
            Err(Ineligible::SourceVersionDiffers {
                running: running.clone(),
                sources: sources.clone(),
            })
        }
        Some(_) | None => Ok(()),
    }
}

impl Ineligible {
    /// The reason in plain words, and what to do.
    pub fn text(&self, language: Language) -> String {
        match (self, language) {
            (Self::Denied, Language::En) => "the campaign's deny list names the device".to_owned(),
            (Self::Denied, Language::Zh) => "设备在黑名单中,不允许升级".to_owned(),
            (Self::NotAllowed, Language::En) => {
                "the campaign's allow list does not name the device".to_owned()
            }
            (Self::NotAllowed, Language::Zh) => {
                "设备不在白名单中,只允许升级白名单中的设备".to_owned()
            }
            (Self::Unknown(field), Language::En) => {
                let field = field.name(language);
                format!("the device's {field} is not known; enter it for the device")
            }
            (Self::Unknown(field), Language::Zh) => {
                let field = field.name(language);
                format!("设备的{field}未知,请在设备信息中填写")
            }
            (
                Self::Differs {
                    field,
                    device,
                    package,
                },
                Language::En,
            ) => {
                let field = field.name(language);
                format!("the device's {field} is \"{device}\", the package is for \"{package}\"")
            }
            (
                Self::Differs {
                    field,
                    device,
                    package,
                },
                Language::Zh,
            ) => {
                let field = field.name(language);
                format!("设备的{field}为“{device}”,固件包适用于“{package}”")
            }
            (Self::Downgrade { running, package }, Language::En) => format!(
                "the device runs the sequence {running}, the package has {package}: a downgrade, \
                 which an admin can allow with a reason"
            ),
            (Self::Downgrade { running, package }, Language::Zh) => format!(
                "设备当前固件序号为{running},固件包序号为{package},属于降级,须由管理员说明原因并允许"
            ),
            (Self::SourceVersionDiffers { running, sources }, Language::En) => format!(
                "the device reported the version {running}, the package starts from {}; a dynamic campaign \
                 takes the device in once it reports one of these",
                list(sources)
            ),
            (Self::SourceVersionDiffers { running, sources }, Language::Zh) => format!(
                "设备上报的版本为{running},固件包支持的源版本为{};动态任务会在设备上报所支持的版本后纳入该设备",
                list(sources)
            ),
            (Self::InCampaign(campaign), Language::En) => format!(
                "the device is in campaign {}, which is not over; end that first, or make this one dynamic: it \
                 then takes the device in when the other is done with it",
                campaign.0
            ),
            (Self::InCampaign(campaign), Language::Zh) => format!(
                "设备在未结束的升级任务{}中;请先结束该任务,或将本任务设为动态,待设备在该任务中结束后自动纳入",
                campaign.0
            ),
        }
    }
}

fn list(versions: &[FirmwareVersion]) -> String {
    let versions: Vec<&str> = versions.iter().map(FirmwareVersion::as_str).collect();
    versions.join(", ")
}

impl Field {
    fn name(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Manufacturer, Language::En) => "manufacturer",
            (Self::Manufacturer, Language::Zh) => "厂商名称",
            (Self::Model, Language::En) => "model",
            (Self::Model, Language::Zh) => "型号",
            (Self::DeviceType, Language::En) => "device type",
            (Self::DeviceType, Language::Zh) => "设备类型",
        }
    }
}

fn compare(field: Field, device: Option<&str>, package: &str) -> Result<(), Ineligible> {
    match device {
        None => Err(Ineligible::Unknown(field)),
        Some(device) if device == package => Ok(()),
        Some(device) => Err(Ineligible::Differs {
            field,
            device: device.to_owned(),
            package: package.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Utc;
    use crate::model::{
        Component, DeviceModel, DeviceType, FirmwareVersion, Manufacturer, PackageFile, PackageId,
        PackageKind, Provenance, ReleaseNotes, Sha256Digest,
    };

    fn device() -> Device {
        Device {
            endpoint: EndpointName::parse("860000000000001").unwrap(),
            manufacturer: Some(Manufacturer::parse("Quectel").unwrap()),
            model: Some(DeviceModel::parse("BC25").unwrap()),
            device_type: Some(DeviceType::parse("WaterMeter").unwrap()),
            tags: Vec::new(),
            created_at: Utc::default(),
        }
    }

    fn package() -> Package {
        Package {
            id: PackageId(1),
            manufacturer: Manufacturer::parse("Quectel").unwrap(),
            model: DeviceModel::parse("BC25").unwrap(),
            device_type: DeviceType::parse("WaterMeter").unwrap(),
            protocol: "LWM2M".to_owned(),
            target_version: FirmwareVersion::parse("V2").unwrap(),
            source_versions: vec![FirmwareVersion::parse("V1").unwrap()],
            kind: PackageKind::Delta,
            component: Component::Module,
            file: PackageFile {
                name: "a.bin".to_owned(),
                sha256: Sha256Digest([0; 32]),
                size_bytes: 1,
            },
            more_files: Vec::new(),
            archive_sha256: Sha256Digest([1; 32]),
            provenance: Provenance::Signed {
                key_id: "00".repeat(32),
            },
            sequence: None,
            not_after: None,
            release_notes: ReleaseNotes::default(),
            uploaded_at: Utc::default(),
        }
    }

    fn names(names: &[&str]) -> Vec<EndpointName> {
        names
            .iter()
            .map(|name| EndpointName::parse(name).unwrap())
            .collect()
    }

    #[test]
    fn a_device_of_the_same_product_fits() {
        assert_eq!(eligibility(&device(), &package()), Ok(()));
    }

    #[test]
    fn a_device_that_differs_in_one_field_does_not_fit() {
        let mut other = device();
        other.manufacturer = Some(Manufacturer::parse("quectel").unwrap());
        let reason = eligibility(&other, &package()).unwrap_err();
        assert_eq!(
            reason.text(Language::En),
            "the device's manufacturer is \"quectel\", the package is for \"Quectel\""
        );
        let mut other = device();
        other.model = Some(DeviceModel::parse("BC25X").unwrap());
        let reason = eligibility(&other, &package()).unwrap_err();
        assert_eq!(
            reason.text(Language::Zh),
            "设备的型号为“BC25X”,固件包适用于“BC25”"
        );
        let mut other = device();
        other.device_type = Some(DeviceType::parse("GasMeter").unwrap());
        assert!(matches!(
            eligibility(&other, &package()),
            Err(Ineligible::Differs {
                field: Field::DeviceType,
                ..
            })
        ));
    }

    #[test]
    fn what_nobody_has_said_does_not_fit() {
        for field in [Field::Manufacturer, Field::Model, Field::DeviceType] {
            let mut device = device();
            match field {
                Field::Manufacturer => device.manufacturer = None,
                Field::Model => device.model = None,
                Field::DeviceType => device.device_type = None,
            }
            let reason = eligibility(&device, &package()).unwrap_err();
            assert_eq!(reason, Ineligible::Unknown(field));
            for &language in Language::ALL {
                assert!(reason.text(language).contains(field.name(language)));
            }
        }
    }

    #[test]
    fn a_device_in_two_groups_is_one_target() {
        let mut targets = TargetSet::new(3);
        targets.extend(names(&["b", "a"])).unwrap();
        targets.extend(names(&["c", "b", "a"])).unwrap();
        assert_eq!(targets.len(), 3);
        assert_eq!(targets.into_endpoints(), names(&["a", "b", "c"]));
    }

    #[test]
    fn one_device_too_many_is_refused() {
        let mut targets = TargetSet::new(2);
        targets.extend(names(&["a", "b"])).unwrap();
        assert_eq!(
            targets.extend(names(&["a", "c"])),
            Err(TooManyTargets { targets_max: 2 })
        );
        assert_eq!(targets.len(), 2);
    }
}
