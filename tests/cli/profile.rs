//! `profile lint`: a carrier's product profile, with and without a package.

use std::path::Path;

use serde_json::{Value, json};

use crate::packages::PRIVATE_PEM;
use crate::program::{Run, command, run};

/// A profile as the platforms publish it, with one change.
fn profile(folder: &Path, from: &str, to: &str) {
    let profile = json!({"devices": [{
        "manufacturerId": "quectel",
        "manufacturerName": "quectel",
        "model": "NBIoTDevice",
        "protocolType": "CoAP",
        "deviceType": "WaterMeter",
        "omCapability": {
            "upgradeCapability": {"supportUpgrade": false},
            "fwUpgradeCapability": {
                "supportUpgrade": true,
                "upgradeProtocolType": "LWM2M",
                "downloadProtocolType": "CoAP",
            },
        },
        "serviceTypeCapabilities": [
            {"serviceId": "Brightness", "serviceType": "Brightness", "option": "Master"},
        ],
    }]});
    let text = profile.to_string();
    assert!(text.contains(from), "{from}");
    std::fs::write(folder.join("profile.json"), text.replace(from, to)).unwrap();
}

/// `FW_signed.zip`, for the product of the profile but by LWM2M.
fn package(folder: &Path) {
    let info = json!({
        "format": 1,
        "purpose": "firmware",
        "manufacturer": "quectel",
        "model": "NBIoTDevice",
        "deviceType": "WaterMeter",
        "version": "2",
        "protocol": "LWM2M",
    });
    std::fs::write(folder.join("info.json"), info.to_string()).unwrap();
    std::fs::write(folder.join("FW.bin"), [7; 5000]).unwrap();
    std::fs::write(folder.join("private.pem"), PRIVATE_PEM).unwrap();
    let sign = [
        "sign",
        "--key",
        "private.pem",
        "--info",
        "info.json",
        "FW.bin",
    ];
    run(folder, &sign).exits(0);
}

fn lint(folder: &Path, more: &[&str]) -> Run {
    run(
        folder,
        &[&["profile", "lint", "profile.json"], more].concat(),
    )
}

#[test]
fn a_profile_that_lets_firmware_be_upgraded_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    profile(folder.path(), "quectel", "quectel");
    let told = lint(folder.path(), &[]).exits(0);
    assert_eq!(
        (told.stdout.as_str(), told.stderr.as_str()),
        ("errors: 0, warnings: 0\n", "")
    );
    let told = lint(folder.path(), &["--json"]).exits(0).stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        told,
        json!({"ok": true, "findings": [], "matches": [], "mended": null})
    );
}

#[test]
fn a_profile_with_the_upgrade_off_fails_and_says_what_to_write_in_both_languages() {
    let folder = tempfile::tempdir().unwrap();
    profile(
        folder.path(),
        "\"supportUpgrade\":true",
        "\"supportUpgrade\":false",
    );
    let told = lint(folder.path(), &[]).exits(1);
    assert_eq!(
        told.stdout,
        "error support_upgrade_off devices[0].omCapability.fwUpgradeCapability.supportUpgrade: the \
         firmware upgrade is turned off; versions are not queried either. There is: false Write: \
         true\nerrors: 1, warnings: 0\n"
    );
    let chinese = command(folder.path(), &["profile", "lint", "profile.json"])
        .env("LANG", "zh_CN.UTF-8")
        .output()
        .unwrap();
    assert_eq!(
        Run::from(chinese).exits(1).stdout,
        "错误 support_upgrade_off devices[0].omCapability.fwUpgradeCapability.supportUpgrade：固件升级\
         已关闭，平台也不再查询固件版本。 现为：false 应写：true\n错误：1，警告：0\n"
    );
}

#[test]
fn a_package_is_compared_field_by_field() {
    let folder = tempfile::tempdir().unwrap();
    package(folder.path());
    profile(folder.path(), "NBIoTDevice", "NBloTDevice");
    let with = ["--package", "FW_signed.zip"];
    let told = lint(folder.path(), &with).exits(1).stdout;
    for line in [
        "devices[0] device_type matches: profile \"WaterMeter\", package \"WaterMeter\"\n",
        "devices[0] manufacturer matches: profile \"quectel\", package \"quectel\"\n",
        "devices[0] model DIFFERS: profile \"NBloTDevice\", package \"NBIoTDevice\"\n",
        "devices[0] protocol matches: profile \"CoAP\", package \"LWM2M\"\n",
        "error looks_alike devices[0].model: ",
    ] {
        assert!(told.contains(line), "{line:?} is not in: {told}");
    }
    profile(
        folder.path(),
        "\"protocolType\":\"CoAP\"",
        "\"protocolType\":\"LWM2M\"",
    );
    let told = lint(folder.path(), &[&with[..], &["--json"]].concat())
        .exits(0)
        .stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    let expected = json!({
        "field": "model", "profile": "NBIoTDevice", "package": "NBIoTDevice", "match": true,
    });
    assert_eq!(told["matches"][0][2], expected);

    let unsigned = lint(folder.path(), &["--package", "FW.bin"]).exits(1);
    unsigned.says(&["The package is not accepted"]);
}

#[test]
fn what_was_mended_is_clean_and_only_that_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    profile(
        folder.path(),
        "\"supportUpgrade\":true",
        "\"supportUpgrade\":\"true\"",
    );
    let told = lint(folder.path(), &["--mend", "mended.json"])
        .exits(1)
        .stdout;
    assert!(told.contains("mended: 1\n"), "{told}");
    let mended = std::fs::read(folder.path().join("mended.json")).unwrap();
    let mended: Value = serde_json::from_slice(&mended).unwrap();
    profile(folder.path(), "quectel", "quectel");
    let right = std::fs::read(folder.path().join("profile.json")).unwrap();
    assert_eq!(mended, serde_json::from_slice::<Value>(&right).unwrap());
    run(folder.path(), &["profile", "lint", "mended.json"]).exits(0);
}

#[test]
fn what_is_no_profile_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("profile.json"), "{\n  \"devices\": [}").unwrap();
    let refused = lint(folder.path(), &[]).exits(1);
    refused.says(&["The profile cannot be read: profile, line 2, column 15: "]);
    let refused = lint(folder.path(), &["--json"]).exits(1).stdout;
    let refused: Value = serde_json::from_str(&refused).unwrap();
    assert_eq!(refused["code"], "profile_json");
    run(folder.path(), &["profile", "lint", "none.zip"])
        .exits(1)
        .says(&["none.zip"]);
    run(folder.path(), &["profile"]).exits(2);
}
