//! What to do about a task or a device, as it is shown.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::campaign::next_action_text;
use crate::model::{CampaignId, EndpointName, Language, NextAction, TaskId};

/// What an operator can do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NextAction)]
pub(super) struct NextActionView {
    /// What: stable, for programs. `none` and `wait`: nothing.
    code: &'static str,
    /// What: for people, in the language of the request.
    text: &'static str,
    /// The request that does it, where one does.
    request: Option<String>,
    /// The body that the request has so that it is for this device alone.
    #[schema(value_type = Option<Object>)]
    body: Option<Value>,
}

impl NextActionView {
    pub(super) fn of(
        action: NextAction,
        of: Option<(CampaignId, TaskId)>,
        endpoint: &EndpointName,
        language: Language,
    ) -> Self {
        Self {
            code: action.word(),
            text: next_action_text(action, language),
            body: body(action, endpoint).filter(|_| of.is_some()),
            request: action.request(of, endpoint),
        }
    }
}

fn body(action: NextAction, endpoint: &EndpointName) -> Option<Value> {
    match action {
        NextAction::Consent => Some(json!({"granted": true})),
        NextAction::Retry | NextAction::MendAndRetry => {
            Some(json!({"endpoint": endpoint.as_str()}))
        }
        NextAction::None
        | NextAction::Wait
        | NextAction::EnterDevice
        | NextAction::MendDevice
        | NextAction::CreateCampaign
        | NextAction::ChangeTargets
        | NextAction::Activate
        | NextAction::Resume
        | NextAction::ApprovePhase
        | NextAction::BringIntoContact
        | NextAction::RaiseCellLimit
        | NextAction::RaiseRate
        | NextAction::MeetConditions
        | NextAction::AskUser
        | NextAction::SeparateDevices
        | NextAction::SetDownloadBase
        | NextAction::LiftBar
        | NextAction::EndOtherCampaign
        | NextAction::SignAnew => None,
    }
}
