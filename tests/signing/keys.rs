//! Which keys are taken, and from which files; OpenSSL makes them.

use narrowcast::signing::{KeyError, Passphrase, PrivateKey, PublicKey};
use pkcs8::{EncodePublicKey, LineEnding};
use rsa::{BigUint, RsaPublicKey};

use crate::fixture::{PRIVATE_PEM, PUBLIC_PEM, public_key, rng, run, write};

const PHRASE: &str = "correct horse battery";

fn phrase() -> Passphrase {
    Passphrase::new(PHRASE.to_owned())
}

/// The development key as OpenSSL converts it.
fn converted(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "private.pem", PRIVATE_PEM);
    write(folder.path(), "phrase", PHRASE);
    run(folder.path(), "openssl", arguments)
}

fn is_the_key(pem: &str, passphrase: Option<&Passphrase>) {
    let key = PrivateKey::from_pem(pem, passphrase).unwrap();
    assert_eq!(key.public_key(), &public_key());
}

#[test]
fn keys_that_openssl_encrypts_are_read() {
    let pkcs8 = [
        "pkcs8",
        "-topk8",
        "-in",
        "private.pem",
        "-passout",
        "file:phrase",
    ];
    let ways: [&[&str]; 4] = [
        &[],
        &["-v2", "aes-128-cbc"],
        &[
            "-v2",
            "aes-256-cbc",
            "-v2prf",
            "hmacWithSHA512",
            "-iter",
            "1000",
        ],
        &["-scrypt"],
    ];
    for way in ways {
        let pem = converted(&[&pkcs8, way].concat());
        assert!(pem.contains("ENCRYPTED PRIVATE KEY"));
        is_the_key(&pem, Some(&phrase()));
        assert_eq!(
            PrivateKey::from_pem(&pem, None).unwrap_err(),
            KeyError::PassphraseNeeded
        );
        let wrong = Passphrase::new("correct horse batterz".to_owned());
        let error = PrivateKey::from_pem(&pem, Some(&wrong)).unwrap_err();
        assert_eq!(error, KeyError::WrongPassphrase);
    }
}

#[test]
fn a_wrong_passphrase_is_told_even_where_the_padding_looks_right() {
    let pem = converted(&[
        "pkcs8",
        "-topk8",
        "-in",
        "private.pem",
        "-passout",
        "file:phrase",
        "-iter",
        "1",
    ]);
    for number in 0..600 {
        let wrong = Passphrase::new(format!("wrong {number}"));
        let error = PrivateKey::from_pem(&pem, Some(&wrong)).unwrap_err();
        assert_eq!(error, KeyError::WrongPassphrase, "{number}");
    }
}

#[test]
fn plain_keys_are_read() {
    is_the_key(PRIVATE_PEM, None);
    is_the_key(PRIVATE_PEM, Some(&phrase()));
    is_the_key(&PRIVATE_PEM.replace('\n', "\r\n"), None);
    let traditional = converted(&["rsa", "-in", "private.pem", "-traditional"]);
    assert!(traditional.contains("BEGIN RSA PRIVATE KEY"));
    is_the_key(&traditional, None);
}

#[test]
fn outdated_encryption_is_answered_with_the_command_that_converts_it() {
    let ways: [&[&str]; 4] = [
        &[
            "pkcs8",
            "-topk8",
            "-in",
            "private.pem",
            "-passout",
            "file:phrase",
            "-v1",
            "PBE-SHA1-3DES",
        ],
        &[
            "pkcs8",
            "-topk8",
            "-in",
            "private.pem",
            "-passout",
            "file:phrase",
            "-v2",
            "des3",
        ],
        &[
            "pkcs8",
            "-topk8",
            "-in",
            "private.pem",
            "-passout",
            "file:phrase",
            "-v2prf",
            "hmacWithSHA1",
        ],
        &[
            "rsa",
            "-in",
            "private.pem",
            "-traditional",
            "-aes256",
            "-passout",
            "file:phrase",
        ],
    ];
    for way in ways {
        let error = PrivateKey::from_pem(&converted(way), Some(&phrase())).unwrap_err();
        assert_eq!(error, KeyError::UnsupportedEncryption, "{way:?}");
        assert!(error.to_string().contains("openssl pkcs8 -topk8"));
    }
}

#[test]
fn openssl_opens_a_key_of_ours_and_finds_it_sound() {
    let folder = tempfile::tempdir().unwrap();
    let key = PrivateKey::generate(2048, &mut rng(7)).unwrap();
    let pem = key.to_encrypted_pem(&phrase(), &mut rng(8)).unwrap();
    write(folder.path(), "private.pem", pem.as_bytes());
    write(folder.path(), "phrase", PHRASE);
    let read = ["-in", "private.pem", "-passin", "file:phrase"];
    run(
        folder.path(),
        "openssl",
        &[&["pkey", "-noout", "-check"], &read[..]].concat(),
    );
    let public = run(
        folder.path(),
        "openssl",
        &[&["pkey", "-pubout"], &read[..]].concat(),
    );
    assert_eq!(public, key.public_key().to_pem().unwrap());

    let parameters = run(
        folder.path(),
        "openssl",
        &["asn1parse", "-in", "private.pem"],
    );
    for word in [
        "PBES2",
        "PBKDF2",
        "hmacWithSHA256",
        "aes-256-cbc",
        ":0927C0",
    ] {
        assert!(
            parameters.contains(word),
            "{word} (0927C0: 600,000) in\n{parameters}"
        );
    }
    let again = PrivateKey::from_pem(&pem, Some(&phrase())).unwrap();
    assert_eq!(again.public_key(), key.public_key());
}

#[test]
fn a_key_id_is_the_sha256_of_the_spki() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "public.pem", PUBLIC_PEM);
    let der = [
        "pkey",
        "-pubin",
        "-in",
        "public.pem",
        "-outform",
        "DER",
        "-out",
        "public.der",
    ];
    run(folder.path(), "openssl", &der);
    let digest = run(
        folder.path(),
        "openssl",
        &["dgst", "-sha256", "-r", "public.der"],
    );
    assert_eq!(
        digest.split(' ').next().unwrap(),
        public_key().id().to_string()
    );

    let pkcs1 = converted(&["rsa", "-in", "private.pem", "-RSAPublicKey_out"]);
    assert!(pkcs1.contains("BEGIN RSA PUBLIC KEY"));
    assert_eq!(PublicKey::from_pem(&pkcs1).unwrap().id(), public_key().id());
    assert_eq!(public_key().to_pem().unwrap(), PUBLIC_PEM);
    assert_eq!(public_key().bits(), 2048);
}

#[test]
fn weak_and_foreign_public_keys_are_refused() {
    let refused = |pem: &str| PublicKey::from_pem(pem).unwrap_err();
    let weak = include_str!("../../certs/rsa1024-public.pem");
    assert_eq!(refused(weak), KeyError::Bits { bits: 1024 });
    let number = BigUint::from_bytes_be(&[0xff; 1024]);
    let huge = RsaPublicKey::new_with_max_size(number, 65537_u32.into(), 8192).unwrap();
    let huge = huge.to_public_key_pem(LineEnding::LF).unwrap();
    assert_eq!(refused(&huge), KeyError::Bits { bits: 8192 });
    let exponent = include_str!("../../certs/rsa-e3-public.pem");
    assert_eq!(refused(exponent), KeyError::Exponent);
    let curve = include_str!("../../certs/ec-public.pem");
    assert_eq!(refused(curve), KeyError::Curve);
    let certificate = include_str!("../../certs/signing-certificate.pem");
    assert_eq!(refused(certificate), KeyError::CertificateGiven);
    assert_eq!(refused(""), KeyError::NotPem);
    assert_eq!(refused("garbage"), KeyError::NotPem);
    assert_eq!(
        refused(&PUBLIC_PEM.replace("MIIB", "AAAA")),
        KeyError::NotAKey
    );
    assert_eq!(refused(&PUBLIC_PEM[..200]), KeyError::NotAKey);
    assert_eq!(
        refused(&format!("{PUBLIC_PEM}{}", " ".repeat(20_000))),
        KeyError::TooLarge
    );
}

#[test]
fn a_private_key_given_as_public_is_refused_and_never_echoed() {
    let body = PRIVATE_PEM.lines().nth(1).unwrap();
    let texts = [
        PRIVATE_PEM.to_owned(),
        format!("{PUBLIC_PEM}{PRIVATE_PEM}"),
        format!("\u{feff}{PRIVATE_PEM}"),
        PRIVATE_PEM.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        PRIVATE_PEM.replace("PRIVATE KEY", "OPENSSH PRIVATE KEY"),
        PRIVATE_PEM.replace("PRIVATE KEY", "private key"),
        format!("{PRIVATE_PEM}{}", " ".repeat(20_000)),
    ];
    for text in texts {
        let error = PublicKey::from_pem(&text).unwrap_err();
        assert_eq!(error, KeyError::PrivateKeyGiven);
        assert!(!format!("{error} {error:?}").contains(&body[..16]));
    }
}

#[test]
fn other_private_keys_are_refused() {
    let refused = |pem: &str| PrivateKey::from_pem(pem, Some(&phrase())).unwrap_err();
    let folder = tempfile::tempdir().unwrap();
    let generated = |arguments: &[&str]| {
        run(
            folder.path(),
            "openssl",
            &[&["genpkey", "-quiet", "-algorithm"], arguments].concat(),
        )
    };
    let curve = generated(&["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    assert_eq!(refused(&curve), KeyError::Curve);
    let short = generated(&["RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    assert_eq!(refused(&short), KeyError::Bits { bits: 1024 });
    let exponent = [
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
        "-pkeyopt",
        "rsa_keygen_pubexp:3",
    ];
    assert_eq!(refused(&generated(&exponent)), KeyError::Exponent);
    assert_eq!(refused(&generated(&["ED25519"])), KeyError::NotAKey);
    for (label, expected) in [
        ("OPENSSH PRIVATE KEY", KeyError::OpenSsh),
        ("DSA PRIVATE KEY", KeyError::OtherForm),
    ] {
        let error = refused(&PRIVATE_PEM.replace("PRIVATE KEY", label));
        assert_eq!(error, expected, "{label}");
    }
    assert_eq!(refused(PUBLIC_PEM), KeyError::PublicKeyGiven);
    assert_eq!(refused(""), KeyError::NotPem);
    let bits = PrivateKey::generate(1024, &mut rng(1)).unwrap_err();
    assert_eq!(bits, KeyError::Bits { bits: 1024 });
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", PrivateKey::from_pem(PRIVATE_PEM, None).unwrap());
    assert!(shown.contains(&public_key().id().to_string()));
    assert!(shown.len() < 150, "{shown}");
}
