//! An engine's place at the other end of the queue: commits what a command changes, or refuses.

use std::sync::{Arc, Mutex};

use narrowcast::clock::Utc;
use narrowcast::engine::{CellStatus, Command, CommandError, PaceReport, Standing, TierStatus};
use narrowcast::http::{CellsPage, EngineError, EngineRequest, EngineRequests};
use narrowcast::model::{
    CampaignId, CampaignPolicy, CampaignState, CellId, CoverageTier, DeviceAnswer, DeviceRequest,
    DeviceRequestId, DeviceRequestState, KeyChange, NewDeviceRequest, Record, SlotClaim,
};
use narrowcast::store::{Page, Store};
use tokio::sync::{Mutex as Gate, oneshot};

/// What the engine was asked, and whether it refuses.
#[derive(Debug, Default)]
pub(crate) struct TestEngine {
    pub(crate) refuse: Mutex<Option<CommandError>>,
    pub(crate) commands: Mutex<Vec<Command>>,
    /// What becomes of each request to a device; none: it waits.
    pub(crate) ends: Mutex<Option<(DeviceRequestState, Option<DeviceAnswer>)>>,
    /// While it is held, nothing is carried out.
    pub(crate) gate: Gate<()>,
    asked: Mutex<u64>,
}

impl TestEngine {
    pub(crate) async fn run(self: Arc<Self>, mut requests: EngineRequests, store: Arc<dyn Store>) {
        while let Some(request) = requests.recv().await {
            drop(self.gate.lock().await);
            match request {
                EngineRequest::Command(command, _, answer) => {
                    let outcome = self.carry_out(command, store.as_ref()).await;
                    let _ = answer.send(outcome);
                }
                EngineRequest::Device(asked, _, answer, end) => {
                    let _ = answer.send(self.ask(asked, end, store.as_ref()).await);
                }
                EngineRequest::Pace(_, answer) => {
                    let _ = answer.send(PaceReport::default());
                }
                EngineRequest::Cells(page, answer) => {
                    let _ = answer.send(cells(page));
                }
                EngineRequest::Standing(_, answer) => {
                    let claim = SlotClaim {
                        cell: CellId(20),
                        tier: CoverageTier::Tier2,
                    };
                    let standing = Standing {
                        claim,
                        ahead: 7,
                        for_rate: false,
                    };
                    let _ = answer.send(Some(standing));
                }
            }
        }
    }

    async fn ask(
        &self,
        asked: NewDeviceRequest,
        end: oneshot::Sender<DeviceRequest>,
        store: &dyn Store,
    ) -> Result<DeviceRequestId, EngineError> {
        if let Some(refusal) = self.refuse.lock().expect("not poisoned").clone() {
            return Err(refusal.into());
        }
        let ends = self.ends.lock().expect("not poisoned").clone();
        let id = {
            let mut asked = self.asked.lock().expect("not poisoned");
            *asked += 1;
            DeviceRequestId(*asked)
        };
        let is_ended = ends.is_some();
        let (state, answer) = ends.unwrap_or((DeviceRequestState::Queued, None));
        let request = DeviceRequest {
            id,
            asked,
            state,
            answer,
            detail: String::new(),
            created_at: Utc::from_unix_ms(1_000),
            ended_at: is_ended.then(|| Utc::from_unix_ms(2_000)),
        };
        let record = Record::DeviceRequest(request.clone());
        store.commit(vec![record]).await.expect("a commit");
        if is_ended {
            let _ = end.send(request);
        }
        Ok(id)
    }

    async fn carry_out(&self, command: Command, store: &dyn Store) -> Result<(), EngineError> {
        if let Some(refusal) = self.refuse.lock().expect("not poisoned").clone() {
            return Err(refusal.into());
        }
        let at = Utc::from_unix_ms(1_000);
        let change = match &command {
            Command::AddDevices(_)
            | Command::SetProduct(_)
            | Command::RemoveProduct(_)
            | Command::SetCellLimits { .. } => None,
            Command::RunCampaign { campaign, .. } => Some(Record::Campaign {
                id: campaign.id,
                state: CampaignState::Running,
                at,
            }),
            Command::StopCampaign { id, .. } => Some(Record::Campaign {
                id: *id,
                state: CampaignState::Stopped,
                at,
            }),
            Command::PauseCampaign { id, .. } => Some(Record::Campaign {
                id: *id,
                state: CampaignState::Paused,
                at,
            }),
            Command::ResumeCampaign(id) => Some(Record::Campaign {
                id: *id,
                state: CampaignState::Running,
                at,
            }),
            Command::SetSchedule { id, schedule } => {
                let (campaign, _) = store.campaign(*id).await.expect("a campaign");
                let policy = Box::new(CampaignPolicy {
                    schedule: schedule.clone(),
                    ..campaign.policy
                });
                Some(Record::Policy { id: *id, policy })
            }
            Command::HaltCampaigns | Command::ApprovePhase(_) => None,
            Command::RevokeKey { id, change } => {
                revoke(id, change, store).await;
                None
            }
            Command::RemoveDevice(endpoint) => Some(Record::DeviceForgotten {
                endpoint: endpoint.clone(),
            }),
            Command::CancelDeviceRequest { .. }
            | Command::AddTasks { .. }
            | Command::StopTask { .. }
            | Command::RetryTasks { .. }
            | Command::Consent { .. } => None,
            Command::LiftBar(endpoint) => {
                let history = store.deliveries(endpoint).await;
                if !history.is_ok_and(|history| history.barred_since.is_some()) {
                    return Err(CommandError::NotBarred.into());
                }
                Some(Record::DeliveriesForgotten {
                    endpoint: endpoint.clone(),
                })
            }
        };
        if let Some(record) = change {
            store.commit(vec![record]).await.expect("a commit");
        }
        self.commands.lock().expect("not poisoned").push(command);
        Ok(())
    }
}

/// What the engine commits when a key is revoked.
async fn revoke(id: &str, change: &KeyChange, store: &dyn Store) {
    let revoked = Record::KeyRevoked {
        id: id.to_owned(),
        change: change.clone(),
    };
    store.commit(vec![revoked]).await.expect("a commit");
    for campaign in campaigns_of(id, store).await {
        let stopped = Record::Campaign {
            id: campaign,
            state: CampaignState::Stopped,
            at: Utc::from_unix_ms(1_000),
        };
        store.commit(vec![stopped]).await.expect("a commit");
    }
}

/// The active campaigns of the packages that a key signed.
async fn campaigns_of(key_id: &str, store: &dyn Store) -> Vec<CampaignId> {
    let page = Page {
        after: None,
        limit: 100,
    };
    let mut found = Vec::new();
    for (campaign, _) in store.campaigns(page).await.expect("campaigns") {
        let package = store.package(campaign.package).await.expect("a package");
        if package.key_id() == Some(key_id) && campaign.state.is_active() {
            found.push(campaign.id);
        }
    }
    found
}

/// Cells 10, 20 and 30.
fn cells(page: CellsPage) -> Vec<CellStatus> {
    let tier = |tier, active, limit| TierStatus {
        tier,
        active,
        limit,
        queued: 0,
        held: 0,
    };
    [10, 20, 30]
        .map(CellId)
        .into_iter()
        .filter(|cell| page.after.is_none_or(|after| *cell > after))
        .take(usize::try_from(page.limit).expect("fits"))
        .map(|cell| CellStatus {
            cell,
            admission: Default::default(),
            tiers: [
                tier(CoverageTier::Tier0, 3, 50),
                tier(CoverageTier::Tier1, 0, 10),
                tier(CoverageTier::Tier2, 1, 1),
                tier(CoverageTier::Unknown, 0, 10),
            ],
        })
        .collect()
}
