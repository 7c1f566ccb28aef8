//! What is mended without asking: where there is only one thing that can have been meant.

use serde_json::Value;

use super::document::Profile;
use super::finding::Finding;
use super::json_path::JsonPath;

/// One mend at its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mend {
    /// The value becomes this.
    Set(Value),
    /// The key becomes this.
    Rename(&'static str),
}

impl Profile {
    /// The device part with the safe mends, and what was mended: spelling of protocols and keys,
    /// `omCapabilities`, and `supportUpgrade` as the text `"true"`. Names are never touched: devices
    /// report them. What turns an upgrade on that was off is for the operator to write.
    ///
    /// Keys come out sorted; all else is as it was.
    pub fn mend(&self) -> (Value, Vec<Finding>) {
        let mut document = self.document().clone();
        let findings = self.lint(None);
        let mended: Vec<Finding> = findings.into_iter().filter(Finding::is_mendable).collect();
        // A key is renamed after all that lies under it: found later, mended earlier.
        for (path, mend) in mended.iter().rev().filter_map(|it| it.mend.as_ref()) {
            apply(&mut document, path, mend);
        }
        (document, mended)
    }
}

fn apply(document: &mut Value, path: &JsonPath, mend: &Mend) {
    match mend {
        Mend::Set(value) => {
            if let Some(place) = path.value_mut(document) {
                *place = value.clone();
            }
        }
        Mend::Rename(to) => {
            if let Some((holder, key)) = path.split_key()
                && let Some(Value::Object(object)) = holder.value_mut(document)
                && let Some(value) = object.remove(key)
            {
                object.insert((*to).to_owned(), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::{Code, ProfileLimits};
    use super::*;

    fn profile(document: &Value) -> Profile {
        let bytes = serde_json::to_vec(document).unwrap();
        Profile::decode(&bytes, &ProfileLimits::default()).unwrap()
    }

    #[test]
    fn keys_and_what_lies_under_them_are_mended_together_and_the_rest_is_kept() {
        let (document, mended) = profile(&json!({
            "devices": [{
                "manufacturerName": "Acme ", "model": "NB-1", "deviceType": "WaterMeter",
                "protocolType": "coap", "x": [1.5, null],
                "omCapabilities": {
                    "FwUpgradeCapability": {
                        "supportUpgrade": " True", "upgradeProtocolType": "LwM2M",
                        "downloadProtocolType": "COAP", "y": "0",
                    },
                },
            }],
            "services": [],
        }))
        .mend();
        let codes: Vec<Code> = mended.iter().map(|it| it.code).collect();
        assert_eq!(
            codes,
            [
                Code::ProtocolSpelling,
                Code::OmCapabilityPlural,
                Code::KeySpelling,
                Code::SupportUpgradeNotBoolean,
                Code::ProtocolSpelling,
                Code::ProtocolSpelling,
            ]
        );
        let expected = json!({
            "devices": [{
                "manufacturerName": "Acme ", "model": "NB-1", "deviceType": "WaterMeter",
                "protocolType": "CoAP", "x": [1.5, null],
                "omCapability": {
                    "fwUpgradeCapability": {
                        "supportUpgrade": true, "upgradeProtocolType": "LWM2M",
                        "downloadProtocolType": "CoAP", "y": "0",
                    },
                },
            }],
            "services": [],
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn what_was_off_is_not_turned_on() {
        for value in [
            json!(false),
            json!("false"),
            json!(1),
            Value::Null,
            json!("yes"),
        ] {
            let document = json!({"devices": [{"omCapability": {
                "fwUpgradeCapability": {"supportUpgrade": value},
            }}]});
            assert_eq!(profile(&document).mend(), (document, vec![]));
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let words = [
            "true", "True ", "false", "LWM2M", "LwM2M", "lwm2m ", "CoAP", "COAP", "co-ap", "MQTT",
            "PCP", "", " Acme", "NB 1", "1.5",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|it| json!(it)),
            proptest::sample::select(words.to_vec()).prop_map(|it| json!(it)),
            ".{0,8}".prop_map(|it| json!(it)),
        ];
        let keys = [
            "omCapability",
            "omCapabilities",
            "OmCapability",
            "fwUpgradeCapability",
            "fw_upgrade_capability",
            "supportUpgrade",
            "SupportUpgrade",
            "upgradeProtocolType",
            "upgradeprotocoltype",
            "downloadProtocolType",
            "DownloadProtocolType",
            "protocolType",
            "ProtocolType",
            "manufacturerName",
            "ManufacturerName",
            "model",
            "Model",
            "deviceType",
            "x",
        ];
        leaf.prop_recursive(4, 64, 8, move |inner| {
            let key = proptest::sample::select(keys.to_vec());
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                6 => prop::collection::btree_map(key.prop_map(str::to_owned), inner, 0..8)
                    .prop_map(|it| Value::Object(it.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_mended_profile_has_what_was_not_mended_and_nothing_else(
            devices in prop::collection::vec(
                (value(), value(), value()).prop_map(|(om, fw, other)| json!({
                    "protocolType": other,
                    "omCapabilities": { "fwUpgradeCapability": fw, "upgradeCapability": other },
                    "model": om,
                })),
                1..3,
            ),
            more in value(),
        ) {
            let mut devices = devices;
            if more.is_object() {
                devices.push(more);
            }
            let before = profile(&json!({ "devices": devices }));
            let (document, mended) = before.mend();
            let after = profile(&document).lint(None);
            prop_assert!(after.iter().all(|it| !it.is_mendable()), "{after:?}");
            prop_assert_eq!(after.len() + mended.len(), before.lint(None).len());
            for finding in after.iter().chain(&mended) {
                prop_assert!(!finding.text(crate::model::Language::Zh).is_empty());
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..256),
            head in proptest::sample::select(vec!["", "PK", "PK\u{3}\u{4}", "{\"devices\":[{", "["]),
        ) {
            let bytes = [head.as_bytes(), &bytes].concat();
            if let Ok(profile) = Profile::decode(&bytes, &ProfileLimits::default()) {
                profile.lint(None);
            }
        }
    }
}
