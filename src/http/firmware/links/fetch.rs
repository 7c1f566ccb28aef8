//! `GET /fw/<capability>/<file name>` of a link.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use metrics::counter;

use super::Links;
use super::file_body::{ASK_EVERY, FileBody, LinkTaker};
use super::link::Link;
use crate::clock::SystemClock;
use crate::http::firmware::{answer_head, refuse, withheld};
use crate::http::listener::TakenBy;
use crate::model::{DownloadCapability, KeyState};
use crate::store::StoreError;

/// The answer under this capability; `None` where it opens no link.
pub(in crate::http::firmware) async fn fetch(
    links: &Arc<Links>,
    clock: SystemClock,
    is_get: bool,
    headers: &HeaderMap,
    capability: DownloadCapability,
    file_name: &str,
) -> Option<Response<Body>> {
    let link = links.find(capability, file_name)?;
    let asked_at = clock.now();
    let now = asked_at.utc;
    // Before it is asked whether it may be sent: who cuts it off after that is heard.
    let cuts = link.cuts();
    if link.is_over(now) {
        return Some(refuse(StatusCode::GONE));
    }
    match links.may_send(&link).await {
        Ok(true) => {}
        Ok(false) => return Some(refuse(StatusCode::GONE)),
        Err(error) => {
            tracing::error!(%error, "whether a link may be fetched from cannot be read");
            return Some(withheld());
        }
    }
    let (sha256, size_bytes) = link.file();
    let (head, part) = match answer_head(headers, is_get, &sha256, size_bytes) {
        Ok(head) => head,
        Err(refusal) => return Some(*refusal),
    };
    if !is_get {
        return Some(finish(head, Body::empty()));
    }
    let file = match links.files.open(sha256).await {
        Ok(file) => file,
        Err(error) => {
            counter!("narrowcast_packages_damaged_total").increment(1);
            tracing::error!(%error, link = link.id().0, "a link's file cannot be sent");
            return Some(refuse(StatusCode::INTERNAL_SERVER_ERROR));
        }
    };
    link.fetch_begins(now);
    links.news.notify_one();
    let taker = TakenBy(Arc::new(LinkTaker {
        links: Arc::clone(links),
        link: Arc::clone(&link),
        clock,
        next: AtomicU64::new(part.start),
    }));
    let body = Body::new(FileBody {
        links: Arc::clone(links),
        link,
        file,
        clock,
        cuts,
        ask_at: asked_at.instant + ASK_EVERY,
        part,
        reading: None,
    });
    Some(finish(head.extension(taker), body))
}

impl Links {
    /// Whether a link's package is there and nobody has revoked the key that it rests on.
    pub(super) async fn may_send(&self, link: &Link) -> Result<bool, StoreError> {
        let package = match self.store.package(link.package()).await {
            Ok(package) => package,
            Err(StoreError::NotFound) => return Ok(false),
            Err(error) => return Err(error),
        };
        let Some(key_id) = package.key_id() else {
            return Ok(true);
        };
        match self.store.key(key_id).await {
            Ok(key) => Ok(key.state() != KeyState::Revoked),
            Err(StoreError::NotFound) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

fn finish(head: axum::http::response::Builder, body: Body) -> Response<Body> {
    head.body(body)
        .unwrap_or_else(|_| refuse(StatusCode::INTERNAL_SERVER_ERROR))
}
