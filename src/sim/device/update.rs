//! Object 5: the firmware update as the device lives it.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::faults::Fault;
use super::uri::PackageUri;
use super::{Outcome, Sent, SimDevice, SocketKind};
use crate::clock::Instant;
use crate::coap::{BlockValue, Code, OptionNumber, Request, Response};
use crate::lwm2m::path;
use crate::model::Sha256Digest;

use super::super::log::DeviceEvent;

pub(super) const IDLE: u8 = 0;
pub(super) const DOWNLOADING: u8 = 1;
pub(super) const DOWNLOADED: u8 = 2;
pub(super) const UPDATING: u8 = 3;

pub(super) const RESULT_INITIAL: u8 = 0;
pub(super) const RESULT_SUCCESS: u8 = 1;
pub(super) const RESULT_CONNECTION_LOST: u8 = 4;
const RESULT_INTEGRITY_CHECK_FAILED: u8 = 5;
const RESULT_UNSUPPORTED_PACKAGE: u8 = 6;
const RESULT_INVALID_URI: u8 = 7;
pub(super) const RESULT_FAILED: u8 = 8;

/// The largest image that a device takes, in bytes.
pub(super) const IMAGE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What the device keeps of its update.
#[derive(Debug, Default)]
pub(super) struct Update {
    pub(super) state: u8,
    pub(super) result: u8,
    uri: String,
    pub(super) transfer: Option<Transfer>,
    /// Whether blocks of a pushed package were there when it was last looked.
    pub(super) receiving: bool,
    /// The notification that must be acknowledged before the first block is asked for.
    awaited: Option<Sent>,
    pub(super) installed_at: Option<Instant>,
    /// Until when its user has put the installation off.
    pub(super) deferred_until: Option<Instant>,
    /// Whether it was put off already.
    pub(super) deferred: bool,
    pub(super) severity: Option<u32>,
    pub(super) defer_period: Option<u32>,
    executing: bool,
}

/// A download under way.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    path: String,
    received_bytes: usize,
    hash: Sha256,
    etag: Option<Bytes>,
    szx: u8,
    request: Option<Sent>,
    /// How often anything was sent again before that.
    retransmissions: u64,
    /// How often the block under way was asked for anew.
    retries: u8,
}

impl Update {
    pub(super) fn state(&self) -> u8 {
        self.state
    }

    pub(super) fn result(&self) -> u8 {
        self.result
    }

    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    /// How much of a package was fetched that is not whole yet, in bytes.
    pub(super) fn fetched_bytes(&self) -> usize {
        let transfer = self.transfer.as_ref();
        transfer.map_or(0, |transfer| transfer.received_bytes)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.installed_at, self.deferred_until]
            .into_iter()
            .flatten()
            .min()
    }

    /// The new version does not run, the old one does.
    pub(super) const fn fail(&mut self, result: u8) {
        self.state = IDLE;
        self.result = result;
    }

    /// It installs until then.
    pub(super) const fn install_until(&mut self, at: Instant) {
        self.state = UPDATING;
        self.installed_at = Some(at);
    }

    /// XY: a failure is told once; from then on it is 8, and the update is over.
    pub(super) fn result_was_read(&mut self, reads_once: bool) {
        if reads_once && (2..=7).contains(&self.result) {
            self.result = RESULT_FAILED;
            self.state = IDLE;
        }
    }
}

impl SimDevice {
    /// `PUT /5/0/1`.
    pub(super) fn take_uri(&mut self, now: Instant, uri: &str) -> Code {
        if self.config.quirks.takes_only_push {
            return Code::METHOD_NOT_ALLOWED;
        }
        if uri.is_empty() && self.config.quirks.cancels {
            return self.cancel(now, RESULT_INITIAL);
        }
        if self.config.quirks.ignores_uri_unless_idle && self.update.state != IDLE {
            return Code::CHANGED;
        }
        if matches!(self.update.state, DOWNLOADING | UPDATING) {
            return Code::METHOD_NOT_ALLOWED;
        }
        let resumed = self.config.quirks.resumes && self.update.uri == uri;
        uri.clone_into(&mut self.update.uri);
        self.draw_fault();
        let finds_bad = self.config.quirks.finds_uris_bad || self.misfortune.suffers(Fault::BadUri);
        let read = PackageUri::parse(uri).filter(|_| !finds_bad);
        let Some(PackageUri { host, path }) = read else {
            // A bad URI changes only the Result: State stays 0.
            self.update.state = IDLE;
            self.change_result(now, RESULT_INVALID_URI);
            return Code::CHANGED;
        };
        let server = self.config.server;
        self.image_host = host.filter(|host| self.config.follows_uris && *host != server);
        let kept_bytes = self.update.fetched_bytes();
        if resumed && kept_bytes > 0 {
            self.log(DeviceEvent::DownloadResumed { kept_bytes });
        } else {
            let szx = self.config.szx;
            self.update.transfer = Some(Transfer {
                path,
                szx,
                ..Transfer::default()
            });
        }
        self.change_result(now, RESULT_INITIAL);
        self.update.state = DOWNLOADING;
        self.update.awaited = None;
        (self.update.deferred, self.update.deferred_until) = (false, None);
        self.log(DeviceEvent::UriAccepted);
        self.plan_data(now);
        let notification = self.notify(now, path::FIRMWARE_STATE);
        if self.config.quirks.waits_for_notification_ack {
            self.update.awaited = notification;
        }
        Code::CHANGED
    }

    /// `POST /5/0/2`.
    pub(super) fn take_execute(&mut self, now: Instant) -> Code {
        if self.update.state != DOWNLOADED {
            return Code::METHOD_NOT_ALLOWED;
        }
        self.log(DeviceEvent::ExecuteAccepted);
        self.update.deferred_until = None;
        self.update.state = UPDATING;
        self.update.executing = true;
        self.update.installed_at = Some(now + self.config.install);
        self.plan_power_cut(now);
        Code::CHANGED
    }

    /// Whether the answer to the request just taken must not leave.
    pub(super) fn reboots_unanswered(&self) -> bool {
        self.update.executing && self.config.quirks.reboots_before_execute_answer
    }

    /// What follows an answer, once it is on its way.
    pub(super) fn after_answer(&mut self, now: Instant) {
        if std::mem::take(&mut self.update.executing) {
            if self.config.quirks.reboots_before_execute_answer {
                self.update.installed_at = Some(now);
            } else {
                self.notify(now, path::FIRMWARE_STATE);
            }
        }
        let may_fetch = self.update.state == DOWNLOADING && self.update.awaited.is_none();
        let idle = self
            .update
            .transfer
            .as_ref()
            .is_some_and(|transfer| transfer.request.is_none());
        if may_fetch && idle {
            self.ask_for_block(now);
        }
    }

    pub(super) fn notification_delivered(&mut self, now: Instant, delivered: Sent) {
        if self.update.awaited == Some(delivered) {
            self.update.awaited = None;
            self.ask_for_block(now);
        }
    }

    /// A block that was asked for.
    pub(super) fn handle_block(&mut self, now: Instant, answered: Sent, response: &Response) {
        let transfer = self.update.transfer.as_mut();
        let Some(transfer) = transfer.filter(|transfer| transfer.request == Some(answered)) else {
            return;
        };
        transfer.request = None;
        let retransmissions = transfer.retransmissions;
        if self.restarts_download(answered.socket, retransmissions) {
            return self.ask_for_block(now);
        }
        let Some(transfer) = &mut self.update.transfer else {
            return;
        };
        if response.code != Code::CONTENT {
            return self.end_download(now, RESULT_INVALID_URI);
        }
        let block = response
            .options
            .first(OptionNumber::BLOCK2)
            .map(|value| BlockValue::decode(value));
        let Some(Ok(block)) = block else {
            return self.end_download(now, RESULT_CONNECTION_LOST);
        };
        let etag = response.options.first(OptionNumber::ETAG).cloned();
        let fits = block.offset() == transfer.received_bytes
            && (transfer.etag.is_none() || transfer.etag == etag)
            && transfer.received_bytes + response.payload.len() <= IMAGE_BYTES_MAX;
        if !fits {
            // What was fetched before is of another image.
            self.update.transfer = None;
            return self.end_download(now, RESULT_CONNECTION_LOST);
        }
        transfer.retries = 0;
        transfer.etag = etag;
        transfer.szx = transfer.szx.min(block.szx);
        transfer.hash.update(&response.payload);
        transfer.received_bytes += response.payload.len();
        if let Some(smaller) = self.config.smaller_blocks
            && transfer.received_bytes >= smaller.after_bytes
        {
            transfer.szx = transfer.szx.min(smaller.szx);
        }
        if self.block_brings_fault(now, block.more) {
            return;
        }
        if block.more {
            self.ask_for_block(now);
        } else {
            self.downloaded(now);
        }
    }

    /// Some stacks take the answer to a request that was sent again for that of a new download.
    fn restarts_download(&mut self, socket: SocketKind, retransmissions: u64) -> bool {
        let now_is = self.endpoint(socket).counters().retransmissions;
        if !self.config.quirks.restarts_after_retransmission || now_is == retransmissions {
            return false;
        }
        let Some(transfer) = &mut self.update.transfer else {
            return false;
        };
        transfer.received_bytes = 0;
        transfer.hash = Sha256::new();
        self.log(DeviceEvent::DownloadRestarted);
        true
    }

    /// A message of the update was never answered, or was refused.
    pub(super) fn download_lost(&mut self, now: Instant, lost: Sent) {
        let of_download = self
            .update
            .transfer
            .as_mut()
            .filter(|transfer| transfer.request == Some(lost));
        if let Some(transfer) = of_download {
            if transfer.retries < self.config.block_retries {
                transfer.retries += 1;
                self.ask_for_block(now);
            } else {
                self.end_download(now, RESULT_CONNECTION_LOST);
            }
        } else if self.update.awaited == Some(lost) {
            self.end_download(now, RESULT_FAILED);
        }
    }

    /// What a device does when it is registered again.
    pub(super) fn after_registration(&mut self, now: Instant) {
        if self.config.quirks.remembers_observation {
            self.notify(now, path::FIRMWARE_STATE);
        }
    }

    /// What is not in flash is gone.
    pub(super) fn forget_volatile(&mut self) {
        if self.config.quirks.remembers_observation {
            // The tokens are in flash, the numbers of the notifications are not.
            for observer in self.observers.values_mut() {
                observer.sequence = 0;
            }
        } else if !self.observers.is_empty() {
            self.observers.clear();
            self.log(DeviceEvent::ObservationsForgotten);
        }
        self.update.awaited = None;
        self.update.receiving = false;
        self.update.installed_at = None;
        self.update.executing = false;
        if let Some(transfer) = &mut self.update.transfer {
            transfer.request = None;
            transfer.retries = 0;
        }
        if self.update.state == DOWNLOADING {
            self.update.state = IDLE;
            self.update.result = RESULT_CONNECTION_LOST;
            let result = self.update.result;
            self.log(DeviceEvent::DownloadFailed { result });
        } else if self.update.state == UPDATING {
            // The power went while it installed: the image is still there, nothing was flashed.
            self.update.state = DOWNLOADED;
        }
    }

    fn ask_for_block(&mut self, now: Instant) {
        let without_block2 = self.config.quirks.first_request_without_block2;
        let own_socket = self.config.quirks.own_download_socket || self.image_host.is_some();
        let socket = if own_socket {
            SocketKind::Download
        } else {
            SocketKind::Main
        };
        let Some(transfer) = &self.update.transfer else {
            return;
        };
        let mut request = Request::new(Code::GET, &transfer.path);
        if transfer.received_bytes > 0 || !without_block2 {
            let size_bytes = 16_usize << transfer.szx;
            let num = u32::try_from(transfer.received_bytes / size_bytes).unwrap_or(u32::MAX);
            let block = BlockValue {
                num,
                more: false,
                szx: transfer.szx,
            };
            request.options.push(OptionNumber::BLOCK2, block.encode());
        }
        let retransmissions = self.endpoint(socket).counters().retransmissions;
        let sent = self.send(now, socket, request);
        match (&mut self.update.transfer, sent) {
            (Some(transfer), Some(sent)) => {
                transfer.request = Some(sent);
                transfer.retransmissions = retransmissions;
            }
            (Some(_), None) => self.end_download(now, RESULT_CONNECTION_LOST),
            (None, _) => {}
        }
    }

    /// A package was pushed whole.
    pub(super) fn received(&mut self, now: Instant, image: &[u8]) {
        self.update.transfer = Some(Transfer {
            hash: Sha256::new_with_prefix(image),
            received_bytes: image.len(),
            ..Transfer::default()
        });
        self.downloaded(now);
    }

    /// What was fetched or pushed is given up, because the server says so.
    pub(super) fn cancel(&mut self, now: Instant, result: u8) -> Code {
        if !matches!(self.update.state, DOWNLOADING | DOWNLOADED) {
            return Code::METHOD_NOT_ALLOWED;
        }
        self.update.transfer = None;
        self.end_download(now, result);
        Code::CHANGED
    }

    fn downloaded(&mut self, now: Instant) {
        // A URI that comes when the package is whole is fetched from the start.
        let Some(transfer) = self.update.transfer.take() else {
            return;
        };
        let sha256 = Sha256Digest(transfer.hash.finalize().into());
        let is_wrong = (self.config.image_sha256).is_some_and(|expected| expected != sha256);
        if is_wrong || self.misfortune.suffers(Fault::WrongHash) {
            return self.end_download(now, RESULT_INTEGRITY_CHECK_FAILED);
        }
        if self.misfortune.suffers(Fault::WrongType) {
            return self.end_download(now, RESULT_UNSUPPORTED_PACKAGE);
        }
        self.log(DeviceEvent::Downloaded { sha256 });
        if self.misfortune.suffers(Fault::PowerCutDownloaded) {
            self.update.state = DOWNLOADED;
            return self.cut_power_by_fault(now);
        }
        if let Outcome::DownloadFails(result) = self.config.outcome {
            return self.end_download(now, result);
        }
        self.update.state = DOWNLOADED;
        self.notify(now, path::FIRMWARE_STATE);
    }

    pub(super) fn end_download(&mut self, now: Instant, result: u8) {
        self.update.state = IDLE;
        self.change_result(now, result);
        self.update.awaited = None;
        if let Some(transfer) = &mut self.update.transfer {
            transfer.request = None;
            transfer.retries = 0;
        }
        self.log(DeviceEvent::DownloadFailed { result });
        self.notify(now, path::FIRMWARE_STATE);
    }

    /// A pushed package begins to come: what was there before is gone.
    pub(super) fn begin_receiving(&mut self, now: Instant) {
        self.update.transfer = None;
        self.draw_fault();
        self.change_result(now, RESULT_INITIAL);
        self.update.state = DOWNLOADING;
        self.log(DeviceEvent::UriAccepted);
        self.notify(now, path::FIRMWARE_STATE);
    }

    /// Tells the server, where it observes the Result.
    pub(super) fn change_result(&mut self, now: Instant, result: u8) {
        if std::mem::replace(&mut self.update.result, result) != result {
            self.notify(now, path::FIRMWARE_UPDATE_RESULT);
        }
    }
}
