//! Who a campaign is for: groups and single devices become distinct, known devices.

use std::collections::BTreeMap;

use super::view::Targets;
use crate::http::HttpState;
use crate::http::error::{Problem, kinds};
use crate::http::groups::find_group;
use crate::model::{CampaignTargets, Device, EndpointName, GroupId};
use crate::store::{Page, StoreError};

/// How many devices of a group are read at a time.
const GROUP_PAGE: u32 = 1000;

impl Targets {
    /// The names and numbers as such; whether they are there is [`resolve`]'s to say.
    pub(super) fn parse(&self, state: &HttpState) -> Result<CampaignTargets, Problem> {
        let devices = self
            .devices
            .iter()
            .enumerate()
            .map(|(index, text)| state.endpoint(&format!("targets.devices[{index}]"), text))
            .collect::<Result<_, _>>()?;
        Ok(CampaignTargets {
            groups: self.groups.iter().copied().map(GroupId).collect(),
            devices,
        })
    }
}

/// The devices that are asked for, each once, by name.
pub(super) async fn resolve(
    state: &HttpState,
    targets: &CampaignTargets,
) -> Result<Vec<Device>, Problem> {
    let mut devices = BTreeMap::new();
    for (index, endpoint) in targets.devices.iter().enumerate() {
        let field = format!("targets.devices[{index}]");
        add(state, &mut devices, endpoint, &field).await?;
    }
    for (index, &group) in targets.groups.iter().enumerate() {
        let field = format!("targets.groups[{index}]");
        match find_group(state, group).await {
            Ok(_) => add_group(state, &mut devices, group, &field).await?,
            Err(StoreError::NotFound) => {
                return Err(unknown(&field, &format!("group {}", group.0)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(devices.into_values().collect())
}

async fn add_group(
    state: &HttpState,
    devices: &mut BTreeMap<EndpointName, Device>,
    group: GroupId,
    field: &str,
) -> Result<(), Problem> {
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: GROUP_PAGE,
        };
        let endpoints = state.store.group_devices(group, page).await?;
        for endpoint in &endpoints {
            add(state, devices, endpoint, field).await?;
        }
        let full = u32::try_from(endpoints.len()).is_ok_and(|count| count >= GROUP_PAGE);
        let Some(last) = endpoints.last().filter(|_| full) else {
            return Ok(());
        };
        after = Some(last.to_string());
    }
}

async fn add(
    state: &HttpState,
    devices: &mut BTreeMap<EndpointName, Device>,
    endpoint: &EndpointName,
    field: &str,
) -> Result<(), Problem> {
    if devices.contains_key(endpoint) {
        return Ok(());
    }
    let devices_max = state.limits.campaign_devices_max;
    if devices.len() >= devices_max {
        let fault = format!("a campaign has at most {devices_max} devices");
        return Err(Problem::invalid_field(field, fault));
    }
    match state.store.device(endpoint).await {
        Ok(device) => {
            devices.insert(endpoint.clone(), device);
            Ok(())
        }
        Err(StoreError::NotFound) => Err(unknown(field, &format!("device '{endpoint}'"))),
        Err(error) => Err(error.into()),
    }
}

fn unknown(field: &str, thing: &str) -> Problem {
    let detail = format!("{field}: there is no {thing}");
    Problem::new(kinds::UNKNOWN_REFERENCE, detail).with_field(field)
}
