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
use crate::engine::Engine;
use crate::http::{self, HttpParts, HttpState, LiveView};
use crate::lwm2m::EndpointNameForm;
use crate::net::{UdpEndpoint, is_wildcard};
use crate::store::{OpenError, SqliteStore, Store, StoreError};

use super::driver::{Driver, DriverError, DriverParts};
use super::failpoint::Failpoint;
use super::link::Link;
use super::packages::open_packages;
use super::rebuild::Rebuild;
use super::rest::{connection_limits, request_limits, tiers};
use super::telemetry::{self, Telemetry};
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
        /// `coap` or `http`.
        listener: &'static str,
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
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
    /// Campaigns are active, and their devices would have nowhere to fetch from.
    #[error(
        "campaigns are active, and devices could not fetch their packages: give --coap, and \
         --public-host where that names no address (coap.listen, coap.public_host)"
    )]
    NoPublicHost,
    /// The engine's driver ended.
    #[error("{0}")]
    Driver(String),
    /// The REST side ended.
    #[error("the HTTP listener failed: {0}")]
    Http(String),
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
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    listening: Listening,
    stop_http: watch::Sender<bool>,
    stop_driver: watch::Sender<bool>,
    driver: JoinHandle<Result<(), DriverError>>,
    http: JoinHandle<()>,
}

impl Server {
    /// Opens the store and the listeners, rebuilds the engine and starts to serve.
    ///
    /// # Errors
    /// Where a listener or the data directory cannot be had, with which and why.
    pub async fn start(config: &Config, metrics: PrometheusHandle) -> Result<Self, RunError> {
        let clock = SystemClock::new();
        let data_dir = &config.data_dir;
        open_data_dir(data_dir)?;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&data_dir.join(STORE_FILE)).await?);
        let blobs = open_packages(data_dir, &*store).await?;
        let udp = config.coap.listen.map(bind_udp).transpose()?;
        let tcp = TcpListener::bind(config.http.listen)
            .await
            .map_err(bind_error("http", config.http.listen))?;
        let listening = Listening {
            coap: udp.as_ref().map(UdpEndpoint::local_address),
            http: tcp
                .local_addr()
                .map_err(bind_error("http", config.http.listen))?,
        };

        let mut engine_config = config.engine();
        engine_config.download_base = listening
            .coap
            .and_then(|coap| download_base(coap, config.coap.public_host.as_deref()));
        let rebuild = Rebuild {
            config: engine_config,
            package_bytes: blobs.clone(),
        };
        let engine = rebuild.engine(&*store, clock.now()).await?;
        check_download_base(&rebuild, &engine, listening)?;

        udp.iter().for_each(telemetry::watch_receive_drops);

        let (stop_http, http_shutdown) = watch::channel(false);
        let (stop_driver, driver_shutdown) = watch::channel(false);
        let (handle, requests) = http::engine_channel(ENGINE_REQUESTS_MAX, ENGINE_TIMEOUT);
        let live = Arc::new(LiveView::default());
        let driver = Driver::new(
            engine,
            DriverParts {
                rebuild,
                store: Arc::clone(&store),
                link: Link::new(udp),
                live: Arc::clone(&live),
                requests,
                shutdown: driver_shutdown,
                clock,
                telemetry: Telemetry::default(),
                failpoint: Failpoint::from_environment(),
            },
        );
        let router = http::router(HttpState::new(HttpParts {
            store,
            package_bytes: blobs,
            verifier: Arc::new(SigningVerifier::default()),
            engine: handle,
            live,
            clock,
            parse_endpoint: |text| EndpointNameForm::default().normalise(text),
            contact_timeout: config.update.contact_timeout,
            tiers: tiers(&config.cells),
            metrics,
            metrics_public: config.metrics.public,
            limits: request_limits(&config.http, &config.device_requests),
        }));
        let limits = connection_limits(&config.http);
        Ok(Self {
            listening,
            stop_http,
            stop_driver,
            driver: tokio::spawn(driver.run()),
            http: tokio::spawn(http::serve(tcp, router, limits, clock, http_shutdown)),
        })
    }

    /// Where it listens.
    pub fn listening(&self) -> Listening {
        self.listening
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
        // The requests that were under way have their answers: only now may the engine go.
        let _ = self.stop_driver.send(true);
        flatten(
            self.driver
                .await
                .map(|result| result.map_err(RunError::from)),
        )
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

/// Without a place to fetch from, what is active cannot go on, and nothing else can be activated.
fn check_download_base(
    rebuild: &Rebuild,
    engine: &Engine,
    listening: Listening,
) -> Result<(), RunError> {
    if rebuild.config.download_base.is_some() {
        return Ok(());
    }
    if engine.campaigns() > 0 {
        return Err(RunError::NoPublicHost);
    }
    if listening.coap.is_some() {
        tracing::warn!("no campaign can be activated until --public-host says where devices fetch");
    }
    Ok(())
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
fn download_base(coap: SocketAddr, public_host: Option<&str>) -> Option<String> {
    let port = coap.port();
    let host = match public_host {
        Some(host) => match host.parse() {
            Ok(IpAddr::V6(v6)) => format!("[{v6}]"),
            Ok(IpAddr::V4(_)) | Err(_) => host.to_owned(),
        },
        None if is_wildcard(coap) => return None,
        None => SocketAddr::new(coap.ip(), 0)
            .to_string()
            .trim_end_matches(":0")
            .to_owned(),
    };
    Some(format!("coap://{host}:{port}/fw/"))
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
        download_base(coap.parse().unwrap(), public_host)
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
