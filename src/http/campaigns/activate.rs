//! `POST /api/v1/campaigns/{id}/activate`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use bytes::Bytes;
use tokio::sync::OwnedMutexGuard;

use super::archive::check_not_archived;
use super::find;
use super::lead::check_approved;
use super::package_check::{damaged, verify_again};
use super::view::CampaignView;
use crate::campaign::Progress;
use crate::engine::{Command, EndedTasks};
use crate::http::blocking::{blocking, to_the_end};
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::http::language::Preferred;
use crate::http::profiles::{check_profile, check_upgrade};
use crate::http::{EngineError, HttpState};
use crate::model::{
    AuditAction, AuditActor, AuditStamp, CampaignId, NewAuditEntry, Package, Record, TaskId,
    TaskState, UpdateTask,
};
use crate::store::{Page, StoreError};

/// How many tasks the engine is given at a time: between two such commands it answers devices.
const TASKS_PER_COMMAND: u32 = 500;

/// The longest pause between two such commands, which is as long as the first of them took: devices have
/// half of the engine's time at the least, however busy the machine is.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long to wait before tasks that could not be read are read again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// 激活计划: the draft's tasks begin as devices are heard. The package's signature is verified again
/// before, with the key that verified it when it came. Where the product has a profile, the package must
/// match it, and it must allow firmware upgrades.
#[utoipa::path(post, path = "/api/v1/campaigns/{id}/activate", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    responses((status = 200, description = "Activated", body = CampaignView)))]
pub(crate) async fn activate_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    Preferred(language): Preferred,
) -> Result<Json<CampaignView>, Problem> {
    let beginning = state.engine.about_to_begin(CampaignId(id));
    let activation = Arc::clone(&state.activation).lock_owned().await;
    let (campaign, _) = find(&state, id).await?;
    campaign.state.activate()?;
    check_not_archived(&campaign)?;
    check_approved(&campaign)?;
    let package = state.store.package(campaign.package).await;
    let package = package
        .map_err(|error| Problem::of_store(error, format_args!("package of campaign {id}")))?;
    if let Some(profile) = check_profile(&state, &package, language).await? {
        check_upgrade(&state, profile, language).await?;
    }
    let image = match load_verified(&state, &package).await {
        Ok(image) => image,
        Err(problem) => {
            let refused = Record::Audit(refused(state.stamp(actor), id, &package, &problem));
            state.store.commit(vec![refused]).await?;
            return Err(problem);
        }
    };
    let installed = state.store.installed_sequences(&package).await?;
    let FirstTasks { tasks, rest, ended } = first_tasks(&state, campaign.id).await?;
    let campaign_id = campaign.id;
    let command = Command::RunCampaign {
        campaign,
        package,
        image,
        installed,
        tasks,
        ended,
    };
    let shared = state.clone();
    to_the_end(async move {
        let ran = shared.engine.begin(actor, command, &beginning).await;
        // One that did not answer in time may yet carry it out.
        if let (Some(after), Ok(()) | Err(EngineError::TimedOut(_))) = (rest, &ran) {
            tokio::spawn(give_rest(shared, activation, campaign_id, after));
        }
        Ok(ran?)
    })
    .await?;
    Ok(Json(find(&state, id).await?.into()))
}

pub(super) async fn load_verified(state: &HttpState, package: &Package) -> Result<Bytes, Problem> {
    verify_again(state, package).await?;
    load_image(state, package).await
}

/// What the audit log is told of a draft whose package does not verify any more.
fn refused(stamp: AuditStamp, id: u64, package: &Package, problem: &Problem) -> NewAuditEntry {
    NewAuditEntry {
        stamp,
        action: AuditAction::CampaignRefused,
        object: id.to_string(),
        details: vec![
            ("package", package.id.0.to_string()),
            ("archive_sha256", package.archive_sha256.to_string()),
            ("code", problem.code().to_owned()),
            ("reason", problem.detail().to_owned()),
        ],
    }
}

/// The firmware file's bytes, which campaigns share; they were hashed again as they were read.
async fn load_image(state: &HttpState, package: &Package) -> Result<Bytes, Problem> {
    let (blobs, package) = (state.package_bytes.clone(), package.clone());
    blocking(move || {
        let loaded = blobs.load(package.file.sha256);
        loaded.map_err(|error| damaged(&package, &error))
    })
    .await
}

/// What a campaign is activated with.
struct FirstTasks {
    /// The first of its tasks.
    tasks: Vec<UpdateTask>,
    /// Behind which others are left.
    rest: Option<TaskId>,
    /// How many are to come, and how many are final: a draft's was stopped if its device was taken away.
    ended: EndedTasks,
}

async fn first_tasks(state: &HttpState, campaign: CampaignId) -> Result<FirstTasks, Problem> {
    let tasks = pending_tasks(state, campaign, TaskId::default()).await?;
    let mut given = BTreeMap::<u16, u64>::new();
    for task in &tasks {
        *given.entry(task.rollout_phase).or_default() += 1;
    }
    let ended = tasks_by_phase(state, campaign, &given).await?;
    let is_rest = ended.counts.all().pending > 0;
    let rest = tasks.last().map(|task| task.id).filter(|_| is_rest);
    Ok(FirstTasks { tasks, rest, ended })
}

/// How many tasks a campaign has by phase and state, without those that are given beside.
pub(super) async fn tasks_by_phase(
    state: &HttpState,
    campaign: CampaignId,
    given: &BTreeMap<u16, u64>,
) -> Result<EndedTasks, Problem> {
    let mut ended = EndedTasks::default();
    for (phase, counts) in state.store.phase_counts(campaign).await? {
        let given = given.get(&phase).copied().unwrap_or_default();
        let counts = Progress {
            pending: counts.pending.saturating_sub(given),
            running: 0,
            succeeded: counts.succeeded,
            failed: counts.failed,
            stopped: counts.stopped,
        };
        ended.counts.join(phase, counts);
    }
    Ok(ended)
}

/// Gives the engine the other tasks of a campaign that has begun, whoever leaves meanwhile. Until it has
/// them no other campaign begins, and no device is taken away.
async fn give_rest(
    state: HttpState,
    _activation: OwnedMutexGuard<()>,
    campaign: CampaignId,
    mut after: TaskId,
) {
    loop {
        let tasks = match pending_tasks(&state, campaign, after).await {
            Ok(tasks) => tasks,
            // It was taken away.
            Err(StoreError::NotFound) => return,
            Err(error) => {
                tracing::error!(campaign = campaign.0, %error, "its tasks cannot be read; trying again");
                tokio::time::sleep(READ_AGAIN).await;
                continue;
            }
        };
        let Some(last) = tasks.last() else {
            return;
        };
        after = last.id;
        let begun = state.clock.now().instant;
        // One that was built anew meanwhile has them from the store, and passes them over.
        if let Err(error) = state
            .engine
            .tell(Command::AddTasks { campaign, tasks })
            .await
        {
            tracing::warn!(campaign = campaign.0, %error, "it takes no more tasks");
            return;
        }
        let took = state.clock.now().instant.saturating_since(begun);
        tokio::time::sleep(took.min(PAUSE_MAX)).await;
    }
}

async fn pending_tasks(
    state: &HttpState,
    campaign: CampaignId,
    after: TaskId,
) -> Result<Vec<UpdateTask>, StoreError> {
    let page = Page {
        after: Some(after.0.to_string()),
        limit: TASKS_PER_COMMAND,
    };
    let pending = Some(TaskState::Pending);
    state.store.tasks(campaign, pending, page).await
}
