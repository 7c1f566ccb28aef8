//! What a key has signed, and what runs of it.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::HttpState;
use crate::model::{Campaign, CampaignState, Package, PackageId};
use crate::store::{Page, StoreError, TaskCounts};

/// How many rows are read at a time.
const ROWS_PAGE: u32 = 1000;

/// The most packages, and the most campaigns, that an answer lists; the rest are counted.
const LISTED_MAX: usize = 1000;

/// What rests on a key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Affected {
    /// How many packages it signed.
    packages_count: usize,
    /// Those packages by number; the first 1000.
    packages: Vec<AffectedPackage>,
    /// How many campaigns those packages have.
    campaigns_count: usize,
    /// Those campaigns by number; the first 1000.
    campaigns: Vec<AffectedCampaign>,
    /// How many times they have updated a device.
    devices_updated: u64,
}

impl Affected {
    /// Reads what rests on the key.
    pub(super) async fn of(state: &HttpState, key_id: &str) -> Result<Self, StoreError> {
        let packages = packages_of(state, key_id).await?;
        let campaigns = campaigns_of(state, &packages).await?;
        Ok(Self {
            packages_count: packages.len(),
            packages,
            campaigns_count: campaigns.len(),
            devices_updated: campaigns.iter().map(|it| it.succeeded).sum(),
            campaigns,
        })
    }

    /// The numbers of all its packages.
    pub(super) fn package_ids(&self) -> Vec<PackageId> {
        self.packages.iter().map(|it| PackageId(it.id)).collect()
    }

    /// Says of each campaign whether it was active before and is stopped now.
    pub(super) fn mark_stopped(&mut self, before: &Self) {
        let active = before.campaigns.iter().filter(|it| it.is_active);
        let active: BTreeSet<u64> = active.map(|it| it.id).collect();
        for campaign in &mut self.campaigns {
            let is_stopped = campaign.state == CampaignState::Stopped.word();
            campaign.stopped = is_stopped && active.contains(&campaign.id);
        }
    }

    /// As much of it as an answer lists.
    pub(super) fn cut(mut self) -> Self {
        self.packages.truncate(LISTED_MAX);
        self.campaigns.truncate(LISTED_MAX);
        self
    }
}

/// A package that a key signed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AffectedPackage {
    /// Its number.
    id: u64,
    /// 型号.
    model: String,
    /// 目标版本.
    version: String,
    /// SHA-256 of the firmware file, hexadecimal.
    sha256: String,
}

/// A campaign of such a package.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AffectedCampaign {
    /// Its number.
    id: u64,
    /// 任务名称.
    name: String,
    /// What is installed.
    package_id: u64,
    /// Its state now.
    state: &'static str,
    /// Whether it was active and this request stopped it.
    stopped: bool,
    /// How many devices have the package installed already.
    succeeded: u64,
    /// How many devices are at work with it and end by themselves.
    running: u64,
    #[serde(skip)]
    #[schema(ignore)]
    is_active: bool,
}

/// The packages that a key signed, by number.
async fn packages_of(state: &HttpState, key_id: &str) -> Result<Vec<AffectedPackage>, StoreError> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let limit = ROWS_PAGE;
        let packages = state.store.packages(Page { after, limit }).await?;
        let Some(last) = packages.last() else {
            return Ok(found);
        };
        after = Some(last.id.0.to_string());
        let signed = packages
            .iter()
            .filter(|package| package.key_id() == Some(key_id));
        found.extend(signed.map(AffectedPackage::from));
    }
}

/// The campaigns of these packages, by number.
async fn campaigns_of(
    state: &HttpState,
    packages: &[AffectedPackage],
) -> Result<Vec<AffectedCampaign>, StoreError> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let limit = ROWS_PAGE;
        let campaigns = state.store.campaigns(Page { after, limit }).await?;
        let Some((last, _)) = campaigns.last() else {
            return Ok(found);
        };
        after = Some(last.id.0.to_string());
        let of_them = campaigns.into_iter().filter(|(campaign, _)| {
            let id = campaign.package.0;
            packages.binary_search_by_key(&id, |it| it.id).is_ok()
        });
        found.extend(of_them.map(AffectedCampaign::from));
    }
}

impl From<&Package> for AffectedPackage {
    fn from(package: &Package) -> Self {
        Self {
            id: package.id.0,
            model: package.model.to_string(),
            version: package.target_version.to_string(),
            sha256: package.file.sha256.to_string(),
        }
    }
}

impl From<(Campaign, TaskCounts)> for AffectedCampaign {
    fn from((campaign, counts): (Campaign, TaskCounts)) -> Self {
        Self {
            id: campaign.id.0,
            name: campaign.name,
            package_id: campaign.package.0,
            state: campaign.state.word(),
            stopped: false,
            succeeded: counts.succeeded,
            running: counts.running,
            is_active: campaign.state.is_active(),
        }
    }
}
