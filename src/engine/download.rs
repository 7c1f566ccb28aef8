//! Package bytes by Block2: any block, at any time, from any address, to whoever has the capability.
//!
//! The answer is a function of the request alone, so duplicates need no cache (decisions, 8). Another
//! listener serves the same images under the same capabilities: it is told of each change by
//! [`Output::Download`], and tells what was fetched by [`Engine::handle_fetched`]. The session then
//! knows of it as it knows of a block.

use bytes::Bytes;

use crate::clock::Now;
use crate::coap::{
    self, BlockError, BlockValue, Code, ContentFormat, OptionNumber, ReplyTo, Request, Response,
};
use crate::model::{DownloadCapability, Image, Sha256Digest, TaskId};

use super::tasks::TaskEntry;
use super::{Engine, Output, TaskProgress};

/// The longest file name in a URI, in bytes (BC25 DFOTA, `AT+QFOTADL`).
const FILE_NAME_BYTES_MAX: usize = 63;

/// What may be fetched under a capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedImage {
    /// The bytes, shared with the campaign.
    pub image: Image,
    /// Their hash.
    pub sha256: Sha256Digest,
    /// The last segment of the path where a URI has a file name.
    pub file_name: String,
}

/// What has changed in what may be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownloadChange {
    /// This image is served under the capability.
    Served(DownloadCapability, ServedImage),
    /// Nothing is, any more.
    Withdrawn(DownloadCapability),
}

/// A capability that may be used now.
#[derive(Clone, Debug)]
pub(super) struct Download {
    task: TaskId,
    image: Bytes,
    etag: [u8; 8],
}

impl Engine {
    /// Blocks of `image` are served under `capability` from now on. Says whether they were not before.
    pub(super) fn serve_download(
        &mut self,
        capability: DownloadCapability,
        task: TaskId,
        served: ServedImage,
    ) -> bool {
        let mut etag = [0; 8];
        etag.copy_from_slice(&served.sha256.0[..8]);
        let image = served.image.bytes().clone();
        let download = Download { task, image, etag };
        let is_new = self.downloads.insert(capability, download).is_none();
        if is_new {
            let change = DownloadChange::Served(capability, served);
            self.outputs.push_back(Output::Download(change));
        }
        is_new
    }

    /// Blocks under `capability` are answered 4.04 from now on.
    pub(super) fn withdraw_download(&mut self, capability: DownloadCapability) {
        if self.downloads.remove(&capability).is_some() {
            let change = DownloadChange::Withdrawn(capability);
            self.outputs.push_back(Output::Download(change));
        }
    }

    /// Bytes of an image were fetched under its capability by another way than CoAP, up to this offset.
    /// What is not served any more is fetched for nothing.
    pub fn handle_fetched(&mut self, now: Now, capability: DownloadCapability, end_bytes: u64) {
        let Some(download) = self.downloads.get(&capability) else {
            return;
        };
        let (task, size_bytes) = (download.task, download.image.len() as u64);
        self.show_progress(task, end_bytes, size_bytes);
        self.block_served(now, task, end_bytes);
        self.pump(now);
    }

    /// Says how far a task's package was served, for the live view.
    pub(super) fn show_progress(&mut self, task: TaskId, bytes_served: u64, size_bytes: u64) {
        let Some(entry) = self.tasks.get(&task) else {
            return;
        };
        let committed_bytes = match entry {
            TaskEntry::Idle(task) => task.bytes_served,
            TaskEntry::Running(session) => session.committed_bytes(),
        };
        self.outputs.push_back(Output::Progress(TaskProgress {
            task,
            campaign: entry.task().campaign,
            bytes_served,
            committed_bytes,
            size_bytes,
        }));
    }

    pub(super) fn handle_block_request(
        &mut self,
        now: Now,
        reply_to: &ReplyTo,
        request: &Request,
        capability: &str,
    ) {
        let capability = DownloadCapability::from_hex(capability);
        let task = capability.and_then(|key| Some(self.downloads.get(&key)?.task));
        if let Some(task) = task {
            // It may be withdrawn by that.
            self.settle_wholly(now, task);
        }
        let Some(download) = capability.and_then(|key| self.downloads.get(&key)) else {
            // That it was withdrawn may not be committed yet: if it never is, no device was told.
            return self
                .coap
                .respond_unkept(reply_to, Response::new(Code::NOT_FOUND));
        };
        let task = download.task;
        let served = block_response(download, request, self.config.default_szx);
        let Ok((response, end_bytes)) = served else {
            return self.coap.respond_stateless(reply_to, bad_block());
        };
        let size_bytes = download.image.len() as u64;
        self.counters.blocks += 1;
        self.counters.block_bytes += response.payload.len() as u64;
        self.coap.respond_stateless(reply_to, response);
        self.show_progress(task, end_bytes, size_bytes);
        self.block_served(now, task, end_bytes);
    }
}

/// A package's file name as a segment of a path that every module takes as it stands: unreserved
/// characters (RFC 3986 §2.3), at most 63 of them, the last rather than the first,
/// as they say what kind of file it is.
pub fn uri_file_name(file_name: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let plain = file_name
        .chars()
        .map(|c| if is_plain(&c) { c } else { '_' });
    let plain: String = plain.collect();
    let tail = &plain[plain.len().saturating_sub(FILE_NAME_BYTES_MAX)..];
    // A name that begins with a dot could be a step up in the path.
    match tail.trim_start_matches('.') {
        "" => "firmware.bin".to_owned(),
        name => name.to_owned(),
    }
}

/// The response to one block request, and where in the image the block ends.
fn block_response(
    download: &Download,
    request: &Request,
    default_szx: u8,
) -> Result<(Response, u64), BlockError> {
    let requested = request
        .options
        .first(OptionNumber::BLOCK2)
        .map(|value| BlockValue::decode(value));
    let (block, body) = coap::block2_slice(&download.image, requested.transpose()?, default_szx)?;
    let end_bytes = block.offset() as u64 + body.len() as u64;
    let mut response = Response::new(Code::CONTENT);
    response
        .options
        .push(OptionNumber::ETAG, Bytes::copy_from_slice(&download.etag));
    response
        .options
        .push_uint(OptionNumber::CONTENT_FORMAT, ContentFormat::OPAQUE.0.into());
    response.options.push(OptionNumber::BLOCK2, block.encode());
    if block.num == 0 {
        let size = u32::try_from(download.image.len()).unwrap_or(u32::MAX);
        response.options.push_uint(OptionNumber::SIZE2, size);
    }
    response.payload = body;
    Ok((response, end_bytes))
}

/// Past the end, or a block value that RFC 7959 §2.2 does not know.
fn bad_block() -> Response {
    Response::new(Code::BAD_REQUEST).with_diagnostic("no such block")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_name_is_one_plain_segment() {
        for (file_name, segment) in [
            (
                "BC25R01A03_TO_BC25R01A04.bin",
                "BC25R01A03_TO_BC25R01A04.bin",
            ),
            ("a b%2f?.bin", "a_b_2f_.bin"),
            ("固件.bin", "__.bin"),
            ("..", "firmware.bin"),
            ("", "firmware.bin"),
            (".hidden", "hidden"),
        ] {
            assert_eq!(uri_file_name(file_name), segment);
        }
        let long = format!("{}.bin", "x".repeat(100));
        assert_eq!(uri_file_name(&long), format!("{}.bin", "x".repeat(59)));
    }

    proptest! {
        #[test]
        fn every_file_name_has_a_segment_within_the_bounds(file_name in ".*") {
            let segment = uri_file_name(&file_name);
            prop_assert!((1..=FILE_NAME_BYTES_MAX).contains(&segment.len()));
            prop_assert!(!segment.starts_with('.') && !segment.contains(['/', '%', '?', '#', ' ']));
            prop_assert!(segment.is_ascii());
        }
    }
}
