//! What the errors of the layers below are to a client.

use super::super::{EngineError, Refusal};
use super::{Problem, kinds};
use crate::engine::CommandError;
use crate::model::InvalidTransition;
use crate::store::StoreError;

impl Problem {
    /// A store's error about a thing, e.g. `campaign 7`.
    pub(crate) fn of_store(error: StoreError, thing: impl std::fmt::Display) -> Self {
        match error {
            StoreError::NotFound => Self::new(kinds::NOT_FOUND, format!("there is no {thing}")),
            StoreError::Conflict(why) => Self::new(kinds::CONFLICT, format!("{thing}: {why}")),
            StoreError::Full => Self::new(kinds::NO_SPACE, "nothing was written"),
            StoreError::Fatal(fault) | StoreError::Failed(fault) => {
                tracing::error!(%fault, %thing, "the store failed");
                Self::new(kinds::INTERNAL, "the store failed")
            }
        }
    }

    /// A key or package that the verifier refused.
    pub(crate) fn of_refusal(kind: &'static super::Kind, refusal: Refusal) -> Self {
        Self::new(kind, refusal.message).with_code(refusal.code)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::of_store(error, "such thing")
    }
}

impl From<InvalidTransition> for Problem {
    fn from(error: InvalidTransition) -> Self {
        Self::new(kinds::INVALID_TRANSITION, error.to_string())
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let detail = error.to_string();
        match error {
            EngineError::Refused(refusal) => refusal.into(),
            EngineError::NotCommitted(_) | EngineError::Busy | EngineError::Ended => {
                Self::new(kinds::UNAVAILABLE, detail)
            }
            EngineError::Halted => Self::new(kinds::HALTED, detail),
            EngineError::NoSpace => Self::new(kinds::NO_SPACE, detail),
            EngineError::TimedOut(_) => Self::new(kinds::OUTCOME_UNKNOWN, detail),
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let kind = match error {
            CommandError::NoPublicHost => kinds::NO_PUBLIC_HOST,
            CommandError::NoDeviceHttp => kinds::NO_DEVICE_HTTP,
            CommandError::InvalidTransition(_)
            | CommandError::NotActive
            | CommandError::NothingToApprove
            | CommandError::NothingToRetry
            | CommandError::EndPassed => kinds::INVALID_TRANSITION,
            CommandError::TaskNotActive => kinds::TASK_ENDED,
            CommandError::ConsentNotAsked => kinds::CONSENT_NOT_ASKED,
            CommandError::ConsentGiven => kinds::CONSENT_GIVEN,
            CommandError::NotBarred => kinds::NOT_BARRED,
            CommandError::NotAPath => kinds::INVALID_FIELD,
            CommandError::UpdateActive | CommandError::TaskUnfinished { .. } => {
                kinds::UPDATE_ACTIVE
            }
            CommandError::DeviceQueueFull { .. } => kinds::TOO_MANY_REQUESTS,
            CommandError::DeviceRequestsFull { .. } => kinds::LIMIT_REACHED,
            CommandError::RequestNotQueued => kinds::NOT_QUEUED,
            CommandError::UnknownRequest => kinds::NOT_FOUND,
            CommandError::ImagesFull { .. }
            | CommandError::TasksFull { .. }
            | CommandError::ProductsFull { .. } => kinds::LIMIT_REACHED,
        };
        Self::new(kind, error.to_string())
    }
}
