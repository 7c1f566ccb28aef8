//! What can be wrong with a key.

use crate::signing::der::DerKind;
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
    /// More than one PEM text.
    #[error("this holds several PEM texts: give one key at a time")]
    Several,
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
        "the private key is in a form that is not read; RSA keys and those on secp256k1 are converted \
         with `openssl pkcs8 -topk8 -in OLD.pem -out private.pem -v2 aes-256-cbc \
         -v2prf hmacWithSHA256 -iter 600000`"
    )]
    OtherForm,
    /// A private key as `ssh-keygen` writes it.
    #[error(
        "the private key is in OpenSSH's own form: convert a copy of it, in its place, with \
         `ssh-keygen -p -m PKCS8 -f OLD.pem`"
    )]
    OpenSsh,
    /// A private key in binary.
    #[error(
        "this is a private key in DER: convert it with `openssl pkcs8 -topk8 -inform DER -in OLD.der \
         -out private.pem -v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 600000`"
    )]
    PrivateDer,
    /// A public key in binary.
    #[error(
        "this is a public key in DER: convert it with `openssl pkey -pubin -inform DER -in OLD.der \
         -out public.pem`"
    )]
    PublicDer,
    /// A certificate in binary.
    #[error(
        "this is a certificate in DER: take its public key with \
         `openssl x509 -inform DER -in CERT.der -pubkey -noout -out public.pem`"
    )]
    CertificateDer,
    /// A key store of Windows, Java or a browser.
    #[error(
        "this is a PKCS#12 file: take the private key out of it with \
         `openssl pkcs12 -in OLD.p12 -nocerts -out private.pem`"
    )]
    Pkcs12,
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

impl KeyError {
    /// What is to be said of a key file that is no text: how what it holds is converted.
    pub fn of_binary(bytes: &[u8]) -> Self {
        match DerKind::of(bytes) {
            Some(DerKind::Private) => Self::PrivateDer,
            Some(DerKind::Public) => Self::PublicDer,
            Some(DerKind::Certificate) => Self::CertificateDer,
            Some(DerKind::Pkcs12) => Self::Pkcs12,
            None => Self::NotPem,
        }
    }
}
