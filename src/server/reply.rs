//! What REST waits for: that a command is committed, and what comes of a request to a device.

use std::collections::HashMap;

use tokio::sync::oneshot;

use crate::engine::CommandError;
use crate::http::EngineError;
use crate::model::{DeviceRequest, DeviceRequestId, Record};

/// An answer that may be given once what it rests on is committed.
#[derive(Debug)]
pub(super) enum Reply {
    /// To a command.
    Command(
        oneshot::Sender<Result<(), EngineError>>,
        Result<(), CommandError>,
    ),
    /// To a request to a device: its number.
    DeviceRequest(
        oneshot::Sender<Result<DeviceRequestId, EngineError>>,
        Result<DeviceRequestId, CommandError>,
    ),
}

impl Reply {
    /// Its records are committed. That nobody waits any more is theirs to decide.
    pub(super) fn send(self) {
        match self {
            Self::Command(answer, result) => drop(answer.send(result.map_err(EngineError::from))),
            Self::DeviceRequest(answer, result) => {
                drop(answer.send(result.map_err(EngineError::from)));
            }
        }
    }

    /// Its records are lost.
    pub(super) fn fail(self, error: EngineError) {
        match self {
            Self::Command(answer, _) => drop(answer.send(Err(error))),
            Self::DeviceRequest(answer, _) => drop(answer.send(Err(error))),
        }
    }
}

/// Who waits for the end of which request to a device: no more than requests that have not ended.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    by_id: HashMap<DeviceRequestId, oneshot::Sender<DeviceRequest>>,
}

impl Awaited {
    /// Somebody waits for the end of this request.
    pub(super) fn insert(&mut self, id: DeviceRequestId, end: oneshot::Sender<DeviceRequest>) {
        self.by_id.insert(id, end);
    }

    /// These records are committed.
    pub(super) fn committed(&mut self, records: &[Record]) {
        for record in records {
            if let Record::DeviceRequest(request) = record
                && request.state.is_final()
                && let Some(end) = self.by_id.remove(&request.id)
            {
                drop(end.send(request.clone()));
            }
        }
    }
}
