//! What is shown of a package without a key, and that it is refused where `verify` refuses it.

use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Output};

use narrowcast::signing::{self, Inspection, PackageLimits, VerifyError};
use sha2::{Digest, Sha256};

use crate::fixture::{
    PUBLIC_PEM, container, decode, encoded_message, firmware, inner, manifest, private_operation,
    public_key, signed, verify, write,
};
use crate::zip_builder::{Item, Zip};

fn inspect(archive: &[u8]) -> Result<Inspection, VerifyError> {
    signing::inspect(Cursor::new(archive), &PackageLimits::default())
}

fn narrowcast(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_narrowcast"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("LC_ALL")
        .env_remove("LC_MESSAGES")
        .env("LANG", "C.UTF-8")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

const INFO: &str = r#"{"format":1,"purpose":"firmware","manufacturer":"Acme","model":"NB-1",
    "deviceType":"WaterMeter","version":"V2"}"#;

/// An inner zip with a statement in it.
fn stated() -> Vec<u8> {
    let items = [
        Item::stored("FW.bin", &firmware()),
        Item::stored("package-info.json", INFO.as_bytes()),
    ];
    Zip::of(items).bytes()
}

#[test]
fn every_entry_is_shown_with_its_size_and_hash() {
    let archive = signed(&stated());
    let package = inspect(&archive).unwrap();
    assert_eq!(package.archive_sha256.to_string(), sha256(&archive));
    let signature = private_operation(&encoded_message(&stated()));
    let expected = [
        ("manifest.json", manifest(&stated()).into_bytes()),
        ("FW.zip", stated()),
        ("FW.zip.sig", signature),
    ];
    for (entry, (name, content)) in package.entries.iter().zip(expected) {
        assert_eq!(entry.name, name);
        assert_eq!(entry.size_bytes, content.len() as u64, "{name}");
        assert_eq!(entry.sha256.to_string(), sha256(&content), "{name}");
    }
    let (payload, _) = decode(&stated(), &PackageLimits::default()).unwrap();
    assert_eq!(package.payload, payload);
    assert_eq!(package.manifest["algorithm"], "RSA2048+SHA256");
    assert_eq!(package.manifest["keyId"], public_key().id().to_string());
}

#[test]
fn what_no_key_would_verify_is_shown_and_what_verify_refuses_before_is_refused_alike() {
    // A signature that does not hold: to see what came is what this is for.
    let archive = container(&inner(), &[7; 256]).bytes();
    assert!(matches!(
        verify(archive.clone()),
        Err(VerifyError::BadSignature { .. })
    ));
    assert!(inspect(&archive).is_ok());

    let good = signed(&inner());
    let empty = Zip::of([Item::stored("FW.bin", b"")]).bytes();
    let signature = [1; 256];
    let other_manifest = Zip::of([
        Item::stored("manifest.json", manifest(b"other").as_bytes()),
        Item::stored("FW.zip", &inner()),
        Item::stored("FW.zip.sig", &private_operation(&encoded_message(&inner()))),
    ]);
    let two = [
        Item::stored("FW.zip", &inner()),
        Item::stored("FW.zip.sig", &signature),
    ];
    for (what, archive) in [
        ("nothing", Vec::new()),
        ("text", b"hello".to_vec()),
        ("a plain zip", inner()),
        ("no manifest", Zip::of(two).bytes()),
        ("cut short", good[..good.len() - 1].to_vec()),
        ("a byte before", [&[0], good.as_slice()].concat()),
        ("a byte behind", [good.as_slice(), &[0]].concat()),
        ("an empty firmware file", signed(&empty)),
        ("a zip in a zip", signed(&good)),
        ("the manifest of another", other_manifest.bytes()),
    ] {
        let refused = verify(archive.clone()).unwrap_err();
        assert_eq!(inspect(&archive), Err(refused), "{what}");
    }
}

#[test]
fn a_package_of_any_flipped_byte_is_refused_as_verify_does_or_differs_in_the_signature() {
    let good = signed(&inner());
    for at in (0..good.len()).step_by(7) {
        let mut flipped = good.clone();
        flipped[at] ^= 0x20;
        let refused = verify(flipped.clone()).unwrap_err();
        assert_eq!(inspect(&flipped), Err(refused), "{at}");
    }
}

#[test]
fn the_command_shows_it_as_text_and_as_json_and_says_that_nothing_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "FW_signed.zip", signed(&stated()));
    write(path, "public.pem", PUBLIC_PEM);
    let shown = narrowcast(path, &["inspect", "FW_signed.zip"]);
    assert_eq!(shown.status.code(), Some(0));
    assert!(text(&shown.stderr).contains("Nothing is verified"));
    let out = text(&shown.stdout);
    for line in [
        format!(
            "entry FW.zip {} bytes sha256 {}",
            stated().len(),
            sha256(&stated())
        ),
        format!("firmware FW.bin 2800 bytes sha256 {}", sha256(&firmware())),
        "manifest.json algorithm RSA2048+SHA256".to_owned(),
        format!("manifest.json keyId {}", public_key().id()),
        "package-info.json deviceType WaterMeter".to_owned(),
    ] {
        assert!(out.lines().any(|it| it == line), "{line} in\n{out}");
    }
    let shown = narrowcast(path, &["inspect", "--json", "FW_signed.zip"]);
    let json: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(json["verified"], false);
    assert_eq!(json["entries"][2]["size"], 256);
    assert_eq!(json["firmware"][0]["sha256"], sha256(&firmware()));
    assert_eq!(json["info"]["version"], "V2");
    assert_eq!(json["manifest"]["payload"], "FW.zip");
}

#[test]
fn the_command_refuses_in_the_words_of_verify() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "plain.zip", inner());
    write(path, "public.pem", PUBLIC_PEM);
    let inspected = narrowcast(path, &["inspect", "plain.zip"]);
    let verified = narrowcast(path, &["verify", "--key", "public.pem", "plain.zip"]);
    assert_eq!(inspected.status.code(), Some(1));
    assert_eq!(text(&inspected.stderr), text(&verified.stderr));
    assert_eq!(text(&inspected.stdout), "");
    let missing = narrowcast(path, &["inspect", "missing.zip"]);
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(narrowcast(path, &["inspect"]).status.code(), Some(2));
}

#[test]
fn what_a_terminal_would_obey_is_written_out() {
    let payload = inner();
    let hostile = manifest(&payload).replace("RSA2048+SHA256", "\\u001b[2J\\u009b31m\\u202eRSA");
    let archive = Zip::of([
        Item::stored("manifest.json", hostile.as_bytes()),
        Item::stored("FW.zip", &payload),
        Item::stored("FW.zip.sig", &[1; 256]),
    ]);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "FW_signed.zip", archive.bytes());
    let shown = narrowcast(folder.path(), &["inspect", "FW_signed.zip"]);
    let out = text(&shown.stdout);
    assert!(out.contains("\\u{1b}[2J\\u{9b}31m\\u{202e}RSA"), "{out}");
    let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!out.contains(obeyed), "{out}");
}
