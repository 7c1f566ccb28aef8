//! Package files: the zip within, the signed zip around it, `manifest.json`, `package-info.json`.

use std::io::{self, Cursor, Write};
use std::sync::LazyLock;

use bytes::Bytes;
use narrowcast::signing::{
    self, PackageInfo, PackageLimits, Payload, PayloadError, PrivateKey, PublicKey,
    VerifiedPackage, VerifyError, is_file_name,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use crate::bounds::bounded;
use crate::mutate::{cases, mutants};

const INFO: &str = r#"{"format":1,"purpose":"firmware","manufacturer":"Acme","model":"NB-1","deviceType":"WaterMeter","version":"2.0.0","sourceVersions":["1.0.0"],"sequence":7,"notAfter":"2030-01-01T00:00:00Z"}"#;
const TOKENS: &[&str] = &[
    "PK\x03\x04",
    "PK\x01\x02",
    "PK\x05\x06",
    "../",
    "\0",
    "\u{1}\u{0}",
    "{",
    "[[[[[[[[",
    "1e999",
    "\"format\":2,",
    "null",
    "\\ud800",
    "-1",
    "18446744073709551616",
    "package-info.json",
];

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    PrivateKey::from_pem(include_str!("../../certs/signing-private.pem"), None).unwrap()
});
static PUBLIC: LazyLock<PublicKey> = LazyLock::new(|| KEY.public_key().clone());
static SIGNED: LazyLock<Bytes> = LazyLock::new(|| {
    let mut rng = StdRng::seed_from_u64(1);
    let zip = Bytes::from(zips().remove(0));
    let limits = PackageLimits::default();
    signing::sign("FW", &zip, &KEY, &limits, &mut rng)
        .unwrap()
        .into()
});

fn firmware(size_bytes: usize) -> Vec<u8> {
    let mut firmware = vec![0; size_bytes];
    StdRng::seed_from_u64(size_bytes as u64).fill_bytes(&mut firmware);
    firmware
}

fn zip_of(method: CompressionMethod, files: &[(&str, &[u8])]) -> Vec<u8> {
    let options = SimpleFileOptions::default()
        .compression_method(method)
        .system(System::Unix)
        .unix_permissions(0o644)
        .last_modified_time(DateTime::default());
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in files {
        writer.start_file(*name, options).unwrap();
        writer.write_all(data).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Zips as users have them; the headers are most of the small ones.
fn zips() -> Vec<Vec<u8>> {
    let (small, large) = (firmware(24), firmware(6_000));
    let stored = CompressionMethod::Stored;
    let deflated = CompressionMethod::Deflated;
    vec![
        zip_of(
            stored,
            &[("FW.bin", &small), ("package-info.json", INFO.as_bytes())],
        ),
        zip_of(stored, &[("a.bin", &small), ("b.bin", b"x")]),
        zip_of(deflated, &[("FW.bin", &[7; 64])]),
        zip_of(deflated, &[("FW.bin", &large)]),
    ]
}

/// A change that both headers of the first entry agree on: what only the content can contradict.
fn in_both_headers() -> impl Strategy<Value = Vec<u8>> {
    (select(zips()), 0..26_usize, any::<u8>(), any::<Index>()).prop_map(
        |(mut zip, field, value, which)| {
            let signature = b"PK\x01\x02";
            let centrals: Vec<usize> = (0..zip.len())
                .filter(|at| zip[*at..].starts_with(signature))
                .collect();
            let central = centrals[which.index(centrals.len())];
            let offset = u32::from_le_bytes(zip[central + 42..central + 46].try_into().unwrap());
            zip[central + 6 + field] = value;
            zip[offset as usize + 4 + field] = value;
            zip
        },
    )
}

fn check_inner(zip: Vec<u8>) -> Result<(), PayloadError> {
    let limits = PackageLimits::default();
    let mut images = Vec::new();
    // What a deflate stream needs, and the crate's tables; never a size that a header claims.
    let payload = bounded(zip.len(), 256 * 1024, 32, || {
        Payload::decode(Cursor::new(&zip), &limits, &mut images)
    })?;
    assert!((1..=limits.firmware_files_max).contains(&payload.firmware.len()));
    let sizes = payload.firmware.iter().map(|file| file.size_bytes);
    assert_eq!(sizes.sum::<u64>(), images.len() as u64);
    assert!(images.len() as u64 <= limits.firmware_bytes_max);
    let mut files: Vec<(&str, &[u8])> = Vec::new();
    let mut rest = images.as_slice();
    for file in &payload.firmware {
        let (image, behind) = rest.split_at(usize::try_from(file.size_bytes).unwrap());
        assert!(is_file_name(&file.name) && !image.is_empty());
        assert_eq!(file.sha256.0, <[u8; 32]>::from(Sha256::digest(image)));
        files.push((&file.name, image));
        rest = behind;
    }
    let info = payload
        .info
        .as_ref()
        .map(|info| serde_json::to_vec(info).unwrap());
    if let Some(info) = &info {
        files.push((PackageInfo::FILE_NAME, info));
    }
    let again = zip_of(CompressionMethod::Stored, &files);
    let again = Payload::decode(Cursor::new(again), &limits, &mut io::sink());
    assert_eq!(again.as_ref(), Ok(&payload));
    Ok(())
}

fn verify(archive: &[u8], firmware: &mut Vec<u8>) -> Result<VerifiedPackage, VerifyError> {
    let keys = [PUBLIC.clone()];
    let archive = Cursor::new(archive);
    signing::verify(archive, &keys, &PackageLimits::default(), firmware)
}

#[test]
fn the_seeds_themselves_are_accepted() {
    for zip in zips() {
        assert_eq!(check_inner(zip), Ok(()));
    }
    assert!(verify(&SIGNED, &mut Vec::new()).is_ok());
}

#[test]
fn what_verification_allocates_does_not_grow_with_the_package() {
    const IMAGE_BYTES: usize = 20 << 20;
    let limits = PackageLimits {
        ratio_max: 2000,
        ..PackageLimits::default()
    };
    for (method, image) in [
        (CompressionMethod::Deflated, vec![0x5a; IMAGE_BYTES]),
        (CompressionMethod::Stored, firmware(IMAGE_BYTES)),
    ] {
        let zip = Bytes::from(zip_of(method, &[("FW.bin", &image)]));
        let mut rng = StdRng::seed_from_u64(1);
        let archive = signing::sign("FW", &zip, &KEY, &limits, &mut rng).unwrap();
        let keys = [PUBLIC.clone()];
        let verified = bounded(0, 1 << 20, 0, || {
            let archive = Cursor::new(&archive);
            signing::verify(archive, &keys, &limits, &mut io::sink())
        });
        assert_eq!(verified.unwrap().firmware[0].size_bytes, IMAGE_BYTES as u64);
    }
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn an_inner_zip_is_read_in_one_way_or_refused(
        zip in prop_oneof![mutants(zips(), TOKENS), in_both_headers()],
    ) {
        let _: Result<(), PayloadError> = check_inner(zip);
    }

    #[test]
    fn package_info_is_read_as_it_is_written_or_refused(
        json in mutants(vec![INFO.as_bytes().to_vec()], TOKENS),
    ) {
        if let Ok(info) = bounded(json.len(), 16 * 1024, 16, || PackageInfo::parse(&json)) {
            let again = PackageInfo::parse(&serde_json::to_vec(&info).unwrap());
            prop_assert_eq!(again, Ok(info));
        }
    }
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn no_mutant_of_a_signed_package_is_accepted(
        archive in mutants(vec![SIGNED.to_vec()], TOKENS),
    ) {
        let result = verify(&archive, &mut Vec::new());
        prop_assert_eq!(result.is_ok(), archive == *SIGNED, "{:?}", result);
    }

    /// With headers that fit, so that each part is looked at by itself.
    #[test]
    fn a_package_put_together_anew_delivers_what_was_signed_or_nothing(
        (part, bytes) in one_part_changed(),
    ) {
        let mut parts = signed_parts();
        parts[part] = bytes;
        let files = [
            ("manifest.json", parts[0].as_slice()),
            ("FW.zip", &parts[1]),
            ("FW.zip.sig", &parts[2]),
        ];
        let mut image = Vec::new();
        if verify(&zip_of(CompressionMethod::Stored, &files), &mut image).is_ok() {
            prop_assert_eq!(image, &firmware(24)[..]);
            prop_assert_eq!(&parts[1..], &signed_parts()[1..]);
        }
    }
}

/// Manifest, inner zip, signature.
fn signed_parts() -> Vec<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(SIGNED.to_vec())).unwrap();
    (0..3)
        .map(|index| {
            let mut part = Vec::new();
            io::copy(&mut archive.by_index(index).unwrap(), &mut part).unwrap();
            part
        })
        .collect()
}

fn one_part_changed() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let parts = signed_parts();
    (0..parts.len()).prop_flat_map(move |part| {
        mutants(vec![parts[part].clone()], TOKENS).prop_map(move |bytes| (part, bytes))
    })
}
