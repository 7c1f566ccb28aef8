//! `/api/v1/campaigns`: one package for many devices.

mod activate;
mod archive;
mod change;
mod consent;
mod create;
mod delete;
mod eligibility;
mod eta;
mod join;
mod lead;
mod left_out;
mod list;
mod package_check;
mod policy;
mod retry;
mod show;
mod stop;
mod targets;
mod tasks;
mod view;

pub(super) use activate::{__path_activate_campaign, activate_campaign};
pub(super) use archive::*;
pub(super) use change::{__path_change_campaign, change_campaign};
pub(super) use consent::*;
pub(super) use create::*;
pub(super) use delete::*;
pub(super) use eligibility::{complete, misfit};
pub(super) use eta::Etas;
pub use join::Joiner;
pub(super) use lead::{
    __path_approve_campaign, __path_halt_all, __path_halt_campaign, __path_pause_campaign,
    __path_resume_campaign, approve_campaign, halt_all, halt_campaign, pause_campaign,
    resume_campaign,
};
pub(super) use left_out::{LeftOut, left_out_of};
pub(super) use list::*;
pub(super) use retry::*;
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
