//! `/api/v1/campaigns`: one package for many devices.

mod activate;
mod create;
mod delete;
mod eligibility;
mod list;
mod package_check;
mod show;
mod stop;
mod targets;
mod tasks;
mod view;

pub(super) use activate::*;
pub(super) use create::*;
pub(super) use delete::*;
pub(super) use eligibility::{complete, misfit};
pub(super) use list::*;
pub(super) use show::*;
pub(super) use stop::*;
pub(super) use tasks::*;
pub(super) use view::Admission;

use super::HttpState;
use super::error::Problem;
use crate::model::{Campaign, CampaignId};
use crate::store::TaskCounts;

/// One campaign and its counts.
async fn find(state: &HttpState, id: u64) -> Result<(Campaign, TaskCounts), Problem> {
    let found = state.store.campaign(CampaignId(id)).await;
    found.map_err(|error| Problem::of_store(error, format_args!("campaign {id}")))
}
