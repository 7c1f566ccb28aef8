//! `GET /api/v1/devices/{endpoint}/why`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::campaign::{QueuePlace, ShownTask, WhyFacts, WhyLeftOut, WhyTask, why};
use crate::http::campaigns::{LeftOut, TaskView, as_shown, left_out_of};
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::http::language::Preferred;
use crate::http::next_action::NextActionView;
use crate::http::{CellsPage, HttpState, fields};
use crate::model::{
    Campaign, CampaignState, CellId, EndpointName, Language, NextAction, SlotClaim, TimelineStep,
    UpdateTask, WaitingFor,
};
use crate::store::StoreError;

/// How many of the last steps of a device are looked through for what it lacks.
const STEPS_LOOKED_AT: u32 = 50;

/// Why a device is not updated, or that it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Why)]
pub(crate) struct WhyView {
    /// The endpoint client name.
    endpoint: String,
    /// Why, in the language of the request.
    text: String,
    /// What to do about it.
    next_action: NextActionView,
    /// Whether anybody has entered it.
    known: bool,
    /// Whether it has a live registration.
    registered: bool,
    /// Whether a request would be heard now.
    awake: bool,
    /// When its last packet was heard, since the server began.
    #[schema(format = DateTime)]
    last_heard_at: Option<String>,
    /// Until when it must be heard again, or its registration ends.
    #[schema(format = DateTime)]
    expected_until: Option<String>,
    /// Since when it is barred.
    #[schema(format = DateTime)]
    barred_since: Option<String>,
    /// The campaign of its task.
    campaign: Option<WhyCampaign>,
    /// Its task under way; else one of a draft; else the last that there was.
    task: Option<TaskView>,
    /// How many attempts are made at most.
    attempts_max: Option<u32>,
    /// Where it stands in its cell, while it waits there.
    cell: Option<WhyCell>,
    /// Drafts and active campaigns that ask for it and left it out, where it has no task under way; beside a
    /// draft with a task of it only active ones.
    left_out: Vec<LeftOutView>,
}

/// A campaign.
#[derive(Debug, Serialize, ToSchema)]
struct WhyCampaign {
    /// Its number.
    id: u64,
    /// 任务名称.
    name: String,
    /// Its state.
    state: &'static str,
}

/// A class of a cell.
#[derive(Debug, Serialize, ToSchema)]
struct WhyCell {
    /// The cell.
    cell_id: u32,
    /// `0`, `1`, `2` or `unknown`.
    tier: &'static str,
    /// How many devices of it are active.
    active: u32,
    /// How many may be.
    limit: u32,
    /// How many wait.
    queued: u32,
    /// How many of those come before it.
    ahead: usize,
}

/// A campaign that a device was left out of.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WhyLeftOut)]
struct LeftOutView {
    /// Which.
    campaign: WhyCampaign,
    /// Why, as at the campaign's making, or `later`: it came to be asked for after that.
    reason: &'static str,
    /// Why, with both values, in the language of the request.
    detail: String,
    #[serde(skip)]
    next_action: NextAction,
}

impl WhyCampaign {
    fn of(campaign: &Campaign) -> Self {
        Self {
            id: campaign.id.0,
            name: campaign.name.clone(),
            state: campaign.state.word(),
        }
    }
}

impl LeftOutView {
    fn told(&self, language: Language) -> WhyLeftOut {
        let (id, name, detail) = (self.campaign.id, &self.campaign.name, &self.detail);
        let sentence = match language {
            Language::En => format!("Campaign {id} “{name}” left it out: {detail}."),
            Language::Zh => format!("升级任务 {id}“{name}”未包含该设备:{detail}。"),
        };
        WhyLeftOut {
            sentence,
            next_action: self.next_action,
        }
    }
}

impl From<LeftOut> for LeftOutView {
    fn from(left_out: LeftOut) -> Self {
        Self {
            campaign: WhyCampaign::of(&left_out.campaign),
            reason: left_out.reason,
            detail: left_out.detail,
            next_action: left_out.next_action,
        }
    }
}

/// Says why a device is not updated: what it waits for, since when and until when, when it was last heard,
/// where it stands in its cell, what failed and what was seen, and what to do. Also of a device that is in
/// no campaign, was left out, is barred, or is not known.
#[utoipa::path(get, path = "/api/v1/devices/{endpoint}/why", tag = "devices",
    params(("endpoint" = String, Path, description = "The endpoint client name")),
    responses((status = 200, description = "Why", body = WhyView)))]
pub(crate) async fn show_why(
    State(state): State<HttpState>,
    PathParams(endpoint): PathParams<String>,
    Preferred(language): Preferred,
) -> Result<Json<WhyView>, Problem> {
    let endpoint = state.endpoint("endpoint", &endpoint)?;
    let known = or_nothing(state.store.device(&endpoint).await)?.is_some();
    let deliveries = or_nothing(state.store.deliveries(&endpoint).await)?;
    let barred_since = deliveries.and_then(|deliveries| deliveries.barred_since);
    let live = state.live.device(&endpoint);
    let last_heard = state.live.last_heard(&endpoint);
    let awake = live.is_some_and(|live| live.is_awake(state.clock.now().instant));
    let expected_until = live.map(|live| {
        live.last_seen + std::time::Duration::from_secs(u64::from(live.lifetime_seconds))
    });
    let found = task_of(&state, &endpoint).await?;
    let left_out = match known {
        true => left_out(&state, &endpoint, found.as_ref(), language).await?,
        false => Vec::new(),
    };
    let place = match &found {
        Some(found) => place_of(&state, &found.shown.task).await?,
        None => None,
    };
    let facts = WhyFacts {
        known,
        registered: live.is_some(),
        awake,
        last_heard,
        expected_until,
        barred_since,
        task: found.as_ref().map(|found| found.facts(&state, place)),
        left_out: left_out.iter().map(|it| it.told(language)).collect(),
    };
    let answer = why(&facts, language);
    let of = found.as_ref().map(|found| {
        let task = &found.shown.task;
        (task.campaign, task.id)
    });
    let action = answer.next_action;
    Ok(Json(WhyView {
        endpoint: endpoint.to_string(),
        text: answer.text,
        next_action: NextActionView::of(action, of, &endpoint, language),
        known,
        registered: live.is_some(),
        awake,
        last_heard_at: last_heard.map(fields::time),
        expected_until: expected_until.map(fields::time),
        barred_since: barred_since.map(fields::time),
        campaign: found.as_ref().map(|found| WhyCampaign::of(&found.campaign)),
        attempts_max: found.as_ref().map(Found::attempts_max),
        task: found.map(|found| TaskView::of(&state, found.shown, found.size_bytes, language)),
        cell: place.map(|place| WhyCell {
            cell_id: place.cell.0,
            tier: place.tier.word(),
            active: place.active,
            limit: place.limit,
            queued: place.queued,
            ahead: place.ahead,
        }),
        left_out,
    }))
}

/// The campaigns that left a device out. None where one updates it; beside a draft of its own no other draft.
async fn left_out(
    state: &HttpState,
    endpoint: &EndpointName,
    found: Option<&Found>,
    language: Language,
) -> Result<Vec<LeftOutView>, Problem> {
    let unfinished = found.filter(|found| !found.shown.task.state.is_final());
    let draft = unfinished.filter(|found| found.campaign.state == CampaignState::Draft);
    if unfinished.is_some() && draft.is_none() {
        return Ok(Vec::new());
    }
    let left_out = left_out_of(state, endpoint, language).await?;
    let says_more = |it: &LeftOut| draft.is_none() || it.campaign.state.is_active();
    let left_out = left_out.into_iter().filter(says_more);
    Ok(left_out.map(LeftOutView::from).collect())
}

fn or_nothing<T>(found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The task that says most of a device.
struct Found {
    shown: ShownTask,
    campaign: Campaign,
    size_bytes: u64,
    /// What was seen that does not meet what the campaign asks for, where the task waits for that.
    unmet: Option<String>,
}

impl Found {
    fn attempts_max(&self) -> u32 {
        u32::from(self.shown.task.attempts_before) + u32::from(self.campaign.retry.retries_max) + 1
    }

    fn facts(&self, state: &HttpState, place: Option<QueuePlace>) -> WhyTask<'_> {
        let served = state.live.progress(self.shown.task.id);
        let served = served.map_or(self.shown.task.bytes_served, |served| served.bytes_served);
        WhyTask {
            task: &self.shown.task,
            hold: self.shown.hold.as_ref(),
            unmet: self.unmet.as_deref(),
            campaign_name: &self.campaign.name,
            attempts_max: self.attempts_max(),
            place,
            served: (served > 0).then_some((served, self.size_bytes)),
        }
    }
}

async fn task_of(state: &HttpState, endpoint: &EndpointName) -> Result<Option<Found>, Problem> {
    let mut best: Option<(UpdateTask, Campaign)> = None;
    for task in state.store.unfinished_tasks(endpoint).await? {
        let Some((campaign, _)) = or_nothing(state.store.campaign(task.campaign).await)? else {
            continue;
        };
        let is_draft = |campaign: &Campaign| campaign.state == CampaignState::Draft;
        let is_better = |(_, best): &(UpdateTask, Campaign)| is_draft(best) && !is_draft(&campaign);
        if best.as_ref().is_none_or(is_better) {
            best = Some((task, campaign));
        }
    }
    if best.is_none()
        && let Some(task) = state.store.last_task(endpoint).await?
        && let Some((campaign, _)) = or_nothing(state.store.campaign(task.campaign).await)?
    {
        best = Some((task, campaign));
    }
    let Some((task, campaign)) = best else {
        return Ok(None);
    };
    let package = state.store.package(campaign.package).await?;
    let unmet = unmet(state, &task).await?;
    let shown = as_shown(state, &campaign, &package, vec![task]).await?;
    Ok(shown.into_iter().next().map(|shown| Found {
        shown,
        size_bytes: package.file.size_bytes,
        campaign,
        unmet,
    }))
}

/// What was seen of the device, where its task waits for its battery, its signal or its memory.
async fn unmet(state: &HttpState, task: &UpdateTask) -> Result<Option<String>, Problem> {
    if task.waiting_for != Some(WaitingFor::Condition) {
        return Ok(None);
    }
    let steps = state
        .store
        .timeline(&task.endpoint, STEPS_LOOKED_AT)
        .await?;
    let unmet = steps
        .into_iter()
        .find(|step| step.task == task.id && step.step == TimelineStep::ConditionUnmet);
    Ok(unmet.map(|step| step.detail))
}

/// Where a task that waits for a slot stands.
async fn place_of(state: &HttpState, task: &UpdateTask) -> Result<Option<QueuePlace>, Problem> {
    if !matches!(task.waiting_for, Some(WaitingFor::Slot | WaitingFor::Rate)) {
        return Ok(None);
    }
    let Some(standing) = state.engine.standing(task.endpoint.clone()).await? else {
        return Ok(None);
    };
    let SlotClaim { cell, tier } = standing.claim;
    let asked = CellsPage {
        after: cell.0.checked_sub(1).map(CellId),
        limit: 1,
    };
    let cells = state.engine.cells(asked).await?;
    let status = cells.into_iter().find(|status| status.cell == cell);
    let of_tier = status.and_then(|status| status.tiers.into_iter().find(|it| it.tier == tier));
    Ok(of_tier.map(|status| QueuePlace {
        cell,
        tier,
        active: status.active,
        limit: status.limit,
        queued: status.queued,
        ahead: standing.ahead,
        for_rate: standing.for_rate,
    }))
}
