//! Campaigns that ask for a device and have no task for it, and why.

use super::eligibility::{Exclusions, Judge, Verdict};
use super::targets::Sources;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::model::{Campaign, EndpointName, Language, NextAction};
use crate::store::{DeviceDetails, DevicesOf, Page, StoreError};

/// How many campaigns are looked through, from the last.
const CAMPAIGNS_LOOKED_AT: u32 = 200;

/// The reason where it would be taken in now.
const LATER: &str = "later";

/// A campaign that asks for a device and left it out.
#[derive(Debug)]
pub(in crate::http) struct LeftOut {
    pub(in crate::http) campaign: Campaign,
    /// `later` where it would be taken in now: it was not what is asked for when the campaign was made.
    pub(in crate::http) reason: &'static str,
    /// Why, with both values, in the language of the request.
    pub(in crate::http) detail: String,
    /// What to do about it.
    pub(in crate::http) next_action: NextAction,
}

/// Drafts and active campaigns that ask for a device which has no task in any of them.
pub(in crate::http) async fn left_out_of(
    state: &HttpState,
    endpoint: &EndpointName,
    language: Language,
) -> Result<Vec<LeftOut>, Problem> {
    let page = Page {
        after: None,
        limit: 1,
    };
    let named = std::slice::from_ref(endpoint);
    let details = state
        .store
        .device_details(DevicesOf::Named(named), page)
        .await?;
    let Some(details) = details.into_iter().next() else {
        return Ok(Vec::new());
    };
    let mut left_out = Vec::new();
    for campaign in state.store.current_campaigns(CAMPAIGNS_LOOKED_AT).await? {
        let why = why(state, &campaign, details.clone(), language).await?;
        if let Some((reason, detail)) = why {
            left_out.push(LeftOut {
                campaign,
                reason,
                detail,
                next_action: match reason {
                    "denied" | "not_allowed" => NextAction::ChangeTargets,
                    LATER | "source_version_differs" => NextAction::CreateCampaign,
                    "in_campaign" => NextAction::EndOtherCampaign,
                    _ => NextAction::MendDevice,
                },
            });
        }
    }
    Ok(left_out)
}

async fn why(
    state: &HttpState,
    campaign: &Campaign,
    details: DeviceDetails,
    language: Language,
) -> Result<Option<(&'static str, String)>, Problem> {
    let endpoint = details.device.endpoint.clone();
    let has_none = state
        .store
        .without_task(campaign.id, std::slice::from_ref(&endpoint))
        .await?;
    if has_none.is_empty() {
        return Ok(None);
    }
    let sources = Sources::find(state, &campaign.targets).await?;
    let package = match state.store.package(campaign.package).await {
        Ok(package) => package,
        Err(StoreError::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let may_downgrade = campaign.downgrade.is_some();
    let judge = Judge::read(state, &package, may_downgrade, &campaign.targets).await?;
    let candidates = judge.candidates(state, vec![details]).await?;
    let Some(candidate) = candidates.first() else {
        return Ok(None);
    };
    let is_asked_for = sources.named().contains(&endpoint)
        || sources.asks_for(state, &judge, &candidate.details)
        || state.store.is_in_groups(&endpoint, sources.lists()).await?;
    if !is_asked_for {
        return Ok(None);
    }
    Ok(Some(match judge.judge(candidate) {
        Verdict::Out(exclusion) => {
            let mut listed = Exclusions::new(1);
            listed.add(&endpoint, &exclusion, language);
            let excluded = listed.listed.pop();
            excluded.map_or((LATER, String::new()), |it| (it.reason(), it.into_detail()))
        }
        Verdict::In => {
            let detail = match language {
                Language::En => {
                    "it came to be asked for after the campaign was made, which takes in nobody later"
                }
                Language::Zh => "任务创建之后设备才符合条件,而该任务不自动纳入新设备",
            };
            (LATER, detail.to_owned())
        }
    }))
}
