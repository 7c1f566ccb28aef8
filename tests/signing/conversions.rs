//! Keys in forms that are not read: the message names a command, and the command makes one that is. The
//! files are those of the real tools, and the command is run as the message has it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::fixture::{PRIVATE_PEM, firmware, run, write};

const PHRASE: &str = "correct horse battery";
const OPENSSL_PHRASE: &str = "pass:correct horse battery";

/// A folder with the development key, an image and a pass-phrase file.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "key.pem", PRIVATE_PEM);
    write(folder.path(), "FW.bin", firmware());
    write(folder.path(), "phrase", PHRASE);
    folder
}

fn openssl(folder: &Path, line: &str) {
    let words: Vec<&str> = line
        .split(' ')
        .map(|word| {
            if word == "PHRASE" {
                OPENSSL_PHRASE
            } else {
                word
            }
        })
        .collect();
    run(folder, "openssl", &words);
}

/// One run of the offline tool; what it said where it failed.
fn narrowcast(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let ran = Command::new(env!("CARGO_BIN_EXE_narrowcast"))
        .args(arguments)
        .current_dir(folder)
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if ran.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8(ran.stderr).unwrap())
    }
}

fn sign(folder: &Path, key: &str) -> Result<(), String> {
    let sign = [
        "sign",
        "--key",
        key,
        "--passphrase-file",
        "phrase",
        "FW.bin",
    ];
    narrowcast(folder, &sign)
}

fn verify(folder: &Path, key: &str) -> Result<(), String> {
    narrowcast(folder, &["verify", "--key", key, "FW_signed.zip"])
}

/// What the message says to run, between its backticks.
fn follow(folder: &Path, message: &str, more: &[&str]) {
    let command = message.split('`').nth(1);
    let command = command.unwrap_or_else(|| panic!("no command in {message}"));
    let mut words: Vec<&str> = command.split_whitespace().collect();
    words.extend(more);
    let program = words.remove(0);
    run(folder, program, &words);
}

const PASS_BOTH: [&str; 4] = ["-passin", OPENSSL_PHRASE, "-passout", OPENSSL_PHRASE];

#[test]
fn a_key_of_openssh_is_converted_in_its_place() {
    for phrase in ["", PHRASE] {
        let folder = folder();
        let path = folder.path();
        let make = [
            "-q", "-t", "rsa", "-b", "2048", "-N", phrase, "-f", "OLD.pem",
        ];
        run(path, "ssh-keygen", &make);
        let message = sign(path, "OLD.pem").unwrap_err();
        assert!(message.contains("OpenSSH"), "{message}");
        follow(path, &message, &["-P", phrase, "-N", phrase]);
        sign(path, "OLD.pem").unwrap();
    }
}

#[test]
fn the_traditional_encryption_is_converted() {
    for cipher in ["-des3", "-aes128", "-aes256"] {
        let folder = folder();
        let path = folder.path();
        openssl(
            path,
            &format!("rsa -in key.pem -traditional {cipher} -passout PHRASE -out OLD.pem"),
        );
        let old = std::fs::read_to_string(path.join("OLD.pem")).unwrap();
        assert!(old.contains("Proc-Type: 4,ENCRYPTED"), "{old}");
        let message = sign(path, "OLD.pem").unwrap_err();
        follow(path, &message, &PASS_BOTH);
        sign(path, "private.pem").unwrap();
    }
}

#[test]
fn outdated_encryption_is_converted() {
    for way in ["-v1 PBE-SHA1-3DES", "-v2 des3", "-v2prf hmacWithSHA1"] {
        let folder = folder();
        let path = folder.path();
        openssl(
            path,
            &format!("pkcs8 -topk8 -in key.pem {way} -passout PHRASE -out OLD.pem"),
        );
        let message = sign(path, "OLD.pem").unwrap_err();
        follow(path, &message, &PASS_BOTH);
        sign(path, "private.pem").unwrap();
    }
}

#[test]
fn der_is_converted() {
    for make in [
        "pkcs8 -topk8 -in key.pem -nocrypt -outform DER -out OLD.der",
        "pkcs8 -topk8 -in key.pem -passout PHRASE -outform DER -out OLD.der",
        "rsa -in key.pem -traditional -outform DER -out OLD.der",
        "ecparam -name secp256k1 -genkey -noout -outform DER -out OLD.der",
    ] {
        let folder = folder();
        let path = folder.path();
        openssl(path, make);
        let message = sign(path, "OLD.der").unwrap_err();
        assert!(
            message.contains("a private key in DER"),
            "{make}: {message}"
        );
        follow(path, &message, &PASS_BOTH);
        sign(path, "private.pem").unwrap();
    }
}

#[test]
fn the_key_is_taken_out_of_pkcs12() {
    let folder = folder();
    let path = folder.path();
    openssl(
        path,
        "req -x509 -key key.pem -subj /CN=acme -out certificate.pem",
    );
    openssl(
        path,
        "pkcs12 -export -inkey key.pem -in certificate.pem -passout PHRASE -out OLD.p12",
    );
    let message = sign(path, "OLD.p12").unwrap_err();
    assert!(message.contains("PKCS#12"), "{message}");
    follow(path, &message, &PASS_BOTH);
    sign(path, "private.pem").unwrap();
}

#[test]
fn public_keys_in_der_and_certificates_are_converted() {
    let folder = folder();
    let path = folder.path();
    sign(path, "key.pem").unwrap();
    openssl(path, "pkey -in key.pem -pubout -outform DER -out OLD.der");
    openssl(path, "req -x509 -key key.pem -subj /CN=acme -out CERT.pem");
    openssl(path, "x509 -in CERT.pem -outform DER -out CERT.der");
    for old in ["OLD.der", "CERT.pem", "CERT.der"] {
        let message = verify(path, old).unwrap_err();
        follow(path, &message, &[]);
        verify(path, "public.pem").unwrap();
        std::fs::remove_file(path.join("public.pem")).unwrap();
    }
}

#[test]
fn for_a_key_on_another_curve_a_new_one_is_made() {
    let folder = folder();
    let path = folder.path();
    for curve in ["P-256", "P-384"] {
        openssl(
            path,
            &format!(
                "genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:{curve} -out OLD.pem"
            ),
        );
        let message = sign(path, "OLD.pem").unwrap_err();
        let command = message.split('`').nth(1).unwrap();
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let rest = ["--out", curve, "--passphrase-file", "phrase"];
        narrowcast(path, &[&words[..], &rest].concat()).unwrap();
        sign(path, &format!("{curve}/private.pem")).unwrap();
    }
}

#[test]
fn what_openssl_encrypts_with_scrypt_is_read_as_it_is() {
    let folder = folder();
    openssl(
        folder.path(),
        "pkcs8 -topk8 -in key.pem -scrypt -passout PHRASE -out private.pem",
    );
    sign(folder.path(), "private.pem").unwrap();
}
