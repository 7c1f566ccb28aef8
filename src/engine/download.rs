//! Package bytes by Block2: any block, at any time, from any address, to whoever has the capability.
//!
//! The answer is a function of the request alone, so duplicates need no cache (decisions, 8).

use bytes::Bytes;

use crate::clock::Now;
use crate::coap::{
    self, BlockError, BlockValue, Code, ContentFormat, OptionNumber, ReplyTo, Request, Response,
};
use crate::model::{DownloadCapability, Sha256Digest, TaskId};

use super::{Engine, Output, TaskProgress};

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
        image: Bytes,
        sha256: &Sha256Digest,
    ) -> bool {
        let mut etag = [0; 8];
        etag.copy_from_slice(&sha256.0[..8]);
        let download = Download { task, image, etag };
        self.downloads.insert(capability, download).is_none()
    }

    /// Blocks under `capability` are answered 4.04 from now on.
    pub(super) fn withdraw_download(&mut self, capability: DownloadCapability) {
        self.downloads.remove(&capability);
    }

    pub(super) fn handle_block_request(
        &mut self,
        now: Now,
        reply_to: &ReplyTo,
        request: &Request,
        capability: &str,
    ) {
        let download =
            DownloadCapability::from_hex(capability).and_then(|key| self.downloads.get(&key));
        let Some(download) = download else {
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
        self.outputs.push_back(Output::Progress(TaskProgress {
            task,
            bytes_served: end_bytes,
            size_bytes,
        }));
        self.block_served(now, task, end_bytes);
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
