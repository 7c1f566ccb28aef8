//! What would stop a firmware upgrade.

use serde_json::{Map, Value, json};

use super::document::Profile;
use super::finding::{Code, Finding};
use super::four_fields::{FourFields, is_same};
use super::json_path::JsonPath;
use super::quirks::QuirkSet;

type Object = Map<String, Value>;

/// Object 5 is what upgrades firmware; the other value of the platforms, PCP, is for software.
const UPGRADE_PROTOCOLS: &[&str] = &["LWM2M"];
const DOWNLOAD_PROTOCOLS: &[&str] = &["CoAP", "HTTP"];
const PROTOCOL_TYPES: &[&str] = &["CoAP", "LWM2M"];

impl Profile {
    /// All that is wrong, in the order of the profile. With a package, its four fields are compared
    /// too; in spelling nearly right is wrong.
    pub fn lint(&self, package: Option<&FourFields>) -> Vec<Finding> {
        let devices = JsonPath::default().key("devices");
        let mut findings = Vec::new();
        let count = self.devices().count();
        if count > 1 {
            let mut finding = Finding::new(Code::SeveralDevices, &devices, None);
            finding.found = Some(count.to_string());
            findings.push(finding);
        }
        for (index, device) in self.devices().enumerate() {
            let mut lint = Lint {
                findings: &mut findings,
            };
            lint.device(device, &devices.index(index), package);
        }
        findings
    }

    /// What differs of a package that was meant for this product, as far as can be told: names that are
    /// nearly the same, or the same manufacturer and model with another device type or protocol. Nothing
    /// of a package that matches, or is for something else.
    pub fn near_misses(&self, package: &FourFields) -> Vec<Finding> {
        let Some(device) = self.devices().next() else {
            return Vec::new();
        };
        let mut findings = Vec::new();
        let mut lint = Lint {
            findings: &mut findings,
        };
        let at = JsonPath::default().key("devices").index(0);
        lint.compare(device, &at, package);
        let is_named = |key: &str| device.get(key).is_some_and(Value::is_string);
        let is_off = |finding: &Finding| {
            finding.code == Code::Differs
                && ["manufacturerName", "model"]
                    .iter()
                    .any(|key| finding.path.ends_with(key))
        };
        if !is_named("manufacturerName") || !is_named("model") || findings.iter().any(is_off) {
            return Vec::new();
        }
        findings
    }
}

struct Lint<'a> {
    findings: &'a mut Vec<Finding>,
}

impl Lint<'_> {
    fn device(&mut self, device: &Object, at: &JsonPath, package: Option<&FourFields>) {
        for key in ["deviceType", "manufacturerName", "model"] {
            self.name(device, at, key);
        }
        let (path, value) = self.field(device, at, "protocolType");
        if value
            .and_then(Value::as_str)
            .is_some_and(|it| folded(it) == "mqtt")
        {
            self.push(Finding::new(Code::ProtocolNotLwm2m, &path, value).writing(&json!("LWM2M")));
        } else {
            self.protocol(&path, value, PROTOCOL_TYPES);
        }
        self.capability(device, at);
        self.quirks(device, at);
        if let Some(package) = package {
            self.compare(device, at, package);
        }
    }

    fn capability(&mut self, device: &Object, at: &JsonPath) {
        let firmware = json!({
            "supportUpgrade": true,
            "upgradeProtocolType": "LWM2M",
            "downloadProtocolType": "CoAP",
        });
        let (path, value) = self.field(device, at, "omCapability");
        let Some(Value::Object(capability)) = value else {
            let instead = json!({ "fwUpgradeCapability": firmware });
            self.push(Finding::new(Code::OmCapabilityMissing, &path, value).writing(&instead));
            return;
        };
        let (path, value) = self.field(capability, &path, "fwUpgradeCapability");
        let Some(Value::Object(upgrade)) = value else {
            let code = Code::FwUpgradeCapabilityMissing;
            self.push(Finding::new(code, &path, value).writing(&firmware));
            return;
        };
        self.support_upgrade(upgrade, &path);
        let (protocol, value) = self.field(upgrade, &path, "upgradeProtocolType");
        self.protocol(&protocol, value, UPGRADE_PROTOCOLS);
        let (protocol, value) = self.field(upgrade, &path, "downloadProtocolType");
        self.protocol(&protocol, value, DOWNLOAD_PROTOCOLS);
    }

    /// Offers what is known of the model.
    fn quirks(&mut self, device: &Object, at: &JsonPath) {
        let model = device.get("model");
        if let Some(set) = model.and_then(Value::as_str).and_then(QuirkSet::of_model) {
            let mut finding = Finding::new(Code::QuirksKnown, &at.key("model"), model);
            finding.write = Some(format!("quirks = {:?}", set.name));
            self.push(finding);
        }
    }

    fn support_upgrade(&mut self, upgrade: &Object, at: &JsonPath) {
        let (path, value) = self.field(upgrade, at, "supportUpgrade");
        let code = match value {
            Some(Value::Bool(true)) => return,
            Some(Value::Bool(false)) => Code::SupportUpgradeOff,
            None | Some(Value::Null) => Code::SupportUpgradeMissing,
            Some(Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
                Code::SupportUpgradeNotBoolean
            }
        };
        let finding = Finding::new(code, &path, value);
        let is_true = |text: &str| text.trim().eq_ignore_ascii_case("true");
        if value.and_then(Value::as_str).is_some_and(is_true) {
            self.push(finding.setting(&path, Value::Bool(true)));
        } else {
            self.push(finding.writing(&Value::Bool(true)));
        }
    }

    /// One of `known`; the first is what to write where it is none.
    fn protocol(&mut self, path: &JsonPath, value: Option<&Value>, known: &[&'static str]) {
        let first = json!(known.first());
        let text = match value {
            None | Some(Value::Null) => {
                let missing = Finding::new(Code::ProtocolMissing, path, value);
                return self.push(missing.writing(&first));
            }
            Some(Value::String(text)) => text.as_str(),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => "",
        };
        if known.contains(&text) {
            return;
        }
        match known.iter().find(|it| folded(it) == folded(text)) {
            Some(meant) => {
                let finding = Finding::new(Code::ProtocolSpelling, path, value);
                self.push(finding.setting(path, json!(meant)));
            }
            None => {
                self.push(Finding::new(Code::ProtocolUnknown, path, value).writing(&first));
            }
        }
    }

    fn name(&mut self, device: &Object, at: &JsonPath, key: &'static str) {
        let (path, value) = self.field(device, at, key);
        let text = match value {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => {
                let finding = Finding::new(Code::NameNotText, &path, value);
                return self.push(finding.writing(&json!(number.to_string())));
            }
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
                return self.push(Finding::new(Code::NameNotText, &path, value));
            }
        };
        let trimmed = text.trim_matches(is_blank);
        if trimmed.is_empty() {
            self.push(Finding::new(Code::NameMissing, &path, value));
        } else if trimmed != text {
            let finding = Finding::new(Code::NameBlankAtEdge, &path, value);
            self.push(finding.writing(&json!(trimmed)));
        } else if text.contains(is_blank) {
            self.push(Finding::new(Code::NameBlankInside, &path, value));
        }
    }

    /// Each field that is not the package's. One that is missing has been told.
    fn compare(&mut self, device: &Object, at: &JsonPath, package: &FourFields) {
        for (_, key, wanted) in package.each() {
            let (Some(wanted), Some(value)) = (wanted, device.get(key)) else {
                continue;
            };
            let differs = |text: &&str| !is_same(key, wanted, text);
            let Some(text) = value.as_str().filter(differs) else {
                continue;
            };
            let id = device.get("manufacturerId").and_then(Value::as_str);
            let code = if key == "manufacturerName" && id == Some(wanted) {
                Code::ManufacturerIdForName
            } else if without_case(text) == without_case(wanted) {
                Code::DiffersInCase
            } else if to_the_eye(text) == to_the_eye(wanted) {
                Code::LooksAlike
            } else {
                Code::Differs
            };
            let finding = Finding::new(code, &at.key(key), Some(value));
            // The package is at fault there: its field is for the name.
            let right = if code == Code::ManufacturerIdForName {
                text
            } else {
                wanted
            };
            self.push(finding.writing(&json!(right)));
        }
    }

    /// The value of a key, by whatever spelling is there; a wrong one is a finding.
    fn field<'a>(
        &mut self,
        object: &'a Object,
        at: &JsonPath,
        key: &'static str,
    ) -> (JsonPath, Option<&'a Value>) {
        let mut alike = object
            .iter()
            .filter(|(other, _)| *other != key && is_alike(other, key));
        let (first, second) = (alike.next(), alike.next());
        let Some((found, value)) = first else {
            return (at.key(key), object.get(key));
        };
        let path = at.key(found);
        if object.contains_key(key) || second.is_some() {
            let mut finding = Finding::new(Code::KeyTwice, &path, Some(value));
            finding.write = Some(key.to_owned());
            self.push(finding);
            return match object.get(key) {
                Some(value) => (at.key(key), Some(value)),
                None => (path, Some(value)),
            };
        }
        let code = if found == "omCapabilities" {
            Code::OmCapabilityPlural
        } else {
            Code::KeySpelling
        };
        self.push(Finding::new(code, &path, Some(value)).renaming(&path, key));
        (path, Some(value))
    }

    fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

fn is_alike(found: &str, key: &str) -> bool {
    let (found, key) = (folded(found), folded(key));
    found == key || (key == "omcapability" && found == "omcapabilities")
}

/// Letters and digits, in lower case.
fn folded(text: &str) -> String {
    let signs = text.chars().filter(|c| c.is_alphanumeric());
    signs.flat_map(char::to_lowercase).collect()
}

fn without_case(text: &str) -> String {
    let signs = text.chars().filter(|c| !is_blank(*c));
    signs.flat_map(char::to_lowercase).collect()
}

/// What cannot be told apart in some typefaces is one.
fn to_the_eye(text: &str) -> String {
    let one = |c| match c {
        'I' | 'i' | 'L' | 'l' | '|' => '1',
        'O' | 'o' => '0',
        other => other,
    };
    without_case(&text.chars().map(one).collect::<String>())
}

/// A sign that is not seen.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::super::{ProfileLimits, Severity};
    use super::*;

    /// The platforms' published example.
    const EXAMPLE: &str = r#"{
  "devices": [
    {
      "manufacturerId": "quectel",
      "manufacturerName": "quectel",
      "model": "NBloTDevice",
      "protocolType": "CoAP",
      "deviceType": "WaterMeter",
      "omCapability": {
        "upgradeCapability": {
          "supportUpgrade": false
        },
        "fwUpgradeCapability": {
          "supportUpgrade": true,
          "upgradeProtocolType": "LWM2M",
          "downloadProtocolType": "CoAP"
        }
      },
      "serviceTypeCapabilities": [
        { "serviceId": "Brightness", "serviceType": "Brightness", "option": "Master" },
        { "serviceId": "WaterData", "serviceType": "WaterData", "option": "Optional" }
      ]
    }
  ]
}"#;

    fn profile(text: &str) -> Profile {
        Profile::decode(text.as_bytes(), &ProfileLimits::default()).unwrap()
    }

    /// Code and path of all findings in the example with one change.
    fn changed(from: &str, to: &str) -> Vec<(Code, String)> {
        assert!(EXAMPLE.contains(from), "{from}");
        let findings = profile(&EXAMPLE.replace(from, to)).lint(None);
        findings.into_iter().map(|it| (it.code, it.path)).collect()
    }

    fn package() -> FourFields {
        FourFields {
            device_type: "WaterMeter".to_owned(),
            manufacturer: "quectel".to_owned(),
            model: "NBIoTDevice".to_owned(),
            protocol: Some("LWM2M".to_owned()),
        }
    }

    #[test]
    fn a_quirk_set_is_offered_where_the_model_is_known() {
        let found = changed("\"NBloTDevice\"", "\"bc25-TE\"");
        assert_eq!(found, [(Code::QuirksKnown, "devices[0].model".to_owned())]);
        let text = EXAMPLE.replace("NBloTDevice", "bc25-TE");
        let finding = profile(&text).lint(None).remove(0);
        assert_eq!(finding.severity(), Severity::Hint);
        assert_eq!(finding.write.as_deref(), Some("quirks = \"bc25\""));
    }

    #[test]
    fn a_package_that_was_meant_for_this_product_is_told_from_others() {
        let example = profile(EXAMPLE);
        let misses = |change: fn(&mut FourFields)| -> Vec<Code> {
            let mut package = FourFields {
                model: "NBloTDevice".to_owned(),
                ..package()
            };
            change(&mut package);
            let findings = example.near_misses(&package);
            findings.into_iter().map(|it| it.code).collect()
        };
        assert_eq!(misses(|_| ()), []);
        assert_eq!(
            misses(|it| it.manufacturer = "Quectel".to_owned()),
            [Code::DiffersInCase]
        );
        assert_eq!(
            misses(|it| it.model = "NBIoTDevice".to_owned()),
            [Code::LooksAlike]
        );
        assert_eq!(
            misses(|it| it.device_type = "GasMeter".to_owned()),
            [Code::Differs]
        );
        assert_eq!(
            misses(|it| it.protocol = Some("MQTT".to_owned())),
            [Code::Differs]
        );
        assert_eq!(misses(|it| it.model = "BC25".to_owned()), []);
        assert_eq!(misses(|it| it.manufacturer = "Neoway".to_owned()), []);
    }

    #[test]
    fn the_published_example_is_clean_but_not_for_every_package() {
        let example = profile(EXAMPLE);
        assert_eq!(example.lint(None), []);
        assert_eq!(
            example.document()["devices"][0]["serviceTypeCapabilities"][1]["option"],
            "Optional"
        );
        // It has a small l where packages have a capital I.
        let findings = example.lint(Some(&package()));
        let found: Vec<_> = findings
            .iter()
            .map(|it| (it.code, it.path.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                // CoAP and LWM2M are one protocol: the carriers' profiles and packages differ in it.
                (Code::LooksAlike, "devices[0].model"),
            ]
        );
        assert_eq!(findings[0].write.as_deref(), Some("\"NBIoTDevice\""));
        let matches = &example.matches(&package())[0];
        let held: Vec<_> = matches.iter().map(|it| (it.field, it.holds())).collect();
        assert_eq!(
            held,
            [
                ("device_type", true),
                ("manufacturer", true),
                ("model", false),
                ("protocol", true)
            ]
        );
    }

    #[test]
    fn the_example_as_it_is_printed_lacks_its_end_and_is_refused_with_the_line() {
        let printed = EXAMPLE.strip_suffix("  ]\n}").unwrap();
        let refused = Profile::decode(printed.as_bytes(), &ProfileLimits::default());
        let error = refused.unwrap_err().to_string();
        assert_eq!(
            error,
            "profile, line 24, column 0: EOF while parsing a list"
        );
    }

    #[test]
    fn every_capability_that_is_missing_off_or_no_boolean_is_an_error() {
        let upgrade = "devices[0].omCapability.fwUpgradeCapability";
        let support = format!("{upgrade}.supportUpgrade");
        let on = "\"supportUpgrade\": true,";
        for (from, to, code, path) in [
            (
                "omCapability",
                "other",
                Code::OmCapabilityMissing,
                "devices[0].omCapability",
            ),
            (
                "fwUpgradeCapability",
                "fw",
                Code::FwUpgradeCapabilityMissing,
                upgrade,
            ),
            (on, "", Code::SupportUpgradeMissing, &support),
            (
                on,
                "\"supportUpgrade\": null,",
                Code::SupportUpgradeMissing,
                &support,
            ),
            (
                on,
                "\"supportUpgrade\": false,",
                Code::SupportUpgradeOff,
                &support,
            ),
            (
                on,
                "\"supportUpgrade\": \"true\",",
                Code::SupportUpgradeNotBoolean,
                &support,
            ),
            (
                on,
                "\"supportUpgrade\": 1,",
                Code::SupportUpgradeNotBoolean,
                &support,
            ),
        ] {
            assert_eq!(changed(from, to), [(code, path.to_owned())], "{to}");
        }
    }

    #[test]
    fn protocols_are_compared_to_the_letter() {
        let upgrade = "devices[0].omCapability.fwUpgradeCapability";
        let protocol = "devices[0].protocolType".to_owned();
        let of = |key: &str| format!("{upgrade}.{key}ProtocolType");
        for (from, to, code, path) in [
            (
                "\"LWM2M\"",
                "\"LwM2M\"",
                Code::ProtocolSpelling,
                of("upgrade"),
            ),
            ("\"LWM2M\"", "\"PCP\"", Code::ProtocolUnknown, of("upgrade")),
            ("\"LWM2M\"", "null", Code::ProtocolMissing, of("upgrade")),
            (
                "\"CoAP\"\n",
                "\"COAP\"\n",
                Code::ProtocolSpelling,
                of("download"),
            ),
            (
                "\"CoAP\"\n",
                "\"FTP\"\n",
                Code::ProtocolUnknown,
                of("download"),
            ),
            (
                "\"CoAP\",\n",
                "\"lwm2m\",\n",
                Code::ProtocolSpelling,
                protocol.clone(),
            ),
            (
                "\"CoAP\",\n",
                "\"mqtt\",\n",
                Code::ProtocolNotLwm2m,
                protocol.clone(),
            ),
            ("\"CoAP\",\n", "7,\n", Code::ProtocolUnknown, protocol),
        ] {
            assert_eq!(changed(from, to), [(code, path)], "{to}");
        }
    }

    #[test]
    fn the_prose_spelling_of_the_capability_is_understood_and_told() {
        let found = changed("\"omCapability\"", "\"omCapabilities\"");
        assert_eq!(
            found,
            [(
                Code::OmCapabilityPlural,
                "devices[0].omCapabilities".to_owned()
            )]
        );
        let off = EXAMPLE
            .replace("\"omCapability\"", "\"omCapabilities\"")
            .replace("\"supportUpgrade\": true", "\"supportUpgrade\": false");
        let findings = profile(&off).lint(None);
        assert_eq!(findings[0].severity(), Severity::Warning);
        assert_eq!(findings[1].code, Code::SupportUpgradeOff);
        let twice = "\"omCapabilities\": {}, \"omCapability\"";
        let found = changed("\"omCapability\"", twice);
        assert_eq!(
            found,
            [(Code::KeyTwice, "devices[0].omCapabilities".to_owned())]
        );
        let found = changed("\"model\"", "\"Model\"");
        assert_eq!(found, [(Code::KeySpelling, "devices[0].Model".to_owned())]);
    }

    #[test]
    fn names_are_texts_without_blanks_at_their_edges() {
        for (to, code) in [
            ("\" NB-1\"", Code::NameBlankAtEdge),
            ("\"NB-1\u{3000}\"", Code::NameBlankAtEdge),
            ("\"NB-1\\u200b\"", Code::NameBlankAtEdge),
            ("\"NB 1\"", Code::NameBlankInside),
            ("\" \"", Code::NameMissing),
            ("null", Code::NameMissing),
            ("12", Code::NameNotText),
            ("[]", Code::NameNotText),
        ] {
            let expected = [(code, "devices[0].model".to_owned())];
            assert_eq!(changed("\"NBloTDevice\"", to), expected, "{to}");
        }
    }

    #[test]
    fn what_differs_from_a_package_is_told_with_how() {
        let of = |manufacturer: &str, id: &str| {
            let name = format!("\"manufacturerName\": \"{manufacturer}\"");
            let text = EXAMPLE
                .replace(
                    "\"manufacturerId\": \"quectel\"",
                    &format!("\"manufacturerId\": \"{id}\""),
                )
                .replace("\"manufacturerName\": \"quectel\"", &name);
            let package = FourFields {
                model: "NBloTDevice".to_owned(),
                protocol: None,
                ..package()
            };
            let findings = profile(&text).lint(Some(&package));
            findings.into_iter().map(|it| it.code).collect::<Vec<_>>()
        };
        assert_eq!(of("quectel", "1"), []);
        assert_eq!(of("Quectel", "1"), [Code::DiffersInCase]);
        assert_eq!(of("移远", "quectel"), [Code::ManufacturerIdForName]);
        assert_eq!(of("移远", "1"), [Code::Differs]);
        assert_eq!(of("quecteI", "1"), [Code::LooksAlike]);
    }

    #[test]
    fn several_products_in_one_profile_are_told() {
        let device = "{\"model\": \"a\"}, {\n      \"manufacturerId\"";
        let found = changed("{\n      \"manufacturerId\"", device);
        assert_eq!(found[0], (Code::SeveralDevices, "devices".to_owned()));
        assert!(found.contains(&(
            Code::OmCapabilityMissing,
            "devices[0].omCapability".to_owned()
        )));
        assert!(
            found[1..]
                .iter()
                .all(|(_, path)| path.starts_with("devices[0]"))
        );
    }
}
