//! PKCS#1 v1.5 paddings that a lenient verifier takes (Bleichenbacher 2006, CVE-2006-4339 and kin),
//! made with the true key, so that only the padding is wrong. RFC 8017 §8.2.2 compares it whole.

use narrowcast::signing::VerifyError;
use sha2::{Digest, Sha256, Sha512};

use crate::fixture::{
    container, encoded_message, inner, padded, private_operation, public_key, verify,
};

/// `DigestInfo` without the digest.
fn info_with(oid_last: u8, null: &[u8]) -> Vec<u8> {
    let oid = [
        0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, oid_last,
    ];
    let algorithm = [oid.as_slice(), null].concat();
    let body = [
        &[0x30, algorithm.len() as u8],
        algorithm.as_slice(),
        &[0x04, 0x20],
    ]
    .concat();
    [&[0x30, body.len() as u8 + 32], body.as_slice()].concat()
}

fn forged_messages() -> Vec<(&'static str, Vec<u8>)> {
    let content = inner();
    let digest = Sha256::digest(&content).to_vec();
    let good_info = info_with(1, &[0x05, 0x00]);
    let good = encoded_message(&content);
    assert_eq!(
        good,
        padded(&[good_info.as_slice(), &digest].concat()),
        "the control is the rule"
    );
    let changed = |at: usize, value: u8| {
        let mut message = good.clone();
        message[at] = value;
        message
    };
    // The digest at its place after a short padding, and garbage behind it.
    let left_aligned = |filler: u8| {
        let mut message = vec![0, 1];
        message.extend([0xff; 8]);
        message.push(0);
        message.extend_from_slice(&good_info);
        message.extend_from_slice(&digest);
        message.resize(256, filler);
        message
    };
    let sha512 = Sha512::digest(&content);
    vec![
        (
            "hash id of SHA-384",
            padded(&[info_with(2, &[5, 0]).as_slice(), &digest].concat()),
        ),
        (
            "hash id of SHA-512",
            padded(&[info_with(3, &[5, 0]).as_slice(), &digest].concat()),
        ),
        (
            "SHA-512 digest",
            padded(&[info_with(3, &[5, 0]).as_slice(), &sha512].concat()),
        ),
        (
            "NULL left out",
            padded(&[info_with(1, &[]).as_slice(), &digest].concat()),
        ),
        (
            "garbage in the parameters",
            padded(&[info_with(1, &[4, 1, 7]).as_slice(), &digest].concat()),
        ),
        ("bare digest", padded(&digest)),
        ("zero garbage behind the digest", left_aligned(0)),
        ("other garbage behind the digest", left_aligned(0xa5)),
        (
            "a byte behind the digest",
            padded(&[good_info.as_slice(), &digest, &[0]].concat()),
        ),
        ("block type 0", changed(1, 0)),
        ("block type 2", changed(1, 2)),
        ("a hole in the padding", changed(100, 0xfe)),
        ("a zero in the padding", changed(10, 0)),
        ("no separator", changed(204, 0xff)),
        ("digest of other bytes", encoded_message(b"other bytes")),
    ]
}

#[test]
fn a_padding_that_is_not_the_rule_is_refused() {
    let expected = Err(VerifyError::BadSignature {
        key_id: public_key().id(),
    });
    for (what, message) in forged_messages() {
        assert_eq!(message.len(), 256, "{what}");
        let archive = container(&inner(), &private_operation(&message)).bytes();
        assert_eq!(verify(archive), expected, "{what}");
    }
    let control = private_operation(&encoded_message(&inner()));
    assert!(verify(container(&inner(), &control).bytes()).is_ok());
}

#[test]
fn a_signature_has_exactly_the_length_of_the_key() {
    let signature = private_operation(&encoded_message(&inner()));
    let wrong = [
        Vec::new(),
        signature[1..].to_vec(),
        [&[0], signature.as_slice()].concat(),
        [signature.as_slice(), &[0]].concat(),
        [signature.as_slice(), signature.as_slice()].concat(),
    ];
    for signature in wrong {
        let found = signature.len();
        assert_eq!(
            verify(container(&inner(), &signature).bytes()),
            Err(VerifyError::SignatureLength {
                found,
                expected: 256
            })
        );
    }
}

#[test]
fn numbers_that_are_no_signature_are_refused() {
    let expected = Err(VerifyError::BadSignature {
        key_id: public_key().id(),
    });
    let mut one = vec![0; 256];
    one[255] = 1;
    for signature in [vec![0; 256], one, vec![0xff; 256]] {
        assert_eq!(verify(container(&inner(), &signature).bytes()), expected);
    }
}
