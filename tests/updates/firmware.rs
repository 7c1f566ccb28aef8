//! An image and its signed package.

use narrowcast::model::Sha256Digest;
use narrowcast::signing::{PackageLimits, PrivateKey, sign, zip_firmware};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

const PRIVATE_PEM: &str = include_str!("../../certs/signing-private.pem");
pub(crate) const PUBLIC_PEM: &str = include_str!("../../certs/signing-public.pem");

#[derive(Debug)]
pub(crate) struct Firmware {
    pub(crate) image: Vec<u8>,
    pub(crate) archive: Vec<u8>,
}

impl Firmware {
    /// `size_bytes` bytes that compress badly and differ from block to block.
    pub(crate) fn new(size_bytes: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(size_bytes as u64);
        let mut image = vec![0; size_bytes];
        rng.fill_bytes(&mut image);
        let limits = PackageLimits::default();
        let key = PrivateKey::from_pem(PRIVATE_PEM, None).unwrap();
        let inner = zip_firmware("firmware.bin", &image, None, &limits).unwrap();
        let archive = sign("firmware", &inner, &key, &limits, &mut rng).unwrap();
        Self { image, archive }
    }

    pub(crate) fn sha256(&self) -> Sha256Digest {
        Sha256Digest(Sha256::digest(&self.image).into())
    }
}
