//! `narrowcast load`: a scenario's devices on real sockets, against any LwM2M server.

mod agents;
pub(super) mod live;
pub(super) mod local;
pub(super) mod metrics;
mod sources;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::error::CliError;
use super::impair::duration;
use super::output::Output;
use super::run_result;
use super::scenario::{read, refused};
use crate::harness::load::{
    Devices, LoadConfig, LoadError, LocalDevices, Operator, Part, Rest, ServerProcess,
    run as run_load,
};
use crate::harness::scenario::Scenario;
use crate::harness::{End, open_metrics_now};
use agents::AgentsArgs;
use live::LiveView;
use local::LocalArgs;
use metrics::MetricsPage;

/// The port of `coap://` (RFC 7252 §6.1).
const COAP_PORT: u16 = 5683;

/// Run a scenario's devices on real sockets, against any LwM2M server.
///
/// That a server was too slow is a result, and exits 0; a threshold of the scenario that does not hold
/// exits 99.
#[derive(Args, Debug)]
pub(super) struct LoadArgs {
    /// The scenario.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The server, coap://HOST:PORT; that of the scenario's `[target]` without it.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    agents: AgentsArgs,
    /// Enter devices, packages and campaigns on a narrowcast server first, http://HOST:PORT; as the
    /// scenario's `[target]` says without it.
    #[arg(long, value_name = "URL", requires = "token_file")]
    provision: Option<String>,
    /// The file with the token for it.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Run devices' own timers so many times faster, CoAP's never.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    speed: Option<u16>,
    /// End the run after so long; the scenario's duration, by its speed, without it.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    time_limit: Option<Duration>,
    /// Draw all chance from this seed, not from that of the file.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Watch this process as the server's; the one that listens on its port without it.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Write what it came to into this folder: result.json, report.html, series.csv, slowest.csv,
    /// junit.xml.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Show how the run stands at http://ADDRESS/metrics meanwhile, for Prometheus.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &LoadArgs, output: &Output) -> Result<(), CliError> {
    let text = read(&args.file)?;
    let scenario = Scenario::parse(&text).map_err(|error| refused(&args.file, &error, output))?;
    super::runtime()?.block_on(load(args, &scenario, output))
}

async fn load(args: &LoadArgs, scenario: &Scenario, output: &Output) -> Result<(), CliError> {
    let config = args.config(scenario).await?;
    let ended = interrupted()?;
    if let Some(commander) = args.agents.commander(output)? {
        // Before anybody is waited for.
        let checked = scenario.check_for_sockets(config.speed);
        checked.map_err(|error| refused(&args.file, &error, output))?;
        let mut ended = pin!(ended);
        let gathered = commander.gather(scenario, &config, output);
        let devices = tokio::select! {
            _ = &mut ended => return Err(CliError::failed(LoadError::NotBegun)),
            devices = gathered => devices?,
        };
        return run_on(devices, args, scenario, config, ended, output).await;
    }
    let part = Part {
        server: config.server,
        seed: config.seed,
        speed: config.speed,
        follows_uris: config.operator.lets_follow_uris(),
        cells: scenario.all_cells(),
    };
    let devices = LocalDevices::new(scenario, part, args.local.config());
    run_on(devices, args, scenario, config, ended, output).await
}

async fn run_on(
    devices: impl Devices,
    args: &LoadArgs,
    scenario: &Scenario,
    config: LoadConfig,
    ended: impl Future<Output = End>,
    output: &Output,
) -> Result<(), CliError> {
    let mut page = match args.metrics {
        Some(address) => Some(MetricsPage::listen(address, output).await?),
        None => None,
    };
    let mut view = LiveView::new(output);
    let result = run_load(scenario, config, devices, ended, &mut |look| {
        view.show(look.live);
        if let Some(page) = &mut page {
            page.answer(|| open_metrics_now(look.live, &look.metrics()));
        }
    })
    .await;
    drop(view);
    let result = result.map_err(|error| match error {
        LoadError::Scenario(error) => refused(&args.file, &error, output),
        LoadError::Fleet(_) | LoadError::Provision(_) | LoadError::NotBegun | LoadError::Broken => {
            CliError::failed(error)
        }
    })?;
    run_result::end(&result, args.out.as_deref(), output)
}

impl LoadArgs {
    async fn config(&self, scenario: &Scenario) -> Result<LoadConfig, CliError> {
        let url = self.server.as_deref().or(scenario.target.url.as_deref());
        let url = url.ok_or_else(|| {
            let told = "give --server coap://HOST:PORT, or the scenario a [target] with a url";
            CliError::Usage(told.to_owned())
        })?;
        let server = resolve(url).await?;
        if !self.local.config().is_of_family(server) {
            let told =
                format!("devices' addresses must be of the family of the server's, {server}");
            return Err(CliError::Usage(told));
        }
        let speed = self.speed.unwrap_or(scenario.speed).max(1);
        let by_speed = scenario.duration / u32::from(speed);
        Ok(LoadConfig {
            server,
            operator: self.operator(scenario)?,
            speed,
            time_limit: self.time_limit.unwrap_or(by_speed),
            seed: self.seed.unwrap_or(scenario.seed),
            process: match self.server_pid {
                Some(pid) => Some(ServerProcess::new(pid)),
                None => ServerProcess::listening_at(server),
            },
        })
    }

    /// The way to a server of ours: by `--provision`, or by the scenario.
    fn operator(&self, scenario: &Scenario) -> Result<Operator, CliError> {
        let of_scenario = scenario.target.provision.as_deref();
        let Some(url) = self.provision.as_deref().or(of_scenario) else {
            return Ok(Operator::Nobody);
        };
        let url = url.strip_prefix("rest:").unwrap_or(url);
        let Some(path) = &self.token_file else {
            let told = format!("{url} wants a token: give --token-file");
            return Err(CliError::Usage(told));
        };
        if !url.starts_with("http://") {
            let told = format!("{url}: devices are entered over http://HOST:PORT only");
            return Err(CliError::Usage(told));
        }
        Ok(Operator::Rest(Rest::new(url, token(path)?)))
    }
}

fn token(path: &Path) -> Result<String, CliError> {
    let token = fs::read_to_string(path).map_err(|error| CliError::file("read", path, &error))?;
    Ok(token.trim().to_owned())
}

/// Ends the run when somebody does.
fn interrupted() -> Result<impl Future<Output = End>, CliError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        let why = "it was interrupted".to_owned();
        End::DidNotFinish { why }
    })
}

async fn resolve(url: &str) -> Result<SocketAddr, CliError> {
    if url.starts_with("coaps://") {
        let told = "devices do not speak DTLS: give the server a coap:// listener for the run, and its \
                    address here";
        return Err(CliError::Usage(told.to_owned()));
    }
    let Some(authority) = url.strip_prefix("coap://") else {
        return Err(CliError::Usage(format!("{url} is no coap://HOST:PORT")));
    };
    let authority = authority.trim_end_matches('/');
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:{COAP_PORT}")
    };
    let found = tokio::net::lookup_host(&authority).await;
    let mut found = found.map_err(|error| CliError::Failed(format!("{authority}: {error}")))?;
    found
        .next()
        .ok_or_else(|| CliError::Failed(format!("{authority} has no address")))
}
