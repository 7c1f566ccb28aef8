//! What an operator can do about a device that is not updated.

use super::words::words;
use super::{CampaignId, EndpointName, TaskId};

words! {
    /// What to do next.
    pub enum NextAction {
        /// Nothing: the device is up to date, or nobody wants anything of it.
        None = "none",
        /// Nothing: what is waited for comes by itself.
        Wait = "wait",
        /// Enter the device.
        EnterDevice = "enter_device",
        /// Say of the device what is not known or not right, or choose another package.
        MendDevice = "mend_device",
        /// Make a campaign for it.
        CreateCampaign = "create_campaign",
        /// Activate the campaign.
        Activate = "activate",
        /// Resume the campaign.
        Resume = "resume",
        /// Let the rollout's next phase begin.
        ApprovePhase = "approve_phase",
        /// Make a campaign that lets the device in.
        ChangeTargets = "change_targets",
        /// Say in the settings where devices fetch from.
        SetDownloadBase = "set_download_base",
        /// Have the device send something: it cannot be called.
        BringIntoContact = "bring_into_contact",
        /// Wait, or raise the limits of the device's cell.
        RaiseCellLimit = "raise_cell_limit",
        /// Wait, or raise the rate of starts.
        RaiseRate = "raise_rate",
        /// Charge the device, move it or free memory on it, or ask for less.
        MeetConditions = "meet_conditions",
        /// Agree to the update.
        Consent = "consent",
        /// Ask the device's user.
        AskUser = "ask_user",
        /// Give each of the devices that share a name one of its own.
        SeparateDevices = "separate_devices",
        /// Find out why the device was given packages again and again, then lift its bar.
        LiftBar = "lift_bar",
        /// Wait for the other campaign's end, or stop it.
        EndOtherCampaign = "end_other_campaign",
        /// Try again.
        Retry = "retry",
        /// Mend what the cause says, then try again.
        MendAndRetry = "mend_and_retry",
        /// Sign the firmware with another key, and make a campaign of that package.
        SignAnew = "sign_anew",
    }
}

impl NextAction {
    /// The request that does it, where one does, for the device alone where that can be. `of` is its task.
    pub fn request(
        self,
        of: Option<(CampaignId, TaskId)>,
        endpoint: &EndpointName,
    ) -> Option<String> {
        let of_campaign = |action: &str| {
            of.map(|(campaign, _)| format!("POST /api/v1/campaigns/{}/{action}", campaign.0))
        };
        match self {
            Self::EnterDevice => Some("POST /api/v1/devices".to_owned()),
            Self::MendDevice => Some(format!("PUT /api/v1/devices/{endpoint}")),
            Self::CreateCampaign | Self::ChangeTargets | Self::SignAnew => {
                Some("POST /api/v1/campaigns".to_owned())
            }
            Self::Activate => of_campaign("activate"),
            Self::Resume => of_campaign("resume"),
            Self::ApprovePhase => of_campaign("approve"),
            Self::Consent => of.map(|(campaign, task)| {
                format!(
                    "POST /api/v1/campaigns/{}/tasks/{}/consent",
                    campaign.0, task.0
                )
            }),
            Self::Retry | Self::MendAndRetry => of_campaign("retry"),
            Self::LiftBar => Some(format!("DELETE /api/v1/devices/{endpoint}/bar")),
            Self::None
            | Self::Wait
            | Self::SetDownloadBase
            | Self::BringIntoContact
            | Self::RaiseCellLimit
            | Self::RaiseRate
            | Self::MeetConditions
            | Self::AskUser
            | Self::SeparateDevices
            | Self::EndOtherCampaign => None,
        }
    }
}
