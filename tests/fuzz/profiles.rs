//! Product profiles: plain JSON and the platforms' zip.

use std::cell::Cell;
use std::io::{Cursor, Write};

use narrowcast::model::{Language, SettingChanges};
use narrowcast::profile::{FourFields, Profile, ProfileError, ProfileLimits, change_settings};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::bounds::bounded;
use crate::mutate::{cases, mutants};

/// The example of a carrier's guide.
const PROFILE: &str = include_str!("seeds/profile.json");
const SERVICES: &str = r#"{"services":[{"serviceType":"Battery","properties":[{"propertyName":"level","dataType":"int","min":"0","max":100,"step":1.0,"method":"RE","enumList":null}],"commands":[],"events":null}]}"#;
const TOKENS: &[&str] = &[
    "PK\x03\x04",
    "PK\x01\x02",
    "PK\x05\x06",
    "../",
    "\\\\",
    "\0",
    "{",
    "[[[[[[[[",
    "{\"a\":{\"a\":",
    "1e999",
    "null",
    "true",
    "\"true\"",
    "\\ud800",
    "\\u0000",
    "18446744073709551616",
    "\"omCapabilities\":{},",
    "\"OmCapability\":{},",
    "\"supportUpgrade\":\"TRUE\",",
    "\"model\":7,",
    "\"services\":[],",
    "\"devices\":[",
    "LwM2M",
    "MQTT",
    "profile/devicetype-capability.json",
    "service/x/profile/servicetype-capability.json",
];

fn zip_of(method: CompressionMethod) -> Vec<u8> {
    let options = SimpleFileOptions::default().compression_method(method);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [
        ("profile/devicetype-capability.json", PROFILE),
        (
            "service/Battery/profile/servicetype-capability.json",
            SERVICES,
        ),
    ] {
        writer.start_file(name, options).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn seeds() -> Vec<Vec<u8>> {
    let mut both: Value = serde_json::from_str(PROFILE).unwrap();
    both["services"] = serde_json::from_str::<Value>(SERVICES).unwrap()["services"].clone();
    let misspelled = PROFILE
        .replace("omCapability", "omCapabilities")
        .replace("\"CoAP\"", "\"COAP\"")
        .replace("\"supportUpgrade\": true", "\"SupportUpgrade\": \"true\"");
    vec![
        misspelled.into_bytes(),
        PROFILE.as_bytes().to_vec(),
        both.to_string().into_bytes(),
        zip_of(CompressionMethod::Stored),
        zip_of(CompressionMethod::Deflated),
    ]
}

/// Small enough that a mutant can pass each.
fn limits() -> ProfileLimits {
    ProfileLimits {
        file_bytes_max: 4096,
        json_bytes_max: 4096,
        entries_max: 8,
        depth_max: 16,
        values_max: 400,
        devices_max: 4,
    }
}

/// How far inputs came.
#[derive(Debug, Default)]
struct Reached {
    zips: Cell<u32>,
    read: Cell<u32>,
    named: Cell<u32>,
    mended: Cell<u32>,
}

fn count(counter: &Cell<u32>) {
    counter.set(counter.get() + 1);
}

fn check(bytes: &[u8], reached: &Reached) -> Result<(), ProfileError> {
    let is_zip = bytes.starts_with(b"PK");
    if is_zip {
        count(&reached.zips);
    }
    // The zip crate makes an error of each end of a directory that is none, and drops it.
    let per_byte = if is_zip { 1024 } else { 64 };
    let profile = bounded(bytes.len(), 512 * 1024, per_byte, || {
        Profile::decode(bytes, &limits())
    })?;
    count(&reached.read);
    for language in Language::ALL {
        for finding in profile.lint(None) {
            assert!(!finding.text(*language).is_empty());
        }
    }
    // What is kept is read as what came.
    let kept = profile.device_part().to_string();
    let again = Profile::decode(kept.as_bytes(), &ProfileLimits::default()).unwrap();
    assert_eq!(again.lint(None), profile.lint(None));
    assert_eq!(again.firmware_capability(), profile.firmware_capability());
    if let Ok(fields) = profile.four_fields() {
        count(&reached.named);
        let names = [&fields.device_type, &fields.manufacturer, &fields.model];
        assert!(names.iter().all(|name| !name.trim().is_empty()));
        assert!(fields.matches(&fields).iter().all(|field| field.holds()));
        assert_eq!(again.four_fields().unwrap(), fields);
        let package = FourFields {
            manufacturer: fields.manufacturer.to_uppercase(),
            ..fields
        };
        profile.near_misses(&package);
    }
    // Mended, nothing is left that could be, and nothing else has changed.
    let (document, mended) = profile.mend();
    if !mended.is_empty() {
        count(&reached.mended);
    }
    let mended = document.to_string();
    let mended = Profile::decode(mended.as_bytes(), &ProfileLimits::default()).unwrap();
    assert!(mended.lint(None).iter().all(|it| !it.is_mendable()));
    Ok(())
}

#[test]
fn the_seeds_themselves_are_profiles() {
    for seed in seeds() {
        let reached = Reached::default();
        assert_eq!(check(&seed, &reached), Ok(()));
        assert_eq!(reached.named.get(), 1);
    }
}

#[test]
fn a_profile_is_read_within_its_bounds_or_refused() {
    let (reached, refused) = (Reached::default(), Cell::new(0));
    let tested = TestRunner::new(cases(20_000)).run(&mutants(seeds(), TOKENS), |bytes| {
        if check(&bytes, &reached).is_err() {
            count(&refused);
        }
        Ok(())
    });
    tested.unwrap();
    println!("{reached:?}, {} refused", refused.get());
    for counter in [
        &reached.zips,
        &reached.read,
        &reached.named,
        &reached.mended,
        &refused,
    ] {
        assert!(counter.get() > 100, "{reached:?}, {refused:?}");
    }
}

#[test]
fn settings_are_changed_or_refused_by_name() {
    let seeds = [
        json!({"radio_unit": 36133, "awake_time": "1m 33s", "quirks": "bc25"}),
        json!({"rsrp_borders_dbm": [-105, -115, -125], "trust_result_only": true}),
        json!({"transmission": "nb_iot", "contact_timeout": "24h", "delivery": null}),
    ];
    let seeds = seeds.iter().map(|it| it.to_string().into_bytes()).collect();
    let (changed, refused) = (Cell::new(0), Cell::new(0));
    let tokens = &[
        "null",
        "\"csq\"",
        "366days",
        "[",
        "\"sinr_borders_db\":[3,2,1],",
        "1e9",
    ];
    let tested = TestRunner::new(cases(20_000)).run(&mutants(seeds, tokens), |bytes| {
        let Ok(Value::Object(object)) = serde_json::from_slice(&bytes) else {
            return Ok(());
        };
        let mut changes = SettingChanges::default();
        match change_settings(&mut changes, &object) {
            Ok(()) => {
                count(&changed);
                for (setting, value) in changes.iter() {
                    prop_assert_eq!(setting.check(value), Ok(()));
                    prop_assert_eq!(setting.value_of_text(&value.to_text()), Some(value));
                }
            }
            Err(error) => {
                count(&refused);
                prop_assert!(object.contains_key(&error.setting));
            }
        }
        Ok(())
    });
    tested.unwrap();
    println!("{} changed, {} refused", changed.get(), refused.get());
    assert!(changed.get() > 100 && refused.get() > 100);
}
