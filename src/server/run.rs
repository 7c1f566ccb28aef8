//! Builds the parts, starts them, and ends them in order.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::engine::{Engine, EngineConfig};
use crate::http::{
    self, CurrentTiers, DownloadBases, Downloads, HttpParts, HttpState, Joiner, Links, LiveView,
    TlsError, TlsIdentity,
};
use crate::lwm2m::EndpointNameForm;
use crate::model::{DownloadProtocol, ProductSettings};
use crate::net::{UdpEndpoint, is_wildcard};
use crate::store::{BlobStore, OpenError, SqliteStore, Store, StoreError};

use super::audit_head::HeadTeller;
use super::driver::{Driver, DriverError, DriverParts};
use super::failpoint::Failpoint;
use super::fetching::{DeviceListeners, link_bases, load_links};
use super::link::Link;
use super::packages::open_packages;
use super::rebuild::Rebuild;
use super::reload::Reloader;
use super::rest::{connection_limits, request_limits, tiers};
use super::telemetry::{self, Telemetry};
use super::telling::Telling;
use super::verifier::SigningVerifier;

/// The database within the data directory.
pub const STORE_FILE: &str = "narrowcast.sqlite";

/// How many requests of the REST side may wait for the engine.
const ENGINE_REQUESTS_MAX: usize = 256;

/// How long a request waits for the engine and its commit.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long REST requests under way may still take once the server is asked to end.
const HTTP_DRAIN_MAX: Duration = Duration::from_secs(3);

/// Why a server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A listener's address cannot be had.
    #[error("cannot listen on {address} ({listener}): {source}")]
    Bind {
        /// `coap`, `http`, `device-http` or `device-https`.
        listener: &'static str,
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The certificate or the key of HTTPS cannot be used.
    #[error("device-https: {0}")]
    Tls(#[from] TlsError),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {path}: {source}")]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// The store cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The engine's driver ended.
    #[error("{0}")]
    Driver(String),
    /// The REST side ended.
    #[error("the HTTP listener failed: {0}")]
    Http(String),
    /// Certificates that receivers of events are known by cannot be used.
    #[error("{0}")]
    Webhooks(String),
    /// Metrics cannot be collected.
    #[error("metrics: {0}")]
    Metrics(String),
}

impl From<DriverError> for RunError {
    fn from(error: DriverError) -> Self {
        Self::Driver(error.to_string())
    }
}

/// The real addresses of a running server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Plain CoAP, where it is on.
    pub coap: Option<SocketAddr>,
    /// REST.
    pub http: SocketAddr,
    /// Packages by HTTP for devices, where it is on.
    pub device_http: Option<SocketAddr>,
    /// The same by HTTPS, where it is on.
    pub device_https: Option<SocketAddr>,
}

/// What is heard.
struct Listeners {
    udp: Option<UdpEndpoint>,
    rest: TcpListener,
    devices: DeviceListeners,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<(Self, Listening), RunError> {
        let udp = config.coap.listen.map(bind_udp).transpose()?;
        let coap = udp.as_ref().map(UdpEndpoint::local_address);
        let (rest, http) = bind_tcp("http", config.http.listen).await?;
        let (devices, [device_http, device_https]) = DeviceListeners::bind(config).await?;
        let listeners = Self { udp, rest, devices };
        let listening = Listening {
            coap,
            http,
            device_http,
            device_https,
        };
        Ok((listeners, listening))
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    listening: Listening,
    stop_http: watch::Sender<bool>,
    stop_driver: watch::Sender<bool>,
    driver: JoinHandle<Result<(), DriverError>>,
    http: JoinHandle<()>,
    heads: HeadTeller,
    telling: Telling,
    reloader: Reloader,
    links: Arc<Links>,
    tls_identity: Option<Arc<TlsIdentity>>,
}

impl Server {
    /// Opens the store and the listeners, rebuilds the engine and starts to serve.
    ///
    /// # Errors
    /// Where a listener or the data directory cannot be had, with which and why.
    pub async fn start(config: &Config, metrics: PrometheusHandle) -> Result<Self, RunError> {
        let (clock, data_dir) = (SystemClock::new(), &config.data_dir);
        open_data_dir(data_dir)?;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&data_dir.join(STORE_FILE)).await?);
        let blobs = open_packages(data_dir, &*store).await?;
        let (listeners, listening) = Listeners::bind(config).await?;
        let (rebuild, engine) = rebuild(config, listening, &*store, &blobs, clock).await?;
        let (product, download_bases) = known_of(&rebuild);

        let Listeners { udp, rest, devices } = listeners;
        udp.iter().for_each(telemetry::watch_receive_drops);
        let (stop_http, http_shutdown) = watch::channel(false);
        let (stop_driver, driver_shutdown) = watch::channel(false);
        let (handle, requests) = http::engine_channel(ENGINE_REQUESTS_MAX, ENGINE_TIMEOUT);
        let (live, downloads) = (Arc::new(LiveView::default()), Arc::<Downloads>::default());
        let links = load_links(config, &store, &blobs).await?;
        let tiers = CurrentTiers::new(tiers(&config.cells));
        let driver = Driver::new(
            engine,
            DriverParts {
                rebuild,
                store: Arc::clone(&store),
                link: Link::new(udp),
                live: Arc::clone(&live),
                tiers: tiers.clone(),
                downloads: Arc::clone(&downloads),
                requests,
                shutdown: driver_shutdown,
                clock,
                telemetry: Telemetry::default(),
                failpoint: Failpoint::from_environment(),
            },
        );
        let heads = HeadTeller::start(&store, clock);
        let telling = Telling::start(config, listening, &store, clock, http_shutdown.clone())?;
        let reloader = Reloader::new(config, handle.clone());
        let state = HttpState::new(HttpParts {
            store,
            package_bytes: blobs,
            verifier: Arc::new(SigningVerifier::default()),
            engine: handle,
            live,
            events: telling.hub(),
            links: Arc::clone(&links),
            link_bases: link_bases(config, listening),
            clock,
            parse_endpoint: |text| EndpointNameForm::default().normalise(text),
            product,
            download_bases,
            tiers,
            metrics,
            metrics_public: config.metrics.public,
            limits: request_limits(&config.http, &config.device_requests),
        });
        let joiner = Joiner::new(state.clone()).run(http_shutdown.clone());
        let rest = serve_rest(config, rest, state, clock, http_shutdown.clone());
        let tls_identity = devices.tls_identity();
        let devices = devices.serve(config, downloads, &links, clock, http_shutdown);
        Ok(Self {
            listening,
            stop_http,
            stop_driver,
            driver: tokio::spawn(driver.run()),
            // The driver shows already what may be fetched: nobody is told that it is not there.
            http: spawn_all(rest, devices, joiner),
            heads,
            telling,
            reloader,
            links,
            tls_identity,
        })
    }

    /// Where it listens.
    pub fn listening(&self) -> Listening {
        self.listening
    }

    /// What takes up settings while it runs.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// The certificate and the key of HTTPS, which may be read again; `None` where it is off.
    pub fn tls_identity(&self) -> Option<Arc<TlsIdentity>> {
        self.tls_identity.clone()
    }

    /// Runs until `until` is done, then stops.
    ///
    /// # Errors
    /// Where a part ended before that, with why.
    pub async fn run_until(mut self, until: impl Future<Output = ()>) -> Result<(), RunError> {
        tokio::select! {
            () = until => self.stop().await,
            ended = &mut self.driver => flatten(ended.map(|result| result.map_err(RunError::from))),
            ended = &mut self.http => http_ended(ended),
        }
    }

    /// Ends the REST side, then commits and sends what has gathered.
    ///
    /// # Errors
    /// Where the last commit failed.
    pub async fn stop(mut self) -> Result<(), RunError> {
        // No receiver is left where all parts have ended already.
        let _ = self.stop_http.send(true);
        match tokio::time::timeout(HTTP_DRAIN_MAX, &mut self.http).await {
            Ok(ended) => http_ended(ended)?,
            // A client that stopped in the middle of its request would keep the server for ever.
            Err(_) => {
                tracing::warn!("HTTP connections that did not end were cut off");
                self.http.abort();
            }
        }
        self.links.write_down().await;
        // The requests that were under way have their answers: only now may the engine go.
        let _ = self.stop_driver.send(true);
        let ended = self.driver.await;
        self.telling.end().await;
        self.heads.end().await;
        flatten(ended.map(|result| result.map_err(RunError::from)))
    }
}

/// Installs the process's one metrics recorder.
///
/// # Errors
/// Where one is installed already.
pub fn install_metrics() -> Result<PrometheusHandle, RunError> {
    PrometheusBuilder::new()
        .install_recorder()
        .map_err(|error| RunError::Metrics(error.to_string()))
}

/// Makes the data directory where it is missing.
///
/// # Errors
/// Where it cannot be made.
pub fn open_data_dir(path: &Path) -> Result<(), RunError> {
    std::fs::create_dir_all(path).map_err(|source| RunError::DataDir {
        path: path.to_owned(),
        source,
    })
}

/// The engine, from what is stored, and what makes it anew.
async fn rebuild(
    config: &Config,
    listening: Listening,
    store: &dyn Store,
    blobs: &BlobStore,
    clock: SystemClock,
) -> Result<(Rebuild, Engine), RunError> {
    let rebuild = Rebuild {
        config: engine_config(config, listening),
        package_bytes: blobs.clone(),
    };
    let engine = rebuild.engine(store, clock.now()).await?;
    tell_download_base(&rebuild, &engine, listening);
    Ok((rebuild, engine))
}

/// Without a place to fetch from, what is active is held, and nothing else can be activated.
fn tell_download_base(rebuild: &Rebuild, engine: &Engine, listening: Listening) {
    for campaign in engine.campaigns_without_base() {
        tracing::error!(
            campaign = campaign.0,
            "held: its devices could not fetch their package. Stop it, or start again with --coap, or \
             where they fetch by HTTP --device-http, and --public-host where that names no address \
             (coap.listen, device_http.listen, coap.public_host)"
        );
    }
    let base = match rebuild.config.product.download {
        DownloadProtocol::Coap => &rebuild.config.download_base,
        DownloadProtocol::Http => &rebuild.config.http_download_base,
    };
    if base.is_none() && listening.coap.is_some() {
        tracing::warn!("no campaign can be activated until --public-host says where devices fetch");
    }
}

/// What the engine is told, with where devices fetch from.
fn engine_config(config: &Config, listening: Listening) -> EngineConfig {
    let mut engine = config.engine();
    engine.download_base = listening
        .coap
        .and_then(|address| download_base("coap", address, config.coap.public_host.as_deref()));
    engine.http_download_base = listening
        .device_http
        .and_then(|address| download_base("http", address, config.device_http_host()));
    engine
}

pub(super) async fn bind_tcp(
    listener: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), RunError> {
    let bound = TcpListener::bind(address).await;
    let bound = bound.and_then(|tcp| tcp.local_addr().map(|local| (tcp, local)));
    bound.map_err(bind_error(listener, address))
}

fn bind_udp(address: SocketAddr) -> Result<UdpEndpoint, RunError> {
    let udp = UdpEndpoint::bind(address).map_err(bind_error("coap", address))?;
    tracing::info!(
        address = %udp.local_address(),
        receive_buffer_bytes = udp.receive_buffer_bytes(),
        "plain CoAP: anyone on this network can register as any device without credentials"
    );
    Ok(udp)
}

fn bind_error(listener: &'static str, address: SocketAddr) -> impl Fn(std::io::Error) -> RunError {
    move |source| RunError::Bind {
        listener,
        address,
        source,
    }
}

/// The URI that capabilities are appended to: the configured host, or the listener's own address.
pub(super) fn download_base(
    scheme: &str,
    listener: SocketAddr,
    public_host: Option<&str>,
) -> Option<String> {
    let port = listener.port();
    let host = match public_host {
        Some(host) => match host.parse() {
            Ok(IpAddr::V6(v6)) => format!("[{v6}]"),
            Ok(IpAddr::V4(_)) | Err(_) => host.to_owned(),
        },
        None if is_wildcard(listener) => return None,
        None => SocketAddr::new(listener.ip(), 0)
            .to_string()
            .trim_end_matches(":0")
            .to_owned(),
    };
    Some(format!("{scheme}://{host}:{port}/fw/"))
}

/// How devices are treated, and whether they can be given a URL.
fn known_of(rebuild: &Rebuild) -> (ProductSettings, DownloadBases) {
    let config = &rebuild.config;
    let download_bases = DownloadBases {
        coap: config.download_base.is_some(),
        http: config.http_download_base.is_some(),
    };
    (config.product.clone(), download_bases)
}

/// The REST side, until the shutdown.
fn serve_rest(
    config: &Config,
    listener: TcpListener,
    state: HttpState,
    clock: SystemClock,
    shutdown: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static {
    let limits = connection_limits(&config.http);
    http::serve(listener, http::router(state), limits, clock, shutdown)
}

/// Runs until all of them have ended.
fn spawn_all(
    rest: impl Future<Output = ()> + Send + 'static,
    devices: impl Future<Output = ()> + Send + 'static,
    joiner: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async {
        tokio::join!(rest, devices, joiner);
    })
}

fn http_ended(ended: Result<(), JoinError>) -> Result<(), RunError> {
    ended.map_err(|error| RunError::Http(error.to_string()))
}

fn flatten<T>(ended: Result<Result<T, RunError>, JoinError>) -> Result<T, RunError> {
    ended.map_err(|error| RunError::Driver(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(coap: &str, public_host: Option<&str>) -> Option<String> {
        download_base("coap", coap.parse().unwrap(), public_host)
    }

    #[test]
    fn devices_fetch_from_the_public_host_or_the_listeners_own_address() {
        assert_eq!(
            base("127.0.0.1:5683", None).unwrap(),
            "coap://127.0.0.1:5683/fw/"
        );
        assert_eq!(
            base("0.0.0.0:5683", Some("203.0.113.5")).unwrap(),
            "coap://203.0.113.5:5683/fw/"
        );
        assert_eq!(
            base("[::]:5683", Some("2001:db8::1")).unwrap(),
            "coap://[2001:db8::1]:5683/fw/"
        );
        assert_eq!(base("[::1]:5683", None).unwrap(), "coap://[::1]:5683/fw/");
    }

    #[test]
    fn a_wildcard_without_a_public_host_is_no_place_to_fetch_from() {
        assert_eq!(base("0.0.0.0:5683", None), None);
    }
}
