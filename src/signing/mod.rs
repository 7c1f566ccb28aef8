//! Signed firmware packages: key pairs, the package file, signing and verification. Bytes in, bytes
//! out; a package to verify comes as something to read and seek in, opened by the caller; randomness
//! comes as an argument.
//!
//! ```text
//! NAME_signed.zip              stored, three entries in this order, no byte beside them
//! ├── manifest.json            hints, never trusted; no time stamp
//! ├── NAME.zip                 the original zip, byte for byte
//! │   ├── FIRMWARE.bin         what devices receive (up to five files, of FIRMWARE_EXTENSIONS)
//! │   └── package-info.json    optional; thereby signed
//! └── NAME.zip.sig             RSASSA-PKCS1-v1_5, or ECDSA on secp256k1 in DER, with SHA-256, over
//!                              the bytes of NAME.zip
//! ```
//!
//! The layout is ours: the carriers publish none, so no bit compatibility with their tool is claimed.
//! The same key and input give the same bytes. `NAME.zip` is parsed only after its signature held; [`inspect()`], which needs no
//! key, is the offline exception.

mod archive;
mod der;
mod firmware_name;
mod info;
mod inspect;
mod keys;
mod limits;
mod manifest;
mod passphrase;
mod payload;
mod pem;
mod sign;
mod unsigned;
mod verify;
mod zip;

pub use firmware_name::{FIRMWARE_EXTENSIONS, FIRMWARE_NAME_BYTES_MAX, firmware_stem};
pub use info::{FormFields, InfoError, Mismatch, PackageInfo};
pub use inspect::{ContainerEntry, Inspection, inspect};
pub use keys::{KEY_BITS, KEY_BITS_DEFAULT, KeyAlgorithm, KeyError, PrivateKey, PublicKey};
pub use limits::PackageLimits;
pub use passphrase::{Passphrase, WeakPassphrase};
pub use payload::{
    FirmwareFile, FirmwareSink, Payload, PayloadError, zip_firmware, zip_firmware_to,
};
pub use sign::{SignError, sign, sign_to};
pub use unsigned::read_unsigned;
pub use verify::{VerifiedPackage, VerifyError, verify};
pub use zip::{IoFault, ZipError, is_file_name};
