//! Which kinds of keys there are.

/// A key's algorithm, always with SHA-256: the two that the carriers' tool offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2).
    Rsa,
    /// ECDSA (FIPS 186-5 §6) on the curve secp256k1 (SEC 2 §2.4.1).
    EcdsaSecp256k1,
}

impl KeyAlgorithm {
    /// The carriers' word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::EcdsaSecp256k1 => "ECDSA_256K1",
        }
    }
}
