//! The REST API for operators and scripts: axum's routes over the store and the running engine.
//!
//! [`router()`] makes the whole service. It reads and writes what operators enter through the
//! [`Store`](crate::store::Store), asks the engine through an [`EngineHandle`], and reads what the
//! driver shows in the [`LiveView`]. Every error is `application/problem+json` (RFC 9457) with a
//! stable `code`; which role a route needs stands in one table in `auth.rs`.

mod audit;
mod auth;
mod beginning;
mod blocking;
mod campaigns;
mod cells;
mod devices;
mod engine_handle;
mod error;
mod events;
mod extract;
mod fields;
mod find;
mod firmware;
mod groups;
mod hardening;
mod health;
mod idempotency;
mod in_flight;
mod keys;
mod language;
mod links;
mod listener;
mod live;
mod metrics_page;
mod next_action;
mod openapi;
mod package_verifier;
mod packages;
mod page;
mod precondition;
mod profiles;
mod router;
mod state;
mod tokens;
mod webhooks;

pub use auth::{Role, token_sha256};
pub use beginning::Beginning;
pub use campaigns::Joiner;
pub use cells::{CurrentTiers, Tiers};
pub use engine_handle::{
    CellsPage, EngineError, EngineHandle, EngineRequest, EngineRequests, engine_channel,
};
pub use events::{CLOUD_EVENTS_TYPE, EventHub, EventLimits, cloud_event, gap_event};
pub use firmware::{Downloads, LinkLimits, Links, firmware_router};
pub use links::LinkBases;
pub use listener::{
    ConnectionLimits, TlsError, TlsIdentity, serve, serve_devices, serve_devices_by_tls,
};
pub use live::{LiveDevice, LiveView};
pub use metrics_page::metrics_router;
pub use openapi::openapi;
pub use package_verifier::{
    Archive, InfoMismatch, PackageClaims, PackageVerifier, Refusal, VerifiedKey, VerifiedPackage,
    VerifyFault,
};
pub use router::router;
pub use state::{DownloadBases, HttpLimits, HttpParts, HttpState};
pub use tokens::{NewToken, is_token_name, new_token};
pub use webhooks::{HookUrl, InvalidHookUrl};
