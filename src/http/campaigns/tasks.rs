//! `GET /api/v1/campaigns/{id}/tasks`.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::find;
use crate::campaign::{ShownTask, TaskShower, Timetable, failure_text};
use crate::http::error::{Problem, kinds};
use crate::http::extract::{PathParams, QueryParams};
use crate::http::language::Preferred;
use crate::http::next_action::NextActionView;
use crate::http::page::PageQuery;
use crate::http::profiles::find_product;
use crate::http::{HttpState, fields};
use crate::model::{
    Campaign, CampaignId, Failure, Language, NextAction, Package, ProductSettings, Schedule,
    TaskState, UpdateTask,
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
    /// Why its campaign is paused, or which phase of its rollout runs and what that is about: for people, in
    /// the language of the request.
    waiting_detail: Option<String>,
    /// Since when it waits for that; while it downloads, since when it does; else since when it is in this
    /// phase.
    #[schema(format = DateTime)]
    since: String,
    /// Until when it may be; null where that is not known.
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
) -> Result<Vec<ShownTask>, Problem> {
    let settings = settings_for(state, package).await?;
    let shower = TaskShower {
        campaign,
        timetable: timetable_of(&campaign.policy.schedule),
        contact_timeout: settings.contact_timeout,
        has_base: state.download_bases.serve(&settings),
    };
    let now = state.now_utc();
    let mut shown: Vec<_> = tasks
        .into_iter()
        .map(|task| shower.show(task, now))
        .collect();
    for shown in &mut shown {
        if shown.next_action() == NextAction::LiftBar {
            let deliveries = state.store.deliveries(&shown.task.endpoint).await;
            shown.bar_is_lifted = !deliveries.is_ok_and(|it| it.barred_since.is_some());
        }
    }
    Ok(shown)
}

/// How devices are treated that a package is for.
pub(super) async fn settings_for(
    state: &HttpState,
    package: &Package,
) -> Result<ProductSettings, Problem> {
    let product = find_product(state, package).await?;
    Ok(product.map_or_else(
        || state.product.clone(),
        |product| product_settings(&state.product, &product),
    ))
}

fn parse_state(word: &str) -> Result<TaskState, Problem> {
    TaskState::from_word(word).ok_or_else(|| {
        let words: Vec<_> = TaskState::ALL.iter().map(|state| state.word()).collect();
        let detail = format!("state must be one of {}", words.join(", "));
        Problem::new(kinds::INVALID_QUERY, detail).with_field("state")
    })
}

pub(super) fn timetable_of(schedule: &Schedule) -> Timetable {
    Timetable::parse(schedule).unwrap_or_else(|_| Timetable::over())
}

impl TaskView {
    pub(in crate::http) fn of(
        state: &HttpState,
        shown: ShownTask,
        size: u64,
        language: Language,
    ) -> Self {
        let action = shown.next_action();
        let ShownTask { task, hold, .. } = shown;
        let progress = state.live.progress(task.id);
        let of = Some((task.campaign, task.id));
        let next_action = NextActionView::of(action, of, &task.endpoint, language);
        Self {
            id: task.id.0,
            endpoint: task.endpoint.to_string(),
            state: task.state.word(),
            phase: task.phase.word(),
            attempt: task.attempt,
            waiting_for: task.waiting_for.map(|what| what.word()),
            waiting_detail: hold.map(|hold| hold.text(language)),
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
