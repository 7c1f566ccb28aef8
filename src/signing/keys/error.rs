//! What can be wrong with a key.

use crate::signing::pem::PEM_BYTES_MAX;

/// Why a key cannot be used. No text of a key is ever in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A public key was wanted.
    #[error(
        "this holds a private key, which must never leave its owner: give the public key \
         (public.pem); if this one went to other hands, make a new pair"
    )]
    PrivateKeyGiven,
    /// A private key was wanted.
    #[error("this is a public key or a certificate: give the private key (private.pem)")]
    PublicKeyGiven,
    /// A public key was wanted.
    #[error(
        "this is a certificate: take its public key with \
         `openssl x509 -in CERT.pem -pubkey -noout -out public.pem`"
    )]
    CertificateGiven,
    /// Neither.
    #[error("this is not a key in PEM (a text that begins with -----BEGIN … KEY-----)")]
    NotPem,
    /// Far larger than any key.
    #[error("a key file has at most {PEM_BYTES_MAX} bytes")]
    TooLarge,
    /// PEM, with something else inside.
    #[error(
        "the PEM text is damaged, or holds no key that is accepted: RSA of 2048, 3072 or 4096 bits, \
         or ECDSA on secp256k1"
    )]
    NotAKey,
    /// An elliptic-curve key that is not one of secp256k1, or does not name its curve.
    #[error(
        "an elliptic-curve key that is damaged, of another curve, or that does not name its curve: \
         secp256k1 is accepted (`narrowcast keygen --algorithm ecdsa-secp256k1`)"
    )]
    Curve,
    /// A private key in a form of another program's.
    #[error(
        "the private key is in a form that is not read: convert it with `openssl pkcs8 -topk8 \
         -in OLD.pem -out private.pem -v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 600000`; a key \
         of OpenSSH first with `ssh-keygen -p -m PEM -f OLD.pem`"
    )]
    OtherForm,
    /// A key that can be broken, or that nobody uses.
    #[error("an RSA key of {bits} bits: 2048 to 4096 are accepted")]
    Bits {
        /// Length of its modulus.
        bits: usize,
    },
    /// Any other exponent weakens some padding checks.
    #[error("the key's public exponent is not 65537: make the key with `narrowcast keygen`")]
    Exponent,
    /// The numbers of a private key do not belong together.
    #[error("the private key is damaged: its numbers do not belong together")]
    Inconsistent,
    /// An encrypted key without its pass-phrase.
    #[error("the private key is encrypted: its pass-phrase is needed")]
    PassphraseNeeded,
    /// Does not open with it.
    #[error("the private key does not open with this pass-phrase")]
    WrongPassphrase,
    /// Encrypted in a way that is not read here.
    #[error(
        "the private key is encrypted in an outdated way: convert it with `openssl pkcs8 -topk8 \
         -in OLD.pem -out private.pem -v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 600000`"
    )]
    UnsupportedEncryption,
    /// The pass-phrase could not be turned into a key; does not happen with sound arguments.
    #[error("the key could not be made or encoded")]
    Encoding,
}
