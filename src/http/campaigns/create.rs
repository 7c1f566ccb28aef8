//! `POST /api/v1/campaigns`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedRwLockReadGuard;
use utoipa::ToSchema;

use super::eligibility::{Excluded, Exclusions};
use super::eta::{EtaView, eta_of_plan};
use super::find;
use super::package_check::check_deliverable;
use super::policy::{
    ConditionFields, ConsentTextField, ErrorThresholdView, Phase, PreconditionsField,
    WaitingRoomField, WindowField, check_members, parse_governors, parse_rollout, parse_schedule,
};
use super::targets::{Resolved, resolve};
use super::view::{Admission, CampaignView, Retry, Targets};
use crate::campaign::in_phases;
use crate::http::blocking::{blocking, to_the_end};
use crate::http::error::{Problem, kinds};
use crate::http::extract::{JsonBody, QueryParams};
use crate::http::keys::check_not_revoked;
use crate::http::language::Preferred;
use crate::http::packages::{REASON_CHARS_MAX, check_expiry};
use crate::http::profiles::check_profile;
use crate::http::{HttpState, Role, fields};
use crate::model::{
    AuditActor, Campaign, CampaignPolicy, CampaignTargets, DowngradeAllowed, EndpointName,
    Language, Package, PackageId,
};
use crate::store::{NewCampaign, StoreError};

/// A campaign to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateCampaign {
    /// 任务名称, at most 50 characters.
    #[schema(max_length = 50)]
    name: String,
    /// What is installed.
    package_id: u64,
    /// Who it is for.
    targets: Targets,
    /// When a failed task is tried again; never unless said otherwise.
    #[serde(default)]
    retry: Retry,
    /// Lets it give devices a lower signed sequence than they run; only an admin may.
    #[serde(default)]
    allow_downgrade: Option<AllowDowngrade>,
    /// How its devices are admitted to their cells; as the server's settings say unless said otherwise.
    #[serde(default)]
    admission: Option<Admission>,
    /// Nothing begins before this time.
    #[schema(format = DateTime)]
    #[serde(default)]
    start_at: Option<String>,
    /// Nothing begins after this time.
    #[schema(format = DateTime)]
    #[serde(default)]
    end_at: Option<String>,
    /// When on each day something may begin; at any time unless said otherwise.
    #[serde(default)]
    window: Option<WindowField>,
    /// 固件验证: this device alone is updated first; unless it succeeds, nothing else begins.
    #[serde(default)]
    trial: Option<String>,
    /// Phases after the trial; what is in none makes one more, the last.
    #[schema(max_items = 20)]
    #[serde(default)]
    phases: Vec<Phase>,
    /// Whether another person than who makes it has to approve it before it is activated.
    #[serde(default)]
    approval_required: bool,
    /// What a device must have before it is updated; nothing unless said otherwise.
    #[serde(default)]
    preconditions: PreconditionsField,
    /// `silent` (静默升级), unless said otherwise; or `confirmed` (用户确认升级): somebody has to agree for
    /// each device.
    #[serde(default)]
    consent: Option<String>,
    /// 升级文案: what whoever agrees is told.
    #[serde(default)]
    consent_text: Option<ConsentTextField>,
    /// What devices are told which name `/5/0/11`: `critical`, `mandatory` or `optional`.
    #[serde(default)]
    severity: Option<String>,
    /// How long a device's user may put the installation off; told to devices which name `/5/0/13`.
    #[schema(maximum = 2_592_000)]
    #[serde(default)]
    defer_seconds_max: Option<u32>,
    /// How devices that wait for a slot are kept awake; as the server's settings say unless said otherwise.
    #[serde(default)]
    waiting_room: Option<WaitingRoomField>,
    /// How many devices begin to fetch a minute at most.
    #[schema(minimum = 1)]
    #[serde(default)]
    starts_per_minute_max: Option<u32>,
    /// How many failures are too many; never unless said otherwise.
    #[serde(default)]
    error_threshold: Option<ErrorThresholdView>,
}

/// A downgrade that is meant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AllowDowngrade {
    /// Why; at most 200 characters.
    #[schema(max_length = 200)]
    reason: String,
}

/// How to make it.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CreateQuery {
    /// Make nothing; say who would be in and who not.
    #[serde(default)]
    dry_run: bool,
}

/// A campaign that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreatedCampaign {
    #[serde(flatten)]
    campaign: CampaignView,
    /// How many of the devices asked for are not in it.
    excluded_count: usize,
    /// How many of them for each reason.
    excluded_reasons: BTreeMap<&'static str, usize>,
    /// Those devices and why; the first 1000.
    excluded: Vec<Excluded>,
}

/// Who would be in a campaign, and who not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DryRun {
    /// How many devices would be in it.
    included_count: usize,
    /// Those devices; the first 1000.
    included: Vec<String>,
    /// How many of the devices asked for would not be.
    excluded_count: usize,
    /// How many of them for each reason.
    excluded_reasons: BTreeMap<&'static str, usize>,
    /// Those devices and why; the first 1000.
    excluded: Vec<Excluded>,
    /// When it would be done if it began now; null: nobody would be in it.
    eta: Option<EtaView>,
}

/// A campaign as checked.
struct Plan {
    campaign: NewCampaign,
    included: Vec<EndpointName>,
    excluded: Exclusions,
}

/// Makes a draft: one task for each device that the package is for. Devices that were asked for and
/// that it is not for are left out and listed. One that takes longer to make than an answer may take is
/// answered 503 `outcome_unknown`, and made all the same; sent again with the same `Idempotency-Key` it is
/// made once.
#[utoipa::path(post, path = "/api/v1/campaigns", tag = "campaigns", params(CreateQuery),
    request_body = CreateCampaign,
    responses(
        (status = 200, description = "A dry run", body = DryRun),
        (status = 201, description = "Made", body = CreatedCampaign),
    ))]
pub(crate) async fn create_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    QueryParams(query): QueryParams<CreateQuery>,
    Preferred(language): Preferred,
    JsonBody(body): JsonBody<CreateCampaign>,
) -> Result<Response, Problem> {
    let products = Arc::clone(&state.products).read_owned().await;
    let plan = plan(&state, body, &actor, language).await?;
    if query.dry_run {
        drop(products);
        let eta = plan.eta(&state).await?;
        let dry_run = plan.dry_run(state.limits.excluded_listed_max, eta);
        return Ok(Json(dry_run).into_response());
    }
    // Those of a dynamic campaign may come later.
    if plan.included.is_empty() && !plan.campaign.targets.dynamic {
        return Err(no_device(&plan));
    }
    // A large one is not made half and swept away because its client left, or the answer's time is over.
    to_the_end(make(state, actor, plan, products)).await
}

/// Until the draft is whole nothing changes that it rests on.
async fn make(
    state: HttpState,
    actor: AuditActor,
    plan: Plan,
    products: OwnedRwLockReadGuard<()>,
) -> Result<Response, Problem> {
    let (draft, stamp) = (plan.campaign, state.stamp(actor));
    let id = state.store.create_campaign(draft, plan.included, stamp);
    let id = id
        .await
        .map_err(|error| Problem::of_store(error, "campaign"))?;
    drop(products);
    let created = CreatedCampaign {
        campaign: find(&state, id.0).await?.into(),
        excluded_count: plan.excluded.count,
        excluded_reasons: plan.excluded.reasons,
        excluded: plan.excluded.listed,
    };
    let location = [(header::LOCATION, format!("/api/v1/campaigns/{}", id.0))];
    Ok((StatusCode::CREATED, location, Json(created)).into_response())
}

async fn plan(
    state: &HttpState,
    body: CreateCampaign,
    actor: &AuditActor,
    language: Language,
) -> Result<Plan, Problem> {
    fields::title("name", &body.name, Campaign::NAME_CHARS_MAX)?;
    let (retry, pacing) = body.retry.parse()?;
    let targets: CampaignTargets = body.targets.parse(state)?;
    let downgrade = parse_downgrade(body.allow_downgrade, actor)?;
    let admission = body.admission.map(Admission::parse).transpose()?;
    let policy = CampaignPolicy {
        schedule: parse_schedule(
            body.start_at.as_deref(),
            body.end_at.as_deref(),
            body.window,
        )?,
        rollout: parse_rollout(state, body.approval_required, body.trial, body.phases)?,
        conditions: ConditionFields {
            preconditions: body.preconditions,
            consent: body.consent,
            consent_text: body.consent_text,
            severity: body.severity,
            defer_seconds_max: body.defer_seconds_max,
        }
        .parse()?,
        retry: pacing,
        waiting_room: body.waiting_room.map(WaitingRoomField::parse).transpose()?,
        governors: parse_governors(body.starts_per_minute_max, body.error_threshold)?,
    };
    let package = find_package(state, body.package_id).await?;
    check_deliverable(&package)
        .and_then(|()| check_expiry(package.not_after, state.now_utc()))
        .map_err(|problem| problem.with_field("package_id"))?;
    check_profile(state, &package, language)
        .await
        .map_err(|problem| problem.with_field("package_id"))?;
    // Whether its key is there is asked at the activation.
    if let Some(key_id) = package.key_id()
        && let Ok(key) = state.store.key(key_id).await
    {
        check_not_revoked(&key).map_err(|problem| problem.with_field("package_id"))?;
    }
    let may_downgrade = downgrade.is_some();
    let resolved = resolve(state, &package, may_downgrade, &targets, language).await?;
    let Resolved { included, excluded } = resolved;
    check_members(&policy.rollout, &included)?;
    let salt = format!("{} {}", body.name, state.now_utc());
    let rollout = policy.rollout.clone();
    let phased = blocking(move || Ok(in_phases(&rollout, included, &salt)));
    let (included, phase_sizes) = phased.await?;
    Ok(Plan {
        campaign: NewCampaign {
            name: body.name,
            package: package.id,
            targets,
            retry,
            downgrade,
            admission,
            policy,
            phase_sizes,
            created_at: state.now_utc(),
        },
        included,
        excluded,
    })
}

impl Plan {
    async fn eta(&self, state: &HttpState) -> Result<Option<EtaView>, Problem> {
        eta_of_plan(state, &self.included, &self.campaign).await
    }

    fn dry_run(self, listed_max: usize, eta: Option<EtaView>) -> DryRun {
        let listed = self.included.iter().take(listed_max);
        DryRun {
            included_count: self.included.len(),
            included: listed.map(ToString::to_string).collect(),
            excluded_count: self.excluded.count,
            excluded_reasons: self.excluded.reasons,
            excluded: self.excluded.listed,
            eta,
        }
    }
}

/// Who may let a campaign downgrade devices says why.
fn parse_downgrade(
    asked: Option<AllowDowngrade>,
    actor: &AuditActor,
) -> Result<Option<DowngradeAllowed>, Problem> {
    let Some(AllowDowngrade { reason }) = asked else {
        return Ok(None);
    };
    if actor.role != Role::Admin.word() {
        let detail = "only an admin may let a campaign downgrade devices";
        return Err(Problem::new(kinds::FORBIDDEN, detail).with_field("allow_downgrade"));
    }
    fields::title("allow_downgrade.reason", &reason, REASON_CHARS_MAX)?;
    Ok(Some(DowngradeAllowed {
        by: actor.name.clone(),
        reason,
    }))
}

async fn find_package(state: &HttpState, id: u64) -> Result<Package, Problem> {
    match state.store.package(PackageId(id)).await {
        Ok(package) => Ok(package),
        Err(StoreError::NotFound) => {
            let detail = format!("package_id: there is no package {id}");
            Err(Problem::new(kinds::UNKNOWN_REFERENCE, detail).with_field("package_id"))
        }
        Err(error) => Err(error.into()),
    }
}

fn no_device(plan: &Plan) -> Problem {
    let detail = match plan.excluded.count {
        0 => "targets: names no device".to_owned(),
        count => format!("targets: the package is for none of the {count} devices"),
    };
    Problem::new(kinds::NO_DEVICE, detail).with_field("targets")
}
