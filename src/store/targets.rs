//! Who campaigns are for: devices with what they reported, page by page, and those that join a campaign
//! while it runs.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Page, StoreError};
use crate::clock::Utc;
use crate::model::{
    AuditStamp, Campaign, CampaignId, Device, DeviceReport, EndpointName, GroupId, UpdateTask,
};

/// A device and what it last reported; nothing, where it never did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceDetails {
    /// As it was entered.
    pub device: Device,
    /// As it reported.
    pub report: DeviceReport,
}

/// Whose details are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevicesOf<'a> {
    /// All that there are.
    All,
    /// Those in a static group; none where there is no such group.
    Group(GroupId),
    /// These, as far as they are there. Each page costs what the whole list does: at most some
    /// thousand.
    Named(&'a [EndpointName]),
}

/// What campaigns' targets are resolved with.
#[async_trait]
pub trait TargetStore: Send + Sync {
    /// Devices by endpoint name, with their reports: one query for a page.
    async fn device_details(
        &self,
        of: DevicesOf<'_>,
        page: Page,
    ) -> Result<Vec<DeviceDetails>, StoreError>;

    /// Makes a group of whatever devices a filter finds; `Conflict` where the name is taken.
    async fn add_filter_group(
        &self,
        name: &str,
        filter: &str,
        stamp: AuditStamp,
    ) -> Result<GroupId, StoreError>;

    /// Replaces name and filter of such a group; `Conflict` where the name is taken, `NotFound` where
    /// the group is not there or is a list.
    async fn replace_filter_group(
        &self,
        id: GroupId,
        name: &str,
        filter: &str,
        stamp: AuditStamp,
    ) -> Result<(), StoreError>;

    /// Active campaigns that take in devices which match later, by number.
    async fn dynamic_campaigns(&self) -> Result<Vec<Campaign>, StoreError>;

    /// Those of the devices that never had a task in the campaign, in the same order.
    async fn without_task(
        &self,
        campaign: CampaignId,
        endpoints: &[EndpointName],
    ) -> Result<Vec<EndpointName>, StoreError>;

    /// Those of the devices that have a task which has not ended, each with the campaign that it is of, the
    /// first of several. One that was stopped may have such tasks, a draft has none that count.
    async fn in_other_campaigns(
        &self,
        endpoints: &[EndpointName],
    ) -> Result<BTreeMap<EndpointName, CampaignId>, StoreError>;

    /// Makes tasks of an active campaign for those of the devices that are there and never had one in
    /// it, in one short commit, and returns them by number. `Conflict` where the campaign is not active.
    async fn join_campaign(
        &self,
        campaign: CampaignId,
        endpoints: &[EndpointName],
        rollout_phase: u16,
        at: Utc,
    ) -> Result<Vec<UpdateTask>, StoreError>;
}
