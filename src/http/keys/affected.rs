//! What a key has signed, and what runs of it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::HttpState;
use crate::model::{Campaign, CampaignState, Package};
use crate::store::{Page, StoreError, TaskCounts};

/// How many rows are read at a time.
const ROWS_PAGE: u32 = 1000;

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
    /// Whether it was active and this stopped it.
    stopped: bool,
    /// How many devices have the package installed already.
    succeeded: u64,
    /// How many devices are at work with it and end by themselves.
    running: u64,
    #[serde(skip)]
    #[schema(ignore)]
    is_active: bool,
}

impl AffectedCampaign {
    /// Says whether it was active before, by what was read then.
    pub(super) fn mark_stopped(&mut self, before: &[Self]) {
        let was_active = before.iter().any(|it| it.id == self.id && it.is_active);
        self.stopped = was_active && self.state == CampaignState::Stopped.word();
    }
}

/// The packages that a key signed, by number.
pub(super) async fn packages_of(
    state: &HttpState,
    key_id: &str,
) -> Result<Vec<AffectedPackage>, StoreError> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let limit = ROWS_PAGE;
        let packages = state.store.packages(Page { after, limit }).await?;
        let Some(last) = packages.last() else {
            return Ok(found);
        };
        after = Some(last.id.0.to_string());
        let signed = packages.iter().filter(|package| package.key_id() == Some(key_id));
        found.extend(signed.map(AffectedPackage::from));
    }
}

/// The campaigns of these packages, by number.
pub(super) async fn campaigns_of(
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
