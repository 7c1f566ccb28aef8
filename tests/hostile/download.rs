//! The device that fetches an image block by block, compares it, and begins again.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use narrowcast::clock::SystemClock;
use narrowcast::coap::{BlockValue, Code, ContentFormat, Message, OptionNumber, Request, Response};
use narrowcast::signing::{PackageLimits, PrivateKey, sign, zip_firmware};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde_json::{Value, json};

use crate::coap::{get, register};
use crate::figures::{Kind, Shared};
use crate::honest::{Client, note};
use crate::server::Server;

/// The device's endpoint name.
pub(crate) const ENDPOINT: &str = "downloader";

const PRIVATE_PEM: &str = include_str!("../../certs/signing-private.pem");
const PUBLIC_PEM: &str = include_str!("../../certs/signing-public.pem");

pub(crate) const IMAGE_BYTES: usize = 64 * 1024;
/// Blocks of 1024 bytes.
const SZX: u8 = 6;
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two blocks.
const PACE: Duration = Duration::from_millis(3);

#[derive(Debug)]
pub(crate) struct Downloader {
    client: Client,
    image: Vec<u8>,
    fetched: Vec<u8>,
    /// `/fw/` and the capability.
    pub(crate) path: String,
}

impl Downloader {
    /// Registers, is given a campaign, and takes the URI that it is told.
    pub(crate) fn start(server: &Server) -> Self {
        let image = upload(server);
        let mut client = Client::new(server.coap);
        let mut object = Object5::default();
        let registered = client.exchange(register(ENDPOINT), |message| object.answer(message));
        assert_eq!(registered.unwrap().message.code, Code::CREATED);
        let campaign = json!({
            "name": "all the time", "package_id": 1, "targets": { "devices": [ENDPOINT] },
        });
        let id = server.post("/api/v1/campaigns", &campaign)["id"].clone();
        server.post(&format!("/api/v1/campaigns/{id}/activate"), &json!({}));
        let clock = SystemClock::new();
        while object.uri.is_empty() {
            let waited = clock.now().instant.since_origin();
            let timeline = format!("/api/v1/devices/{ENDPOINT}/timeline");
            assert!(waited < PATIENCE, "no URI: {:#}", server.get(&timeline));
            client.serve_for(PACE, |message| object.answer(message));
        }
        let at = object.uri.find("/fw/").unwrap();
        Self {
            client,
            image,
            fetched: Vec::new(),
            path: object.uri.split_off(at),
        }
    }

    /// Each turn is a block.
    pub(crate) fn run(mut self, figures: Arc<Shared>) -> impl FnMut() + Send + 'static {
        let mut object = Object5::default();
        move || {
            let num = u32::try_from(self.fetched.len() >> (SZX + 4)).unwrap();
            let mut request = get(&self.path);
            let asked = BlockValue {
                num,
                more: false,
                szx: SZX,
            };
            asked.put(&mut request.options, OptionNumber::BLOCK2);
            let answered = self
                .client
                .exchange(request, |message| object.answer(message));
            if let Some(answer) = note(&figures, Kind::Block, Code::CONTENT, answered) {
                self.take(num, &answer, &figures);
            }
            thread::sleep(PACE);
        }
    }

    fn take(&mut self, num: u32, answer: &Message, figures: &Shared) {
        let block = answer.options.first(OptionNumber::BLOCK2);
        let block = block.and_then(|value| BlockValue::decode(value).ok());
        let is_asked = |block: &BlockValue| (block.num, block.szx) == (num, SZX);
        let Some(block) = block.filter(is_asked) else {
            let fault = format!("block {num}: {answer:?}");
            return figures.lock().faults.push(fault);
        };
        self.fetched.extend_from_slice(&answer.payload);
        if block.more {
            return;
        }
        let mut figures = figures.lock();
        if self.fetched == self.image {
            figures.images += 1;
        } else {
            figures.faults.push("another image".to_owned());
        }
        self.fetched.clear();
    }
}

/// What the device says of its update: idle, all the time.
#[derive(Debug, Default)]
struct Object5 {
    uri: String,
}

impl Object5 {
    fn answer(&mut self, message: &Message) -> Response {
        let request = Request {
            code: message.code,
            options: message.options.clone(),
            payload: message.payload.clone(),
        };
        let path = request.path().unwrap_or_default().join("/");
        match (message.code, path.as_str()) {
            (Code::GET, "3/0/3") => text("1.0.0"),
            (Code::GET, "5/0/3") => {
                let mut state = text("0");
                if request.options.uint(OptionNumber::OBSERVE) == Some(0) {
                    state.options.push_uint(OptionNumber::OBSERVE, 1);
                }
                state
            }
            (Code::GET, "5/0/5") => text("0"),
            (Code::GET, "4/0/8") => text("4711"),
            (Code::PUT, "5/0/1") => {
                self.uri = String::from_utf8_lossy(&message.payload).into_owned();
                Response::new(Code::CHANGED)
            }
            _ => Response::new(Code::NOT_FOUND),
        }
    }
}

fn text(value: &'static str) -> Response {
    Response::new(Code::CONTENT).with_payload(ContentFormat::TEXT, value)
}

/// Enters a key and uploads a package; answers the image in it.
fn upload(server: &Server) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(1);
    let mut image = vec![0; IMAGE_BYTES];
    rng.fill_bytes(&mut image);
    let limits = PackageLimits::default();
    let key = PrivateKey::from_pem(PRIVATE_PEM, None).unwrap();
    let inner = zip_firmware("firmware.bin", &image, None, &limits).unwrap();
    let archive = sign("firmware", &inner, &key, &limits, &mut rng).unwrap();
    let key = json!({ "manufacturer": "Acme", "public_key_pem": PUBLIC_PEM });
    server.post("/api/v1/keys", &key);
    let mut body = Vec::new();
    for (name, value) in [
        ("manufacturer", "Acme"),
        ("model", "NB-1"),
        ("device_type", "WaterMeter"),
        ("protocol", "LWM2M"),
        ("version", "2.0.0"),
    ] {
        let field = format!("content-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(format!("--x\r\n{field}").into_bytes());
    }
    body.extend(
        b"--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\n",
    );
    body.extend(archive);
    body.extend(b"\r\n--x--\r\n");
    let head = format!(
        "POST /api/v1/packages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: {}\r\n\r\n",
        server.token,
        body.len()
    );
    let package: Value = server.success(&[head.as_bytes(), &body].concat());
    assert_eq!(package["id"], 1, "{package}");
    image
}
