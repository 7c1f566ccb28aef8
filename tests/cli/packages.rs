//! Packages made by the real signer, through the real server.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::program::run;
use crate::server::{Api, DEVICE_TYPE, MANUFACTURER, MODEL, Server, Site};
use crate::uploads::package_files;

pub(crate) const PRIVATE_PEM: &str = include_str!("../../certs/signing-private.pem");
pub(crate) const PUBLIC_PEM: &str = include_str!("../../certs/signing-public.pem");
pub(crate) const OTHER_PUBLIC_PEM: &str = include_str!("../../certs/other-public.pem");

/// A package as `narrowcast sign` writes it.
pub(crate) fn signed_package(site: &Site) -> Vec<u8> {
    let firmware: Vec<u8> = (0..5000_u32).flat_map(u32::to_le_bytes).collect();
    signed_firmware(site, &firmware)
}

/// A package of this firmware.
pub(crate) fn signed_firmware(site: &Site, firmware: &[u8]) -> Vec<u8> {
    std::fs::write(site.path().join("FW.bin"), firmware).unwrap();
    std::fs::write(site.path().join("private.pem"), PRIVATE_PEM).unwrap();
    let sign = ["sign", "--key", "private.pem", "FW.bin"];
    let signed = run(site.path(), &sign).exits(0).stdout;
    std::fs::read(site.path().join(signed.trim_end())).unwrap()
}

pub(crate) async fn enter_key(api: &Api, public_pem: &str) {
    let key = json!({"manufacturer": MANUFACTURER, "public_key_pem": public_pem});
    api.post("/api/v1/keys", &key).await.is(201);
}

/// A server with the manufacturer's key.
async fn with_key(site: &Site, public_pem: &str) -> (Server, Api) {
    let (server, api) = site.serve_admin(&[]);
    enter_key(&api, public_pem).await;
    (server, api)
}

/// Nothing of a refused package is kept.
async fn nothing_is_kept(site: &Site, api: &Api) {
    assert_eq!(api.get("/api/v1/packages").await.is(200), json!([]));
    assert_eq!(package_files(site), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn a_signed_package_is_taken_and_shown() {
    let site = Site::new();
    let (_server, api) = with_key(&site, PUBLIC_PEM).await;
    let archive = signed_package(&site);
    let package = api.upload(archive.clone()).await.is(201);
    let keys = api.get("/api/v1/keys").await.is(200);
    assert_eq!(package["key_id"], keys[0]["id"]);
    // Kept as it came, so that its signature can be verified again.
    let path = kept(&site, &package["archive_sha256"]);
    assert_eq!(std::fs::read(path).unwrap(), archive);
    let shown = api
        .get(&format!("/api/v1/packages/{}", package["id"]))
        .await;
    assert_eq!(shown.is(200), package);
}

#[tokio::test]
async fn a_package_signed_on_secp256k1_is_taken_until_its_key_is_revoked() {
    let site = Site::new();
    std::fs::write(site.path().join("phrase"), "correct horse battery\n").unwrap();
    std::fs::write(site.path().join("FW.bin"), [7; 5000]).unwrap();
    let phrase = ["--passphrase-file", "phrase"];
    let keygen = ["keygen", "--out", ".", "--algorithm", "ecdsa-secp256k1"];
    run(site.path(), &[&keygen[..], &phrase].concat()).exits(0);
    let sign = ["sign", "--key", "private.pem", "FW.bin"];
    run(site.path(), &[&sign[..], &phrase].concat()).exits(0);
    let public_pem = std::fs::read_to_string(site.path().join("public.pem")).unwrap();
    let archive = std::fs::read(site.path().join("FW_signed.zip")).unwrap();

    let (_server, api) = with_key(&site, &public_pem).await;
    let keys = api.get("/api/v1/keys").await.is(200);
    assert_eq!(keys[0]["algorithm"], "ECDSA_256K1");
    assert_eq!(keys[0]["bits"], 256);
    assert_eq!(keys[0]["created_by"], "admin");
    let package = api.upload(archive).await.is(201);
    assert_eq!(package["key_id"], keys[0]["id"]);

    let device = json!({
        "endpoint": "d1",
        "manufacturer": MANUFACTURER,
        "model": MODEL,
        "device_type": DEVICE_TYPE,
    });
    api.post("/api/v1/devices", &device).await.is(201);
    let targets = json!({ "devices": ["d1"] });
    let campaign = json!({ "name": "n", "package_id": package["id"], "targets": targets });
    let draft = api.post("/api/v1/campaigns", &campaign).await.is(201);
    let revoke = format!("/api/v1/keys/{}/revoke", keys[0]["id"].as_str().unwrap());
    let reason = json!({"reason": "lost"});
    let revoked = api.post(&revoke, &reason).await.is(200);
    assert_eq!(revoked["key"]["revoked"]["by"], "admin");
    assert_eq!(revoked["packages"][0]["id"], package["id"]);
    assert_eq!(revoked["campaigns"][0]["id"], draft["id"]);
    let activate = format!("/api/v1/campaigns/{}/activate", draft["id"]);
    let refused = api.post(&activate, &json!({})).await;
    refused.is_problem(409, "key_revoked");
}

/// Where the bytes with this hash are kept.
fn kept(site: &Site, sha256: &Value) -> PathBuf {
    let name = sha256.as_str().unwrap();
    site.data().join("packages").join(&name[..2]).join(name)
}

#[tokio::test]
async fn a_package_whose_archive_was_changed_on_disk_is_not_run() {
    let site = Site::new();
    let (_server, api) = with_key(&site, PUBLIC_PEM).await;
    let package = api.upload(signed_package(&site)).await.is(201);
    let device = json!({
        "endpoint": "d1",
        "manufacturer": MANUFACTURER,
        "model": MODEL,
        "device_type": DEVICE_TYPE,
    });
    api.post("/api/v1/devices", &device).await.is(201);
    let targets = json!({ "devices": ["d1"] });
    let campaign = json!({ "name": "n", "package_id": package["id"], "targets": targets });
    let campaign = api.post("/api/v1/campaigns", &campaign).await.is(201);
    let activate = format!("/api/v1/campaigns/{}/activate", campaign["id"]);

    let path = kept(&site, &package["archive_sha256"]);
    let archive = std::fs::read(&path).unwrap();
    let mut changed = archive.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    std::fs::write(&path, changed).unwrap();
    let refused = api.post(&activate, &json!({})).await;
    refused.is_problem(500, "package_damaged");
    std::fs::remove_file(&path).unwrap();
    let refused = api.post(&activate, &json!({})).await;
    refused.is_problem(500, "package_damaged");
    // As it came, it is verified, and only the address that devices fetch from is missing.
    std::fs::write(&path, archive).unwrap();
    let refused = api.post(&activate, &json!({})).await;
    refused.is_problem(409, "no_public_host");
}

#[tokio::test]
async fn a_package_by_another_key_is_refused() {
    let site = Site::new();
    let (_server, api) = with_key(&site, OTHER_PUBLIC_PEM).await;
    let refused = api.upload(signed_package(&site)).await;
    let problem = refused.is_problem(422, "package_unknown_key");
    assert_eq!(problem["field"], "file");
    nothing_is_kept(&site, &api).await;
}

#[tokio::test]
async fn a_manufacturer_without_a_key_is_named() {
    let site = Site::new();
    let (_server, api) = site.serve_admin(&[]);
    let refused = api.upload(signed_package(&site)).await;
    let problem = refused.is_problem(422, "invalid_field");
    assert_eq!(problem["field"], "manufacturer");
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_refused_with_a_code_that_says_where() {
    let site = Site::new();
    let (_server, api) = with_key(&site, PUBLIC_PEM).await;
    let package = signed_package(&site);
    let at = |needle: &[u8]| {
        let mut windows = package.windows(needle.len());
        windows.position(|window| window == needle).unwrap()
    };
    // The checksum of an entry is compared before the signature over it: damage on the way and a
    // clumsy change look alike.
    let image = at(&2500_u32.to_le_bytes());
    let manifest = at(b"\"size\":") + 2;
    let directory = package.len() - 22;
    for (offset, code) in [
        (image, "package_repacked"),
        (manifest, "package_repacked"),
        (0, "package_not_signed"),
        (directory, "package_not_signed"),
    ] {
        let mut flipped = package.clone();
        flipped[offset] ^= 1;
        let refused = api.upload(flipped).await;
        let problem = refused.is_problem(422, code);
        assert_eq!(problem["field"], "file");
    }
    let cut = package[..package.len() - 1].to_vec();
    api.upload(cut).await.is_problem(422, "package_not_signed");
    nothing_is_kept(&site, &api).await;

    api.upload(package).await.is(201);
}

/// A package with this statement, signed by the command.
fn stated(site: &Site, info: &Value) -> Vec<u8> {
    std::fs::write(site.path().join("info.json"), info.to_string()).unwrap();
    std::fs::write(site.path().join("FW.bin"), b"firmware").unwrap();
    std::fs::write(site.path().join("private.pem"), PRIVATE_PEM).unwrap();
    let sign = [
        "sign",
        "--key",
        "private.pem",
        "--info",
        "info.json",
        "FW.bin",
    ];
    let signed = run(site.path(), &sign).exits(0).stdout;
    std::fs::read(site.path().join(signed.trim_end())).unwrap()
}

#[tokio::test]
async fn the_form_agrees_with_the_signed_statement_field_by_field() {
    let site = Site::new();
    let (_server, api) = with_key(&site, PUBLIC_PEM).await;
    let info = json!({
        "format": 1, "purpose": "firmware", "manufacturer": MANUFACTURER, "model": MODEL,
        "deviceType": DEVICE_TYPE, "version": "2.0.0", "sourceVersions": ["1.0.0"],
        "kind": "delta", "component": "module", "sequence": 104,
        "notAfter": "2099-01-01T00:00:00Z",
    });
    let form = [("kind", "delta"), ("source_versions", "1.0.0")];
    let archive = stated(&site, &info);
    let firmware = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(b"firmware"));
    for (signed, other) in [
        ("model", "BC26"),
        ("deviceType", "GasMeter"),
        ("version", "2.0.1"),
        ("kind", "full"),
        ("component", "mcu"),
    ] {
        let mut info = info.clone();
        info[signed] = other.into();
        let refused = api.upload_file("a.zip", stated(&site, &info), &form).await;
        let problem = refused.is_problem(422, "signed_info_mismatch");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(other), "{detail}");
    }
    for (field, text, signed) in [
        ("sequence", "105", "'104' was signed"),
        ("not_after", "2098-01-01T00:00:00Z", "2099-01-01"),
        ("sha256", &"ab".repeat(32), firmware.as_str()),
        ("source_versions", "0.9.0", "'1.0.0' was signed"),
    ] {
        let texts = [&form[..], &[(field, text)]].concat();
        let refused = api.upload_file("a.zip", archive.clone(), &texts).await;
        let problem = refused.is_problem(422, "signed_info_mismatch");
        assert_eq!(problem["field"], field);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(signed), "{detail}");
    }
    // What was not signed binds nothing, unless the form wants it to.
    let plain = signed_package(&site);
    let refused = api.upload_file("a.zip", plain, &[("sequence", "1")]).await;
    let problem = refused.is_problem(422, "signed_info_mismatch");
    assert_eq!(problem["detail"], "sequence: it was not signed");
    let mut expired = info.clone();
    expired["notAfter"] = "2020-01-01T00:00:00Z".into();
    let refused = api
        .upload_file("a.zip", stated(&site, &expired), &form)
        .await;
    refused.is_problem(409, "package_expired");
    nothing_is_kept(&site, &api).await;

    let exact = [
        ("sequence", "104"),
        ("not_after", "2099-01-01T00:00:00Z"),
        ("sha256", firmware.as_str()),
    ];
    let texts = [&form[..], &exact].concat();
    let package = api.upload_file("a.zip", archive, &texts).await.is(201);
    assert_eq!(package["sequence"], 104);
    let end = package["not_after"].as_str().unwrap();
    assert!(end.starts_with("2099-01-01T00:00:00"), "{end}");
    assert_eq!(package["kind"], "delta");
}
