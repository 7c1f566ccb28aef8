//! For those who run the server: is it alive, is it ready, what does it count, what does it offer.

mod healthz;
mod metrics;
mod openapi_json;
mod readyz;

pub(super) use healthz::*;
pub(super) use metrics::*;
pub(super) use openapi_json::*;
pub(super) use readyz::*;
