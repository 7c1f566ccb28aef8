//! The REST interface of a server of ours, as a script would use it.

use std::fmt;
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, StatusCode, header};
use serde_json::Value;

/// How long a request may take: a campaign of tens of thousands of devices is made in one.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// There was no answer.
    #[error("{0}")]
    Unanswered(#[from] reqwest::Error),
    /// The server said no.
    #[error("{status}: {problem}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The body, a problem of RFC 9457.
        problem: String,
    },
    /// The answer is no JSON.
    #[error("the answer is no JSON: {0}")]
    NoJson(#[from] serde_json::Error),
}

impl RestError {
    /// The status of an answer that says no.
    pub const fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Unanswered(_) | Self::NoJson(_) => None,
        }
    }
}

/// Requests with a token.
pub struct Rest {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl fmt::Debug for Rest {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Rest {
    /// To `http://HOST:PORT`.
    pub fn new(server: &str, token: String) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: format!("{}/api/v1", server.trim_end_matches('/')),
            token,
        }
    }

    /// # Errors
    /// Where the answer is not a success.
    pub async fn get(&self, path: &str) -> Result<Value, RestError> {
        self.send(self.http.get(self.url(path))).await
    }

    /// # Errors
    /// Where the answer is not a success.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, RestError> {
        self.send(self.http.post(self.url(path)).json(body)).await
    }

    /// # Errors
    /// Where the answer is not a success.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value, RestError> {
        self.send(self.http.patch(self.url(path)).json(body)).await
    }

    /// Enters devices, as CSV.
    ///
    /// # Errors
    /// Where the answer is not a success.
    pub async fn import(&self, csv: String) -> Result<Value, RestError> {
        let request = self.http.post(self.url("/devices/import"));
        self.send(request.header(header::CONTENT_TYPE, "text/csv").body(csv))
            .await
    }

    /// Uploads a signed package for these fields of the form.
    ///
    /// # Errors
    /// Where the answer is not a success.
    pub async fn upload(
        &self,
        archive: Vec<u8>,
        fields: &[(&'static str, &str)],
    ) -> Result<Value, RestError> {
        let file = Part::bytes(archive).file_name("firmware_signed.zip");
        let form = Form::new().part("file", file);
        let form = fields.iter().fold(form, |form, (name, value)| {
            form.text(*name, (*value).to_owned())
        });
        self.send(self.http.post(self.url("/packages")).multipart(form))
            .await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, RestError> {
        let request = request.bearer_auth(&self.token).timeout(REQUEST_TIMEOUT);
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            let problem = text;
            return Err(RestError::Refused { status, problem });
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_str(&text)?)
    }
}
