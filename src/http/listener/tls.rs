//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446) around an accepted connection.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A record's plaintext, in bytes: modules whose TLS has buffers of 4 KiB are sent no larger ones.
const RECORD_BYTES_MAX: usize = 4096;

/// What is taken of an answer ahead of its socket, in bytes: as much as a socket takes ahead of a device.
const BUFFER_BYTES_MAX: usize = 16 * 1024;

/// Why a server cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificates cannot be read.
    #[error("the certificate file {0} cannot be used: {1}")]
    Certificate(PathBuf, String),
    /// The private key cannot be read.
    #[error("the key file {0} cannot be used: {1}")]
    Key(PathBuf, String),
    /// They do not go together.
    #[error("the key {key} is not that of the certificate {certificate}: {fault}")]
    Mismatch {
        /// The certificates' file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What TLS says of it.
        fault: String,
    },
}

/// A server's certificate and key, read from their files.
pub struct TlsIdentity {
    certificate_file: PathBuf,
    key_file: PathBuf,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

impl TlsIdentity {
    /// Reads certificates (the server's own first) and private key, in PEM.
    ///
    /// # Errors
    /// Where a file cannot be read or holds nothing of the kind, or the two do not go together.
    pub fn read(certificate_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let key = read(certificate_file, key_file, &provider)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(key))));
        let resolver = Arc::clone(&current);
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map(|config| config.with_no_client_auth().with_cert_resolver(resolver));
        let mut config = config.map_err(|fault| {
            TlsError::Certificate(certificate_file.to_owned(), fault.to_string())
        })?;
        config.max_fragment_size = Some(RECORD_BYTES_MAX);
        Ok(Self {
            certificate_file: certificate_file.to_owned(),
            key_file: key_file.to_owned(),
            current,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Reads both files again: who connects from now on sees what they hold. Where that cannot be used,
    /// what was read before stays.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let provider = ring::default_provider();
        let key = read(&self.certificate_file, &self.key_file, &provider)?;
        let mut current = self
            .current
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(key);
        Ok(())
    }

    /// Shakes hands.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut stream = self.acceptor.accept(stream).await?;
        stream.get_mut().1.set_buffer_limit(Some(BUFFER_BYTES_MAX));
        Ok(stream)
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity")
            .field("certificate_file", &self.certificate_file)
            .finish_non_exhaustive()
    }
}

/// What is shown to who connects.
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

fn read(
    certificate_file: &Path,
    key_file: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let no_certificate = |fault: String| TlsError::Certificate(certificate_file.to_owned(), fault);
    let certificates: Vec<_> = CertificateDer::pem_file_iter(certificate_file)
        .and_then(Iterator::collect)
        .map_err(|fault| no_certificate(fault.to_string()))?;
    if certificates.is_empty() {
        return Err(no_certificate("it holds no certificate in PEM".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|fault| TlsError::Key(key_file.to_owned(), fault.to_string()))?;
    warn_of_readers(key_file);
    CertifiedKey::from_der(certificates, key, provider).map_err(|fault| TlsError::Mismatch {
        certificate: certificate_file.to_owned(),
        key: key_file.to_owned(),
        fault: fault.to_string(),
    })
}

/// Says so where others than its owner may read a private key.
fn warn_of_readers(key_file: &Path) {
    use std::os::unix::fs::PermissionsExt;

    const OTHERS: u32 = 0o077;
    let mode = std::fs::metadata(key_file).map(|file| file.permissions().mode() & 0o777);
    if let Ok(mode) = mode
        && mode & OTHERS != 0
    {
        tracing::warn!(
            "the key file {} has mode {mode:04o}: others may read it; chmod 0600 it",
            key_file.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("certs")
            .join(name)
    }

    #[test]
    fn what_cannot_be_used_is_said_with_its_file() {
        let (certificate, key) = (
            fixture("signing-certificate.pem"),
            fixture("signing-private.pem"),
        );
        TlsIdentity::read(&certificate, &key).unwrap();
        let error = |certificate: &Path, key: &Path| {
            TlsIdentity::read(certificate, key).unwrap_err().to_string()
        };
        let said = error(&fixture("nothing.pem"), &key);
        assert!(said.contains("nothing.pem"), "{said}");
        let said = error(&key, &key);
        assert!(said.contains("no certificate"), "{said}");
        let said = error(&certificate, &certificate);
        assert!(said.starts_with("the key file"), "{said}");
        // A key of P-256, made with `openssl genpkey`, that belongs to nothing.
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other.pem");
        std::fs::write(&other, OTHER_KEY).unwrap();
        let said = error(&certificate, &other);
        assert!(said.contains("is not that of the certificate"), "{said}");
    }

    #[test]
    fn a_reload_that_fails_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        std::fs::copy(fixture("signing-certificate.pem"), &certificate).unwrap();
        std::fs::copy(fixture("signing-private.pem"), &key).unwrap();
        let identity = TlsIdentity::read(&certificate, &key).unwrap();
        let shown = || Arc::as_ptr(&identity.current.0.read().unwrap());
        let first = shown();
        std::fs::write(&key, OTHER_KEY).unwrap();
        identity.reload().unwrap_err();
        assert_eq!(shown(), first);
        std::fs::copy(fixture("signing-private.pem"), &key).unwrap();
        identity.reload().unwrap();
        assert_ne!(shown(), first);
    }

    const OTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgR1/qa7MLS3b1h1pl\n\
        1aqM0WlNHs0lNfUSMbPYFXWhy/mhRANCAAQO3p+5wB8MW+Y3OjVyh0rdJYaZskBG\n\
        tgR6G8QQM3cbXWgdDqnrrzpEdiCAllpvCKTrn2tOY6GPQaTSMEbCTXKl\n\
        -----END PRIVATE KEY-----\n";
}
