//! Encoded messages whose padding is not the rule (RFC 8017 §9.2), each for the content of
//! [`inner`](crate::fixture::inner).

use sha2::{Digest, Sha256, Sha512};

use crate::fixture::{encoded_message, inner, padded};

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

pub(crate) fn forged_messages() -> Vec<(&'static str, Vec<u8>)> {
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
