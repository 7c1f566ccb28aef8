//! The listener that devices fetch packages from by HTTPS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::device_http::check_host;
use super::update::check_time;

/// `[device_https]`. Its other bounds are those of `[device_http]`, each listener counting for itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceHttpsConfig {
    /// Where devices fetch packages by HTTPS; nothing is heard unless it is named.
    pub listen: Option<SocketAddr>,
    /// The host in the URLs, as the certificate has it; else `device_http.public_host` and so on.
    pub public_host: Option<String>,
    /// The certificates in PEM, the server's own first.
    pub certificate_file: Option<PathBuf>,
    /// The private key in PEM.
    pub key_file: Option<PathBuf>,
    /// How long a handshake may take.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
}

impl Default for DeviceHttpsConfig {
    fn default() -> Self {
        Self {
            listen: None,
            public_host: None,
            certificate_file: None,
            key_file: None,
            handshake_timeout: Duration::from_secs(60),
        }
    }
}

impl DeviceHttpsConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        check_host("device_https", self.public_host.as_deref())?;
        check_time("device_https.handshake_timeout", self.handshake_timeout, 1)
    }

    /// A flag may say where to listen: what that needs is looked at once it has.
    pub(super) fn check_files(&self) -> Result<(), String> {
        if self.listen.is_none() {
            return Ok(());
        }
        for (key, file) in [
            ("certificate_file", &self.certificate_file),
            ("key_file", &self.key_file),
        ] {
            if file.is_none() {
                return Err(format!(
                    "device_https.{key} must name a file: device_https.listen (--device-https) needs a \
                     certificate and its key"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_listener_needs_is_named_and_without_one_nothing_is_needed() {
        let mut config = DeviceHttpsConfig::default();
        config.check_files().unwrap();
        config.listen = Some(([127, 0, 0, 1], 0).into());
        let fault = config.check_files().unwrap_err();
        assert!(
            fault.starts_with("device_https.certificate_file"),
            "{fault}"
        );
        config.certificate_file = Some("c.pem".into());
        let fault = config.check_files().unwrap_err();
        assert!(fault.starts_with("device_https.key_file"), "{fault}");
        config.key_file = Some("k.pem".into());
        config.check_files().unwrap();
        config.check().unwrap();
        config.handshake_timeout = Duration::ZERO;
        let fault = config.check().unwrap_err();
        assert!(
            fault.starts_with("device_https.handshake_timeout"),
            "{fault}"
        );
        config.public_host = Some("a/b".to_owned());
        let fault = config.check().unwrap_err();
        assert!(fault.starts_with("device_https.public_host"), "{fault}");
    }
}
