//! A running server, and REST calls to it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, RequestBuilder, header};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{command, run};

/// How often a server that was asked to end is looked at, and how many times: for 8 s.
const POLL: Duration = Duration::from_millis(20);
const POLLS_MAX: u32 = 400;

/// A folder for one server: `data` is its data directory, `log` what it writes to stderr.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap()
    }

    /// A token made by the command.
    pub(crate) fn token(&self, name: &str, role: &str) -> String {
        let create = [
            "token",
            "create",
            name,
            "--role",
            role,
            "--data-dir",
            "data",
        ];
        run(self.path(), &create)
            .exits(0)
            .stdout
            .trim_end()
            .to_owned()
    }

    /// A server on a free port for operators, with these further arguments.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        self.serve_with(&["--http", "127.0.0.1:0"], arguments, &[])
    }

    /// A server with these arguments and variables, once it is ready.
    pub(crate) fn serve_with(
        &self,
        http: &[&str],
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Server {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path().join("log"))
            .unwrap();
        let arguments = [&["serve", "--data-dir", "data"], http, arguments].concat();
        let mut child = command(self.path(), &arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut ready = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        let ready = ready.trim_end().to_owned();
        assert!(ready.starts_with("ready "), "{ready:?}: {}", self.log());
        Server { child, ready }
    }

    /// A server without devices, and an admin's calls to it.
    pub(crate) fn serve_admin(&self, arguments: &[&str]) -> (Server, Api) {
        let token = self.token("admin", "admin");
        let server = self.serve(arguments);
        let api = server.api(&token);
        (server, api)
    }
}

/// A server process; it ends with the value.
pub(crate) struct Server {
    child: Child,
    ready: String,
}

impl Server {
    /// The line that said that it is ready.
    pub(crate) fn ready(&self) -> &str {
        &self.ready
    }

    /// What the ready line says of a listener.
    pub(crate) fn listener(&self, name: &str) -> &str {
        let word = self
            .ready
            .split(' ')
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        word.unwrap_or_else(|| panic!("no {name} in {:?}", self.ready))
    }

    pub(crate) fn api(&self, token: &str) -> Api {
        Api {
            client: Client::new(),
            base: format!("http://{}", self.listener("http")),
            token: token.to_owned(),
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", signal])
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// What Linux says of the process's memory, in bytes: `VmRSS` now, `VmHWM` at most so far.
    pub(crate) fn memory_bytes(&self, what: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let kibibytes = status.lines().find_map(|line| {
            line.strip_prefix(what)?
                .strip_prefix(':')?
                .strip_suffix(" kB")
        });
        kibibytes.unwrap().trim().parse::<u64>().unwrap() << 10
    }

    /// The most memory so far is what the process has now.
    pub(crate) fn forget_peak(&self) {
        const PEAK: &str = "5";
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), PEAK).unwrap();
    }

    /// Lets the process have so many descriptors from now on.
    pub(crate) fn limit_descriptors(&self, descriptors_max: u32) {
        let limited = Command::new("prlimit")
            .arg(format!("--pid={}", self.child.id()))
            .arg(format!("--nofile={descriptors_max}"))
            .status()
            .unwrap();
        assert!(limited.success());
    }

    /// No file of the process may grow beyond so many bytes from now on, as on a full disk.
    pub(crate) fn limit_files(&self, bytes_max: &str) {
        let limited = Command::new("prlimit")
            .arg(format!("--pid={}", self.child.id()))
            .arg(format!("--fsize={bytes_max}:unlimited"))
            .status()
            .unwrap();
        assert!(limited.success());
    }

    /// Sends a signal, and answers how the process ended, which it must within seconds.
    pub(crate) fn end_by(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        for _ in 0..POLLS_MAX {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(POLL);
        }
        panic!("it does not end within {:?}", POLL * POLLS_MAX);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A process that has ended already is only reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// REST with one token.
pub(crate) struct Api {
    client: Client,
    base: String,
    token: String,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of an answer with this status.
    pub(crate) fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// A problem with this status and code; its body.
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> Value {
        let problem = self.is(status);
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }
}

impl Api {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.client.get(self.url(path));
        send(request.bearer_auth(&self.token)).await
    }

    pub(crate) async fn get_without_token(&self, path: &str) -> Answer {
        send(self.client.get(self.url(path))).await
    }

    pub(crate) async fn get_in(&self, path: &str, language: &str) -> Answer {
        let request = self.client.get(self.url(path));
        send(request.header(header::ACCEPT_LANGUAGE, language)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.client.post(self.url(path)).json(body);
        send(request.bearer_auth(&self.token)).await
    }

    /// Any method; without a body where that is null.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, self.url(path));
        if !body.is_null() {
            request = request.json(body);
        }
        send(request.bearer_auth(&self.token)).await
    }

    pub(crate) async fn post_csv(&self, path: &str, body: &'static str) -> Answer {
        let request = self.client.post(self.url(path));
        let request = request.header(header::CONTENT_TYPE, "text/csv").body(body);
        send(request.bearer_auth(&self.token)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        let request = self.client.delete(self.url(path));
        send(request.bearer_auth(&self.token)).await
    }

    /// Uploads a file of this name with more texts in its form.
    pub(crate) async fn upload_file(
        &self,
        name: &'static str,
        content: Vec<u8>,
        texts: &[(&'static str, &str)],
    ) -> Answer {
        let mut form = Form::new().part("file", Part::bytes(content).file_name(name));
        let product = [
            ("manufacturer", MANUFACTURER),
            ("model", MODEL),
            ("device_type", DEVICE_TYPE),
            ("protocol", "LWM2M"),
            ("version", "2.0.0"),
        ];
        for (name, text) in product.iter().chain(texts) {
            form = form.text(*name, (*text).to_owned());
        }
        let request = self.client.post(self.url("/api/v1/packages"));
        send(request.bearer_auth(&self.token).multipart(form)).await
    }

    /// Posts these bytes as a package form. A server that has seen enough answers and closes: a client
    /// that is still sending then need not come to read the answer, and asks again.
    pub(crate) async fn post_form(&self, content_type: &str, body: Vec<u8>) -> Answer {
        const TRIES: usize = 20;
        for _ in 1..TRIES {
            let request = self.client.post(self.url("/api/v1/packages"));
            let request = request
                .header(header::CONTENT_TYPE, content_type)
                .body(body.clone());
            let sent = request.bearer_auth(&self.token).send().await;
            if let Ok(response) = sent {
                let status = response.status().as_u16();
                if let Ok(text) = response.text().await {
                    return Answer { status, text };
                }
            }
        }
        panic!("no answer to the form in {TRIES} tries");
    }

    /// Uploads a signed package of `MANUFACTURER`'s `MODEL`.
    pub(crate) async fn upload(&self, archive: Vec<u8>) -> Answer {
        let form = Form::new()
            .part("file", Part::bytes(archive).file_name("FW_signed.zip"))
            .text("manufacturer", MANUFACTURER)
            .text("model", MODEL)
            .text("device_type", DEVICE_TYPE)
            .text("protocol", "LWM2M")
            .text("version", "2.0.0");
        let request = self.client.post(self.url("/api/v1/packages"));
        send(request.bearer_auth(&self.token).multipart(form)).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

pub(crate) const MANUFACTURER: &str = "quectel";
pub(crate) const MODEL: &str = "BC25";
pub(crate) const DEVICE_TYPE: &str = "WaterMeter";

async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        text: response.text().await.unwrap(),
    }
}
