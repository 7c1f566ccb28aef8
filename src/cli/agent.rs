//! `narrowcast agent`: a worker under a commander, which is a `narrowcast load` with `--agents`.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::error::CliError;
use super::file;
use super::impair::duration;
use super::load::local::LocalArgs;
use super::output::Output;
use crate::harness::agents::{
    AgentConfig, AgentError, AgentPart, AgentStep, HandshakeError, LinkError, Secret, work,
};
use crate::model::Language;

/// The largest file with a secret, in bytes.
const SECRET_BYTES_MAX: u64 = 4096;

/// What others than the owner may do.
const OTHERS: u32 = 0o077;

/// Run devices for a commander: a `narrowcast load` with `--agents`, here or on another machine.
///
/// It does what the commander says, once, and ends. Its own options say only from where its devices
/// speak.
#[derive(Args, Debug)]
pub(super) struct AgentArgs {
    /// Where the commander listens.
    #[arg(long, value_name = "HOST:PORT")]
    commander: String,
    /// The file with the secret that it shares with the commander: 32 bytes or more, readable by its
    /// owner only.
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// How long a commander is tried that is not there yet.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m")]
    wait: Duration,
    #[command(flatten)]
    local: LocalArgs,
    /// Print what it did as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &AgentArgs, output: &Output) -> Result<(), CliError> {
    let secret = secret(&args.secret_file, output)?;
    super::runtime()?.block_on(agent(args, secret, output))
}

async fn agent(args: &AgentArgs, secret: Secret, output: &Output) -> Result<(), CliError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::failed)?;
    let config = AgentConfig {
        commander: resolve(&args.commander).await?,
        secret,
        wait: args.wait,
        devices: args.local.config(),
    };
    let interrupted = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let (commander, wait) = (config.commander, config.wait);
    let told = &mut |step: AgentStep<'_>| {
        output.message(&match step {
            AgentStep::NotThere(error) => told_of_absence(commander, wait, error, output),
            AgentStep::Joined => told_of_joining(commander, output),
            AgentStep::Prepared(part) => told_of_part(part, output),
            AgentStep::Started => output.pick("the devices begin", "终端开始运行").to_owned(),
        });
    };
    let done = work(config, interrupted, told).await;
    let (part, counts) = done.map_err(|error| CliError::Failed(told_of_agent(&error, output)))?;
    let json = json!({ "part": part, "told": counts });
    let (label, blocks) = match output.language {
        Language::En => ("done: messages", "blocks"),
        Language::Zh => ("完成：消息", "块"),
    };
    output.result(
        &json,
        &format!("{label} {}, {blocks} {}", counts.sent, counts.blocks),
    )
}

/// Reads what commander and agents share.
///
/// # Errors
/// Where it cannot be read, is too short, or others than its owner may read it.
pub(super) fn secret(path: &Path, output: &Output) -> Result<Secret, CliError> {
    let fault = |error| CliError::file("read", path, &error);
    let mut file = file::open(path, SECRET_BYTES_MAX)?;
    let mode = file.metadata().map_err(fault)?.permissions().mode() & 0o777;
    let path_shown = path.display();
    if mode & OTHERS != 0 {
        return Err(CliError::Failed(match output.language {
            Language::En => format!(
                "{path_shown} has mode {mode:04o}: others may read the secret; chmod 0600 it"
            ),
            Language::Zh => {
                format!("{path_shown} 的权限为 {mode:04o}：其他用户可以读取密钥；请执行 chmod 0600")
            }
        }));
    }
    let mut content = Zeroizing::new(Vec::new());
    file.read_to_end(&mut content).map_err(fault)?;
    Secret::new(&content).map_err(|error| {
        CliError::Failed(match output.language {
            Language::En => format!("{path_shown}: {error}"),
            Language::Zh => format!(
                "{path_shown}：密钥只有 {} 字节，至少需要 32 字节",
                error.bytes
            ),
        })
    })
}

/// Why a connection between commander and agent ended, or never began.
pub(super) fn told_of_link(error: &LinkError, output: &Output) -> String {
    if output.language == Language::En {
        return error.to_string();
    }
    match error {
        LinkError::Handshake(HandshakeError::Version { ours, theirs }) => {
            format!("本机为 narrowcast {ours}，对方为 {theirs}：请使用同一版本")
        }
        LinkError::Handshake(HandshakeError::Secret) => {
            "对方的密钥不同：请让双方使用同一密钥文件".to_owned()
        }
        LinkError::Handshake(HandshakeError::NotOurs) => {
            "对方不是 narrowcast 的代理或指挥端".to_owned()
        }
        LinkError::Closed => "连接已关闭".to_owned(),
        LinkError::Silent => "对方没有响应".to_owned(),
        LinkError::NoMessage => "对方的消息无法识别".to_owned(),
        LinkError::Frame(_) => "传输的数据被改动".to_owned(),
        LinkError::Io(error) => error.to_string(),
    }
}

fn told_of_agent(error: &AgentError, output: &Output) -> String {
    if output.language == Language::En {
        return error.to_string();
    }
    match error {
        AgentError::Unreachable {
            address,
            wait,
            error,
        } => format!("{} 秒内无法连接指挥端 {address}：{error}", wait.as_secs()),
        AgentError::Link(error) => format!("指挥端：{}", told_of_link(error, output)),
        AgentError::NotNeeded => "指挥端的代理已足够".to_owned(),
        AgentError::GivenUp(why) => format!("指挥端已放弃此代理：{why}"),
        AgentError::Interrupted => "已被中断".to_owned(),
        AgentError::Part(why) => why.clone(),
    }
}

fn told_of_absence(
    commander: SocketAddr,
    wait: Duration,
    error: &io::Error,
    output: &Output,
) -> String {
    let wait = wait.as_secs();
    match output.language {
        Language::En => {
            format!("no commander at {commander} yet ({error}); it is tried for {wait} s")
        }
        Language::Zh => format!("指挥端 {commander} 尚未就绪（{error}）；将在 {wait} 秒内重试"),
    }
}

fn told_of_joining(commander: SocketAddr, output: &Output) -> String {
    match output.language {
        Language::En => format!("joined {commander}; it begins once all its agents are there"),
        Language::Zh => format!("已加入 {commander}；全部代理到齐后开始"),
    }
}

fn told_of_part(part: AgentPart, output: &Output) -> String {
    let AgentPart {
        agent,
        agents,
        devices,
        cells,
    } = part;
    match output.language {
        Language::En => format!("agent {agent} of {agents}: {devices} devices in {cells} cell(s)"),
        Language::Zh => format!("代理 {agent}/{agents}：{cells} 个小区，{devices} 个终端"),
    }
}

async fn resolve(commander: &str) -> Result<SocketAddr, CliError> {
    let found = tokio::net::lookup_host(commander).await;
    let mut found = found.map_err(|error| CliError::Failed(format!("{commander}: {error}")))?;
    let address = found.next();
    address.ok_or_else(|| CliError::Failed(format!("{commander} has no address")))
}
