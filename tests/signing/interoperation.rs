//! OpenSSL, Python and unzip read what we write, and the other way round.

use narrowcast::signing::{self, PackageLimits};
use sha2::{Digest, Sha256};

use crate::fixture::{
    PRIVATE_PEM, PUBLIC_PEM, container, decode, firmware, inner, manifest, private_key, rng, run,
    verify, write,
};

fn package() -> Vec<u8> {
    let limits = PackageLimits::default();
    signing::sign("FW", &inner().into(), &private_key(), &limits, &mut rng(1)).unwrap()
}

#[test]
fn unzip_and_openssl_say_verified_ok() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "FW_signed.zip", package());
    write(folder.path(), "public.pem", PUBLIC_PEM);
    let listing = run(folder.path(), "unzip", &["-q", "-t", "FW_signed.zip"]);
    assert!(listing.contains("No errors"), "{listing}");
    run(folder.path(), "unzip", &["-q", "FW_signed.zip"]);
    let verify = [
        "dgst",
        "-sha256",
        "-verify",
        "public.pem",
        "-signature",
        "FW.zip.sig",
        "FW.zip",
    ];
    assert_eq!(run(folder.path(), "openssl", &verify), "Verified OK\n");
    assert_eq!(
        std::fs::read(folder.path().join("FW.zip")).unwrap(),
        inner()
    );
    run(folder.path(), "unzip", &["-q", "FW.zip"]);
    assert_eq!(
        std::fs::read(folder.path().join("FW.bin")).unwrap(),
        firmware()
    );
}

#[test]
fn a_signature_by_openssl_over_a_zip_by_infozip_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "FW.bin", firmware());
    write(folder.path(), "private.pem", PRIVATE_PEM);
    for arguments in [&["-q"][..], &["-q", "-9"], &["-q", "-0", "-X"]] {
        let _ = std::fs::remove_file(folder.path().join("FW.zip"));
        run(
            folder.path(),
            "zip",
            &[arguments, &["FW.zip", "FW.bin"]].concat(),
        );
        let sign = [
            "dgst",
            "-sha256",
            "-sign",
            "private.pem",
            "-out",
            "FW.zip.sig",
            "FW.zip",
        ];
        run(folder.path(), "openssl", &sign);
        let payload = std::fs::read(folder.path().join("FW.zip")).unwrap();
        let signature = std::fs::read(folder.path().join("FW.zip.sig")).unwrap();
        let package = verify(container(&payload, &signature).bytes()).unwrap();
        assert_eq!(
            package.firmware[0].sha256.0,
            <[u8; 32]>::from(Sha256::digest(firmware()))
        );
    }
}

#[test]
fn python_writes_the_same_container_to_the_byte() {
    const PROGRAM: &str = "
import zipfile
with zipfile.ZipFile('python.zip', 'w') as archive:
    for name in ['manifest.json', 'FW.zip', 'FW.zip.sig']:
        info = zipfile.ZipInfo(name)
        info.external_attr = 0o100644 << 16
        info.create_version = info.extract_version = 10
        archive.writestr(info, open(name, 'rb').read())
with zipfile.ZipFile('FW_signed.zip') as archive:
    assert archive.testzip() is None
    assert archive.namelist() == ['manifest.json', 'FW.zip', 'FW.zip.sig']
";
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "FW_signed.zip", package());
    run(folder.path(), "unzip", &["-q", "FW_signed.zip"]);
    write(folder.path(), "program.py", PROGRAM);
    run(folder.path(), "python3", &["program.py"]);
    let written = std::fs::read(folder.path().join("python.zip")).unwrap();
    assert_eq!(written, package());
    let text = std::fs::read_to_string(folder.path().join("manifest.json")).unwrap();
    assert_eq!(text, manifest(&inner()));
}

#[test]
fn zips_that_python_packs_are_read() {
    const PROGRAM: &str = "
import zipfile
for name, method in [('stored', zipfile.ZIP_STORED), ('deflated', zipfile.ZIP_DEFLATED)]:
    with zipfile.ZipFile(name + '.zip', 'w', method) as archive:
        archive.write('FW.bin')
";
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "FW.bin", firmware());
    write(folder.path(), "program.py", PROGRAM);
    run(folder.path(), "python3", &["program.py"]);
    for name in ["stored.zip", "deflated.zip"] {
        let zip = std::fs::read(folder.path().join(name)).unwrap();
        let (_, image) = decode(&zip, &PackageLimits::default()).unwrap();
        assert_eq!(image, firmware(), "{name}");
    }
}
