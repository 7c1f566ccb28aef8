//! `/api/v1/groups`: static lists of devices.

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

use super::error::Problem;
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
    /// How many devices it has.
    devices: u64,
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
}

impl GroupFields {
    fn check(&self) -> Result<(), Problem> {
        fields::title("name", &self.name, NAME_CHARS_MAX)
    }
}

impl From<DeviceGroup> for GroupView {
    fn from(group: DeviceGroup) -> Self {
        Self {
            id: group.id.0,
            name: group.name,
            devices: group.devices,
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

/// The state of what is said of a group.
fn tag(group: &DeviceGroup) -> EntityTag {
    let (id, created_at) = (group.id.0.to_string(), group.created_at.to_string());
    EntityTag::of([id.as_str(), &group.name, &created_at])
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
