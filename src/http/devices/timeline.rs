//! `GET /api/v1/devices/{endpoint}/timeline`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::campaign::{next_action_after, step_text};
use crate::http::campaigns::FailureView;
use crate::http::error::{Problem, kinds};
use crate::http::extract::{PathParams, QueryParams};
use crate::http::language::Preferred;
use crate::http::next_action::NextActionView;
use crate::http::{HttpState, fields};
use crate::model::{Language, TimelineEntry};

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1000;

/// How much of the history.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TimelineQuery {
    /// The most lines, 1 to 1000; 100 unless said otherwise.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// One line of a device's history.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TimelineEntry)]
pub(crate) struct TimelineView {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// Of which task.
    task_id: u64,
    /// In which attempt, from 1.
    attempt: u8,
    /// What happened.
    step: &'static str,
    /// What was seen.
    detail: String,
    /// What happened, in the language of the request.
    text: &'static str,
    /// Why the attempt ended badly, with the carrier's own sentence first.
    failure: Option<FailureView>,
    /// What to do about that.
    next_action: Option<NextActionView>,
}

impl TimelineView {
    fn of(entry: TimelineEntry, language: Language) -> Self {
        let failure = entry.step.failure(&entry.detail);
        let action = failure
            .as_ref()
            .map(|failure| next_action_after(failure.reason));
        Self {
            text: step_text(entry.step, language),
            failure: failure.map(|failure| FailureView::of(failure, language)),
            next_action: action
                .map(|action| NextActionView::of(action, None, &entry.endpoint, language)),
            at: fields::time(entry.at),
            task_id: entry.task.0,
            attempt: entry.attempt,
            step: entry.step.word(),
            detail: entry.detail,
        }
    }
}

/// The steps of a device's updates with times, causes and evidence, newest first.
#[utoipa::path(get, path = "/api/v1/devices/{endpoint}/timeline", tag = "devices",
    params(("endpoint" = String, Path, description = "The endpoint client name"), TimelineQuery),
    responses((status = 200, description = "The history", body = Vec<TimelineView>)))]
pub(crate) async fn show_timeline(
    State(state): State<HttpState>,
    PathParams(endpoint): PathParams<String>,
    QueryParams(query): QueryParams<TimelineQuery>,
    Preferred(language): Preferred,
) -> Result<Json<Vec<TimelineView>>, Problem> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let problem = Problem::new(kinds::INVALID_QUERY, "limit must be 1 to 1000");
        return Err(problem.with_field("limit"));
    }
    let endpoint = state.endpoint("endpoint", &endpoint)?;
    let found = state.store.device(&endpoint).await;
    found.map_err(|error| Problem::of_store(error, format_args!("device '{endpoint}'")))?;
    let entries = state.store.timeline(&endpoint, limit).await?;
    let lines = entries.into_iter();
    Ok(Json(
        lines.map(|line| TimelineView::of(line, language)).collect(),
    ))
}
