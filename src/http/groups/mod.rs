//! `/api/v1/groups`: lists of devices, and saved filters.

mod bind;
mod clear;
mod create;
mod delete;
mod devices;
mod list;
mod members;
mod rename;
mod replace;
mod show;
mod unbind;

pub(super) use bind::*;
pub(super) use clear::*;
pub(super) use create::*;
pub(super) use delete::*;
pub(super) use devices::*;
pub(super) use list::*;
pub(super) use rename::*;
pub(super) use replace::*;
pub(super) use show::*;
pub(super) use unbind::*;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{Problem, kinds};
use super::precondition::{EntityTag, TagOfTexts};
use super::{HttpState, fields};
use crate::model::{EndpointName, GroupId};
use crate::store::{DeviceGroup, Page, StoreError};

/// The most characters of a group's name.
const NAME_CHARS_MAX: usize = 50;

/// How many devices of a group are read at a time.
const MEMBERS_PAGE: u32 = 1000;

/// A group of devices.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
pub(super) struct GroupView {
    /// Its number.
    id: u64,
    /// Its name, unique.
    name: String,
    /// How many devices it has; `null` where a filter finds them.
    devices: Option<u64>,
    /// Finds its devices, as `filter` of `GET /api/v1/devices` does; `null` where it is a list.
    filter: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
}

/// What is said of a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupFields {
    /// Its name, unique, at most 50 characters.
    name: String,
    /// What finds its devices, as `filter` of `GET /api/v1/devices` does; left out where it is a list. A list
    /// does not become a filter, nor a filter a list.
    #[serde(default)]
    #[schema(max_length = 8192)]
    filter: Option<String>,
}

impl GroupFields {
    fn check(&self) -> Result<(), Problem> {
        fields::title("name", &self.name, NAME_CHARS_MAX)?;
        match &self.filter {
            Some(filter) => fields::filter("filter", filter).map(drop),
            None => Ok(()),
        }
    }
}

impl From<DeviceGroup> for GroupView {
    fn from(group: DeviceGroup) -> Self {
        Self {
            id: group.id.0,
            name: group.name,
            devices: group.filter.is_none().then_some(group.devices),
            filter: group.filter,
            created_at: fields::time(group.created_at),
        }
    }
}

/// One group: the row that follows the number before it, where it has the number asked for.
pub(super) async fn find_group(state: &HttpState, id: GroupId) -> Result<DeviceGroup, StoreError> {
    let page = Page {
        after: id.0.checked_sub(1).map(|before| before.to_string()),
        limit: 1,
    };
    let groups = state.store.groups(page).await?;
    let found = groups.into_iter().find(|group| group.id == id);
    found.ok_or(StoreError::NotFound)
}

/// A group whose devices are listed one by one.
///
/// # Errors
/// Where there is none, or a filter finds its devices.
async fn find_list(state: &HttpState, id: u64) -> Result<DeviceGroup, Problem> {
    let found = find_group(state, GroupId(id)).await;
    let group = found.map_err(|error| Problem::of_store(error, format_args!("group {id}")))?;
    match group.filter {
        None => Ok(group),
        Some(_) => {
            let detail =
                format!("group {id} is a saved filter: what it finds is in it, nothing else");
            Err(Problem::new(kinds::GROUP_IS_FILTER, detail))
        }
    }
}

/// The state of what is said of a group.
fn tag(group: &DeviceGroup) -> EntityTag {
    let (id, created_at) = (group.id.0.to_string(), group.created_at.to_string());
    let filter = group.filter.as_deref().unwrap_or_default();
    EntityTag::of([id.as_str(), &group.name, &created_at, filter])
}

/// The state of a group's list of devices.
async fn members_tag(state: &HttpState, id: GroupId) -> Result<EntityTag, StoreError> {
    let mut tag = TagOfTexts::default();
    let mut after = None;
    loop {
        let limit = MEMBERS_PAGE;
        let page = state.store.group_devices(id, Page { after, limit }).await?;
        let Some(last) = page.last() else {
            return Ok(tag.finish());
        };
        after = Some(last.to_string());
        tag.extend(page.iter().map(EndpointName::as_str));
    }
}
