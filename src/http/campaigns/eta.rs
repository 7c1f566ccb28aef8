//! When a campaign will be done, as it is shown.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::tasks::{settings_for, timetable_of};
use crate::campaign::{CellLoad, Eta, EtaInput, estimate};
use crate::clock::Utc;
use crate::engine::PaceReport;
use crate::http::blocking::blocking;
use crate::http::error::Problem;
use crate::http::{HttpState, fields};
use crate::model::{
    AdmissionPolicy, Campaign, CampaignId, CampaignPolicy, CampaignState, CellId, Consent,
    CoverageTier, EndpointName, Package, RetryPolicy, RolloutState, Schedule,
};
use crate::store::{DeviceLoad, NewCampaign};

/// When the devices that are left will be done, by what was seen of them, and by what is assumed where
/// nothing was.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Eta)]
pub(crate) struct EtaView {
    /// It is as likely to be over by then as not: seconds from now.
    p50_seconds: u64,
    /// Nine times of ten it is over by then: seconds from now.
    p90_seconds: u64,
    /// The same as a time.
    #[schema(format = DateTime)]
    finish_p50_at: String,
    /// The same as a time.
    #[schema(format = DateTime)]
    finish_p90_at: String,
    /// What takes longest.
    limiting_cell: Option<LimitingCellView>,
    /// What was not seen yet, and is taken as given.
    assumed: Vec<AssumptionView>,
}

/// The tier of a cell that ends last.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = LimitingCell)]
pub(crate) struct LimitingCellView {
    /// The cell; null: devices whose cell is not known yet.
    cell_id: Option<u32>,
    /// `0`, `1`, `2` or `unknown`.
    tier: &'static str,
    /// How many of its devices update at once.
    limit: u32,
    /// How many of its devices are not done.
    tasks: u64,
    /// As likely as not they are done by then: seconds from now.
    p50_seconds: u64,
}

/// A figure that is taken as given.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Assumption)]
pub(crate) struct AssumptionView {
    /// `block_seconds`: from one 512-byte block to the next of a device that is alone in its cell;
    /// `install_seconds`: from the whole package to the result; `contact_seconds`: from contact to contact of
    /// a device that sleeps; `contacts_even`: devices that sleep, whose contacts are taken to be spread evenly
    /// over that time; `success_share`: of attempts that begin; `cell_unknown`: devices whose cell is not
    /// known; `approval_seconds`: until somebody approves a phase; `resume_seconds`: until somebody resumes a
    /// campaign that is paused; `consent_seconds`: until somebody agrees to the update.
    figure: &'static str,
    /// Of which tier, where it is of one.
    tier: Option<&'static str>,
    /// What it is taken for.
    value: f64,
}

/// What is asked of many devices, apart from who they are.
struct Question {
    policy: CampaignPolicy,
    /// Where the campaign has one of its own.
    admission: Option<AdmissionPolicy>,
    rollout: RolloutState,
    retry: RetryPolicy,
    size_bytes: u64,
    begun_at: Option<Utc>,
    lacks_consent: bool,
    awake: Duration,
}

/// Estimates that are shown again until they are a minute old. Each is made in a task of its own, which
/// who asks waits for only so long.
#[derive(Debug)]
pub(in crate::http) struct Etas {
    kept: Mutex<BTreeMap<CampaignId, Kept>>,
    /// One campaign's tasks are read at a time.
    reading: Semaphore,
}

#[derive(Debug)]
struct Kept {
    at: Utc,
    state: CampaignState,
    schedule: Schedule,
    rollout: RolloutState,
    consented_at: Option<Utc>,
    eta: watch::Receiver<Reckoned>,
}

/// How far an estimate is.
#[derive(Clone, Debug)]
enum Reckoned {
    UnderWay,
    Done(Option<EtaView>),
    Failed,
}

/// How long an estimate is shown.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// How long after one that could not be made none is tried.
const FAILED_KEPT_FOR: Duration = Duration::from_secs(5);
/// How long an estimate is waited for. What it is shown with is not held up for it.
const WAIT_MAX: Duration = Duration::from_secs(2);

impl Default for Etas {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            reading: Semaphore::new(1),
        }
    }
}

impl Kept {
    fn is_young(&self, now: Utc) -> bool {
        let kept_for = match &*self.eta.borrow() {
            // Nobody makes it any more: its task is gone.
            Reckoned::UnderWay if self.eta.has_changed().is_err() => return false,
            Reckoned::UnderWay => return true,
            Reckoned::Done(_) => KEPT_FOR,
            Reckoned::Failed => FAILED_KEPT_FOR,
        };
        now.saturating_since(self.at) < kept_for && self.at <= now
    }

    fn is_of(&self, campaign: &Campaign) -> bool {
        self.state == campaign.state
            && self.schedule == campaign.policy.schedule
            && self.rollout == campaign.rollout
            && self.consented_at == campaign.consented_at
    }
}

/// When a campaign that is not over will be done; `None` where nothing is left, it is over, or it cannot
/// be said within [`WAIT_MAX`].
pub(super) async fn eta_of_campaign(state: &HttpState, campaign: &Campaign) -> Option<EtaView> {
    if campaign.ended_at.is_some() {
        return None;
    }
    let mut eta = reckoned(state, campaign);
    let done = eta.wait_for(|eta| !matches!(eta, Reckoned::UnderWay));
    match timeout(WAIT_MAX, done).await.ok()?.ok()?.clone() {
        Reckoned::Done(eta) => eta,
        Reckoned::UnderWay | Reckoned::Failed => None,
    }
}

/// The estimate that is shown now, or will be.
fn reckoned(state: &HttpState, campaign: &Campaign) -> watch::Receiver<Reckoned> {
    let now = state.now_utc();
    let kept = state.etas.kept.lock();
    let mut kept = kept.unwrap_or_else(PoisonError::into_inner);
    kept.retain(|_, kept| kept.is_young(now));
    if let Some(kept) = kept.get(&campaign.id).filter(|it| it.is_of(campaign)) {
        return kept.eta.clone();
    }
    let (sender, eta) = watch::channel(Reckoned::UnderWay);
    let new = Kept {
        at: now,
        state: campaign.state,
        schedule: campaign.policy.schedule.clone(),
        rollout: campaign.rollout.clone(),
        consented_at: campaign.consented_at,
        eta: eta.clone(),
    };
    kept.insert(campaign.id, new);
    let (state, campaign) = (state.clone(), campaign.clone());
    tokio::spawn(async move {
        let eta = reckon(&state, &campaign).await;
        sender.send_replace(match eta {
            Ok(eta) => Reckoned::Done(eta),
            Err(problem) => {
                let (campaign, why) = (campaign.id.0, problem.detail());
                tracing::warn!(campaign, why, "it cannot be said when it will be done");
                Reckoned::Failed
            }
        });
    });
    eta
}

async fn reckon(state: &HttpState, campaign: &Campaign) -> Result<Option<EtaView>, Problem> {
    let report = state.engine.pace(Some(campaign.id)).await?;
    let package = state.store.package(campaign.package).await?;
    // It is never closed.
    let _reading = state.etas.reading.acquire().await;
    let loads = state.store.loads_of_campaign(campaign.id).await?;
    let question = Question {
        policy: campaign.policy.clone(),
        admission: campaign.admission,
        rollout: campaign.rollout.clone(),
        retry: campaign.retry,
        size_bytes: package.file.size_bytes,
        begun_at: campaign.activated_at,
        lacks_consent: asks_for_consent(&campaign.policy) && campaign.consented_at.is_none(),
        awake: awake_time(state, &package).await?,
    };
    answer(state, question, loads, report).await
}

/// The same of one that is not made yet. `None` also where the engine does not say in time how fast devices
/// are.
pub(super) async fn eta_of_plan(
    state: &HttpState,
    devices: &[EndpointName],
    campaign: &NewCampaign,
) -> Result<Option<EtaView>, Problem> {
    let Ok(Ok(report)) = timeout(WAIT_MAX, state.engine.pace(None)).await else {
        return Ok(None);
    };
    let package = state.store.package(campaign.package).await?;
    let mut loads = Vec::new();
    let (mut left, mut phase) = (devices, 0);
    // The last phase has what the others leave.
    for size in campaign.phase_sizes.iter().copied().chain([usize::MAX]) {
        let (of_phase, others) = left.split_at(size.min(left.len()));
        let found = state.store.loads_of_devices(of_phase).await?;
        loads.extend(found.into_iter().map(|load| DeviceLoad {
            rollout_phase: phase,
            ..load
        }));
        left = others;
        phase = phase.saturating_add(1);
    }
    let question = Question {
        policy: campaign.policy.clone(),
        admission: campaign.admission,
        rollout: RolloutState::default(),
        retry: campaign.retry,
        size_bytes: package.file.size_bytes,
        begun_at: None,
        lacks_consent: asks_for_consent(&campaign.policy),
        awake: awake_time(state, &package).await?,
    };
    answer(state, question, loads, report).await
}

fn asks_for_consent(policy: &CampaignPolicy) -> bool {
    policy.conditions.consent == Consent::Confirmed
}

/// How long devices that the package is for listen.
async fn awake_time(state: &HttpState, package: &Package) -> Result<Duration, Problem> {
    let settings = settings_for(state, package).await?;
    Ok(settings.awake_time)
}

/// Off the runtime's threads: it is some hundred milliseconds of work where a campaign is large.
async fn answer(
    state: &HttpState,
    question: Question,
    loads: Vec<DeviceLoad>,
    report: PaceReport,
) -> Result<Option<EtaView>, Problem> {
    let now = state.now_utc();
    blocking(move || {
        let policy = &question.policy;
        let timetable = timetable_of(&policy.schedule);
        let own_rate = policy.governors.starts_per_minute_max;
        let rates = [own_rate, report.starts_per_minute_max];
        let eta = estimate(&EtaInput {
            now,
            begun_at: question.begun_at,
            timetable: &timetable,
            size_bytes: question.size_bytes,
            retry: question.retry,
            loads: &cell_loads(&loads, &report),
            admission: question.admission.unwrap_or(report.admission),
            starts_per_minute_max: rates.into_iter().flatten().min(),
            rollout: &policy.rollout,
            rollout_state: &question.rollout,
            awake: question.awake,
            lacks_consent: question.lacks_consent,
            waiting_room: policy.waiting_room.unwrap_or(report.waiting_room),
            pace: &report.pace,
        });
        Ok(eta.map(|eta| EtaView::of(now, &eta)))
    })
    .await
}

/// By cell and tier. A device of whose radio nothing is known is as one of the class `unknown`.
fn cell_loads(loads: &[DeviceLoad], report: &PaceReport) -> Vec<CellLoad> {
    let mut cells: BTreeMap<(u16, Option<CellId>, CoverageTier), CellLoad> = BTreeMap::new();
    for load in loads {
        let tier = load.tier.unwrap_or(CoverageTier::Unknown);
        let own = load.cell.and_then(|cell| report.overrides.get(&cell));
        let alike = (load.rollout_phase, load.cell, tier);
        let entry = cells.entry(alike).or_insert_with(|| CellLoad {
            cell: load.cell,
            tier,
            phase: load.rollout_phase,
            limits: *own.unwrap_or(&report.limits),
            listening: 0,
            sleeping: 0,
            updating: 0,
        });
        let count = if load.has_slot {
            &mut entry.updating
        } else if load.listens {
            &mut entry.listening
        } else {
            &mut entry.sleeping
        };
        *count += load.devices;
    }
    cells.into_values().collect()
}

impl EtaView {
    pub(super) const fn p50_seconds(&self) -> u64 {
        self.p50_seconds
    }

    fn of(now: Utc, eta: &Eta) -> Self {
        Self {
            p50_seconds: eta.p50.as_secs(),
            p90_seconds: eta.p90.as_secs(),
            finish_p50_at: fields::time(now + eta.p50),
            finish_p90_at: fields::time(now + eta.p90),
            limiting_cell: eta.limiting.map(|cell| LimitingCellView {
                cell_id: cell.cell.map(|cell| cell.0),
                tier: cell.tier.word(),
                limit: cell.limit,
                tasks: cell.tasks,
                p50_seconds: cell.p50.as_secs(),
            }),
            assumed: (eta.assumed.iter())
                .map(|assumption| AssumptionView {
                    figure: assumption.figure.word(),
                    tier: assumption.tier.map(CoverageTier::word),
                    value: assumption.value,
                })
                .collect(),
        }
    }
}
