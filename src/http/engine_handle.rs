//! The way from a request to the engine's driver: a bounded queue, and an answer within a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time;

use super::beginning::{Beginning, Beginnings};
use crate::engine::{CellStatus, Command, CommandError, PaceReport, Standing};
use crate::model::{
    AuditActor, CampaignId, CellId, DeviceRequest, DeviceRequestId, EndpointName, NewDeviceRequest,
};

/// The receiving end, for the driver.
pub type EngineRequests = mpsc::Receiver<EngineRequest>;

/// Which cells to list: those after `after` (exclusive), at most `limit`, by cell id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellsPage {
    /// The last cell of the page before.
    pub after: Option<CellId>,
    /// The most cells.
    pub limit: u32,
}

/// What the API asks of the driver, with where the answer goes.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "few wait at a time; what is large in a command is behind pointers"
)]
pub enum EngineRequest {
    /// To carry out a command; answered when its records are committed. What an operator asked for
    /// goes into the audit log with them.
    Command(
        Command,
        Option<AuditActor>,
        oneshot::Sender<Result<(), EngineError>>,
    ),
    /// To take up a request to a device: answered with its number when it is committed, and once more
    /// when it has ended. Who asks goes into the audit log with it, unless it changes nothing there.
    Device(
        NewDeviceRequest,
        AuditActor,
        oneshot::Sender<Result<DeviceRequestId, EngineError>>,
        oneshot::Sender<DeviceRequest>,
    ),
    /// To list cells.
    Cells(CellsPage, oneshot::Sender<Vec<CellStatus>>),
    /// To say what was seen of a campaign's devices.
    Pace(Option<CampaignId>, oneshot::Sender<PaceReport>),
    /// To say where a device's task waits for a slot, and how many come before it.
    Standing(EndpointName, oneshot::Sender<Option<Standing>>),
}

/// Why the engine did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It refused the command. Nothing changed.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// The command's records could not be committed: the engine is rebuilt as if it had not come.
    #[error("the command could not be committed: {0}")]
    NotCommitted(String),
    /// The same, because the disk takes no more.
    #[error("the command could not be committed: no space is left for the store")]
    NoSpace,
    /// Too many requests wait for it. Nothing changed.
    #[error("too many requests wait for the engine")]
    Busy,
    /// It did not answer in time: whether the command is carried out is not known.
    #[error("the engine did not answer within {0:?}")]
    TimedOut(Duration),
    /// Somebody has halted since it was asked for. Nothing changed.
    #[error("somebody has halted what was asked to begin: it did not begin")]
    Halted,
    /// It has ended.
    #[error("the engine has ended")]
    Ended,
}

/// Asks the driver. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    requests: mpsc::Sender<EngineRequest>,
    timeout: Duration,
    beginnings: Arc<Beginnings>,
}

/// A handle and the driver's end of it: at most `requests_max` wait, each for at most `timeout`.
pub fn engine_channel(requests_max: usize, timeout: Duration) -> (EngineHandle, EngineRequests) {
    let (requests, receiver) = mpsc::channel(requests_max.max(1));
    let handle = EngineHandle {
        requests,
        timeout,
        beginnings: Arc::default(),
    };
    (handle, receiver)
}

impl EngineHandle {
    /// Has a command carried out.
    ///
    /// # Errors
    /// Where the engine refuses it, or cannot be asked.
    pub async fn command(&self, command: Command) -> Result<(), EngineError> {
        self.ask(|answer| EngineRequest::Command(command, None, answer))
            .await?
    }

    /// Has a command carried out, and who asked for it noted in the audit log.
    ///
    /// # Errors
    /// Where the engine refuses it, or cannot be asked.
    pub async fn command_by(&self, actor: AuditActor, command: Command) -> Result<(), EngineError> {
        self.ask(|answer| EngineRequest::Command(command, Some(actor), answer))
            .await?
    }

    /// A campaign is asked to begin: a halt that comes before its command is for it too.
    pub fn about_to_begin(&self, campaign: CampaignId) -> Beginning {
        self.beginnings.begin(campaign)
    }

    /// Whether somebody has asked for a campaign to begin whose command has not come.
    pub fn is_about_to_begin(&self, campaign: CampaignId) -> bool {
        self.beginnings.are_of(campaign)
    }

    /// As [`Self::command_by`], of what begins a campaign.
    ///
    /// # Errors
    /// Where the engine refuses it, or cannot be asked; [`EngineError::Halted`] where somebody has halted
    /// since it was asked for.
    pub async fn begin(
        &self,
        actor: AuditActor,
        command: Command,
        beginning: &Beginning,
    ) -> Result<(), EngineError> {
        let (sender, answer) = oneshot::channel();
        let request = EngineRequest::Command(command, Some(actor), sender);
        beginning.send(self.place()?, request)?;
        self.answer(answer).await?
    }

    /// As [`Self::begin`], however long the answer takes: who asks holds others back until it is known
    /// whether the command was carried out.
    ///
    /// # Errors
    /// As there.
    pub async fn begin_whole(
        &self,
        actor: AuditActor,
        command: Command,
        beginning: &Beginning,
    ) -> Result<(), EngineError> {
        let (sender, answer) = oneshot::channel();
        let request = EngineRequest::Command(command, Some(actor), sender);
        let place = self.requests.reserve().await;
        beginning.send(place.map_err(|_| EngineError::Ended)?, request)?;
        answer.await.unwrap_or(Err(EngineError::Ended))
    }

    /// As [`Self::command_by`], of what halts a campaign, or all: what was asked to begin before it does not
    /// begin behind it.
    ///
    /// # Errors
    /// Where the engine refuses it, or cannot be asked. Where it can, what is about to begin is halted.
    pub async fn halt(
        &self,
        actor: AuditActor,
        campaign: Option<CampaignId>,
    ) -> Result<(), EngineError> {
        let command = match campaign {
            Some(id) => Command::PauseCampaign { id, halted: true },
            None => Command::HaltCampaigns,
        };
        let (sender, answer) = oneshot::channel();
        let request = EngineRequest::Command(command, Some(actor), sender);
        self.beginnings.halt(campaign, self.place()?, request);
        self.answer(answer).await?
    }

    /// Has the engine learn what the store has committed already, which must reach it: this waits for a
    /// place, however many requests wait. An engine that does not answer in time learns it nevertheless,
    /// and one that is built anew meanwhile has it from the store.
    ///
    /// # Errors
    /// Where the engine refuses it, or has ended.
    pub async fn tell(&self, committed: Command) -> Result<(), EngineError> {
        let (sender, answer) = oneshot::channel();
        let request = EngineRequest::Command(committed, None, sender);
        let sent = self.requests.send(request).await;
        sent.map_err(|_| EngineError::Ended)?;
        match time::timeout(self.timeout, answer).await {
            Ok(Ok(Err(EngineError::NotCommitted(_) | EngineError::NoSpace))) | Err(_) => Ok(()),
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(EngineError::Ended),
        }
    }

    /// Has a request to a device taken up. Behind its number: where its end will be told, if it comes
    /// while the driver runs as it does now.
    ///
    /// # Errors
    /// Where the engine refuses it, or cannot be asked.
    pub async fn device(
        &self,
        asked: NewDeviceRequest,
        actor: AuditActor,
    ) -> Result<(DeviceRequestId, oneshot::Receiver<DeviceRequest>), EngineError> {
        let (sender, end) = oneshot::channel();
        let id = self
            .ask(|answer| EngineRequest::Device(asked, actor, answer, sender))
            .await??;
        Ok((id, end))
    }

    /// Lists cells.
    ///
    /// # Errors
    /// Where the engine cannot be asked.
    pub async fn cells(&self, page: CellsPage) -> Result<Vec<CellStatus>, EngineError> {
        self.ask(|answer| EngineRequest::Cells(page, answer)).await
    }

    /// Where a device's task waits for a slot.
    ///
    /// # Errors
    /// Where the engine cannot be asked.
    pub async fn standing(&self, endpoint: EndpointName) -> Result<Option<Standing>, EngineError> {
        self.ask(|answer| EngineRequest::Standing(endpoint, answer))
            .await
    }

    /// What was seen of a campaign's devices, and how many update at once; without one, only that.
    ///
    /// # Errors
    /// Where the engine cannot be asked.
    pub async fn pace(&self, campaign: Option<CampaignId>) -> Result<PaceReport, EngineError> {
        let ask = |answer| EngineRequest::Pace(campaign, answer);
        self.ask(ask).await
    }

    /// Whether the driver answers: for readiness.
    ///
    /// # Errors
    /// Where the engine cannot be asked.
    pub async fn check(&self) -> Result<(), EngineError> {
        let page = CellsPage {
            after: None,
            limit: 1,
        };
        self.cells(page).await.map(|_| ())
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> EngineRequest,
    ) -> Result<T, EngineError> {
        let (sender, answer) = oneshot::channel();
        self.place()?.send(request(sender));
        self.answer(answer).await
    }

    /// A place in the queue.
    fn place(&self) -> Result<mpsc::Permit<'_, EngineRequest>, EngineError> {
        self.requests.try_reserve().map_err(|error| match error {
            mpsc::error::TrySendError::Full(()) => EngineError::Busy,
            mpsc::error::TrySendError::Closed(()) => EngineError::Ended,
        })
    }

    async fn answer<T>(&self, answer: oneshot::Receiver<T>) -> Result<T, EngineError> {
        match time::timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(EngineError::Ended),
            Err(_) => Err(EngineError::TimedOut(self.timeout)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CampaignId;

    fn stop() -> Command {
        Command::StopCampaign {
            id: CampaignId(1),
            mode: crate::model::StopMode::Hard,
        }
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_at_once() {
        let (handle, _requests) = engine_channel(1, Duration::ZERO);
        assert_eq!(
            handle.command(stop()).await,
            Err(EngineError::TimedOut(Duration::ZERO))
        );
        assert_eq!(handle.command(stop()).await, Err(EngineError::Busy));
    }

    #[tokio::test]
    async fn what_is_committed_waits_for_a_place_and_for_no_answer() {
        let (handle, mut requests) = engine_channel(1, Duration::ZERO);
        handle.command(stop()).await.expect_err("nobody answers");
        let told = handle.tell(stop());
        let mut told = std::pin::pin!(told);
        tokio::select! {
            biased;
            told = &mut told => panic!("{told:?} where there is no place"),
            () = tokio::task::yield_now() => {}
        }
        requests.recv().await.expect("the first");
        assert_eq!(told.await, Ok(()));
        let Some(EngineRequest::Command(Command::StopCampaign { .. }, None, _)) =
            requests.recv().await
        else {
            panic!("a stop command");
        };
        drop(requests);
        assert_eq!(handle.tell(stop()).await, Err(EngineError::Ended));
    }

    #[tokio::test]
    async fn a_driver_that_has_ended_is_said_so() {
        let (handle, requests) = engine_channel(1, Duration::from_secs(5));
        drop(requests);
        assert_eq!(handle.check().await, Err(EngineError::Ended));
    }

    #[tokio::test]
    async fn a_refusal_comes_back_as_the_engine_said_it() {
        let (handle, mut requests) = engine_channel(1, Duration::from_secs(5));
        let answering = async {
            let Some(EngineRequest::Command(Command::StopCampaign { .. }, None, answer)) =
                requests.recv().await
            else {
                panic!("a stop command");
            };
            answer
                .send(Err(CommandError::NotActive.into()))
                .expect("the caller waits");
        };
        let (asked, ()) = tokio::join!(handle.command(stop()), answering);
        assert_eq!(asked, Err(EngineError::Refused(CommandError::NotActive)));
    }
}
