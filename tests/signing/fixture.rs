//! The development keys, and packages made without the code under test.

use std::io::{Cursor, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use narrowcast::signing::{
    self, FirmwareFile, PackageLimits, Payload, PayloadError, PrivateKey, PublicKey,
    VerifiedPackage, VerifyError,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rsa::pkcs8::DecodePrivateKey;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BigUint, RsaPrivateKey};
use sha2::{Digest, Sha256};

use crate::zip_builder::{Item, Zip};

pub(crate) const PRIVATE_PEM: &str = include_str!("../../certs/signing-private.pem");
pub(crate) const PUBLIC_PEM: &str = include_str!("../../certs/signing-public.pem");
pub(crate) const OTHER_PUBLIC_PEM: &str = include_str!("../../certs/other-public.pem");

static RAW_KEY: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| RsaPrivateKey::from_pkcs8_pem(PRIVATE_PEM).unwrap());

pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

pub(crate) fn private_key() -> PrivateKey {
    PrivateKey::from_pem(PRIVATE_PEM, None).unwrap()
}

pub(crate) fn public_key() -> PublicKey {
    PublicKey::from_pem(PUBLIC_PEM).unwrap()
}

pub(crate) fn firmware() -> Vec<u8> {
    (0..700_u32)
        .flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

/// A zip as a user has it: one stored firmware file.
pub(crate) fn inner() -> Vec<u8> {
    Zip::of([Item::stored("FW.bin", &firmware())]).bytes()
}

pub(crate) fn verify(archive: Vec<u8>) -> Result<VerifiedPackage, VerifyError> {
    verify_with(&archive, &[public_key()], &PackageLimits::default())
}

/// Verifies from memory and from a file, which must come to the same.
pub(crate) fn verify_with(
    archive: &[u8],
    keys: &[PublicKey],
    limits: &PackageLimits,
) -> Result<VerifiedPackage, VerifyError> {
    let (mut from_memory, mut from_file) = (Vec::new(), Vec::new());
    let verified = signing::verify(Cursor::new(archive), keys, limits, &mut from_memory);
    let again = signing::verify(file(archive), keys, limits, &mut from_file);
    assert_eq!(verified, again);
    if let Ok(package) = &verified {
        check_firmware(&package.firmware, &from_memory);
        check_firmware(&package.firmware, &from_file);
    }
    verified
}

/// Reads an inner zip from memory and from a file, which must come to the same; also its firmware
/// files, one behind the other.
pub(crate) fn decode(
    zip: &[u8],
    limits: &PackageLimits,
) -> Result<(Payload, Vec<u8>), PayloadError> {
    let (mut from_memory, mut from_file) = (Vec::new(), Vec::new());
    let decoded = Payload::decode(Cursor::new(zip), limits, &mut from_memory);
    let again = Payload::decode(file(zip), limits, &mut from_file);
    assert_eq!(decoded, again);
    let payload = decoded?;
    check_firmware(&payload.firmware, &from_memory);
    check_firmware(&payload.firmware, &from_file);
    Ok((payload, from_memory))
}

fn file(content: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file
}

/// What was written is what is said of it.
fn check_firmware(files: &[FirmwareFile], mut written: &[u8]) {
    for file in files {
        let (image, rest) = written.split_at(usize::try_from(file.size_bytes).unwrap());
        assert_eq!(file.sha256.0, <[u8; 32]>::from(Sha256::digest(image)));
        written = rest;
    }
    assert_eq!(written, b"");
}

/// The encoded message of RFC 8017 §9.2 for the content.
pub(crate) fn encoded_message(content: &[u8]) -> Vec<u8> {
    const SHA256_INFO: [u8; 19] = [
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
        0x05, 0x00, 0x04, 0x20,
    ];
    padded(&[SHA256_INFO.as_slice(), &Sha256::digest(content)].concat())
}

/// `00 01 FF … FF 00 T`, 256 bytes.
pub(crate) fn padded(t: &[u8]) -> Vec<u8> {
    let mut message = vec![0xff; 256 - t.len() - 1];
    (message[0], message[1]) = (0, 1);
    message.push(0);
    message.extend_from_slice(t);
    message
}

/// The bare private-key operation on any 256 bytes.
pub(crate) fn private_operation(message: &[u8]) -> Vec<u8> {
    let signature = BigUint::from_bytes_be(message).modpow(RAW_KEY.d(), RAW_KEY.n());
    let bytes = signature.to_bytes_be();
    [vec![0; 256 - bytes.len()], bytes].concat()
}

pub(crate) fn manifest(payload: &[u8]) -> String {
    format!(
        "{{\"format\":\"narrowcast-signed-package\",\"version\":1,\"payload\":\"FW.zip\",\
         \"size\":{},\"sha256\":\"{}\",\"algorithm\":\"RSA2048+SHA256\",\"keyId\":\"{}\"}}",
        payload.len(),
        hex::encode(Sha256::digest(payload)),
        public_key().id(),
    )
}

/// The three entries around any payload.
pub(crate) fn container(payload: &[u8], signature: &[u8]) -> Zip {
    Zip::of([
        Item::stored("manifest.json", manifest(payload).as_bytes()),
        Item::stored("FW.zip", payload),
        Item::stored("FW.zip.sig", signature),
    ])
}

/// A container with a true signature around any payload, sound or not.
pub(crate) fn signed(payload: &[u8]) -> Vec<u8> {
    container(payload, &private_operation(&encoded_message(payload))).bytes()
}

/// Runs a program that must succeed; its stdout.
pub(crate) fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {text}{errors}"
    );
    text
}

pub(crate) fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}
