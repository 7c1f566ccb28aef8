//! What the audit log is told.

use super::words::words;
use crate::clock::Utc;

words! {
    /// What was done.
    pub enum AuditAction {
        /// A manufacturer's public key was entered.
        KeyCreated = "key_created",
        /// A key verifies no new uploads any more.
        KeyRetired = "key_retired",
        /// A key's packages are blocked.
        KeyRevoked = "key_revoked",
        /// A package came, was verified and is kept.
        PackageAccepted = "package_accepted",
        /// A package came and was refused.
        PackageRefused = "package_refused",
        /// What is said of a package was changed.
        PackageEdited = "package_edited",
        /// A package was taken away.
        PackageDeleted = "package_deleted",
        /// A link to a package's file was made.
        LinkCreated = "link_created",
        /// A link was ended by an operator.
        LinkRevoked = "link_revoked",
        /// Each byte of a link's file was taken.
        LinkServedWhole = "link_served_whole",
        /// A product's profile was entered.
        ProfileCreated = "profile_created",
        /// How a product's devices are treated was changed.
        ProfileSettingsChanged = "profile_settings_changed",
        /// A product's profile was taken away.
        ProfileDeleted = "profile_deleted",
        /// A draft was made.
        CampaignCreated = "campaign_created",
        /// A campaign's tasks may begin.
        CampaignActivated = "campaign_activated",
        /// A campaign was to be activated, and its package does not hold any more.
        CampaignRefused = "campaign_refused",
        /// A campaign was ended by an operator, or with the key of its package.
        CampaignStopped = "campaign_stopped",
        /// Nothing new of a campaign starts.
        CampaignPaused = "campaign_paused",
        /// The same, and no device is told to install either.
        CampaignHalted = "campaign_halted",
        /// A paused campaign goes on.
        CampaignResumed = "campaign_resumed",
        /// Somebody let a campaign be activated, or its next phase begin.
        CampaignApproved = "campaign_approved",
        /// Failed tasks of a campaign are tried again.
        CampaignRetried = "campaign_retried",
        /// Somebody agreed to the update of a device, or of all of a campaign's.
        ConsentGranted = "consent_granted",
        /// Somebody refused it.
        ConsentRefused = "consent_refused",
        /// A campaign was put away.
        CampaignArchived = "campaign_archived",
        /// A campaign was taken out again.
        CampaignUnarchived = "campaign_unarchived",
        /// A campaign was given another start, end or windows.
        CampaignRescheduled = "campaign_rescheduled",
        /// A campaign was taken away.
        CampaignDeleted = "campaign_deleted",
        /// An API token was made.
        TokenCreated = "token_created",
        /// An API token was taken away.
        TokenDeleted = "token_deleted",
        /// A device that the loop guard had barred may be updated again.
        BarLifted = "bar_lifted",
        /// A device was entered.
        DeviceCreated = "device_created",
        /// A file of devices was entered.
        DevicesImported = "devices_imported",
        /// What operators say of a device was replaced.
        DeviceReplaced = "device_replaced",
        /// A device is to be written, or to execute something.
        DeviceAsked = "device_asked",
        /// What was asked of a device was taken back before it left.
        DeviceAskedNoMore = "device_asked_no_more",
        /// A device was taken away.
        DeviceDeleted = "device_deleted",
        /// The limits of cells were changed.
        CellLimitsChanged = "cell_limits_changed",
        /// A group was made.
        GroupCreated = "group_created",
        /// A group was given another name.
        GroupRenamed = "group_renamed",
        /// A group was taken away.
        GroupDeleted = "group_deleted",
        /// Devices were put into a group.
        GroupDevicesBound = "group_devices_bound",
        /// A group was given other devices, or none.
        GroupDevicesReplaced = "group_devices_replaced",
        /// A device was taken out of a group.
        GroupDeviceUnbound = "group_device_unbound",
        /// A receiver of events was entered.
        WebhookCreated = "webhook_created",
        /// A receiver is told of events again.
        WebhookEnabled = "webhook_enabled",
        /// A receiver is told of no more events.
        WebhookDisabled = "webhook_disabled",
        /// A receiver was taken away.
        WebhookDeleted = "webhook_deleted",
        /// A receiver is told something once more, or for a test.
        WebhookDeliveryAsked = "webhook_delivery_asked",
        /// A device is about to be told to flash.
        ExecuteIntended = "execute_intended",
        /// The update of one device is to end.
        TaskStopAsked = "task_stop_asked",
        /// A task ended well.
        TaskSucceeded = "task_succeeded",
        /// An attempt of a task ended badly.
        AttemptFailed = "attempt_failed",
        /// A task ended badly.
        TaskFailed = "task_failed",
        /// A task was ended by an operator.
        TaskStopped = "task_stopped",
    }
}

words! {
    /// What kind of thing it was done to.
    pub enum AuditKind {
        /// A manufacturer's key; its id is the SHA-256 of the SPKI.
        Key = "key",
        /// A package; by number, and one that was refused by its file's name.
        Package = "package",
        /// A link to a package's file; by number.
        Link = "link",
        /// A product's profile; by number.
        Profile = "profile",
        /// A campaign; by number.
        Campaign = "campaign",
        /// An API token; by name.
        Token = "token",
        /// A device; by endpoint name, and several by none.
        Device = "device",
        /// A cell; by number, and all without limits of their own by none.
        Cell = "cell",
        /// A group; by number.
        Group = "group",
        /// A receiver of events; by number.
        Webhook = "webhook",
        /// A task; by number.
        Task = "task",
    }
}

impl AuditAction {
    /// What kind of thing this is done to.
    pub const fn kind(self) -> AuditKind {
        match self {
            Self::KeyCreated | Self::KeyRetired | Self::KeyRevoked => AuditKind::Key,
            Self::PackageAccepted
            | Self::PackageRefused
            | Self::PackageEdited
            | Self::PackageDeleted => AuditKind::Package,
            Self::LinkCreated | Self::LinkRevoked | Self::LinkServedWhole => AuditKind::Link,
            Self::ProfileCreated | Self::ProfileSettingsChanged | Self::ProfileDeleted => {
                AuditKind::Profile
            }
            Self::CampaignCreated
            | Self::CampaignActivated
            | Self::CampaignRefused
            | Self::CampaignStopped
            | Self::CampaignPaused
            | Self::CampaignHalted
            | Self::CampaignResumed
            | Self::CampaignApproved
            | Self::CampaignRetried
            | Self::ConsentGranted
            | Self::ConsentRefused
            | Self::CampaignArchived
            | Self::CampaignUnarchived
            | Self::CampaignRescheduled
            | Self::CampaignDeleted => AuditKind::Campaign,
            Self::TokenCreated | Self::TokenDeleted => AuditKind::Token,
            Self::BarLifted
            | Self::DeviceCreated
            | Self::DevicesImported
            | Self::DeviceReplaced
            | Self::DeviceAsked
            | Self::DeviceAskedNoMore
            | Self::DeviceDeleted => AuditKind::Device,
            Self::CellLimitsChanged => AuditKind::Cell,
            Self::WebhookCreated
            | Self::WebhookEnabled
            | Self::WebhookDisabled
            | Self::WebhookDeleted
            | Self::WebhookDeliveryAsked => AuditKind::Webhook,
            Self::GroupCreated
            | Self::GroupRenamed
            | Self::GroupDeleted
            | Self::GroupDevicesBound
            | Self::GroupDevicesReplaced
            | Self::GroupDeviceUnbound => AuditKind::Group,
            Self::ExecuteIntended
            | Self::TaskStopAsked
            | Self::TaskSucceeded
            | Self::AttemptFailed
            | Self::TaskFailed
            | Self::TaskStopped => AuditKind::Task,
        }
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditActor {
    /// A token's name; `cli` or `server` where it was no token.
    pub name: String,
    /// The token's role; `cli` or `server` where it was no token.
    pub role: String,
}

impl AuditActor {
    /// A command on the server's machine.
    pub fn cli() -> Self {
        Self {
            name: "cli".to_owned(),
            role: "cli".to_owned(),
        }
    }

    /// The server by itself.
    pub fn server() -> Self {
        Self {
            name: "server".to_owned(),
            role: "server".to_owned(),
        }
    }
}

/// By whom and when something is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditStamp {
    /// When.
    pub at: Utc,
    /// By whom.
    pub actor: AuditActor,
}

/// An entry of the audit log that has no place in it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAuditEntry {
    /// By whom and when.
    pub stamp: AuditStamp,
    /// What was done.
    pub action: AuditAction,
    /// To which key, package, link, campaign, token, device, cell, group or task.
    pub object: String,
    /// What else is worth to be known.
    pub details: Vec<(&'static str, String)>,
}

impl NewAuditEntry {
    /// The most bytes of a text of an entry; what is longer is cut, and ends with an ellipsis.
    pub const TEXT_BYTES_MAX: usize = 256;
    /// The most bytes by which the details of an entry may pass that, together: a reason of 200
    /// characters is kept whole in any script.
    pub const REASON_BYTES_MAX: usize = 4 * 200 - Self::TEXT_BYTES_MAX;
}
