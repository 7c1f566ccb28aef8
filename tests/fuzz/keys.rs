//! Keys in PEM.

use narrowcast::signing::{KeyAlgorithm, KeyError, PublicKey};
use proptest::prelude::*;

use crate::bounds::bounded;
use crate::mutate::{cases, mutants};

const TOKENS: &[&str] = &[
    "-----BEGIN PUBLIC KEY-----\n",
    "-----END PUBLIC KEY-----\n",
    "-----BEGIN RSA PUBLIC KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\n",
    "private key",
    "=",
    "\n",
    "MIIB",
    "////",
];

fn seeds() -> Vec<Vec<u8>> {
    [
        include_str!("../../certs/signing-public.pem"),
        include_str!("../../certs/other-public.pem"),
        include_str!("../../certs/rsa1024-public.pem"),
        include_str!("../../certs/rsa-e3-public.pem"),
        include_str!("../../certs/ec-public.pem"),
        include_str!("../../certs/secp256k1-public.pem"),
        include_str!("../../certs/signing-certificate.pem"),
    ]
    .map(|pem| pem.as_bytes().to_vec())
    .to_vec()
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn a_mutant_is_a_strong_key_in_one_spelling_or_refused(bytes in mutants(seeds(), TOKENS)) {
        let text = String::from_utf8_lossy(&bytes);
        let holds_private = text.to_ascii_uppercase().contains("PRIVATE KEY");
        // The DER, its numbers, and what multiplication with them takes.
        match bounded(text.len(), 64 * 1024, 16, || PublicKey::from_pem(&text)) {
            Ok(key) => {
                let is_strong = match key.algorithm() {
                    KeyAlgorithm::Rsa => (2048..=4096).contains(&key.bits()),
                    KeyAlgorithm::EcdsaSecp256k1 => key.bits() == 256,
                };
                prop_assert!(!holds_private && is_strong);
                let pem = key.to_pem().unwrap();
                prop_assert_eq!(PublicKey::from_pem(&pem), Ok(key));
            }
            Err(error) => {
                prop_assert_eq!(holds_private, error == KeyError::PrivateKeyGiven);
                prop_assert!(!error.to_string().contains("MII"), "no key text in {error}");
            }
        }
    }
}
