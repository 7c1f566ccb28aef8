//! Package bytes by HTTP, for devices and on a listener of their own: `/fw/<capability>/<file name>`.
//!
//! What modules' clients need (carrier flows §5, §7): GET and HEAD, 200, 206 and 416, always a
//! `Content-Length`, one range at a time, no redirect, no coding, nothing that costs air time without
//! use. The capability is what lets a device in, as over CoAP. Images are in memory while a campaign
//! runs; an answer shares them.

mod downloads;
mod image_body;
mod links;
mod range;

use std::ops::Range;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::response::Builder;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use axum::routing::any;
use metrics::counter;

pub use downloads::Downloads;
pub use links::{LinkLimits, Links};

use crate::clock::SystemClock;
use crate::model::{DownloadCapability, Sha256Digest};

pub(super) use links::AddError;

use image_body::ImageBody;
use range::{Selection, select};

/// When to come again for what may be there again by then, in seconds.
const RETRY_AFTER_SECONDS: u32 = 10;

/// How many bytes of a hash tell two images apart.
const ETAG_BYTES: usize = 8;

#[derive(Clone, Debug)]
struct FirmwareState {
    downloads: Arc<Downloads>,
    links: Arc<Links>,
    clock: SystemClock,
}

/// All that is served to devices, for [`serve_devices`](super::serve_devices): what running tasks have,
/// and what has a link.
pub fn firmware_router(downloads: Arc<Downloads>, links: Arc<Links>, clock: SystemClock) -> Router {
    Router::new()
        .route("/fw/{capability}/{file_name}", any(fetch))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND) })
        .with_state(FirmwareState {
            downloads,
            links,
            clock,
        })
}

async fn fetch(
    State(state): State<FirmwareState>,
    method: Method,
    headers: HeaderMap,
    Path((capability, file_name)): Path<(String, String)>,
) -> Response<Body> {
    let response = if method == Method::GET || method == Method::HEAD {
        let is_get = method == Method::GET;
        let answered = match DownloadCapability::from_hex(&capability) {
            Some(capability) => answer(state, is_get, &headers, capability, &file_name).await,
            None => None,
        };
        answered.unwrap_or_else(|| refuse(StatusCode::NOT_FOUND))
    } else {
        let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED);
        let allow = header::HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allow);
        response
    };
    let status = response.status().as_str().to_owned();
    counter!("narrowcast_device_http_answers_total", "status" => status).increment(1);
    response
}

/// The answer under a capability; `None` where it opens nothing of this name.
async fn answer(
    state: FirmwareState,
    is_get: bool,
    headers: &HeaderMap,
    capability: DownloadCapability,
    file_name: &str,
) -> Option<Response<Body>> {
    let FirmwareState {
        downloads,
        links,
        clock,
    } = state;
    let Some(download) = downloads.find(capability) else {
        return links::fetch(&links, clock, is_get, headers, capability, file_name).await;
    };
    if download.served.file_name != file_name {
        return None;
    }
    if download.is_withdrawn() {
        return Some(withheld());
    }
    let size_bytes = download.served.image.bytes().len() as u64;
    let (head, part) = match answer_head(headers, is_get, &download.served.sha256, size_bytes) {
        Ok(head) => head,
        Err(refusal) => return Some(*refusal),
    };
    let body = if is_get {
        Body::new(ImageBody {
            downloads,
            capability,
            download,
            clock,
            part,
            told_until: None,
        })
    } else {
        Body::empty()
    };
    let answer = head.body(body);
    Some(answer.unwrap_or_else(|_| refuse(StatusCode::INTERNAL_SERVER_ERROR)))
}

/// The head of the answer with the file of this hash, and which bytes follow; the whole answer where none
/// do. Of a HEAD a range means nothing (RFC 9110 §14.2).
fn answer_head(
    headers: &HeaderMap,
    is_get: bool,
    sha256: &Sha256Digest,
    size_bytes: u64,
) -> Result<(Builder, Range<u64>), Box<Response<Body>>> {
    let etag = etag(sha256);
    let selection = match asked_range(headers, &etag) {
        Some(range) if is_get => select(range, size_bytes),
        Some(_) | None => Selection::Whole,
    };
    let builder = Response::builder()
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, etag);
    let (builder, part) = match selection {
        Selection::Whole => (builder.status(StatusCode::OK), 0..size_bytes),
        Selection::Part(part) => {
            let (first, last) = (part.start, part.end - 1);
            let range = format!("bytes {first}-{last}/{size_bytes}");
            let builder = builder
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, range);
            (builder, part)
        }
        Selection::Unsatisfiable => {
            let mut response = refuse(StatusCode::RANGE_NOT_SATISFIABLE);
            if let Ok(range) = format!("bytes */{size_bytes}").try_into() {
                response.headers_mut().insert(header::CONTENT_RANGE, range);
            }
            return Err(Box::new(response));
        }
    };
    let builder = builder
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, part.end - part.start);
    Ok((builder, part))
}

/// The value of the one `Range`, unless it is of another image than this (RFC 9110 §13.1.5). A date tells
/// images apart no better than nothing: none was ever given out.
fn asked_range<'h>(headers: &'h HeaderMap, etag: &str) -> Option<&'h [u8]> {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let range = ranges.next()?;
    let is_of_this = headers
        .get_all(header::IF_RANGE)
        .iter()
        .all(|of| of.as_bytes() == etag.as_bytes());
    (ranges.next().is_none() && is_of_this).then(|| range.as_bytes())
}

/// A strong entity tag: the same wherever the bytes are the same (RFC 9110 §8.8.3).
fn etag(sha256: &Sha256Digest) -> String {
    format!("\"{}\"", hex::encode(&sha256.0[..ETAG_BYTES]))
}

fn withheld() -> Response<Body> {
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE);
    let seconds = header::HeaderValue::from(RETRY_AFTER_SECONDS);
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

/// An answer without an image: its body is for whoever looks at the wire.
fn refuse(status: StatusCode) -> Response<Body> {
    let text = status.canonical_reason().unwrap_or_default();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let text_plain = header::HeaderValue::from_static("text/plain");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, text_plain);
    response
}

#[cfg(test)]
mod tests;
