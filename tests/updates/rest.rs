//! The REST interface as a script would use it.

use std::net::SocketAddr;
use std::time::Duration;

use narrowcast::clock::SystemClock;
use reqwest::RequestBuilder;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::firmware::{Firmware, PUBLIC_PEM};
use crate::server::Server;

pub(crate) const MANUFACTURER: &str = "Acme";
pub(crate) const MODEL: &str = "NB-1";
pub(crate) const DEVICE_TYPE: &str = "WaterMeter";
pub(crate) const TARGET_VERSION: &str = "2.0.0";

/// How often something is looked at that will come.
pub(crate) const POLL: Duration = Duration::from_millis(50);

#[derive(Clone, Debug)]
pub(crate) struct Rest {
    client: reqwest::Client,
    server: SocketAddr,
    token: String,
}

impl Rest {
    pub(crate) fn new(server: SocketAddr, token: String) -> Self {
        // A connection that is kept would be dead after a kill.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0);
        Self {
            client: client.no_proxy().build().unwrap(),
            server,
            token,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send(self.client.get(self.url(path))).await
    }

    /// The same of a server that may be dead or dying.
    pub(crate) async fn try_get(&self, path: &str) -> Option<Value> {
        let request = self.client.get(self.url(path)).bearer_auth(&self.token);
        request.send().await.ok()?.json().await.ok()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        self.send(self.client.post(self.url(path)).json(body)).await
    }

    /// The status and the body, whatever they are.
    pub(crate) async fn answer_to_post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(self.url(path)).json(body);
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The status and the body of a GET, whatever they are.
    pub(crate) async fn answer_to_get(&self, path: &str) -> (u16, Value) {
        let request = self.client.get(self.url(path)).bearer_auth(&self.token);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// A PUT to a server that dies of it.
    pub(crate) async fn try_put(&self, path: &str, body: &Value) -> Option<Value> {
        let request = self.client.put(self.url(path)).json(body);
        let answer = request.bearer_auth(&self.token).send().await.ok()?;
        answer.json().await.ok()
    }

    /// The same of a PUT.
    pub(crate) async fn answer_to_put(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.put(self.url(path)).json(body);
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Value {
        self.send(self.client.patch(self.url(path)).json(body))
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Value {
        self.send(self.client.put(self.url(path)).json(body)).await
    }

    /// The status and the body, whatever they are.
    pub(crate) async fn answer_to_delete(&self, path: &str) -> (u16, String) {
        let request = self.client.delete(self.url(path));
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The metrics' value whose line begins with `name`.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let request = self.client.get(format!("http://{}/metrics", self.server));
        let text = self.text(request).await;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {name} in\n{text}"))
    }

    /// Whether the metrics have this line.
    pub(crate) async fn has_metric(&self, name: &str, value: f64) -> bool {
        let request = self.client.get(format!("http://{}/metrics", self.server));
        let text = self.text(request).await;
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
        values.any(|found| found.trim().parse() == Ok(value))
    }

    /// Enters the manufacturer's key and uploads the package; answers its number.
    pub(crate) async fn upload(&self, firmware: &Firmware) -> u64 {
        let key = json!({ "manufacturer": MANUFACTURER, "public_key_pem": PUBLIC_PEM });
        self.post("/keys", &key).await;
        let archive = Part::bytes(firmware.archive.clone()).file_name("firmware_signed.zip");
        let form = Form::new()
            .part("file", archive)
            .text("manufacturer", MANUFACTURER)
            .text("model", MODEL)
            .text("device_type", DEVICE_TYPE)
            .text("protocol", "LWM2M")
            .text("version", TARGET_VERSION);
        let package = self
            .send(self.client.post(self.url("/packages")).multipart(form))
            .await;
        assert_eq!(package["sha256"], firmware.sha256().to_string());
        number(&package)
    }

    pub(crate) async fn enter(&self, endpoint: &str) {
        let device = json!({
            "endpoint": endpoint,
            "manufacturer": MANUFACTURER,
            "model": MODEL,
            "device_type": DEVICE_TYPE,
        });
        self.post("/devices", &device).await;
    }

    /// Puts the devices into a group of their own and activates a campaign for it.
    pub(crate) async fn run_campaign(
        &self,
        package: u64,
        endpoints: &[&str],
        retries_max: u8,
    ) -> u64 {
        let name = format!("{} devices", endpoints.len());
        let group = number(&self.post("/groups", &json!({ "name": name })).await);
        let bind = json!({ "devices": endpoints });
        self.post(&format!("/groups/{group}/devices"), &bind).await;
        let campaign = json!({
            "name": name,
            "package_id": package,
            "targets": { "groups": [group] },
            "retry": { "retries_max": retries_max, "delay_seconds": 1 },
        });
        let id = number(&self.post("/campaigns", &campaign).await);
        self.post(&format!("/campaigns/{id}/activate"), &json!({}))
            .await;
        id
    }

    pub(crate) async fn tasks(&self, campaign: u64) -> Vec<Value> {
        let path = format!("/campaigns/{campaign}/tasks?limit=1000");
        self.get(&path).await.as_array().unwrap().clone()
    }

    /// The steps of a device's history, the oldest first.
    pub(crate) async fn steps(&self, endpoint: &str) -> Vec<String> {
        let path = format!("/devices/{endpoint}/timeline?limit=1000");
        let timeline = self.get(&path).await;
        let steps = timeline.as_array().unwrap().iter().rev();
        steps.map(|line| text(&line["step"]).to_owned()).collect()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.server)
    }

    async fn send(&self, request: RequestBuilder) -> Value {
        serde_json::from_str(&self.text(request).await).unwrap()
    }

    async fn text(&self, request: RequestBuilder) -> String {
        let response = request.bearer_auth(&self.token).send().await.unwrap();
        let (status, url) = (response.status(), response.url().clone());
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{url}: {status} {text}");
        text
    }
}

impl Server {
    /// Waits for a campaign's end; answers its state and its tasks.
    pub(crate) async fn end_of(&self, campaign: u64, within: Duration) -> (String, Vec<Value>) {
        let rest = self.rest();
        let (path, clock) = (format!("/campaigns/{campaign}"), SystemClock::new());
        loop {
            let state = text(&rest.get(&path).await["state"]).to_owned();
            if matches!(state.as_str(), "succeeded" | "failed" | "stopped") {
                return (state, rest.tasks(campaign).await);
            }
            if clock.now().instant.since_origin() > within {
                let report = self.report(campaign).await;
                panic!("campaign {campaign} is still {state} after {within:?}\n{report}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits for the end of a campaign of one device; answers its task.
    pub(crate) async fn end_of_one(&self, campaign: u64, within: Duration) -> Value {
        let (state, tasks) = self.end_of(campaign, within).await;
        assert_eq!(tasks.len(), 1, "{tasks:#?}");
        let task = tasks[0].clone();
        assert_eq!(task["state"], state.as_str(), "{task:#}");
        assert_eq!(task["phase"], "done", "{task:#}");
        task
    }

    /// What there is to look at where a test fails: unfinished and failed tasks, the history of the
    /// first of their devices, the log.
    pub(crate) async fn report(&self, campaign: u64) -> String {
        let rest = self.rest();
        let tasks = rest.tasks(campaign).await;
        let odd: Vec<_> = tasks
            .iter()
            .filter(|task| task["state"] != "succeeded")
            .collect();
        let timeline = match odd.first() {
            Some(task) => {
                let endpoint = text(&task["endpoint"]);
                rest.get(&format!("/devices/{endpoint}/timeline?limit=1000"))
                    .await
            }
            None => Value::Null,
        };
        format!(
            "tasks: {}\ntimeline of the first, newest first: {timeline:#}\nlog:\n{}",
            serde_json::to_string_pretty(&odd).unwrap(),
            self.log()
        )
    }
}

pub(crate) fn number(value: &Value) -> u64 {
    value["id"]
        .as_u64()
        .unwrap_or_else(|| panic!("no number in {value}"))
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}
