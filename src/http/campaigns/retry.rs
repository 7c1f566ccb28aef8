//! `POST /api/v1/campaigns/{id}/retry`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::activate::{load_verified, tasks_by_phase};
use super::archive::check_not_archived;
use super::find;
use super::view::CampaignView;
use crate::engine::{Command, CommandError, EndedCampaign};
use crate::http::auth::approves;
use crate::http::beginning::Beginning;
use crate::http::blocking::to_the_end;
use crate::http::error::{Problem, kinds};
use crate::http::extract::{OptionalJsonBody, PathParams};
use crate::http::{EngineError, HttpState, fields};
use crate::model::{
    AuditActor, Campaign, CampaignId, EndpointName, FailureReason, TaskId, TaskState, UpdateTask,
};
use crate::store::Page;

/// How many tasks are read and handed over at a time.
const TASKS_PER_COMMAND: u32 = 1000;

/// How often a part is handed over anew because its campaign has ended meanwhile.
const TRIES_MAX: u32 = 3;

/// Which failed tasks to try again; all where nothing is said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetryAsked {
    /// Those that failed of this cause.
    code: Option<String>,
    /// That of this device.
    endpoint: Option<String>,
    /// Those of these devices.
    endpoints: Option<Vec<String>>,
}

/// What is tried again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retried {
    #[serde(flatten)]
    campaign: CampaignView,
    /// How many tasks are tried again.
    retried_count: u64,
}

/// Of which tasks.
#[derive(Debug)]
struct Wanted {
    code: Option<FailureReason>,
    endpoints: Option<BTreeSet<EndpointName>>,
}

/// Has failed tasks tried again, of an active campaign or of one that has ended, which runs again then:
/// that an approver does.
/// Attempts are numbered on and count anew against `retries_max`; a device goes on where it stopped. Asked
/// again, it changes nothing.
#[utoipa::path(post, path = "/api/v1/campaigns/{id}/retry", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    request_body = Option<RetryAsked>,
    responses((status = 200, description = "Tried again", body = Retried)))]
pub(crate) async fn retry_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    OptionalJsonBody(body): OptionalJsonBody<RetryAsked>,
) -> Result<Json<Retried>, Problem> {
    let wanted = body.parse(&state)?;
    let retried_count = to_the_end(retry(state.clone(), actor, CampaignId(id), wanted)).await?;
    Ok(Json(Retried {
        campaign: find(&state, id).await?.into(),
        retried_count,
    }))
}

impl RetryAsked {
    fn parse(self, state: &HttpState) -> Result<Wanted, Problem> {
        let code = self
            .code
            .as_deref()
            .map(|word| fields::word("code", word, FailureReason::ALL, FailureReason::word));
        if self.endpoint.is_some() && self.endpoints.is_some() {
            let fault = "name one device with 'endpoint' or several with 'endpoints'";
            return Err(Problem::invalid_field("endpoint", fault));
        }
        let one = self
            .endpoint
            .map(|text| vec![("endpoint".to_owned(), text)]);
        let several = self.endpoints.map(|texts| {
            let texts = texts.into_iter().enumerate();
            texts
                .map(|(index, text)| (format!("endpoints[{index}]"), text))
                .collect()
        });
        let endpoints = one.or(several).map(|named: Vec<(String, String)>| {
            named
                .iter()
                .map(|(field, text)| state.endpoint(field, text))
                .collect()
        });
        Ok(Wanted {
            code: code.transpose()?,
            endpoints: endpoints.transpose()?,
        })
    }
}

impl Wanted {
    fn names(&self, task: &UpdateTask) -> bool {
        let failed_of = task.failure.as_ref().map(|failure| failure.reason);
        (self.code.is_none() || failed_of == self.code)
            && self
                .endpoints
                .as_ref()
                .is_none_or(|all| all.contains(&task.endpoint))
    }
}

/// From reading what has failed to the commit no other does so, nor activates or deletes a campaign: no
/// task is handed over twice, and none of a campaign that is gone.
async fn retry(
    state: HttpState,
    actor: AuditActor,
    id: CampaignId,
    wanted: Wanted,
) -> Result<u64, Problem> {
    let beginning = state.engine.about_to_begin(id);
    let _activation = Arc::clone(&state.activation).lock_owned().await;
    let (campaign, counts) = find(&state, id.0).await?;
    campaign.state.retry(counts.pending + counts.running > 0)?;
    check_not_archived(&campaign)?;
    check_may_run_again(&campaign, &actor)?;
    let (mut after, mut retried) = (TaskId(0), 0);
    loop {
        let page = Page {
            after: Some(after.0.to_string()),
            limit: TASKS_PER_COMMAND,
        };
        let failed = state.store.tasks(id, Some(TaskState::Failed), page).await?;
        let Some(last) = failed.last() else {
            return Ok(retried);
        };
        after = last.id;
        let tasks: Vec<_> = failed
            .into_iter()
            .filter(|task| wanted.names(task))
            .collect();
        if tasks.is_empty() {
            continue;
        }
        let count = tasks.len() as u64;
        if hand_over(&state, &actor, &beginning, id, tasks).await? {
            retried += count;
        }
    }
}

/// That who has tasks tried again may have their campaign run again, where it has ended: maybe an approver
/// stopped it, or its errors did.
fn check_may_run_again(campaign: &Campaign, actor: &AuditActor) -> Result<(), Problem> {
    if campaign.state.is_active() || approves(actor) {
        return Ok(());
    }
    let detail = "only an approver may have a campaign run again that has ended";
    Err(Problem::new(kinds::FORBIDDEN, detail))
}

/// Whether they are tried again.
async fn hand_over(
    state: &HttpState,
    actor: &AuditActor,
    beginning: &Beginning,
    id: CampaignId,
    tasks: Vec<UpdateTask>,
) -> Result<bool, Problem> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (campaign, _) = find(state, id.0).await?;
        check_may_run_again(&campaign, actor)?;
        let ended = if campaign.state.is_active() {
            None
        } else {
            Some(read_ended(state, campaign).await?)
        };
        let command = Command::RetryTasks {
            campaign: id,
            tasks: tasks.clone(),
            ended,
        };
        let engine = &state.engine;
        match engine.begin_whole(actor.clone(), command, beginning).await {
            Ok(()) => return Ok(true),
            Err(EngineError::Refused(CommandError::NothingToRetry)) => return Ok(false),
            // Its last task ended between the reading and the command.
            Err(EngineError::Refused(CommandError::NotActive)) if tries < TRIES_MAX => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What it takes to run again, as an activation reads it.
async fn read_ended(state: &HttpState, campaign: Campaign) -> Result<EndedCampaign, Problem> {
    let package = state.store.package(campaign.package).await;
    let package = package.map_err(|error| {
        let campaign = campaign.id.0;
        Problem::of_store(error, format_args!("package of campaign {campaign}"))
    })?;
    let mut ended = tasks_by_phase(state, campaign.id, &BTreeMap::new()).await?;
    let phase = campaign.rollout.phase;
    let gate = campaign.policy.rollout.gate_after(phase);
    if gate.is_some_and(|gate| gate.soak_hours > 0) {
        ended.soaking = state.store.updated_in_phase(campaign.id, phase).await?;
    }
    Ok(EndedCampaign {
        image: load_verified(state, &package).await?,
        installed: state.store.installed_sequences(&package).await?,
        ended,
        campaign,
        package,
    })
}
