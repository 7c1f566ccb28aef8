//! RSA key pairs: made and used offline, public halves checked by the server.

mod error;
mod private;
mod public;
mod strength;

pub use error::KeyError;
pub use private::{KEY_BITS, KEY_BITS_DEFAULT, PrivateKey};
pub use public::PublicKey;
