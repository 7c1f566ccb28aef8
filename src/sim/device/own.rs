//! What operators ask of a device beside its firmware: data sent down, its UTC offset, a reboot.

use bytes::Bytes;

use super::super::log::DeviceEvent;
use super::SimDevice;
use crate::clock::Instant;
use crate::coap::{Code, ContentFormat, Request, Response};
use crate::lwm2m::{Path, Value, path};

/// Device, Reboot.
const REBOOT: Path = Path::of_resource(3, 0, 4);
/// Device, UTC Offset.
const UTC_OFFSET: Path = Path::of_resource(3, 0, 14);
/// How many downlinks it remembers.
const DOWNLINKS_MAX: usize = 64;

/// What was asked of it.
#[derive(Debug, Default)]
pub(super) struct Own {
    utc_offset: String,
    downlinks: Vec<Bytes>,
    reboots: u32,
}

impl SimDevice {
    /// What was written to `/19/1/0`, each as often as it was done, the oldest first.
    pub fn downlinks(&self) -> &[Bytes] {
        &self.own.downlinks
    }

    /// How often `/3/0/4` was executed.
    pub fn reboots(&self) -> u32 {
        self.own.reboots
    }

    pub(super) fn own_value(&self, path: Path) -> Option<Value> {
        (path == UTC_OFFSET).then(|| Value::Text(self.own.utc_offset.clone()))
    }

    /// A write of these resources; `None` where it is of another.
    pub(super) fn write_own(&mut self, path: Path, request: &Request) -> Option<Response> {
        let format = match path {
            path::DOWNLINK_DATA => ContentFormat::OPAQUE,
            UTC_OFFSET => ContentFormat::TEXT,
            Path { .. } => return None,
        };
        if request.content_format() != Some(format) {
            return Some(Response::new(Code::UNSUPPORTED_CONTENT_FORMAT));
        }
        if path == UTC_OFFSET {
            self.own.utc_offset = String::from_utf8_lossy(&request.payload).into_owned();
        } else if self.own.downlinks.len() < DOWNLINKS_MAX {
            let data = request.payload.clone();
            self.own.downlinks.push(data.clone());
            self.log(DeviceEvent::DownlinkTaken { data });
        } else {
            return Some(Response::new(Code::REQUEST_ENTITY_TOO_LARGE));
        }
        Some(Response::new(Code::CHANGED))
    }

    /// An execute of Reboot: the power goes with the answer. `None` where it is of another resource.
    pub(super) fn execute_own(
        &mut self,
        now: Instant,
        path: Path,
        request: &Request,
    ) -> Option<Response> {
        if path != REBOOT {
            return None;
        }
        self.own.reboots += 1;
        let arguments = request.payload.clone();
        self.log(DeviceEvent::RebootTaken { arguments });
        let off = self.config.reboot;
        self.cut_power(now, off);
        Some(Response::new(Code::CHANGED))
    }
}
