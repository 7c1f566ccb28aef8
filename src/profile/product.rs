//! What a profile says of its product.

use serde_json::{Map, Value};

use super::document::Profile;
use super::finding::{Code, Finding};
use super::four_fields::FourFields;

/// What a profile says of firmware upgrades.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmwareCapability {
    /// Whether there are any.
    pub supported: bool,
    /// `upgradeProtocolType`.
    pub upgrade_protocol: Option<String>,
    /// `downloadProtocolType`.
    pub download_protocol: Option<String>,
}

impl Profile {
    /// Which product it is of, once what can be mended is.
    ///
    /// # Errors
    /// What is wrong with the names: there are several products in it, or one has no name.
    pub fn four_fields(&self) -> Result<FourFields, Vec<Finding>> {
        let faults: Vec<Finding> = self.lint(None).into_iter().filter(is_of_names).collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let (document, _) = self.mend();
        let device = &document["devices"][0];
        let text = |key: &str| device[key].as_str().map(str::to_owned);
        Ok(FourFields {
            device_type: text("deviceType").unwrap_or_default(),
            manufacturer: text("manufacturerName").unwrap_or_default(),
            model: text("model").unwrap_or_default(),
            protocol: text("protocolType"),
        })
    }

    /// What it says of firmware upgrades, once what can be mended is.
    pub fn firmware_capability(&self) -> FirmwareCapability {
        let (document, _) = self.mend();
        let upgrade = &document["devices"][0]["omCapability"]["fwUpgradeCapability"];
        let text = |key: &str| upgrade[key].as_str().map(str::to_owned);
        FirmwareCapability {
            supported: upgrade["supportUpgrade"] == true,
            upgrade_protocol: text("upgradeProtocolType"),
            download_protocol: text("downloadProtocolType"),
        }
    }

    /// Why it allows no firmware upgrade; nothing where it does.
    pub fn upgrade_faults(&self) -> Vec<Finding> {
        let mut findings = self.lint(None);
        findings.retain(|it| says_no_upgrade(it.code) && !it.is_mendable());
        findings
    }

    /// The services, of a zip and of plain JSON alike, as they came.
    pub fn service_list(&self) -> Vec<Value> {
        let files = self.services().iter().map(|part| &part.document);
        let lists = files.chain([self.document()]);
        let lists = lists.filter_map(|it| it.get("services").and_then(Value::as_array));
        lists.flatten().cloned().collect()
    }

    /// The device part without the services, as it came.
    pub fn device_part(&self) -> Value {
        let mut part: Map<String, Value> = self.document().as_object().cloned().unwrap_or_default();
        part.remove("services");
        Value::Object(part)
    }
}

fn is_of_names(finding: &Finding) -> bool {
    matches!(
        finding.code,
        Code::SeveralDevices | Code::NameMissing | Code::NameNotText | Code::NameBlankAtEdge
    )
}

const fn says_no_upgrade(code: Code) -> bool {
    matches!(
        code,
        Code::OmCapabilityMissing
            | Code::FwUpgradeCapabilityMissing
            | Code::SupportUpgradeMissing
            | Code::SupportUpgradeOff
            | Code::SupportUpgradeNotBoolean
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ProfileLimits;
    use super::*;

    fn profile(document: &Value) -> Profile {
        let bytes = serde_json::to_vec(document).unwrap();
        Profile::decode(&bytes, &ProfileLimits::default()).unwrap()
    }

    fn document() -> Value {
        json!({
            "devices": [{
                "ManufacturerName": "quectel", "model": "NBIoTDevice", "deviceType": "WaterMeter",
                "protocolType": "coap",
                "omCapabilities": {"fwUpgradeCapability": {
                    "supportUpgrade": "true", "upgradeProtocolType": "LWM2M",
                    "downloadProtocolType": "CoAP",
                }},
            }],
            "services": [{"serviceType": "Battery", "properties": [{"propertyName": "level"}]}],
        })
    }

    #[test]
    fn fields_and_capability_are_read_as_they_would_be_mended() {
        let profile = profile(&document());
        let fields = profile.four_fields().unwrap();
        assert_eq!(fields.manufacturer, "quectel");
        assert_eq!(fields.protocol.as_deref(), Some("CoAP"));
        assert!(profile.firmware_capability().supported);
        assert_eq!(profile.upgrade_faults(), []);
        assert_eq!(profile.service_list(), [document()["services"][0].clone()]);
        assert_eq!(
            profile.device_part(),
            json!({"devices": document()["devices"]})
        );
    }

    #[test]
    fn a_product_without_a_name_is_none() {
        for (key, value, code) in [
            ("model", json!(""), Code::NameMissing),
            ("model", json!(5), Code::NameNotText),
            ("deviceType", json!(" x"), Code::NameBlankAtEdge),
        ] {
            let mut document = document();
            document["devices"][0][key] = value;
            let faults = profile(&document).four_fields().unwrap_err();
            assert_eq!(faults.iter().map(|it| it.code).collect::<Vec<_>>(), [code]);
        }
        let mut two = document();
        two["devices"] = json!([document()["devices"][0], document()["devices"][0]]);
        let faults = profile(&two).four_fields().unwrap_err();
        assert_eq!(faults[0].code, Code::SeveralDevices);
    }

    #[test]
    fn what_says_no_upgrade_is_told_and_what_is_only_misspelled_is_not() {
        for (value, code) in [
            (json!({}), Code::FwUpgradeCapabilityMissing),
            (
                json!({"fwUpgradeCapability": {}}),
                Code::SupportUpgradeMissing,
            ),
            (
                json!({"fwUpgradeCapability": {"supportUpgrade": false}}),
                Code::SupportUpgradeOff,
            ),
            (
                json!({"fwUpgradeCapability": {"supportUpgrade": 1}}),
                Code::SupportUpgradeNotBoolean,
            ),
        ] {
            let mut document = document();
            document["devices"][0]["omCapabilities"] = value;
            let profile = profile(&document);
            assert!(!profile.firmware_capability().supported);
            let faults = profile.upgrade_faults();
            assert_eq!(faults.iter().map(|it| it.code).collect::<Vec<_>>(), [code]);
        }
    }
}
