//! Key pairs, RSA or ECDSA: made and used offline, public halves checked by the server.

mod algorithm;
mod error;
mod private;
mod public;
mod secp256k1;
mod strength;

pub use algorithm::KeyAlgorithm;
pub use error::KeyError;
pub use private::{KEY_BITS, KEY_BITS_DEFAULT, PrivateKey};
pub use public::PublicKey;
