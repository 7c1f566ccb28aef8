//! Devices that match a dynamic campaign's targets after it began become tasks of it: at once after
//! something changed that says so, and now and then without.

use std::collections::VecDeque;

use tokio::sync::watch;

use super::eligibility::{Candidate, Judge, Verdict};
use super::targets::Sources;
use crate::engine::{Command, CommandError};
use crate::http::error::Problem;
use crate::http::find::DETAILS_PAGE;
use crate::http::{EngineError, HttpState};
use crate::model::{Campaign, CampaignId, EndpointName, Phase, Record, TaskState, UpdateTask};
use crate::store::{DevicesOf, Page, StoreError};

/// How many times as long as a round the pause behind it is.
const PAUSE_PER_WORK: u32 = 9;

/// Why a round was not gone through.
#[derive(Debug, thiserror::Error)]
enum JoinError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What the campaign asks for, or its package, cannot be read.
    #[error("{0}")]
    Targets(String),
}

impl From<Problem> for JoinError {
    fn from(problem: Problem) -> Self {
        Self::Targets(problem.detail().to_owned())
    }
}

/// Takes devices into dynamic campaigns.
#[derive(Debug)]
pub struct Joiner {
    state: HttpState,
    /// Tasks that the store has and the engine had no room for.
    owed: VecDeque<(CampaignId, Vec<UpdateTask>)>,
}

impl Joiner {
    /// One that works with what the handlers work with.
    pub fn new(state: HttpState) -> Self {
        Self {
            state,
            owed: VecDeque::new(),
        }
    }

    /// Goes round until the server ends. A round over many devices is followed by as long a pause that the
    /// store has most of its time for others.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let limits = self.state.limits;
        loop {
            let begun = self.state.clock.now().instant;
            tokio::select! {
                () = self.round() => {}
                _ = shutdown.wait_for(|stop| *stop) => return,
            }
            let took = self.state.clock.now().instant.saturating_since(begun);
            let pause = took.saturating_mul(PAUSE_PER_WORK);
            let pause = pause.max(limits.join_pause);
            let next = async {
                tokio::time::sleep(pause).await;
                let changed = self.state.live.changed();
                // Whether something changed or not.
                drop(tokio::time::timeout(limits.join_interval, changed).await);
            };
            tokio::select! {
                () = next => {}
                _ = shutdown.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Takes in all devices that match now.
    pub async fn round(&mut self) {
        if let Err(error) = self.try_round().await {
            tracing::warn!(%error, "devices could not join dynamic campaigns; trying again");
        }
    }

    async fn try_round(&mut self) -> Result<(), JoinError> {
        while let Some((campaign, tasks)) = self.owed.pop_front() {
            self.give(campaign, tasks).await?;
        }
        for campaign in self.state.store.dynamic_campaigns().await? {
            let id = campaign.id;
            match self.join(campaign).await {
                Ok(joined) => {
                    if joined > 0 {
                        tracing::info!(campaign = id.0, joined, "devices joined a campaign");
                    }
                }
                Err(error @ JoinError::Targets(_)) => {
                    tracing::warn!(campaign = id.0, %error, "no device can join the campaign");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How many joined.
    async fn join(&mut self, campaign: Campaign) -> Result<usize, JoinError> {
        let state = self.state.clone();
        let package = state.store.package(campaign.package).await?;
        let sources = Sources::find(&state, &campaign.targets).await?;
        let may_downgrade = campaign.downgrade.is_some();
        let judge = Judge::read(&state, &package, may_downgrade, &campaign.targets).await?;
        let counts = state.store.campaign(campaign.id).await?.1;
        let tasks =
            counts.pending + counts.running + counts.succeeded + counts.failed + counts.stopped;
        let tasks = usize::try_from(tasks).unwrap_or(usize::MAX);
        let mut round = Round {
            room: state.limits.campaign_devices_max.saturating_sub(tasks),
            campaign,
            sources,
            judge,
            joined: 0,
        };
        let named = round.sources.named().to_vec();
        for names in named.chunks(usize::try_from(DETAILS_PAGE).unwrap_or(usize::MAX)) {
            self.join_all(&mut round, DevicesOf::Named(names), false)
                .await?;
        }
        for group in round.sources.lists().to_vec() {
            self.join_all(&mut round, DevicesOf::Group(group), false)
                .await?;
        }
        if round.sources.searches() {
            self.join_all(&mut round, DevicesOf::All, true).await?;
        }
        Ok(round.joined)
    }

    async fn join_all(
        &mut self,
        round: &mut Round,
        of: DevicesOf<'_>,
        is_searched: bool,
    ) -> Result<(), JoinError> {
        let mut after = None;
        loop {
            let page = Page {
                after,
                limit: DETAILS_PAGE,
            };
            // Whoever matches is not taken away, nor changed so that it matches no more, until the engine has
            // its task; and what a campaign was activated with goes first.
            let _held = self.state.share_products().await;
            let found = self.state.store.device_details(of, page).await?;
            let Some(last) = found.last() else {
                return Ok(());
            };
            after = Some(last.device.endpoint.to_string());
            let found = round.judge.candidates(&self.state, found).await?;
            let matching = round.matching(&self.state, found, is_searched);
            if !matching.is_empty() {
                self.join_some(round, &matching).await?;
            }
        }
    }

    async fn join_some(
        &mut self,
        round: &mut Round,
        matching: &[EndpointName],
    ) -> Result<(), JoinError> {
        let (store, campaign) = (&self.state.store, round.campaign.id);
        let mut new = store.without_task(campaign, matching).await?;
        if new.len() > round.room {
            let left_out = new.len() - round.room;
            tracing::warn!(
                campaign = campaign.0,
                left_out,
                "the campaign has no room for more devices"
            );
            new.truncate(round.room);
        }
        if new.is_empty() {
            return Ok(());
        }
        let phase = round.campaign.policy.rollout.gates().len();
        let phase = u16::try_from(phase).unwrap_or(u16::MAX);
        let now = self.state.now_utc();
        let joined = match store.join_campaign(campaign, &new, phase, now).await {
            Ok(joined) => joined,
            // It was stopped meanwhile.
            Err(StoreError::Conflict(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        round.room = round.room.saturating_sub(joined.len());
        round.joined += joined.len();
        self.give(campaign, joined).await
    }

    /// Gives the engine tasks that the store has.
    async fn give(
        &mut self,
        campaign: CampaignId,
        tasks: Vec<UpdateTask>,
    ) -> Result<(), JoinError> {
        let command = Command::AddTasks {
            campaign,
            tasks: tasks.clone(),
        };
        match self.state.engine.tell(command).await {
            Ok(()) => Ok(()),
            Err(EngineError::Refused(CommandError::NotActive)) => {
                let now = self.state.now_utc();
                let stopped = tasks.into_iter().map(|task| {
                    Record::Task(UpdateTask {
                        state: TaskState::Stopped,
                        phase: Phase::Done,
                        waiting_for: None,
                        since: now,
                        ..task
                    })
                });
                Ok(self.state.store.commit(stopped.collect()).await?)
            }
            Err(error) => {
                self.owed.push_back((campaign, tasks));
                Err(error.into())
            }
        }
    }
}

/// One campaign's part of a round.
struct Round {
    campaign: Campaign,
    sources: Sources,
    judge: Judge,
    /// How many more devices it may have.
    room: usize,
    joined: usize,
}

impl Round {
    fn matching(
        &self,
        state: &HttpState,
        found: Vec<Candidate>,
        is_searched: bool,
    ) -> Vec<EndpointName> {
        let asks = |it: &Candidate| self.sources.asks_for(state, &self.judge, &it.details);
        let asked = found.into_iter().filter(|it| !is_searched || asks(it));
        let included = asked.filter(|it| match self.judge.judge(it) {
            Verdict::In => true,
            Verdict::Out(_) => false,
        });
        included.map(|it| it.details.device.endpoint).collect()
    }
}
