//! PKCS#1 v1.5 paddings that a lenient verifier takes (Bleichenbacher 2006, CVE-2006-4339 and kin),
//! made with the true key, so that only the padding is wrong. RFC 8017 §8.2.2 compares it whole.

use narrowcast::signing::VerifyError;

use crate::fixture::{container, encoded_message, inner, private_operation, public_key, verify};
use crate::forged::forged_messages;

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
