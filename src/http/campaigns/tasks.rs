//! `GET /api/v1/campaigns/{id}/tasks`.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::find;
use crate::campaign::{Timetable, failure_text, next_action};
use crate::clock::Utc;
use crate::http::error::{Problem, kinds};
use crate::http::extract::{PathParams, QueryParams};
use crate::http::language::Preferred;
use crate::http::next_action::NextActionView;
use crate::http::page::PageQuery;
use crate::http::profiles::find_product;
use crate::http::{HttpState, fields};
use crate::model::{
    Campaign, CampaignId, Consent, Failure, Language, Package, Schedule, TaskState, UpdateTask,
    WaitingFor,
};
use crate::profile::product_settings;

/// Which tasks.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TasksQuery {
    /// Only those in this state: `pending`, `running`, `succeeded`, `failed` or `stopped`.
    state: Option<String>,
    /// The most rows, 1 to 1000; 100 unless said otherwise.
    limit: Option<u32>,
    /// Where to go on: taken from the `Link` header of the page before.
    cursor: Option<String>,
}

/// 升级任务: the update of one device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Task)]
pub(crate) struct TaskView {
    /// Its number.
    id: u64,
    /// The device.
    endpoint: String,
    /// `pending`, `running`, `succeeded`, `failed` or `stopped`.
    state: &'static str,
    /// Where in the flow.
    phase: &'static str,
    /// Which attempt this is, from 1; 0 before the first.
    attempt: u8,
    /// What it waits for.
    waiting_for: Option<&'static str>,
    /// Since when it is in this phase.
    #[schema(format = DateTime)]
    since: String,
    /// Until when it may be.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// The last attempt's failure.
    failure: Option<FailureView>,
    /// What is worth saying of a success: `up_to_date` or `unconfirmed`.
    note: Option<&'static str>,
    /// How far the package was fetched, in bytes; null where nothing was.
    bytes_served: Option<u64>,
    /// The package's size, in bytes.
    size: u64,
    /// What to do about it.
    next_action: NextActionView,
}

/// Why an attempt failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Failure)]
pub(crate) struct FailureView {
    /// The cause: stable, for programs.
    code: &'static str,
    /// The cause: for people, in the language of the request.
    text: &'static str,
    /// What was seen.
    evidence: String,
}

/// Lists a campaign's tasks by number.
#[utoipa::path(get, path = "/api/v1/campaigns/{id}/tasks", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number"), TasksQuery),
    responses((status = 200, description = "The tasks", body = Vec<TaskView>)))]
pub(crate) async fn list_tasks(
    State(state): State<HttpState>,
    PathParams(id): PathParams<u64>,
    QueryParams(query): QueryParams<TasksQuery>,
    Preferred(language): Preferred,
) -> Result<Response, Problem> {
    let page = PageQuery::new(query.limit, query.cursor).by_number()?;
    let wanted = query.state.as_deref().map(parse_state).transpose()?;
    let (campaign, _) = find(&state, id).await?;
    let package = state.store.package(campaign.package).await?;
    let listed = state.store.tasks(CampaignId(id), wanted, page.to_store());
    let mut tasks = listed.await?;
    let next = page.cut(&mut tasks, |task| task.id.0.to_string());
    let shown = as_shown(&state, &campaign, &package, tasks).await?;
    let rows: Vec<_> = shown
        .into_iter()
        .map(|task| TaskView::of(&state, task, package.file.size_bytes, language))
        .collect();
    let path = format!("/api/v1/campaigns/{id}/tasks");
    Ok(next.respond(&path, &[("state", query.state.as_deref())], rows))
}

/// Tasks as they stand now: what a campaign as a whole waits for is not written to each.
pub(in crate::http) async fn as_shown(
    state: &HttpState,
    campaign: &Campaign,
    package: &Package,
    tasks: Vec<UpdateTask>,
) -> Result<Vec<UpdateTask>, Problem> {
    let product = find_product(state, package).await?;
    let contact_timeout = product.map_or(state.product.contact_timeout, |product| {
        product_settings(&state.product, &product).contact_timeout
    });
    let (timetable, now) = (timetable_of(&campaign.policy.schedule), state.now_utc());
    let shown = tasks
        .into_iter()
        .map(|task| since_activation(task, campaign, contact_timeout))
        .map(|task| at_schedule(task, campaign, &timetable, now));
    Ok(shown.collect())
}

fn parse_state(word: &str) -> Result<TaskState, Problem> {
    TaskState::from_word(word).ok_or_else(|| {
        let words: Vec<_> = TaskState::ALL.iter().map(|state| state.word()).collect();
        let detail = format!("state must be one of {}", words.join(", "));
        Problem::new(kinds::INVALID_QUERY, detail).with_field("state")
    })
}

/// A task's row is not written at the activation, which is one small commit however many tasks there
/// are. Until its device is first heard, the campaign says what it waits for.
fn since_activation(
    task: UpdateTask,
    campaign: &Campaign,
    contact_timeout: Duration,
) -> UpdateTask {
    let asks = campaign.policy.conditions.consent == Consent::Confirmed;
    let lacks_consent = asks && campaign.consented_at.is_none() && task.consented_at.is_none();
    match (task.waiting_for, campaign.activated_at) {
        (Some(WaitingFor::Activation), Some(activated_at)) => UpdateTask {
            waiting_for: Some(if lacks_consent {
                WaitingFor::Consent
            } else {
                WaitingFor::Contact
            }),
            since: activated_at,
            until: Some(activated_at + contact_timeout),
            ..task
        },
        _ => task,
    }
}

pub(super) fn timetable_of(schedule: &Schedule) -> Timetable {
    Timetable::parse(schedule).unwrap_or_else(|_| Timetable::over())
}

/// Nor is it written each time that a window closes or opens.
fn at_schedule(
    task: UpdateTask,
    campaign: &Campaign,
    timetable: &Timetable,
    now: Utc,
) -> UpdateTask {
    if task.waiting_for != Some(WaitingFor::Contact)
        || task.state != TaskState::Pending
        || !campaign.state.is_active()
    {
        return task;
    }
    if let Some((waiting_for, until)) = timetable.waiting_for(now) {
        return UpdateTask {
            waiting_for: Some(waiting_for),
            until,
            ..task
        };
    }
    let until = match task.until {
        Some(until) if !timetable.is_always() => timetable
            .after_open(task.since, until.saturating_since(task.since))
            .or_else(|| timetable.end_at()),
        until => until,
    };
    UpdateTask { until, ..task }
}

impl TaskView {
    pub(in crate::http) fn of(
        state: &HttpState,
        task: UpdateTask,
        size: u64,
        language: Language,
    ) -> Self {
        let progress = state.live.progress(task.id);
        let (action, campaign) = (next_action(&task), Some(task.campaign));
        let next_action = NextActionView::of(action, campaign, &task.endpoint, language);
        Self {
            id: task.id.0,
            endpoint: task.endpoint.to_string(),
            state: task.state.word(),
            phase: task.phase.word(),
            attempt: task.attempt,
            waiting_for: task.waiting_for.map(|what| what.word()),
            since: fields::time(task.since),
            until: task.until.map(fields::time),
            failure: task
                .failure
                .map(|failure| FailureView::of(failure, language)),
            note: task.note.map(|note| note.word()),
            bytes_served: progress
                .map(|progress| progress.bytes_served)
                .or_else(|| (task.bytes_served > 0).then_some(task.bytes_served)),
            size,
            next_action,
        }
    }
}

impl FailureView {
    pub(in crate::http) fn of(failure: Failure, language: Language) -> Self {
        Self {
            code: failure.reason.word(),
            text: failure_text(failure.reason, language),
            evidence: failure.evidence,
        }
    }
}
