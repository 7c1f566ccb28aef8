//! `/api/v1/devices`: which devices may register, and how they are.

mod bar;
mod create;
mod delete;
mod import;
mod list;
mod replace;
mod resources;
mod show;
mod timeline;
mod uplinks;
mod view;
mod why;

pub(super) use bar::*;
pub(super) use create::*;
pub(super) use delete::*;
pub(super) use import::*;
pub(super) use list::*;
pub(super) use replace::*;
pub(super) use resources::*;
pub(super) use show::*;
pub(super) use timeline::*;
pub(super) use uplinks::*;
pub(super) use why::*;

use super::error::Problem;
use super::precondition::EntityTag;
use super::{HttpState, fields};
use crate::engine::Command;
use crate::model::{AuditActor, Device, DeviceModel, DeviceType, EndpointName, Manufacturer};

/// The most tags of a device.
const TAGS_MAX: usize = 16;
/// The most characters of a tag.
const TAG_CHARS_MAX: usize = 64;

/// A device as an operator sends it, by JSON or as a row.
#[derive(Debug, Default)]
struct DeviceFields<'a> {
    endpoint: &'a str,
    manufacturer: Option<&'a str>,
    model: Option<&'a str>,
    device_type: Option<&'a str>,
    tags: Vec<String>,
}

impl DeviceFields<'_> {
    fn parse(self, state: &HttpState) -> Result<Device, Problem> {
        if self.tags.len() > TAGS_MAX {
            let fault = format!("a device has at most {TAGS_MAX} tags");
            return Err(Problem::invalid_field("tags", fault));
        }
        for tag in &self.tags {
            fields::title("tags", tag, TAG_CHARS_MAX)?;
        }
        Ok(Device {
            endpoint: state.endpoint("endpoint", self.endpoint)?,
            manufacturer: fields::optional_name("manufacturer", self.manufacturer)?,
            model: fields::optional_name("model", self.model)?,
            device_type: fields::optional_name("device_type", self.device_type)?,
            tags: self.tags,
            created_at: state.now_utc(),
        })
    }
}

/// Enters devices: into the store, then into the running engine.
async fn enter(state: &HttpState, actor: AuditActor, devices: Vec<Device>) -> Result<(), Problem> {
    let added = state.store.add_devices(devices.clone(), state.stamp(actor));
    if let Err(error) = added.await {
        let known = first_known(state, &devices).await;
        return Err(match known {
            Some(endpoint) => {
                Problem::of_store(error, format_args!("device '{endpoint}'")).with_field("endpoint")
            }
            None => error.into(),
        });
    }
    state.live.note_change();
    state.engine.command(Command::AddDevices(devices)).await?;
    Ok(())
}

/// The first of the devices that is there already.
async fn first_known(state: &HttpState, devices: &[Device]) -> Option<EndpointName> {
    for device in devices {
        if state.store.device(&device.endpoint).await.is_ok() {
            return Some(device.endpoint.clone());
        }
    }
    None
}

/// The state of what an operator says of a device.
fn tag(device: &Device) -> EntityTag {
    let created_at = device.created_at.to_string();
    // A text that is not said is not an empty one.
    let said = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), |text| format!("={text}"));
    let (manufacturer, model, device_type) = (
        said(device.manufacturer.as_ref().map(Manufacturer::as_str)),
        said(device.model.as_ref().map(DeviceModel::as_str)),
        said(device.device_type.as_ref().map(DeviceType::as_str)),
    );
    let texts = [
        device.endpoint.as_str(),
        &created_at,
        &manufacturer,
        &model,
        &device_type,
    ];
    let tags = device.tags.iter().map(String::as_str);
    EntityTag::of(texts.into_iter().chain(tags))
}
