//! `narrowcast demo`: the main job on this machine, with nothing to prepare.
//!
//! 1. A server on free loopback ports, in a temporary folder.
//! 2. A fresh key pair, an image, a signed package, uploaded over REST.
//! 3. Devices in several cells and tiers, on real UDP sockets; they register.
//! 4. One campaign to its end.
//! 5. A table, by the devices' own log.

mod client;
mod plan;
mod report;

use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use rand::RngCore;
use rand::rngs::OsRng;
use serde_json::{Value, json};

use super::error::CliError;
use super::output::Output;
use crate::clock::SystemClock;
use crate::config::{Config, PresetConfig};
use crate::http::{Role, new_token};
use crate::model::{AuditActor, AuditStamp, Sha256Digest};
use crate::server::{STORE_FILE, Server, install_metrics, open_data_dir};
use crate::signing::{KEY_BITS_DEFAULT, PackageLimits, PrivateKey, sign, zip_firmware};
use crate::sim::log::DeviceEvent;
use crate::sim::{AtRest, Fleet, Judge, Limits};
use crate::store::{SqliteStore, Store};

use client::Client;
use plan::{MANUFACTURER, MODEL, Plan, TARGET_VERSION};
use report::Report;

/// The size of the demo's image.
const IMAGE_BYTES: usize = 64 * 1024;

/// How long the demo may take before it is called stuck.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often the campaign is looked at.
const POLL: Duration = Duration::from_millis(500);

/// How often a line of progress is printed where there is no terminal.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);

/// Update simulated devices through a real server, on this machine alone.
#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// How many devices.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    devices: u32,
    /// Leave the server running afterwards, and print its addresses and a token.
    #[arg(long)]
    keep: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &DemoArgs, output: &Output) -> Result<(), CliError> {
    super::runtime()?.block_on(demo(args, output))
}

async fn demo(args: &DemoArgs, output: &Output) -> Result<(), CliError> {
    let folder = tempfile::tempdir().map_err(CliError::failed)?;
    let clock = SystemClock::new();
    let begun = clock.now().instant;
    let config = configure(folder.path());
    let token = make_token(folder.path(), &clock).await?;
    let server = Server::start(&config, install_metrics().map_err(CliError::failed)?)
        .await
        .map_err(CliError::failed)?;
    let listening = server.listening();
    let coap = listening
        .coap
        .ok_or_else(|| CliError::Failed("no CoAP listener".to_owned()))?;
    let client = Client::new(listening.http, token.clone());
    output.message(&format!("server: coap://{coap}, http://{}", listening.http));

    let plan = Plan::new(args.devices, coap);
    let (package, image) = upload_package(&client, output).await?;
    let group = enter_devices(&client, &plan).await?;
    let fleet = Fleet::start(plan.devices(), clock, 1).map_err(CliError::failed)?;
    wait_registered(&fleet, plan.len()).await?;
    output.message(&format!("{} devices are registered", plan.len()));

    let campaign = start_campaign(&client, package, group).await?;
    let summary = watch(&client, campaign, &clock, output).await?;
    let mut judge = Judge::new(Limits {
        tiers: plan.limits(),
        at_rest: AtRest::Active,
        image,
        classes: plan.classes().to_vec(),
    });
    for line in fleet.log() {
        judge.read(&line);
    }
    let seconds = (clock.now().instant - begun).as_secs_f64();
    let report = Report::new(
        &summary,
        judge.verdict(),
        plan.classes(),
        fleet.running(),
        seconds,
    );
    output.result(&report.json(), &report.text())?;
    if args.keep {
        keep(server, &token, output).await?;
    } else {
        drop(fleet);
        server.stop().await.map_err(CliError::failed)?;
    }
    report.verdict().map_err(CliError::Failed)
}

/// Short times: the devices are on this machine.
fn configure(folder: &Path) -> Config {
    let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config {
        data_dir: folder.to_owned(),
        ..Config::default()
    };
    config.coap.listen = Some(free_port);
    config.coap.transmission = PresetConfig::Loopback;
    config.http.listen = free_port;
    config.update.contact_timeout = Duration::from_secs(120);
    config.update.read_timeout = Duration::from_secs(30);
    config.update.download_stall_timeout = Duration::from_secs(30);
    config.update.silence_before_result_read = Duration::from_secs(5);
    config.update.result_timeout = Duration::from_secs(60);
    config.update.version_settle = Duration::from_secs(2);
    config.update.quarantine = Duration::from_secs(5);
    config
}

async fn make_token(folder: &Path, clock: &SystemClock) -> Result<String, CliError> {
    open_data_dir(folder).map_err(CliError::failed)?;
    let store = SqliteStore::open_beside(&folder.join(STORE_FILE))
        .await
        .map_err(CliError::failed)?;
    let at = clock.now().utc;
    let token = new_token("demo", Role::Admin, at);
    let actor = AuditActor::cli();
    let added = store.add_token(token.stored, AuditStamp { at, actor });
    let added = added.await;
    store.close().await;
    added.map_err(CliError::failed)?;
    Ok(token.text)
}

/// Makes a key pair and an image, signs, uploads. Answers the package's number and the image's hash.
async fn upload_package(
    client: &Client,
    output: &Output,
) -> Result<(Value, Sha256Digest), CliError> {
    let made = tokio::task::spawn_blocking(|| -> Result<_, CliError> {
        let mut image = vec![0; IMAGE_BYTES];
        OsRng.fill_bytes(&mut image);
        let key = PrivateKey::generate(KEY_BITS_DEFAULT, &mut OsRng)?;
        let limits = PackageLimits::default();
        let inner = zip_firmware("firmware.bin", &image, None, &limits)?;
        let signed = sign("firmware", &inner, &key, &limits, &mut OsRng)?;
        let digest = <sha2::Sha256 as sha2::Digest>::digest(&image);
        Ok((
            key.public_key().to_pem()?,
            signed,
            Sha256Digest(digest.into()),
        ))
    });
    let (public_pem, signed, digest) = made.await.map_err(CliError::failed)??;
    let key = json!({ "manufacturer": MANUFACTURER, "public_key_pem": public_pem });
    client.post("/keys", &key).await?;
    let package = client.upload(signed).await?;
    output.message(&format!("package {} uploaded and verified", package["id"]));
    Ok((package["id"].clone(), digest))
}

/// Enters the devices and puts them into one group; answers its number.
async fn enter_devices(client: &Client, plan: &Plan) -> Result<Value, CliError> {
    client.import(plan.csv()).await?;
    let group = client.post("/groups", &json!({ "name": "demo" })).await?;
    let path = format!("/groups/{}/devices", group["id"]);
    client
        .post(&path, &json!({ "devices": plan.endpoints() }))
        .await?;
    Ok(group["id"].clone())
}

async fn wait_registered(fleet: &Fleet, devices: usize) -> Result<(), CliError> {
    let registered = async {
        loop {
            let log = fleet.log();
            let count = log
                .iter()
                .filter(|line| line.event == DeviceEvent::Registered)
                .count();
            if count >= devices {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, registered)
        .await
        .map_err(|_| CliError::Failed("not all devices registered".to_owned()))
}

async fn start_campaign(client: &Client, package: Value, group: Value) -> Result<Value, CliError> {
    let campaign = json!({
        "name": format!("demo to {MODEL} {TARGET_VERSION}"),
        "package_id": package,
        "targets": { "groups": [group] },
        "retry": { "retries_max": 2, "delay_seconds": 1 },
    });
    let campaign = client.post("/campaigns", &campaign).await?;
    client
        .post(
            &format!("/campaigns/{}/activate", campaign["id"]),
            &json!({}),
        )
        .await?;
    Ok(campaign["id"].clone())
}

/// Looks at the campaign until it ends, and says how it goes.
async fn watch(
    client: &Client,
    campaign: Value,
    clock: &SystemClock,
    output: &Output,
) -> Result<Value, CliError> {
    let begun = clock.now().instant;
    let terminal = std::io::stderr().is_terminal();
    let mut said = begun;
    loop {
        let summary = client.get(&format!("/campaigns/{campaign}")).await?;
        let now = clock.now().instant;
        let state = summary["state"].as_str().unwrap_or_default();
        let done = matches!(state, "succeeded" | "failed" | "stopped");
        if terminal || done || now - said >= PLAIN_LINE_EVERY {
            said = now;
            let counts = &summary["counts"];
            output.message(&format!(
                "{:5.1} s  {state}: {} pending, {} running, {} succeeded, {} failed",
                (now - begun).as_secs_f64(),
                counts["pending"],
                counts["running"],
                counts["succeeded"],
                counts["failed"],
            ));
        }
        if done {
            return Ok(summary);
        }
        if now - begun > PATIENCE {
            return Err(CliError::Failed(format!(
                "the campaign is still {state}: {summary}"
            )));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn keep(server: Server, token: &str, output: &Output) -> Result<(), CliError> {
    output.line(&super::serve::ready_line(server.listening()))?;
    output.line(&format!("token {token}"))?;
    output.message("press Ctrl-C to end");
    let interrupted = async {
        // Without a signal to wait for there is nothing to keep it running for.
        drop(tokio::signal::ctrl_c().await);
    };
    server
        .run_until(interrupted)
        .await
        .map_err(CliError::failed)
}
