//! What the handlers share.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{
    Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, Semaphore,
};

use super::campaigns::Etas;
use super::error::Problem;
use super::idempotency::KeptAnswers;
use super::{CurrentTiers, EngineHandle, EventHub, LinkBases, Links, LiveView, PackageVerifier};
use crate::clock::{SystemClock, Utc};
use crate::model::{
    AuditActor, AuditStamp, Delivery, DownloadProtocol, EndpointName, InvalidName, ProductSettings,
};
use crate::store::{BlobStore, Store};

/// The bounds of the API. What is larger is refused with 413, 422 or 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Product profiles that are kept.
    pub profiles_max: usize,
    /// Requests that are worked on at a time; health is asked beside them.
    pub requests_max: usize,
    /// How long a request may take; an upload takes as long as its body.
    pub request_timeout: Duration,
    /// A JSON body, in bytes.
    pub json_bytes_max: usize,
    /// An uploaded archive, in bytes.
    pub package_bytes_max: usize,
    /// Uploads that are read and verified at a time.
    pub uploads_max: usize,
    /// A CSV file of devices, in bytes.
    pub import_bytes_max: usize,
    /// Rows of a CSV file of devices.
    pub import_rows_max: usize,
    /// Devices of one campaign.
    pub campaign_devices_max: usize,
    /// How long a round of taking devices into dynamic campaigns is followed by a pause, at least.
    pub join_pause: Duration,
    /// After how long such a round is gone without anything that asks for it.
    pub join_interval: Duration,
    /// How long the answer of a device that listens is waited for.
    pub device_wait: Duration,
    /// How long a request waits for its device, where the operator does not say.
    pub device_ttl: Duration,
    /// The longest that an operator may say.
    pub device_ttl_max: Duration,
    /// Excluded devices that an answer lists one by one; the rest are counted.
    pub excluded_listed_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            profiles_max: 1000,
            requests_max: 256,
            request_timeout: Duration::from_secs(60),
            json_bytes_max: 256 * 1024,
            // A firmware file of 100 MiB, stored, and the headers around it.
            package_bytes_max: 101 * 1024 * 1024,
            uploads_max: 2,
            import_bytes_max: 16 * 1024 * 1024,
            import_rows_max: 100_000,
            campaign_devices_max: 1_000_000,
            join_pause: Duration::from_secs(1),
            join_interval: Duration::from_secs(300),
            device_wait: Duration::from_secs(10),
            device_ttl: Duration::from_secs(24 * 3600),
            device_ttl_max: Duration::from_secs(30 * 24 * 3600),
            excluded_listed_max: 1000,
        }
    }
}

/// Whether devices can be told where to fetch from, by protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownloadBases {
    /// By CoAP.
    pub coap: bool,
    /// By HTTP.
    pub http: bool,
}

impl DownloadBases {
    /// Whether devices of these settings can be, or need not be, as the package is pushed.
    pub(super) fn serve(self, settings: &ProductSettings) -> bool {
        let has_base = match settings.download {
            DownloadProtocol::Coap => self.coap,
            DownloadProtocol::Http => self.http,
        };
        settings.delivery == Delivery::Push || has_base
    }
}

/// What the API is made of.
#[derive(Debug)]
pub struct HttpParts {
    /// What operators enter.
    pub store: Arc<dyn Store>,
    /// Signed archives and firmware files by their hash.
    pub package_bytes: BlobStore,
    /// Reads keys and verifies archives.
    pub verifier: Arc<dyn PackageVerifier>,
    /// The running engine.
    pub engine: EngineHandle,
    /// What the driver shows.
    pub live: Arc<LiveView>,
    /// Who is told of what happens.
    pub events: Arc<EventHub>,
    /// Links to package files.
    pub links: Arc<Links>,
    /// What their URLs begin with.
    pub link_bases: LinkBases,
    /// The same clock as the driver's: the live view's instants are of it.
    pub clock: SystemClock,
    /// How devices are treated of whose product nothing else is known, for what is shown of it.
    pub product: ProductSettings,
    /// Whether devices have something to fetch from.
    pub download_bases: DownloadBases,
    /// The coverage tiers, for what is shown of them.
    pub tiers: CurrentTiers,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    /// Whether `/metrics` is shown without a token.
    pub metrics_public: bool,
    /// Reads an endpoint client name, as Register does: the forms of one IMEI are one device.
    pub parse_endpoint: fn(&str) -> Result<EndpointName, InvalidName>,
    /// The bounds.
    pub limits: HttpLimits,
}

/// The parts as the handlers share them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpState {
    parts: Arc<HttpParts>,
    pub(super) requests: Arc<Semaphore>,
    pub(super) uploads: Arc<Semaphore>,
    /// Held while all packages and campaigns are read for what rests on a key: one such reading at a time.
    pub(super) reading_key: Arc<Mutex<()>>,
    /// Held from reading a draft to its activation's commit: a draft is activated once.
    pub(super) activation: Arc<Mutex<()>>,
    /// Held from a package's bytes to the row that names them: what is taken back when the row is
    /// refused is nobody else's.
    pub(super) keeping: Arc<Mutex<()>>,
    /// Shared while a draft's devices are chosen by what they are, until the draft is whole; held alone
    /// by what changes that.
    pub(super) products: Arc<RwLock<()>>,
    /// Held from reading what `If-Match` is about to the change that rests on it.
    pub(super) editing: Arc<Mutex<()>>,
    pub(super) kept: Arc<KeptAnswers>,
    pub(super) etas: Arc<Etas>,
}

impl HttpState {
    /// Shares the parts.
    pub fn new(parts: HttpParts) -> Self {
        Self {
            reading_key: Arc::default(),
            activation: Arc::default(),
            keeping: Arc::default(),
            products: Arc::default(),
            editing: Arc::default(),
            requests: Arc::new(Semaphore::new(parts.limits.requests_max.max(1))),
            uploads: Arc::new(Semaphore::new(parts.limits.uploads_max.max(1))),
            kept: Arc::default(),
            etas: Arc::default(),
            parts: Arc::new(parts),
        }
    }

    /// The endpoint client name in a field.
    pub(super) fn endpoint(&self, field: &str, text: &str) -> Result<EndpointName, Problem> {
        (self.parse_endpoint)(text).map_err(|fault| Problem::invalid_field(field, fault))
    }

    /// What the audit log is told of who changes something now.
    pub(super) fn stamp(&self, actor: AuditActor) -> AuditStamp {
        AuditStamp {
            at: self.now_utc(),
            actor,
        }
    }

    /// Holds the products alone, and no campaign begins. Neither is held while the other is waited for:
    /// making a large campaign shares the products for long, and holds up nothing else.
    pub(super) async fn hold_products(&self) -> (OwnedMutexGuard<()>, OwnedRwLockWriteGuard<()>) {
        loop {
            let products = Arc::clone(&self.products).write_owned().await;
            if let Ok(activation) = Arc::clone(&self.activation).try_lock_owned() {
                return (activation, products);
            }
            drop(products);
            let activation = Arc::clone(&self.activation).lock_owned().await;
            if let Ok(products) = Arc::clone(&self.products).try_write_owned() {
                return (activation, products);
            }
        }
    }

    /// The same where the products are only looked at.
    pub(super) async fn share_products(&self) -> (OwnedMutexGuard<()>, OwnedRwLockReadGuard<()>) {
        loop {
            let products = Arc::clone(&self.products).read_owned().await;
            if let Ok(activation) = Arc::clone(&self.activation).try_lock_owned() {
                return (activation, products);
            }
            drop(products);
            let activation = Arc::clone(&self.activation).lock_owned().await;
            if let Ok(products) = Arc::clone(&self.products).try_read_owned() {
                return (activation, products);
            }
        }
    }

    pub(super) fn now_utc(&self) -> Utc {
        self.parts.clock.now().utc
    }
}

impl Deref for HttpState {
    type Target = HttpParts;

    fn deref(&self) -> &HttpParts {
        &self.parts
    }
}
