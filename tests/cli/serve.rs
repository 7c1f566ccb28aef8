//! `serve`: what it listens on, and how it says that it cannot.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use serde_json::{Value, json};

use crate::program::run;
use crate::server::Site;

#[test]
fn the_ready_line_has_the_real_addresses() {
    let site = Site::new();
    let server = site.serve(&["--coap", "127.0.0.1:0"]);
    let (coap, http) = (server.listener("coap"), server.listener("http"));
    assert_eq!(
        server.ready(),
        format!("ready coap={coap} coaps=off http={http} device-http=off device-https=off")
    );
    for address in [coap, http] {
        let address: SocketAddr = address.parse().unwrap();
        assert!(address.ip().is_loopback() && address.port() != 0);
    }
}

#[tokio::test]
async fn the_device_listener_serves_packages_and_nothing_else() {
    let site = Site::new();
    let file = site.path().join("narrowcast.toml");
    // What the file wants is given by a flag.
    std::fs::write(&file, "[update]\ndownload = \"http\"\n").unwrap();
    let file = file.to_str().unwrap();
    let server = site.serve(&["--config", file, "--device-http", "127.0.0.1:0"]);
    let address = server.listener("device-http");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in ["/", "/healthz", "/metrics", "/api/v1/devices", "/fw/"] {
        let url = format!("http://{address}{path}");
        let answer = client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.text().await.unwrap(), "Not Found");
    }
}

#[tokio::test]
async fn nothing_is_heard_that_was_not_asked_for() {
    let site = Site::new();
    let server = site.serve(&[]);
    assert_eq!(server.listener("coap"), "off");
    let api = server.api("");
    assert_eq!(api.get_without_token("/healthz").await.text, "ok\n");
    assert_eq!(api.get_without_token("/readyz").await.text, "ready\n");
}

#[tokio::test]
async fn borders_of_tiers_that_were_set_are_shown_as_such() {
    let site = Site::new();
    let file = site.path().join("narrowcast.toml");
    let settings = "[cells]\nsinr_borders_db = [9, 0, -6]\n[cells.limits]\ntier1 = 7\n";
    std::fs::write(&file, settings).unwrap();
    let file = file.to_str().unwrap();
    let (_server, api) = site.serve_admin(&["--config", file]);
    let shown = api.get("/api/v1/cells/tiers").await.is(200);
    let borders = json!({ "rsrp_dbm": [-105, -115, -125], "sinr_db": [9, 0, -6] });
    assert_eq!(shown["borders"], borders);
    assert_eq!(shown["borders_origin"], "configured");
    assert_eq!(shown["limits"]["1"], 7);
}

#[test]
fn an_address_that_is_none_exits_with_2() {
    let site = Site::new();
    for flag in ["--coap", "--http", "--device-http"] {
        for address in ["nonsense", "127.0.0.1", "127.0.0.1:65536", "999.1.1.1:80"] {
            run(site.path(), &["serve", flag, address])
                .exits(2)
                .says(&[flag, address]);
        }
    }
    assert!(!site.data().exists());
}

#[test]
fn a_port_that_is_taken_is_named() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    run(
        site.path(),
        &["serve", "--data-dir", "data", "--http", &address],
    )
    .exits(1)
    .says(&[&address, "http", "in use"]);

    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = [
        "serve",
        "--data-dir",
        "data",
        "--http",
        "127.0.0.1:0",
        "--coap",
        &address,
    ];
    run(site.path(), &serve)
        .exits(1)
        .says(&[&address, "coap", "in use"]);
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let site = Site::new();
    std::fs::write(site.data(), "a file").unwrap();
    let serve = ["serve", "--data-dir", "data", "--http", "127.0.0.1:0"];
    run(site.path(), &serve)
        .exits(1)
        .says(&["data directory data"]);
}

#[tokio::test]
async fn the_document_is_the_same_from_the_command_and_the_server() {
    let site = Site::new();
    let printed = run(site.path(), &["openapi"]).exits(0);
    assert_eq!(printed.stderr, "");
    let printed: Value = serde_json::from_str(&printed.stdout).unwrap();
    let server = site.serve(&[]);
    let served = server.api("");
    let served = served.get_without_token("/openapi.json").await.is(200);
    assert_eq!(printed, served);
    assert!(served["paths"]["/api/v1/campaigns/{id}/activate"]["post"].is_object());
}

#[tokio::test]
async fn metrics_need_a_token_unless_they_are_public() {
    let site = Site::new();
    let viewer = site.token("grafana", "viewer");
    let server = site.serve(&[]);
    let api = server.api(&viewer);
    api.get_without_token("/metrics")
        .await
        .is_problem(401, "unauthenticated");
    let metrics = api.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(
        metrics
            .text
            .contains("narrowcast_held{what=\"exchanges\"} 0")
    );
    drop(server);

    let public = [("NARROWCAST__METRICS__PUBLIC", "true")];
    let server = site.serve_with(&["--http", "127.0.0.1:0"], &[], &public);
    let api = server.api("");
    assert_eq!(api.get_without_token("/metrics").await.status, 200);
    api.get_without_token("/api/v1/devices")
        .await
        .is_problem(401, "unauthenticated");
}
