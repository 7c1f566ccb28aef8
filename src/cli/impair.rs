//! `narrowcast impair`: a UDP proxy with a bad path in it.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::error::CliError;
use super::output::Output;
use crate::clock::SystemClock;
use crate::harness::{Proxy, ProxyConfig, ProxyCounters};
use crate::net::{BitRate, Cut, Impairment, Jitter, NatMapping, OneWay, PassCounters, Probability};

/// How often the counters are shown meanwhile.
const SHOWN_EVERY: Duration = Duration::from_secs(10);

/// Put a bad path between devices and a server: lossy, slow, rebinding, cut off.
///
/// Each client address has a path of its own. Options without `up-` or `down-` hold in both directions.
#[derive(Args, Debug)]
pub(super) struct ImpairArgs {
    /// Where devices send to instead of the server.
    #[arg(value_name = "LISTEN")]
    listen: SocketAddr,
    /// The server.
    #[arg(value_name = "TARGET")]
    target: SocketAddr,
    /// The NAT forgets a client that sent nothing for so long: it gets another address.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    nat_timeout: Option<Duration>,
    /// Each client gets another address that often.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    rebind_every: Option<Duration>,
    /// Nothing passes for a time that begins so long after the client was first heard. May be given
    /// several times.
    #[arg(long, value_name = "AFTER:TIME")]
    cut: Vec<Cut>,
    /// What chance decides: the same clients in the same order meet the same.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many clients there may be at once.
    #[arg(long, value_name = "N", default_value = "1000")]
    clients_max: NonZeroU32,
    /// How much may be under way at once, in MiB; what is more is lost.
    #[arg(long, value_name = "MIB", default_value = "64")]
    under_way_max: NonZeroU32,
    /// Print the counters as JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    both: BothWays,
    #[command(flatten)]
    up: Uplink,
    #[command(flatten)]
    down: Downlink,
}

/// The options of one direction, by the prefix of their names.
macro_rules! one_way_options {
    ($name:ident, $prefix:literal, $heading:literal) => {
        #[derive(Args, Debug)]
        #[command(next_help_heading = $heading)]
        struct $name {
            /// Of all datagrams so many do not arrive, such as 10%.
            #[arg(id = concat!($prefix, "loss"), long = concat!($prefix, "loss"), value_name = "PART")]
            loss: Option<Probability>,
            /// So many arrive twice.
            #[arg(
                id = concat!($prefix, "duplicate"),
                long = concat!($prefix, "duplicate"),
                value_name = "PART"
            )]
            duplicate: Option<Probability>,
            /// So many are held back for 100 ms, and overtaken.
            #[arg(id = concat!($prefix, "reorder"), long = concat!($prefix, "reorder"), value_name = "PART")]
            reorder: Option<Probability>,
            /// So many arrive with a bit turned over.
            #[arg(id = concat!($prefix, "corrupt"), long = concat!($prefix, "corrupt"), value_name = "PART")]
            corrupt: Option<Probability>,
            /// How long each is under way.
            #[arg(
                id = concat!($prefix, "delay"),
                long = concat!($prefix, "delay"),
                value_name = "TIME",
                value_parser = duration
            )]
            delay: Option<Duration>,
            /// By how much that differs: 50ms, normal:50ms, or lognormal:500ms,2s (median, 95 %).
            #[arg(id = concat!($prefix, "jitter"), long = concat!($prefix, "jitter"), value_name = "TIME")]
            jitter: Option<Jitter>,
            /// What the slowest link brings across, such as 20kbit.
            #[arg(id = concat!($prefix, "rate"), long = concat!($prefix, "rate"), value_name = "RATE")]
            rate: Option<BitRate>,
            /// What waits before that link at most (default 65536).
            #[arg(id = concat!($prefix, "queue"), long = concat!($prefix, "queue"), value_name = "BYTES")]
            queue: Option<u32>,
            /// The largest IP packet that passes.
            #[arg(id = concat!($prefix, "mtu"), long = concat!($prefix, "mtu"), value_name = "BYTES")]
            mtu: Option<u16>,
        }

        impl $name {
            /// What these options say, and the rest as it was.
            fn over(&self, way: OneWay) -> OneWay {
                OneWay {
                    loss: self.loss.unwrap_or(way.loss),
                    duplicate: self.duplicate.unwrap_or(way.duplicate),
                    reorder: self.reorder.unwrap_or(way.reorder),
                    corrupt: self.corrupt.unwrap_or(way.corrupt),
                    delay: self.delay.unwrap_or(way.delay),
                    jitter: self.jitter.or(way.jitter),
                    rate: self.rate.or(way.rate),
                    queue_bytes: self.queue.unwrap_or(way.queue_bytes),
                    mtu_bytes: self.mtu.or(way.mtu_bytes),
                    ..way
                }
            }
        }
    };
}

one_way_options!(BothWays, "", "Both directions");
one_way_options!(Uplink, "up-", "To the server");
one_way_options!(Downlink, "down-", "To the devices");

pub(super) fn run(args: &ImpairArgs, output: &Output) -> Result<(), CliError> {
    super::runtime()?.block_on(proxy(args, output))
}

async fn proxy(args: &ImpairArgs, output: &Output) -> Result<(), CliError> {
    // Before the ready line: who waits for it may end the proxy at once.
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::failed)?;
    let mut proxy = Proxy::bind(args.config(), SystemClock::new()).map_err(CliError::failed)?;
    output.message(&format!(
        "ready listen={} target={}",
        proxy.local_address(),
        args.target
    ));
    let mut shown = tokio::time::interval(SHOWN_EVERY);
    shown.set_missed_tick_behavior(MissedTickBehavior::Delay);
    shown.tick().await;
    let mut ended = false;
    while !ended {
        let pause = async {
            tokio::select! {
                _ = shown.tick() => {}
                _ = terminate.recv() => ended = true,
                _ = interrupt.recv() => ended = true,
            }
        };
        proxy.run_until(pause).await.map_err(CliError::failed)?;
        if !ended {
            output.message(&line(&proxy.counters(), output));
        }
    }
    let counters = proxy.counters();
    output.result(&json!(counters), &line(&counters, output))
}

impl ImpairArgs {
    fn config(&self) -> ProxyConfig {
        let both = self.both.over(OneWay::default());
        ProxyConfig {
            listen: self.listen,
            target: self.target,
            impairment: Impairment {
                uplink: self.up.over(both),
                downlink: self.down.over(both),
                nat: NatMapping {
                    timeout: self.nat_timeout,
                    rebind_every: self.rebind_every,
                },
                cuts: self.cut.clone(),
            },
            clients_max: self.clients_max.get() as usize,
            under_way_bytes_max: self.under_way_max.get() as usize * 1024 * 1024,
            seed: self.seed,
        }
    }
}

/// The counters on one line; what is nought is left out.
fn line(counters: &ProxyCounters, output: &Output) -> String {
    let mut words = vec![format!(
        "{} {}",
        output.pick("clients", "客户端"),
        counters.clients
    )];
    let whole = [
        (output.pick("refused", "拒绝"), counters.refused),
        (output.pick("overflowed", "溢出"), counters.overflowed),
        (output.pick("unsent", "未发出"), counters.unsent),
        (output.pick("rebinds", "换址"), counters.rebinds),
    ];
    words.extend(shown_counters(&whole));
    for (name, way) in [
        (output.pick("up", "上行"), &counters.uplink),
        (output.pick("down", "下行"), &counters.downlink),
    ] {
        words.push(format!("{name} {}", way_line(way, output)));
    }
    words.join(", ")
}

fn way_line(way: &PassCounters, output: &Output) -> String {
    let counters = [
        (output.pick("lost", "丢失"), way.lost),
        (output.pick("cut", "中断"), way.cut),
        (output.pick("too large", "过大"), way.too_large),
        (output.pick("queue full", "队列满"), way.queue_full),
        (output.pick("unmapped", "无映射"), way.unmapped),
        (output.pick("duplicated", "重复"), way.duplicated),
        (output.pick("reordered", "乱序"), way.reordered),
        (output.pick("corrupted", "损坏"), way.corrupted),
    ];
    let mut words = vec![format!("{} → {}", way.sent, way.delivered)];
    words.extend(shown_counters(&counters));
    words.join(" ")
}

fn shown_counters(counters: &[(&str, u64)]) -> Vec<String> {
    counters
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect()
}

/// `90s`, `10m`, `2h`.
pub(super) fn duration(
    text: &str,
) -> Result<Duration, humantime_serde::re::humantime::DurationError> {
    humantime_serde::re::humantime::parse_duration(text)
}
