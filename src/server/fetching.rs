//! Where devices fetch by HTTP and by HTTPS: the listeners, the certificate and the links.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::http::{self, Downloads, LinkBases, Links, TlsIdentity};
use crate::store::{BlobStore, Store, StoreError};

use super::rest::{device_connection_limits, link_limits};
use super::run::{Listening, RunError, bind_tcp, download_base};

/// What devices fetch from, where it was asked for.
#[derive(Debug)]
pub(super) struct DeviceListeners {
    plain: Option<TcpListener>,
    secured: Option<(TcpListener, Arc<TlsIdentity>)>,
}

impl DeviceListeners {
    /// Binds them; and where they are, that of HTTP and that of HTTPS.
    pub(super) async fn bind(config: &Config) -> Result<(Self, [Option<SocketAddr>; 2]), RunError> {
        let identity = tls_identity(config)?;
        let (plain, http) = bind_if_named("device-http", config.device_http.listen).await?;
        let (secured, https) = bind_if_named("device-https", config.device_https.listen).await?;
        let listeners = Self {
            plain,
            secured: secured.zip(identity),
        };
        Ok((listeners, [http, https]))
    }

    /// The certificate and the key of HTTPS.
    pub(super) fn tls_identity(&self) -> Option<Arc<TlsIdentity>> {
        let (_, identity) = self.secured.as_ref()?;
        Some(Arc::clone(identity))
    }

    /// Serves what tasks have and what has a link, until `stop` is true, and writes down what was fetched.
    pub(super) fn serve(
        self,
        config: &Config,
        downloads: Arc<Downloads>,
        links: &Arc<Links>,
        clock: SystemClock,
        stop: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let limits = device_connection_limits(&config.device_http, &config.device_https);
        let keep = Arc::clone(links).keep(clock, stop.clone());
        let router = http::firmware_router(downloads, Arc::clone(links), clock);
        async move {
            let plain = async {
                if let Some(tcp) = self.plain {
                    http::serve_devices(tcp, router.clone(), limits, clock, stop.clone()).await;
                }
            };
            let secured = async {
                if let Some((tcp, identity)) = self.secured {
                    let (router, stop) = (router.clone(), stop.clone());
                    http::serve_devices_by_tls(tcp, identity, router, limits, clock, stop).await;
                }
            };
            tokio::join!(plain, secured, keep);
        }
    }
}

/// The links that are stored.
pub(super) async fn load_links(
    config: &Config,
    store: &Arc<dyn Store>,
    package_bytes: &BlobStore,
) -> Result<Arc<Links>, StoreError> {
    let limits = link_limits(&config.device_http);
    let links = Links::load(Arc::clone(store), package_bytes.clone(), limits).await?;
    Ok(Arc::new(links))
}

/// What links' URLs begin with.
pub(super) fn link_bases(config: &Config, listening: Listening) -> LinkBases {
    LinkBases {
        http: listening
            .device_http
            .and_then(|address| download_base("http", address, config.device_http_host())),
        https: listening
            .device_https
            .and_then(|address| download_base("https", address, config.device_https_host())),
    }
}

async fn bind_if_named(
    listener: &'static str,
    address: Option<SocketAddr>,
) -> Result<(Option<TcpListener>, Option<SocketAddr>), RunError> {
    let Some(address) = address else {
        return Ok((None, None));
    };
    let (tcp, address) = bind_tcp(listener, address).await?;
    Ok((Some(tcp), Some(address)))
}

fn tls_identity(config: &Config) -> Result<Option<Arc<TlsIdentity>>, RunError> {
    let https = &config.device_https;
    let (Some(_), Some(certificate), Some(key)) =
        (https.listen, &https.certificate_file, &https.key_file)
    else {
        return Ok(None);
    };
    Ok(Some(Arc::new(TlsIdentity::read(certificate, key)?)))
}
