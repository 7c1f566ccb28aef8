//! What to do about a task or a device, as it is shown.

use serde::Serialize;
use utoipa::ToSchema;

use crate::campaign::next_action_text;
use crate::model::{CampaignId, EndpointName, Language, NextAction};

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
}

impl NextActionView {
    pub(super) fn of(
        action: NextAction,
        campaign: Option<CampaignId>,
        endpoint: &EndpointName,
        language: Language,
    ) -> Self {
        Self {
            code: action.word(),
            text: next_action_text(action, language),
            request: action.request(campaign, endpoint),
        }
    }
}
