//! A run whose devices are with agents.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::local::LocalArgs;
use crate::cli::agent::{secret, told_of_link};
use crate::cli::error::CliError;
use crate::cli::impair::duration;
use crate::cli::output::Output;
use crate::harness::agents::{
    AGENTS_MAX, Arrival, Commander, CommanderError, Order, RemoteDevices, Secret,
};
use crate::harness::load::LoadConfig;
use crate::harness::scenario::Scenario;
use crate::model::Language;

/// Refusals that are told one by one; of those after them each tenfold is.
const REFUSALS_TOLD: u64 = 10;

/// Options of a commander.
#[derive(Args, Debug)]
pub(super) struct AgentsArgs {
    /// Have so many agents run the devices, each those of some cells (`narrowcast agent`).
    #[arg(
        long,
        value_name = "N",
        requires_all = ["listen", "secret_file"],
        conflicts_with_all = LocalArgs::NAMES,
        value_parser = agents
    )]
    agents: Option<usize>,
    /// Where agents come to.
    #[arg(long, value_name = "IP:PORT", requires = "agents")]
    listen: Option<SocketAddr>,
    /// The file with the secret that agents and commander share: 32 bytes or more, readable by its owner
    /// only.
    #[arg(long, value_name = "FILE", requires = "agents")]
    secret_file: Option<PathBuf>,
    /// How long agents are waited for.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m")]
    agents_wait: Duration,
}

/// Where agents are gathered.
#[derive(Debug)]
pub(super) struct Gathering {
    agents: usize,
    listen: SocketAddr,
    secret: Secret,
    wait: Duration,
}

impl AgentsArgs {
    /// What was asked for, where it was.
    pub(super) fn commander(&self, output: &Output) -> Result<Option<Gathering>, CliError> {
        let (Some(agents), Some(listen), Some(file)) =
            (self.agents, self.listen, &self.secret_file)
        else {
            return Ok(None);
        };
        Ok(Some(Gathering {
            agents,
            listen,
            secret: secret(file, output)?,
            wait: self.agents_wait,
        }))
    }
}

impl Gathering {
    /// Waits for the agents, and gives each its part.
    pub(super) async fn gather(
        self,
        scenario: &Scenario,
        config: &LoadConfig,
        output: &Output,
    ) -> Result<RemoteDevices, CliError> {
        let failed = |error| CliError::Failed(told_of_commander(&error, output));
        let commander = Commander::listen(self.listen, self.secret).await;
        let commander = commander.map_err(failed)?;
        let (listen, agents) = (commander.local_address(), self.agents);
        output.message(&format!("ready listen={listen} agents={agents}"));
        let order = Order {
            scenario,
            server: config.server,
            seed: config.seed,
            speed: config.speed,
            follows_uris: config.operator.lets_follow_uris(),
        };
        let told = &mut |arrival| {
            if let Some(told) = told_of_arrival(&arrival, agents, output) {
                output.message(&told);
            }
        };
        let devices = commander.gather(agents, self.wait, &order, told).await;
        devices.map_err(failed)
    }
}

fn agents(text: &str) -> Result<usize, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (1..=AGENTS_MAX).contains(number));
    number.ok_or_else(|| format!("1 to {AGENTS_MAX}"))
}

/// A line for whoever watches; none where many are alike.
fn told_of_arrival(arrival: &Arrival, agents: usize, output: &Output) -> Option<String> {
    let is_zh = output.language == Language::Zh;
    Some(match arrival {
        Arrival::Joined { address, here } if is_zh => {
            format!("代理 {address} 已加入：{here}/{agents}")
        }
        Arrival::Joined { address, here } => {
            format!("an agent came from {address}: {here} of {agents}")
        }
        Arrival::Left { address, here } if is_zh => {
            format!("代理 {address} 已离开：{here}/{agents}")
        }
        Arrival::Left { address, here } => {
            format!("the agent from {address} went: {here} of {agents}")
        }
        Arrival::Refused { refused, .. }
            if *refused > REFUSALS_TOLD && !refused.is_multiple_of(REFUSALS_TOLD) =>
        {
            return None;
        }
        Arrival::Refused {
            address,
            why,
            refused,
        } => {
            let why = told_of_link(why, output);
            let refused_word = output.pick("refused", "拒绝");
            format!("{refused_word} {refused}: {address}: {why}")
        }
        Arrival::Ready {
            agent,
            address,
            devices,
            cells,
        } if is_zh => {
            format!("代理 {agent}（{address}）就绪：{cells} 个小区，{devices} 个终端")
        }
        Arrival::Ready {
            agent,
            address,
            devices,
            cells,
        } => {
            format!("agent {agent} ({address}) is ready: {devices} devices in {cells} cell(s)")
        }
    })
}

fn told_of_commander(error: &CommanderError, output: &Output) -> String {
    if output.language == Language::En {
        return error.to_string();
    }
    match error {
        CommanderError::Listen { address, error } => format!("无法监听 {address}：{error}"),
        CommanderError::TooFewCells { agents, cells } => format!(
            "同一小区的终端由同一代理运行，同时活动的数目才准确：{agents} 个代理至少需要 {agents} 个小区，\
             场景只有 {cells} 个"
        ),
        CommanderError::Missing { here, agents, wait } => {
            format!("{} 秒内只来了 {here}/{agents} 个代理", wait.as_secs())
        }
        CommanderError::Lost {
            agent,
            address,
            why,
        } => {
            let why = told_of_link(why, output);
            format!("代理 {agent}（{address}）在开始前丢失：{why}")
        }
        CommanderError::Failed {
            agent,
            address,
            why,
        } => format!("代理 {agent}（{address}）无法开始：{why}"),
    }
}
