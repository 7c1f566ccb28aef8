//! `POST /api/v1/campaigns/{id}/activate`.

use axum::extract::State;
use axum::{Extension, Json};
use bytes::Bytes;

use super::find;
use super::package_check::{damaged, verify_again};
use super::view::CampaignView;
use crate::engine::{Command, EndedTasks};
use crate::http::HttpState;
use crate::http::blocking::blocking;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::http::language::Preferred;
use crate::http::profiles::{check_profile, check_upgrade};
use crate::model::{
    AuditAction, AuditActor, AuditStamp, CampaignId, NewAuditEntry, Package, Record, UpdateTask,
};
use crate::store::Page;

/// How many tasks are read at a time.
const TASKS_PAGE: u32 = 1000;

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
    let _activation = state.activation.lock().await;
    let (campaign, _) = find(&state, id).await?;
    campaign.state.activate()?;
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
    let (tasks, ended) = read_tasks(&state, campaign.id).await?;
    let command = Command::RunCampaign {
        campaign,
        package,
        image,
        installed,
        tasks,
        ended,
    };
    state.engine.command_by(actor, command).await?;
    Ok(Json(find(&state, id).await?.into()))
}

async fn load_verified(state: &HttpState, package: &Package) -> Result<Bytes, Problem> {
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

/// The tasks that are not final, and how many are: a draft's was stopped if its device was taken away.
async fn read_tasks(
    state: &HttpState,
    campaign: CampaignId,
) -> Result<(Vec<UpdateTask>, EndedTasks), Problem> {
    let (mut unfinished, mut ended) = (Vec::new(), EndedTasks::default());
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: TASKS_PAGE,
        };
        let tasks = state.store.tasks(campaign, None, page).await?;
        let full = u32::try_from(tasks.len()).is_ok_and(|count| count >= TASKS_PAGE);
        after = tasks.last().map(|task| task.id.0.to_string());
        for task in tasks {
            if task.state.is_final() {
                ended.counts.add(task.rollout_phase, task.state);
            } else {
                unfinished.push(task);
            }
        }
        if !full {
            return Ok((unfinished, ended));
        }
    }
}
