//! ECDSA on secp256k1, the carriers' second algorithm, against OpenSSL.

use narrowcast::signing::{
    self, KeyAlgorithm, KeyError, PackageLimits, Passphrase, PrivateKey, PublicKey,
    VerifiedPackage, VerifyError,
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::fixture::{
    encoded_message, inner, private_operation, public_key, rng, run, verify_with, write,
};
use crate::zip_builder::{Item, Zip};

/// The order of the curve (SEC 2 §2.4.1).
const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

fn order() -> Vec<u8> {
    hex::decode(ORDER).unwrap()
}

fn key(seed: u64) -> PrivateKey {
    PrivateKey::generate_secp256k1(&mut rng(seed)).unwrap()
}

fn sign(key: &PrivateKey, seed: u64) -> Vec<u8> {
    let limits = PackageLimits::default();
    signing::sign("FW", &inner().into(), key, &limits, &mut rng(seed)).unwrap()
}

/// The three entries, with any signature.
fn container(algorithm: &str, key: &PublicKey, signature: &[u8]) -> Vec<u8> {
    let payload = inner();
    let manifest = format!(
        "{{\"format\":\"narrowcast-signed-package\",\"version\":1,\"payload\":\"FW.zip\",\
         \"size\":{},\"sha256\":\"{}\",\"algorithm\":\"{algorithm}\",\"keyId\":\"{}\"}}",
        payload.len(),
        hex::encode(Sha256::digest(&payload)),
        key.id(),
    );
    let items = [
        Item::stored("manifest.json", manifest.as_bytes()),
        Item::stored("FW.zip", &payload),
        Item::stored("FW.zip.sig", signature),
    ];
    Zip::of(items).bytes()
}

fn verify(key: &PublicKey, signature: &[u8]) -> Result<VerifiedPackage, VerifyError> {
    let archive = container("ECDSA_256K1+SHA256", key, signature);
    verify_with(
        &archive,
        std::slice::from_ref(key),
        &PackageLimits::default(),
    )
}

/// The signature in a package of ours.
fn signature_of(key: &PrivateKey) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "FW_signed.zip", sign(key, 1));
    run(folder.path(), "unzip", &["-q", "FW_signed.zip"]);
    std::fs::read(folder.path().join("FW.zip.sig")).unwrap()
}

/// The two numbers of a signature in DER, without leading zeros.
fn numbers(signature: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let number = |at: usize| {
        let length = usize::from(signature[at + 1]);
        let bytes = &signature[at + 2..at + 2 + length];
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        (bytes[zeros..].to_vec(), at + 2 + length)
    };
    let (r, at) = number(2);
    (r, number(at).0)
}

/// A number as an INTEGER of DER.
fn integer(number: &[u8]) -> Vec<u8> {
    let mut bytes = number.to_vec();
    if bytes.first().is_none_or(|top| *top >= 0x80) {
        bytes.insert(0, 0);
    }
    [&[2, bytes.len() as u8], bytes.as_slice()].concat()
}

fn sequence(parts: &[u8]) -> Vec<u8> {
    [&[0x30, parts.len() as u8], parts].concat()
}

fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    sequence(&[integer(r), integer(s)].concat())
}

/// The order less `number`.
fn negated(number: &[u8]) -> Vec<u8> {
    let order = rsa::BigUint::from_bytes_be(&order());
    (order - rsa::BigUint::from_bytes_be(number)).to_bytes_be()
}

fn is_high(s: &[u8]) -> bool {
    rsa::BigUint::from_bytes_be(s) > rsa::BigUint::from_bytes_be(&negated(s))
}

#[test]
fn openssl_says_verified_ok_of_what_is_signed_here() {
    for seed in 0..8 {
        let key = key(seed);
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "FW_signed.zip", sign(&key, 1));
        let public = key.public_key().to_pem().unwrap();
        write(folder.path(), "public.pem", &public);
        run(folder.path(), "unzip", &["-q", "FW_signed.zip"]);
        let verify = ["dgst", "-sha256", "-verify", "public.pem"];
        let files = ["-signature", "FW.zip.sig", "FW.zip"];
        let said = run(folder.path(), "openssl", &[&verify[..], &files].concat());
        assert_eq!(said, "Verified OK\n");
        let same = ["pkey", "-pubin", "-in", "public.pem"];
        assert_eq!(run(folder.path(), "openssl", &same), public);
    }
}

#[test]
fn the_same_key_and_zip_give_the_same_bytes_with_the_lower_s() {
    for seed in 0..8 {
        let key = key(seed);
        assert_eq!(sign(&key, 1), sign(&key, 2));
        assert!(!is_high(&numbers(&signature_of(&key)).1));
    }
    let package = sign(&key(1), 1);
    let keys = [key(1).public_key().clone()];
    let verified = verify_with(&package, &keys, &PackageLimits::default()).unwrap();
    assert_eq!(verified.key_id, key(1).public_key().id());
}

#[test]
fn what_openssl_signs_is_verified_whichever_s_it_took() {
    let folder = tempfile::tempdir().unwrap();
    let generate = ["genpkey", "-algorithm", "EC", "-out", "private.pem"];
    let curve = ["-pkeyopt", "ec_paramgen_curve:secp256k1"];
    run(folder.path(), "openssl", &[&generate[..], &curve].concat());
    let public = ["pkey", "-in", "private.pem", "-pubout"];
    let public = PublicKey::from_pem(&run(folder.path(), "openssl", &public)).unwrap();
    assert_eq!(public.algorithm(), KeyAlgorithm::EcdsaSecp256k1);
    write(folder.path(), "FW.zip", inner());
    let mut high = 0;
    for _ in 0..32 {
        let sign = [
            "dgst",
            "-sha256",
            "-sign",
            "private.pem",
            "-out",
            "sig",
            "FW.zip",
        ];
        run(folder.path(), "openssl", &sign);
        let signature = std::fs::read(folder.path().join("sig")).unwrap();
        high += usize::from(is_high(&numbers(&signature).1));
        let verified = verify(&public, &signature).unwrap();
        assert_eq!(verified.key_id, public.id());
    }
    // Of random signatures, all of one kind come once in two thousand million.
    assert!((1..32).contains(&high), "{high}");
}

#[test]
fn each_form_in_which_openssl_keeps_a_key_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        run(folder.path(), "openssl", &words)
    };
    // With the parameters before it, as many have it.
    let sec1 = openssl("ecparam -name secp256k1 -genkey");
    assert!(sec1.starts_with("-----BEGIN EC PARAMETERS-----"));
    write(folder.path(), "key.pem", &sec1);
    write(folder.path(), "phrase", "correct horse battery");
    let phrase = Passphrase::new("correct horse battery".to_owned());
    let id = PrivateKey::from_pem(&sec1, None).unwrap().public_key().id();
    for line in [
        "ec -in key.pem",
        "pkcs8 -topk8 -nocrypt -in key.pem",
        "pkcs8 -topk8 -in key.pem -passout file:phrase",
    ] {
        let key = PrivateKey::from_pem(&openssl(line), Some(&phrase)).unwrap();
        assert_eq!(key.public_key().id(), id, "{line}");
    }
    for line in [
        "ec -in key.pem -pubout",
        "ec -in key.pem -pubout -conv_form compressed",
    ] {
        let key = PublicKey::from_pem(&openssl(line)).unwrap();
        assert_eq!(key.id(), id, "{line}");
        assert_eq!((key.bits(), key.signature_size_bytes()), (256, None));
    }
    let old = openssl("ec -in key.pem -aes256 -passout file:phrase");
    assert!(old.contains("DEK-Info"));
    let error = PrivateKey::from_pem(&old, Some(&phrase)).unwrap_err();
    assert_eq!(error, KeyError::UnsupportedEncryption);

    // And what is written here OpenSSL opens.
    let ours = key(7);
    let pem = ours.to_encrypted_pem(&phrase, &mut rng(8)).unwrap();
    write(folder.path(), "ours.pem", pem.as_bytes());
    openssl("pkey -noout -check -in ours.pem -passin file:phrase");
    let public = openssl("pkey -pubout -in ours.pem -passin file:phrase");
    assert_eq!(public, ours.public_key().to_pem().unwrap());
    let again = PrivateKey::from_pem(&pem, Some(&phrase)).unwrap();
    assert_eq!(again.public_key(), ours.public_key());
}

#[test]
fn other_curves_and_curves_that_are_not_named_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        run(folder.path(), "openssl", &words)
    };
    for parameters in [
        "-name prime256v1",
        "-name brainpoolP256r1",
        "-name secp384r1",
        "-name secp256k1 -param_enc explicit",
    ] {
        let generate = format!("ecparam {parameters} -genkey -noout -out key.pem");
        openssl(&generate);
        let explicit = parameters.ends_with("explicit");
        let encoding = if explicit { " -param_enc explicit" } else { "" };
        let sec1 = openssl(&format!("ec -in key.pem{encoding}"));
        let pkcs8 = openssl("pkcs8 -topk8 -nocrypt -in key.pem");
        for pem in [sec1, pkcs8] {
            let error = PrivateKey::from_pem(&pem, None).unwrap_err();
            assert_eq!(error, KeyError::Curve, "{parameters}\n{pem}");
        }
        let public = openssl(&format!("ec -in key.pem -pubout{encoding}"));
        let error = PublicKey::from_pem(&public).unwrap_err();
        assert_eq!(error, KeyError::Curve, "{parameters}");
    }
}

#[test]
fn a_point_that_is_not_on_the_curve_is_no_key() {
    let pem = key(3).public_key().to_pem().unwrap();
    let (_, der) = pkcs8::Document::from_pem(&pem).unwrap();
    let spelt = |der: Vec<u8>| {
        let document = pkcs8::Document::try_from(der).unwrap();
        document
            .to_pem("PUBLIC KEY", pkcs8::LineEnding::LF)
            .unwrap()
    };
    let mut moved = der.as_bytes().to_vec();
    *moved.last_mut().unwrap() ^= 1;
    assert_eq!(PublicKey::from_pem(&spelt(moved)), Err(KeyError::NotAKey));
    // The point at infinity: one zero byte (SEC 1 §2.3.3).
    let algorithm = &der.as_bytes()[2..2 + 18];
    let infinity = sequence(&[algorithm, &[3, 2, 0, 0]].concat());
    assert_eq!(
        PublicKey::from_pem(&spelt(infinity)),
        Err(KeyError::NotAKey)
    );
}

fn forged(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (r, s) = numbers(good);
    let plus_order = |number: &[u8]| {
        let sum = rsa::BigUint::from_bytes_be(number) + rsa::BigUint::from_bytes_be(&order());
        sum.to_bytes_be()
    };
    let padded = |number: &[u8]| [&[0; 32][number.len()..], number].concat();
    let mut long_form = vec![0x30, 0x81, good[1]];
    long_form.extend_from_slice(&good[2..]);
    let leading_zero = |number: &[u8]| {
        let plain = integer(number);
        [&[2, plain[1] + 1, 0], &plain[2..]].concat()
    };
    let negative = [&[2, 33, 0xff], padded(&s).as_slice()].concat();
    vec![
        ("nothing", Vec::new()),
        ("r is zero", der(&[], &s)),
        ("s is zero", der(&r, &[])),
        ("both are zero", der(&[], &[])),
        ("r is the order", der(&order(), &s)),
        ("s is the order", der(&r, &order())),
        ("r plus the order", der(&plus_order(&r), &s)),
        ("s plus the order", der(&r, &plus_order(&s))),
        ("r and s are one", der(&[1], &[1])),
        ("r and s change places", der(&s, &r)),
        ("both numbers bare", [padded(&r), padded(&s)].concat()),
        ("a byte behind", [good, &[0]].concat()),
        ("twice", [good, good].concat()),
        ("cut short", good[..good.len() - 1].to_vec()),
        ("the length in the long form", long_form),
        (
            "a zero before r",
            sequence(&[leading_zero(&r), integer(&s)].concat()),
        ),
        (
            "a zero before s",
            sequence(&[integer(&r), leading_zero(&s)].concat()),
        ),
        ("a negative s", sequence(&[integer(&r), negative].concat())),
        (
            "a third number",
            sequence(&[integer(&r), integer(&s), integer(&[1])].concat()),
        ),
        ("one number", sequence(&integer(&r))),
        (
            "an RSA signature",
            private_operation(&encoded_message(&inner())),
        ),
    ]
}

#[test]
fn what_is_no_signature_by_the_key_is_refused() {
    for seed in 0..4 {
        let key = key(seed);
        let good = signature_of(&key);
        let public = key.public_key();
        let expected = Err(VerifyError::BadSignature {
            key_id: public.id(),
        });
        for (what, signature) in forged(&good) {
            assert_eq!(verify(public, &signature), expected, "{what}");
        }
        let others = signature_of(&self::key(seed + 100));
        assert_eq!(verify(public, &others), expected);
        let (r, s) = numbers(&good);
        assert!(verify(public, &der(&r, &s)).is_ok(), "the control");
        // Decided: see src/signing/keys/secp256k1.rs.
        assert!(verify(public, &der(&r, &negated(&s))).is_ok());
    }
}

#[test]
fn the_algorithm_is_the_keys_whatever_the_manifest_says() {
    let key = key(5);
    let good = signature_of(&key);
    let public = key.public_key();
    for algorithm in ["RSA2048+SHA256", "ECDSA_256K1", "none", ""] {
        let archive = container(algorithm, public, &good);
        let verified = verify_with(
            &archive,
            std::slice::from_ref(public),
            &PackageLimits::default(),
        );
        assert_eq!(verified, Err(VerifyError::ManifestMismatch("algorithm")));
    }
    // Beside an RSA key, each verifies its own.
    let keys = [public_key(), public.clone()];
    let verified = verify_with(&sign(&key, 1), &keys, &PackageLimits::default()).unwrap();
    assert_eq!(verified.key_id, public.id());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_signature_with_a_bit_changed_is_refused(at in 0..70_usize, bit in 0..8_u8) {
        let key = key(9);
        let mut signature = SIGNATURE.clone();
        let at = at % signature.len();
        signature[at] ^= 1 << bit;
        prop_assert!(verify(key.public_key(), &signature).is_err());
    }
}

static SIGNATURE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| signature_of(&key(9)));
