//! What shells ask of the engine, and what it answers.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::campaign::PhaseProgress;
use crate::clock::Utc;
use crate::model::{
    AdmissionPolicy, Campaign, CampaignId, CellId, CoverageTier, Device, DeviceRequestId,
    EndpointName, InstalledSequences, InvalidTransition, KeyChange, Package, Product, ProfileId,
    Schedule, StopMode, TaskId, TierLimits, UpdateTask,
};

/// What is known of a campaign's tasks that are final.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedTasks {
    /// How many, by phase and state. Counted as pending are those that are yet to come, with
    /// [`Command::AddTasks`].
    pub counts: PhaseProgress,
    /// The devices of those of the running phase that have succeeded, and when, where that phase makes them
    /// report for a while before the next begins.
    pub soaking: Vec<(EndpointName, Utc)>,
}

/// A campaign that has ended, with what it takes to run again.
#[derive(Clone, Debug)]
pub struct EndedCampaign {
    /// As stored.
    pub campaign: Campaign,
    /// What is installed.
    pub package: Package,
    /// The firmware file's bytes, whose SHA-256 was checked when they were loaded.
    pub image: Bytes,
    /// What the product's devices run, for a package that has a sequence.
    pub installed: InstalledSequences,
    /// Its tasks.
    pub ended: EndedTasks,
}

/// An operator's wish that the engine carries out. Its records are committed before it is answered.
#[derive(Debug)]
pub enum Command {
    /// Devices were entered into the store: they may register from now on.
    AddDevices(Vec<Device>),
    /// A profile was entered into the store, or its settings changed there: updates of its devices that
    /// begin from now on are as it says.
    SetProduct(Product),
    /// A profile was taken away.
    RemoveProduct(ProfileId),
    /// 激活计划, and after a restart: to go on with an active campaign.
    RunCampaign {
        /// The campaign as stored: a draft to activate, or an active one to go on with.
        campaign: Campaign,
        /// What is installed.
        package: Package,
        /// The firmware file's bytes, whose SHA-256 was checked when they were loaded.
        image: Bytes,
        /// What the product's devices run, for a package that has a sequence.
        installed: InstalledSequences,
        /// Its tasks that are not final, by number: all, or the first of them.
        tasks: Vec<UpdateTask>,
        /// Of its tasks those that are final already.
        ended: EndedTasks,
    },
    /// More tasks of an active campaign, which the store has: by number, and each behind those that it was
    /// given before. What it was given before is passed over.
    AddTasks {
        /// Whose.
        campaign: CampaignId,
        /// They are not final.
        tasks: Vec<UpdateTask>,
    },
    /// Ends a campaign: nothing new starts. One that is being stopped softly may be stopped hard, and one
    /// that is halted is.
    StopCampaign {
        /// Which.
        id: CampaignId,
        /// What becomes of what has begun.
        mode: StopMode,
    },
    /// Ends the update of one device.
    StopTask {
        /// Of which campaign.
        campaign: CampaignId,
        /// Which.
        task: TaskId,
        /// What becomes of it where it has begun.
        mode: StopMode,
    },
    /// Has failed tasks tried again.
    RetryTasks {
        /// Of which campaign.
        campaign: CampaignId,
        /// Which: as stored. Those that have not failed, or are at work again, are left as they are.
        tasks: Vec<UpdateTask>,
        /// For a campaign that has ended, which runs again.
        ended: Option<EndedCampaign>,
    },
    /// Somebody agrees to the update of one device, or of all of a campaign's, or refuses it.
    Consent {
        /// Of which campaign.
        campaign: CampaignId,
        /// Of which task; `None`: of all.
        task: Option<TaskId>,
        /// Whether it is agreed to.
        granted: bool,
        /// Who: the name of a token.
        by: String,
    },
    /// Nothing new of an active campaign starts until it is resumed; what has begun goes on. Halted: no
    /// device is told to install either; one that is being stopped softly ends hard.
    PauseCampaign {
        /// Which.
        id: CampaignId,
        /// Whether it is halted.
        halted: bool,
    },
    /// Halts all active campaigns; those that are being stopped softly end hard.
    HaltCampaigns,
    /// A paused campaign goes on; what it was paused for by itself is let pass.
    ResumeCampaign(CampaignId),
    /// Lets the next phase of a rollout begin that waits for it.
    ApprovePhase(CampaignId),
    /// Gives an active campaign another start, end or windows, at once.
    SetSchedule {
        /// Which.
        id: CampaignId,
        /// When it runs from now on.
        schedule: Schedule,
    },
    /// Revokes a manufacturer's key, which the store has: campaigns of the packages that it signed end,
    /// those that are being stopped softly too, hard, as with [`Command::StopCampaign`], in the same commit.
    RevokeKey {
        /// The key's id.
        id: String,
        /// By whom, when and why.
        change: KeyChange,
    },
    /// Sets how many devices of one cell and tier update at once. Nothing that runs is cut off: a lowered
    /// limit waits for slots to be free.
    SetCellLimits {
        /// Of each cell without limits of its own.
        limits: TierLimits,
        /// Cells with limits of their own.
        overrides: BTreeMap<CellId, TierLimits>,
    },
    /// Lets a device be updated again that the loop guard barred.
    LiftBar(EndpointName),
    /// Takes a device away with all that is known of it, unless a campaign updates it.
    RemoveDevice(EndpointName),
    /// Takes back a request to a device that has not left.
    CancelDeviceRequest {
        /// Whose device's.
        endpoint: EndpointName,
        /// Which.
        id: DeviceRequestId,
    },
}

/// Why the engine refused a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No address was configured that devices could fetch from.
    #[error(
        "devices have no address to fetch the package from: set --coap (coap.listen), and \
         --public-host (coap.public_host) where that is a wildcard such as 0.0.0.0"
    )]
    NoPublicHost,
    /// A product's devices fetch by HTTP, and there is no listener for them.
    #[error(
        "devices have nothing to fetch from by HTTP: set --device-http (device_http.listen), and \
         --public-host (coap.public_host) where that is a wildcard such as 0.0.0.0"
    )]
    NoDeviceHttp,
    /// Products with settings are held in memory, which is bounded.
    #[error("more than {limit} products would have a profile")]
    ProductsFull {
        /// The configured limit.
        limit: usize,
    },
    /// The campaign's state does not allow it.
    #[error(transparent)]
    InvalidTransition(#[from] InvalidTransition),
    /// It is not an active campaign.
    #[error("the campaign is not active")]
    NotActive,
    /// No phase of the campaign's rollout waits for an approval.
    #[error("no phase of the campaign waits for an approval")]
    NothingToApprove,
    /// No task has failed of those that were named, or all are tried again already.
    #[error("none of these tasks has failed, or all are tried again already")]
    NothingToRetry,
    /// Nothing of the campaign begins any more.
    #[error("the campaign's end_at has passed")]
    EndPassed,
    /// The task has ended, or its campaign is not active.
    #[error("the task has ended, or its campaign is not active")]
    TaskNotActive,
    /// Nobody need agree to the campaign's updates.
    #[error("nobody need agree to the updates of this campaign")]
    ConsentNotAsked,
    /// What somebody agreed to is not refused any more, but stopped.
    #[error("it was agreed to: stop it instead")]
    ConsentGiven,
    /// The loop guard has not barred the device.
    #[error("the device is not barred")]
    NotBarred,
    /// A campaign that is not over has a task for the device.
    #[error("task {} of campaign {} is not finished", task.0, campaign.0)]
    TaskUnfinished {
        /// Which task.
        task: TaskId,
        /// Of which campaign.
        campaign: CampaignId,
    },
    /// What was asked for is no object, instance or resource.
    #[error("the path names no object, instance or resource")]
    NotAPath,
    /// An update task of an active campaign may be at work on the device.
    #[error(
        "a campaign updates the device: until its task has ended, Object 5 is not written, executed, \
         nor its Update Result read"
    )]
    UpdateActive,
    /// Requests to a device are bounded.
    #[error("{limit} requests wait for the device already")]
    DeviceQueueFull {
        /// The configured limit.
        limit: usize,
    },
    /// Requests to all devices are bounded.
    #[error("{limit} requests to devices wait already")]
    DeviceRequestsFull {
        /// The configured limit.
        limit: usize,
    },
    /// The request has left, or has ended.
    #[error("the request no longer waits")]
    RequestNotQueued,
    /// There is no such request.
    #[error("there is no such request")]
    UnknownRequest,
    /// Images of active campaigns are served from memory, which is bounded.
    #[error("the images of the active campaigns would exceed {limit_bytes} bytes of memory")]
    ImagesFull {
        /// The configured limit.
        limit_bytes: u64,
    },
    /// Tasks of active campaigns are held in memory, which is bounded.
    #[error("more than {limit} tasks would be active")]
    TasksFull {
        /// The configured limit.
        limit: usize,
    },
}

/// One tier of a cell, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierStatus {
    /// Which tier.
    pub tier: CoverageTier,
    /// Slots in use.
    pub active: u32,
    /// The limit.
    pub limit: u32,
    /// Tasks that wait for one.
    pub queued: u32,
    /// Those of them whose devices are kept awake.
    pub held: u32,
}

/// One cell, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellStatus {
    /// The cell.
    pub cell: CellId,
    /// How it admits now: the strictest of what the campaigns want whose tasks stand in it.
    pub admission: AdmissionPolicy,
    /// Its four tiers in order 0, 1, 2, unknown.
    pub tiers: [TierStatus; 4],
}

/// How far a running download is: shown live, not persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskProgress {
    /// Whose.
    pub task: TaskId,
    /// Of which campaign.
    pub campaign: CampaignId,
    /// The highest byte served so far, exclusive.
    pub bytes_served: u64,
    /// The same as the task's last record has it: [`UpdateTask::bytes_served`].
    pub committed_bytes: u64,
    /// The image's size in bytes.
    pub size_bytes: u64,
}
