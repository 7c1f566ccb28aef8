//! A campaign for very many devices, made and activated through the REST API of the real server, while
//! other devices update their registrations: how long it takes, and how long they wait meanwhile.
//!
//! `cargo bench --bench creation -- 1000000`; a tenth of that where no number is given. It exits 1 where the
//! creation takes a minute, or where devices wait more than twice as long as when nothing else goes on.
#![expect(clippy::disallowed_methods, reason = "it times the real server")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use narrowcast::coap::{
    Code, ContentFormat, Message, MessageId, MessageType, OptionNumber, Request, Token,
};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_narrowcast");
const DEVICES: usize = 100_000;
const ROWS_PER_IMPORT: usize = 50_000;
const REGISTERED: usize = 400;
const UPDATES_PER_SECOND: u32 = 200;
const IDLE: Duration = Duration::from_secs(20);
const CREATION_MAX: Duration = Duration::from_secs(60);
/// How many times longer devices may wait, at the 99th percentile.
const SLOWER_MAX: f64 = 2.0;

fn main() -> ExitCode {
    let devices = std::env::args().find_map(|argument| argument.parse().ok());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let holds = runtime.block_on(run(devices.unwrap_or(DEVICES)));
    ExitCode::from(u8::from(!holds))
}

/// Whether its goals are met.
#[expect(clippy::print_stdout, reason = "what it is for")]
async fn run(devices: usize) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let begun = Instant::now();
    server.enter(devices).await;
    println!(
        "{devices} devices entered in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let package = server.upload().await;
    let waits = Arc::new(Waits::default());
    let load = {
        let (waits, coap) = (Arc::clone(&waits), server.coap.clone());
        thread::spawn(move || load(&coap, &waits))
    };
    tokio::time::sleep(IDLE).await;
    let idle = waits.tell("idle");
    let mut worst = [0.0_f64; 2];
    let mut told = |when: &str| {
        for (worst, p99) in worst.iter_mut().zip(waits.tell(when)) {
            *worst = worst.max(p99);
        }
    };

    let body = json!({
        "name": "all", "package_id": package,
        "targets": {"filter": "manufacturer==Acme;tags!=spare"},
    });
    let begun = Instant::now();
    let made = server.post("/api/v1/campaigns?dry_run=true", &body).await;
    println!(
        "dry run: {} in, {:.1} s",
        made["included_count"],
        begun.elapsed().as_secs_f64()
    );
    told("during the dry run");
    let begun = Instant::now();
    let made = server.post("/api/v1/campaigns", &body).await;
    let created = begun.elapsed();
    println!(
        "created: {} tasks, {:.1} s",
        made["counts"]["pending"],
        created.as_secs_f64()
    );
    told("during the creation");
    let path = format!("/api/v1/campaigns/{}/activate", made["id"]);
    let begun = Instant::now();
    server.post(&path, &json!({})).await;
    println!("activated: {:.1} s", begun.elapsed().as_secs_f64());
    // Waits until the engine has all tasks: a second activation waits behind the first.
    let begun = Instant::now();
    let again = server.send(server.client.post(server.url(&path))).await;
    assert_eq!(again.0, 409, "{}", again.1);
    println!(
        "the engine has all tasks: {:.1} s later",
        begun.elapsed().as_secs_f64()
    );
    told("during the activation");
    println!("server: {}", server.memory());
    waits.over.store(true, Ordering::Relaxed);
    load.join().expect("the load ended");
    let slower = [worst[0] / idle[0], worst[1] / idle[1]];
    println!(
        "p99 at worst: {:.2} times idle where durable, {:.2} where it prolongs; at most {SLOWER_MAX}",
        slower[0], slower[1]
    );
    created < CREATION_MAX && slower.iter().all(|it| *it <= SLOWER_MAX)
}

struct Server {
    child: Child,
    coap: String,
    http: String,
    token: String,
    client: Client,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let data = folder.join("data");
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--coap", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(&data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout)
            .read_line(&mut ready)
            .expect("a line");
        let listening: BTreeMap<&str, &str> = ready
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .collect();
        let address = |name: &str| (*listening.get(name).expect("a listener")).to_owned();
        let token = Command::new(PROGRAM)
            .args(["token", "create", "bench", "--role", "admin"])
            .arg("--data-dir")
            .arg(&data)
            .output()
            .expect("a token");
        let token = String::from_utf8_lossy(&token.stdout).trim().to_owned();
        Self {
            coap: address("coap"),
            http: address("http"),
            child,
            token,
            client: Client::new(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    async fn send(&self, request: RequestBuilder) -> (u16, Value) {
        let answer = request
            .bearer_auth(&self.token)
            .send()
            .await
            .expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.send(self.client.post(self.url(path)).json(body)).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    async fn enter(&self, devices: usize) {
        for first in (0..devices).step_by(ROWS_PER_IMPORT) {
            let mut csv = "endpoint,manufacturer,model,device_type,tags\n".to_owned();
            for number in first..devices.min(first + ROWS_PER_IMPORT) {
                csv.push_str(&format!(
                    "{},Acme,NB-1,WaterMeter,field\n",
                    endpoint(number)
                ));
            }
            let request = self.client.post(self.url("/api/v1/devices/import"));
            let request = request.header("content-type", "text/csv").body(csv);
            let (status, answer) = self.send(request).await;
            assert_eq!(status, 201, "{answer}");
        }
    }

    async fn upload(&self) -> u64 {
        let mut form = Form::new();
        for (name, text) in [
            ("manufacturer", "Acme"),
            ("model", "NB-1"),
            ("device_type", "WaterMeter"),
            ("protocol", "LWM2M"),
            ("version", "V2"),
            ("source_versions", "V1"),
            ("kind", "full"),
            ("component", "module"),
            ("unsigned", "true"),
            ("reason", "a benchmark"),
        ] {
            form = form.text(name, text);
        }
        let file = Part::bytes(vec![7; 65_536]).file_name("app.bin");
        let request = self.client.post(self.url("/api/v1/packages"));
        let (status, answer) = self.send(request.multipart(form.part("file", file))).await;
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_u64().expect("a number")
    }

    /// What Linux says of its memory.
    fn memory(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let lines = status
            .lines()
            .filter(|it| it.starts_with("VmHWM") || it.starts_with("VmRSS"));
        lines.collect::<Vec<_>>().join(", ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn endpoint(number: usize) -> String {
    format!("86{number:013}")
}

/// How long devices waited for the answer to an Update.
#[derive(Default)]
struct Waits {
    /// Of those that are durable before they are answered, and of those that only prolong.
    waits: Mutex<[Vec<Duration>; 2]>,
    over: AtomicBool,
}

impl Waits {
    /// The 99th percentile of each, in milliseconds.
    #[expect(clippy::print_stdout, reason = "what it is for")]
    fn tell(&self, when: &str) -> [f64; 2] {
        let waits = std::mem::take(&mut *self.waits.lock().expect("not poisoned"));
        let mut kinds = ["durable", "that prolong"].into_iter();
        waits.map(|mut waits| {
            let kind = kinds.next().unwrap_or_default();
            waits.sort();
            let at = |share: usize| {
                let last = waits.len().saturating_sub(1);
                let wait = waits.get((waits.len() * share / 1000).min(last));
                wait.map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
            };
            println!(
                "  Updates {kind}, {when}: {} answered, p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
                waits.len(),
                at(500),
                at(990),
                at(1000)
            );
            at(990)
        })
    }
}

/// Updates by turns of two kinds, at a fixed rate, whether the one before was answered or not: those that
/// change the lifetime are durable before they are answered, those that only prolong need not be.
fn load(coap: &str, waits: &Waits) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(coap).expect("an address");
    let locations: Vec<Vec<String>> = (0..REGISTERED).map(|it| register(&socket, it)).collect();
    let sent: Arc<Mutex<BTreeMap<u16, Instant>>> = Arc::default();
    let pause = Duration::from_secs(1) / UPDATES_PER_SECOND;
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a time");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 2048];
            while !waits.over.load(Ordering::Relaxed) {
                let Ok(length) = socket.recv(&mut buffer) else {
                    continue;
                };
                let Ok(answer) = Message::decode(&buffer[..length], 32) else {
                    continue;
                };
                let begun = sent.lock().expect("not poisoned").remove(&answer.id.0);
                if let Some(begun) = begun {
                    assert_eq!(answer.code, Code::CHANGED);
                    let kind = usize::from(answer.id.0 % 2);
                    waits.waits.lock().expect("not poisoned")[kind].push(begun.elapsed());
                }
            }
        });
        let (mut next, begun) = (0_u32, Instant::now());
        while !waits.over.load(Ordering::Relaxed) {
            let device = next as usize % REGISTERED;
            let path = locations[device]
                .iter()
                .fold(String::new(), |path, it| path + "/" + it);
            let mut request = Request::new(Code::POST, &path);
            if next.is_multiple_of(2) {
                request = request.with_query(&format!("lt={}", 86_400 + next));
            }
            let id = u16::try_from(next % 60_000).unwrap_or(0) + 1000;
            sent.lock()
                .expect("not poisoned")
                .insert(id, Instant::now());
            socket.send(&datagram(request, id)).expect("sent");
            next += 1;
            thread::sleep((begun + pause * next).saturating_duration_since(Instant::now()));
        }
    });
}

fn register(socket: &UdpSocket, number: usize) -> Vec<String> {
    let request = Request::new(Code::POST, "/rd")
        .with_query("lwm2m=1.0")
        .with_query(&format!("ep={}", endpoint(number)))
        .with_query("lt=86400")
        .with_query("b=UQ")
        .with_payload(ContentFormat::LINK_FORMAT, "</1/0>,</3/0>,</4/0>,</5/0>");
    let id = u16::try_from(number).unwrap_or(0);
    socket.send(&datagram(request, id)).expect("sent");
    let mut buffer = [0; 2048];
    loop {
        let length = socket.recv(&mut buffer).expect("an answer");
        let answer = Message::decode(&buffer[..length], 32).expect("a message");
        // The server may ask something of its own accord.
        if answer.kind == MessageType::Acknowledgement && answer.id.0 == id {
            assert_eq!(answer.code, Code::CREATED);
            let path = answer.options.all(OptionNumber::LOCATION_PATH);
            return path
                .map(|it| String::from_utf8_lossy(it).into_owned())
                .collect();
        }
    }
}

fn datagram(request: Request, id: u16) -> Vec<u8> {
    let message = Message {
        kind: MessageType::Confirmable,
        code: request.code,
        id: MessageId(id),
        token: Token::new(&id.to_be_bytes()).expect("a short token"),
        options: request.options,
        payload: request.payload,
    };
    message.encode().to_vec()
}
