//! `PATCH /api/v1/campaigns/{id}`.

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::find;
use super::policy::{WindowField, check_schedule};
use super::view::CampaignView;
use crate::engine::Command;
use crate::http::auth::approves;
use crate::http::error::{Problem, kinds};
use crate::http::extract::{JsonBody, PathParams};
use crate::http::precondition::{EntityTag, IfMatch};
use crate::http::{HttpState, fields};
use crate::model::{
    AuditAction, AuditActor, Campaign, CampaignPolicy, CampaignState, NewAuditEntry, Record,
    Schedule,
};

/// Of so many people it is known that they changed a draft.
const CHANGED_BY_MAX: usize = 100;

/// What may be changed of a campaign that has not ended. What is left out stays; null takes it away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeCampaign {
    /// Nothing begins before this time.
    #[schema(format = DateTime, value_type = Option<String>)]
    #[serde(default, deserialize_with = "given")]
    start_at: Option<Option<String>>,
    /// From then on nothing begins, what waits ends, and what runs goes on to its end.
    #[schema(format = DateTime, value_type = Option<String>)]
    #[serde(default, deserialize_with = "given")]
    end_at: Option<Option<String>>,
    /// When something may begin; in its place all that there are.
    #[schema(value_type = Option<WindowField>)]
    #[serde(default, deserialize_with = "given")]
    window: Option<Option<WindowField>>,
}

/// Changes when a campaign runs. Of one that is active this counts at once, and an approver does it; what
/// has begun goes on. A draft that was approved is to be approved anew, by another person than who changed it.
#[utoipa::path(patch, path = "/api/v1/campaigns/{id}", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    request_body = ChangeCampaign,
    responses((status = 200, description = "As it is now", body = CampaignView)))]
pub(crate) async fn change_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    if_match: IfMatch,
    JsonBody(body): JsonBody<ChangeCampaign>,
) -> Result<Json<CampaignView>, Problem> {
    // No draft becomes active meanwhile, and no two changes rest on the same state.
    let _activation = state.activation.lock().await;
    let (campaign, _) = find(&state, id).await?;
    if_match.check(&tag(&campaign))?;
    let is_draft = campaign.state == CampaignState::Draft;
    if !is_draft && !campaign.state.is_active() {
        let detail = format!("a campaign that is {} cannot be changed", campaign.state);
        return Err(Problem::new(kinds::INVALID_TRANSITION, detail));
    }
    if !is_draft && !approves(&actor) {
        let detail = "only an approver may change when an active campaign runs";
        return Err(Problem::new(kinds::FORBIDDEN, detail));
    }
    let schedule = body.of(&campaign.policy.schedule)?;
    if !is_draft {
        check_end(&state, &campaign.policy.schedule, &schedule)?;
    }
    if schedule == campaign.policy.schedule {
        return Ok(Json(find(&state, id).await?.into()));
    }
    if is_draft {
        let changed = change_draft(&state, actor, campaign, schedule)?;
        state.store.commit(changed).await?;
    } else {
        let id = campaign.id;
        let command = Command::SetSchedule { id, schedule };
        state.engine.command_by(actor, command).await?;
    }
    Ok(Json(find(&state, id).await?.into()))
}

impl ChangeCampaign {
    /// The schedule that comes of it.
    fn of(self, before: &Schedule) -> Result<Schedule, Problem> {
        let time = |field, text: Option<String>| {
            let time = text.map(|text| fields::timestamp(field, &text));
            time.transpose()
        };
        let mut schedule = before.clone();
        if let Some(start_at) = self.start_at {
            schedule.start_at = time("start_at", start_at)?;
        }
        if let Some(end_at) = self.end_at {
            schedule.end_at = time("end_at", end_at)?;
        }
        if let Some(window) = self.window {
            let windows = window.map_or_else(|| Ok(Vec::new()), WindowField::parse);
            schedule.windows = windows?;
        }
        check_schedule(&schedule)?;
        Ok(schedule)
    }
}

/// That what runs is not ended by an end that is over already: it could not be taken back, as nothing is
/// tried again behind an end.
fn check_end(state: &HttpState, before: &Schedule, schedule: &Schedule) -> Result<(), Problem> {
    let is_past = schedule.end_at.is_some_and(|end| end <= state.now_utc());
    if is_past && schedule.end_at != before.end_at {
        let fault = "is over already; POST .../stop ends a campaign now";
        return Err(Problem::invalid_field("end_at", fault.to_owned()));
    }
    Ok(())
}

/// The engine does not know of a draft. What was approved is not what it is now: it is to be approved anew.
fn change_draft(
    state: &HttpState,
    actor: AuditActor,
    campaign: Campaign,
    schedule: Schedule,
) -> Result<Vec<Record>, Problem> {
    let mut rollout = campaign.rollout;
    rollout.approved_by = None;
    if !rollout.changed_by.contains(&actor.name) {
        if rollout.changed_by.len() >= CHANGED_BY_MAX {
            let detail = format!("{CHANGED_BY_MAX} people have changed the draft: make another");
            return Err(Problem::new(kinds::LIMIT_REACHED, detail));
        }
        rollout.changed_by.push(actor.name.clone());
    }
    let entry = NewAuditEntry {
        stamp: state.stamp(actor),
        action: AuditAction::CampaignRescheduled,
        object: campaign.id.0.to_string(),
        details: schedule.told(),
    };
    let policy = Box::new(CampaignPolicy {
        schedule,
        ..campaign.policy
    });
    let id = campaign.id;
    Ok(vec![
        Record::Policy { id, policy },
        Record::Rollout { id, state: rollout },
        Record::Audit(entry),
    ])
}

/// Of what a PATCH changes.
pub(super) fn tag(campaign: &Campaign) -> EntityTag {
    let id = campaign.id.0.to_string();
    let told = campaign.policy.schedule.told();
    let texts = told.iter().map(|(_, text)| text.as_str());
    EntityTag::of([id.as_str()].into_iter().chain(texts))
}

/// Tells null from what is left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
