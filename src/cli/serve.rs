//! `narrowcast serve`: the server.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::error::CliError;
use super::output::Output;
use crate::config::{Config, OnboardingConfig};
use crate::http::TlsIdentity;
use crate::server::{Listening, ReloadError, Reloaded, Reloader, Server, install_metrics};

/// Run the server.
#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    /// Settings in TOML; see `narrowcast config init`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the store and the package bytes lie.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Listen for plain CoAP; nothing is heard unless it is asked for. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    coap: Option<SocketAddr>,
    /// Listen for operators (default 127.0.0.1:8080).
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Serve packages to devices by HTTP there; nothing is unless it is asked for.
    #[arg(long, value_name = "ADDR")]
    device_http: Option<SocketAddr>,
    /// The same by HTTPS; needs device_https.certificate_file and device_https.key_file.
    #[arg(long, value_name = "ADDR")]
    device_https: Option<SocketAddr>,
    /// The host that devices fetch packages from, an IPv4 address best.
    #[arg(long, value_name = "HOST")]
    public_host: Option<String>,
    /// Whether devices that nobody entered may register.
    #[arg(long, value_name = "deny|allow")]
    onboarding: Option<Onboarding>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Onboarding {
    Deny,
    Allow,
}

pub(super) fn run(args: &ServeArgs, output: &Output) -> Result<(), CliError> {
    let config = configure(args)?;
    super::telemetry::log_to_stderr();
    super::runtime()?.block_on(serve(args, &config, output))
}

/// setrlimit(2), RLIMIT_FSIZE; the same number on Linux, macOS and the BSDs.
const SIGXFSZ: i32 = 25;

async fn serve(args: &ServeArgs, config: &Config, output: &Output) -> Result<(), CliError> {
    // Before the ready line: who waits for it may end the server at once.
    let (mut terminate, mut interrupt, mut hangup) = (
        signal(SignalKind::terminate()).map_err(CliError::failed)?,
        signal(SignalKind::interrupt()).map_err(CliError::failed)?,
        signal(SignalKind::hangup()).map_err(CliError::failed)?,
    );
    // A file at its size limit is an error that the store can tell of, not an end.
    let _file_size = signal(SignalKind::from_raw(SIGXFSZ)).map_err(CliError::failed)?;
    let metrics = install_metrics().map_err(CliError::failed)?;
    let server = Server::start(config, metrics)
        .await
        .map_err(CliError::failed)?;
    let tls_identity = server.tls_identity();
    let reloader = server.reloader();
    output.line(&ready_line(server.listening()))?;
    let asked_to_end = async {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                // A terminal that goes away must not take the server with it.
                Some(()) = hangup.recv() => {
                    reread(tls_identity.as_deref());
                    take_up(args, &reloader).await;
                }
            }
        }
    };
    server
        .run_until(asked_to_end)
        .await
        .map_err(CliError::failed)
}

/// What SIGHUP takes up.
fn reread(tls_identity: Option<&TlsIdentity>) {
    match tls_identity.map(TlsIdentity::reload) {
        Some(Ok(())) => {
            tracing::info!("SIGHUP: the certificate and the key of HTTPS were read again")
        }
        Some(Err(error)) => {
            tracing::error!(%error, "SIGHUP: HTTPS goes on with the certificate and the key it had");
        }
        None => {}
    }
}

/// Reads the settings as at the start, and takes up what a running server can.
async fn take_up(args: &ServeArgs, reloader: &Reloader) {
    let config = match configure(args) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(%error, "SIGHUP: the settings have a fault; all stays as it was");
            return;
        }
    };
    match reloader.take_up(&config).await {
        Ok(Reloaded { taken_up, waiting }) => {
            if taken_up.is_empty() && waiting.is_empty() {
                tracing::info!("SIGHUP: the settings are as they were");
            }
            for (key, before, now) in taken_up {
                tracing::info!(key, before, now, "SIGHUP: a limit was taken up");
            }
            for key in waiting {
                tracing::warn!(key, "SIGHUP: this setting needs a restart");
            }
        }
        Err(error @ ReloadError::NotKnown(_)) => {
            tracing::error!(%error, "SIGHUP: ask again; GET /api/v1/cells shows what holds");
        }
        Err(error @ (ReloadError::Engine(_) | ReloadError::Compare(_))) => {
            tracing::error!(%error, "SIGHUP: all stays as it was");
        }
    }
}

fn configure(args: &ServeArgs) -> Result<Config, CliError> {
    let mut config = Config::load(args.config.as_deref()).map_err(CliError::failed)?;
    if let Some(data_dir) = &args.data_dir {
        config.data_dir.clone_from(data_dir);
    }
    if args.coap.is_some() {
        config.coap.listen = args.coap;
    }
    if let Some(http) = args.http {
        config.http.listen = http;
    }
    if args.device_http.is_some() {
        config.device_http.listen = args.device_http;
    }
    if args.device_https.is_some() {
        config.device_https.listen = args.device_https;
    }
    if args.public_host.is_some() {
        config.coap.public_host.clone_from(&args.public_host);
    }
    match args.onboarding {
        Some(Onboarding::Deny) => config.coap.onboarding = OnboardingConfig::Deny,
        Some(Onboarding::Allow) => config.coap.onboarding = OnboardingConfig::Allow,
        None => {}
    }
    config.check().map_err(CliError::failed)?;
    Ok(config)
}

/// What scripts wait for: real addresses, `off` for a listener that was not asked for.
pub(super) fn ready_line(listening: Listening) -> String {
    let or_off = |address: Option<SocketAddr>| {
        address.map_or_else(|| "off".to_owned(), |address| address.to_string())
    };
    format!(
        "ready coap={} coaps=off http={} device-http={} device-https={}",
        or_off(listening.coap),
        listening.http,
        or_off(listening.device_http),
        or_off(listening.device_https)
    )
}
