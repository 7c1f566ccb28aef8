//! One service on a free port, with a token of each role.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use narrowcast::clock::{SystemClock, Utc};
use narrowcast::http::{
    ConnectionLimits, DownloadBases, Downloads, EventHub, EventLimits, HttpLimits, HttpParts,
    HttpState, LinkBases, LinkLimits, Links, LiveView, Role, engine_channel, firmware_router,
    new_token, router, serve, serve_devices,
};
use narrowcast::lwm2m::EndpointNameForm;
use narrowcast::model::{AuditActor, AuditStamp, EndpointName, InvalidName, ProductSettings};
use narrowcast::store::{BlobStore, MemoryStore, Store};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::engine::TestEngine;
use crate::verifier::TextVerifier;

/// All packages of one service, in bytes.
const PACKAGES_BYTES_MAX: u64 = 1 << 20;

pub(crate) struct Service {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) bytes: BlobStore,
    pub(crate) folder: TempDir,
    pub(crate) engine: Arc<TestEngine>,
    pub(crate) verifier: Arc<TextVerifier>,
    pub(crate) live: Arc<LiveView>,
    pub(crate) clock: SystemClock,
    /// What the handlers share.
    pub(crate) state: HttpState,
    /// Asks the listener to end; it ends too where this is dropped.
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) listener: JoinHandle<()>,
    address: String,
    client: Client,
    tokens: BTreeMap<&'static str, String>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(HttpLimits::default(), false).await
    }

    pub(crate) async fn start_with(limits: HttpLimits, metrics_public: bool) -> Self {
        Self::start_bounded(limits, ConnectionLimits::default(), metrics_public).await
    }

    pub(crate) async fn start_bounded(
        limits: HttpLimits,
        connection_limits: ConnectionLimits,
        metrics_public: bool,
    ) -> Self {
        Self::start_linked(limits, connection_limits, metrics_public, None).await
    }

    /// The same with a listener for modules, and so many links at the most; without either, where there
    /// is no number.
    pub(crate) async fn start_linked(
        limits: HttpLimits,
        connection_limits: ConnectionLimits,
        metrics_public: bool,
        links_max: Option<usize>,
    ) -> Self {
        let parse = EndpointName::parse;
        Self::start_parsing(limits, connection_limits, metrics_public, links_max, parse).await
    }

    /// One whose devices are named in any form of an IMEI, as a server's are.
    pub(crate) async fn start_named() -> Self {
        let (limits, connections) = (HttpLimits::default(), ConnectionLimits::default());
        let parse = |text: &str| EndpointNameForm::Imei.normalise(text);
        Self::start_parsing(limits, connections, false, None, parse).await
    }

    async fn start_parsing(
        limits: HttpLimits,
        connection_limits: ConnectionLimits,
        metrics_public: bool,
        links_max: Option<usize>,
        parse_endpoint: fn(&str) -> Result<EndpointName, InvalidName>,
    ) -> Self {
        let store = Arc::new(MemoryStore::default());
        let (handle, requests) = engine_channel(16, Duration::from_secs(5));
        let (engine, verifier) = (Arc::<TestEngine>::default(), Arc::<TextVerifier>::default());
        tokio::spawn(engine.clone().run(requests, store.clone()));
        let folder = tempfile::tempdir().expect("a folder");
        let bytes = BlobStore::open(folder.path(), PACKAGES_BYTES_MAX).expect("a folder");
        let live = Arc::new(LiveView::default());
        let clock = SystemClock::new();
        let (stop, stopped) = watch::channel(false);
        let (links, link_bases) = open_links(&store, &bytes, clock, links_max, &stopped).await;
        let state = HttpState::new(HttpParts {
            events: follow_events(&store, clock, &stopped),
            links: links.clone(),
            link_bases,
            store: store.clone(),
            package_bytes: bytes.clone(),
            verifier: verifier.clone(),
            engine: handle,
            live: live.clone(),
            clock,
            metrics: PrometheusBuilder::new().build_recorder().handle(),
            product: ProductSettings::default(),
            download_bases: BY_COAP,
            tiers: Default::default(),
            metrics_public,
            parse_endpoint,
            limits,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let served = serve(
            listener,
            router(state.clone()),
            connection_limits,
            clock,
            stopped,
        );
        let listener = tokio::spawn(served);
        let mut tokens = BTreeMap::new();
        for role in Role::ALL {
            let token = new_token(role.word(), role, Utc::from_unix_ms(0));
            store
                .add_token(
                    token.stored,
                    AuditStamp {
                        at: Utc::from_unix_ms(0),
                        actor: AuditActor::server(),
                    },
                )
                .await
                .expect("a new token");
            tokens.insert(role.word(), token.text);
        }
        Self {
            store,
            bytes,
            folder,
            engine,
            verifier,
            live,
            clock,
            state,
            stop,
            listener,
            address,
            client: Client::new(),
            tokens,
        }
    }

    /// The files of packages, whole and in part, by name.
    pub(crate) fn package_files(&self) -> Vec<String> {
        let shelves = std::fs::read_dir(self.folder.path()).expect("a folder");
        let files = shelves.flat_map(|shelf| {
            let shelf = shelf.expect("a shelf").path();
            std::fs::read_dir(shelf).expect("a shelf")
        });
        let name = |file: std::fs::DirEntry| file.file_name().to_string_lossy().into_owned();
        let mut names: Vec<_> = files.map(|file| name(file.expect("a file"))).collect();
        names.sort();
        names
    }

    /// A request without a token.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.address))
    }

    pub(crate) fn request_as(&self, role: &str, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.tokens[role])
    }

    /// A request of an administrator's; keys need the key administrator.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let role = if path.starts_with("/api/v1/keys") {
            "key-admin"
        } else {
            "admin"
        };
        self.request_as(role, method, path)
    }

    pub(crate) fn token(&self, role: &str) -> &str {
        &self.tokens[role]
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> TcpStream {
        let address = self.address.strip_prefix("http://").expect("an address");
        TcpStream::connect(address).await.expect("a connection")
    }

    /// The same from another address of this machine, such as 127.0.0.2.
    pub(crate) async fn connect_from(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        let from = format!("{address}:0").parse().expect("an address");
        socket.bind(from).expect("an address of this machine");
        let to = self.address.strip_prefix("http://").expect("an address");
        let to = to.parse().expect("an address");
        socket.connect(to).await.expect("a connection")
    }

    /// Writes these bytes to a connection of their own, and reads the head of the answer.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = [0; 512];
        let length = stream.read(&mut answer).await.expect("an answer");
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path).json(body)).await
    }

    /// Sends a package form with these texts.
    pub(crate) async fn upload(&self, archive: &str, texts: &[(&'static str, &str)]) -> Answer {
        let mut form = Form::new();
        for (name, text) in texts {
            form = form.text(*name, (*text).to_owned());
        }
        let file = Part::bytes(archive.as_bytes().to_vec()).file_name("app_signed.zip");
        let request = self.request(Method::POST, "/api/v1/packages");
        send(request.multipart(form.part("file", file))).await
    }

    /// Enters a key, a package and a device that fits it; the package's number.
    pub(crate) async fn seed(&self, endpoints: &[&str]) -> u64 {
        let key = json!({"manufacturer": "quectel", "public_key_pem": "KEY k1"});
        self.post("/api/v1/keys", &key).await.expect(201);
        let package = self.upload("signed-by k1\nimage", &FORM).await.expect(201);
        for endpoint in endpoints {
            let device = device(endpoint);
            self.post("/api/v1/devices", &device).await.expect(201);
        }
        package["id"].as_u64().expect("a number")
    }
}

/// Devices fetch by CoAP alone.
const BY_COAP: DownloadBases = DownloadBases {
    coap: true,
    http: false,
};

/// What an upload says beside its file.
pub(crate) const FORM: [(&str, &str); 6] = [
    ("manufacturer", "quectel"),
    ("model", "BC25"),
    ("device_type", "WaterMeter"),
    ("protocol", "LWM2M"),
    ("version", "V2"),
    ("source_versions", "V0, V1"),
];

/// Short enough to be met.
pub(crate) const EVENT_LIMITS: EventLimits = EventLimits {
    kept_max: 40,
    // Events of tests are old.
    kept_for: Duration::from_secs(100 * 365 * 24 * 3600),
    streams_max: 3,
    heartbeat: Duration::from_millis(300),
    webhooks_max: 2,
    deliveries_kept: 5,
};

/// Events as the server has them followed.
fn follow_events(
    store: &Arc<MemoryStore>,
    clock: SystemClock,
    stopped: &watch::Receiver<bool>,
) -> Arc<EventHub> {
    let source = "/site-1".to_owned();
    let hub = EventHub::new(EVENT_LIMITS, source, Default::default(), stopped.clone());
    let hub = Arc::new(hub);
    tokio::spawn(hub.clone().keep(store.clone(), clock));
    hub
}

/// So many links at the most, with a listener where there is a number.
async fn open_links(
    store: &Arc<MemoryStore>,
    bytes: &BlobStore,
    clock: SystemClock,
    links_max: Option<usize>,
    stopped: &watch::Receiver<bool>,
) -> (Arc<Links>, LinkBases) {
    let limits = LinkLimits {
        links_max: links_max.unwrap_or_default(),
        ..LinkLimits::default()
    };
    let links = Links::load(store.clone(), bytes.clone(), limits).await;
    let links = Arc::new(links.expect("a store"));
    let http = match links_max {
        Some(_) => Some(serve_links(&links, clock, stopped).await),
        None => None,
    };
    (links, LinkBases { http, https: None })
}

/// Serves links on a port of their own; what their URLs begin with.
async fn serve_links(
    links: &Arc<Links>,
    clock: SystemClock,
    stopped: &watch::Receiver<bool>,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}/fw/", listener.local_addr().expect("an address"));
    let router = firmware_router(Arc::<Downloads>::default(), links.clone(), clock);
    let limits = ConnectionLimits::default();
    tokio::spawn(serve_devices(
        listener,
        router,
        limits,
        clock,
        stopped.clone(),
    ));
    tokio::spawn(links.clone().keep(clock, stopped.clone()));
    base
}

/// A device that [`FORM`]'s package is for.
pub(crate) fn device(endpoint: &str) -> Value {
    json!({
        "endpoint": endpoint,
        "manufacturer": "quectel",
        "model": "BC25",
        "device_type": "WaterMeter",
    })
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response: Response = request.send().await.expect("an answer");
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.expect("a body"),
    }
}

impl Answer {
    /// The JSON body of an answer with this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The detail of a problem with this status, code and field.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str, field: Option<&str>) -> String {
        let body = self.expect(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(body["code"], code, "{}", self.text);
        assert_eq!(body["status"], status);
        assert_eq!(body["field"].as_str(), field, "{}", self.text);
        assert!(
            body["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty())
        );
        body["detail"].as_str().expect("a detail").to_owned()
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }
}
