//! The demo's REST calls: the same requests that a script would make.

use std::net::SocketAddr;

use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, header};
use serde_json::Value;

use super::plan::{DEVICE_TYPE, MANUFACTURER, MODEL, TARGET_VERSION};
use crate::cli::error::CliError;

#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    pub(super) fn new(server: SocketAddr, token: String) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: format!("http://{server}/api/v1"),
            token,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, CliError> {
        self.send(self.http.get(self.url(path))).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.send(self.http.post(self.url(path)).json(body)).await
    }

    pub(super) async fn import(&self, csv: String) -> Result<Value, CliError> {
        let request = self.http.post(self.url("/devices/import"));
        self.send(request.header(header::CONTENT_TYPE, "text/csv").body(csv))
            .await
    }

    pub(super) async fn upload(&self, archive: Vec<u8>) -> Result<Value, CliError> {
        let form = Form::new()
            .part(
                "file",
                Part::bytes(archive).file_name("firmware_signed.zip"),
            )
            .text("manufacturer", MANUFACTURER)
            .text("model", MODEL)
            .text("device_type", DEVICE_TYPE)
            .text("protocol", "LWM2M")
            .text("version", TARGET_VERSION);
        self.send(self.http.post(self.url("/packages")).multipart(form))
            .await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, CliError> {
        let response = request
            .bearer_auth(&self.token)
            .send()
            .await
            .map_err(CliError::failed)?;
        let status = response.status();
        let text = response.text().await.map_err(CliError::failed)?;
        if !status.is_success() {
            return Err(CliError::Failed(format!("{status}: {text}")));
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(CliError::failed)
    }
}
