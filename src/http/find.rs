//! Devices that a filter finds: all are looked at, a page at a time, as much as one request may.

use super::HttpState;
use super::campaigns::complete;
use super::error::Problem;
use super::page::PageRequest;
use super::profiles::DeviceTypes;
use crate::campaign::{DeviceFacts, Filter};
use crate::store::{DeviceDetails, DevicesOf, Page};

/// How many devices are read at a time.
pub(super) const DETAILS_PAGE: u32 = 1000;

/// How many devices one request looks at: a page may have fewer rows than were asked for, and yet
/// another behind it.
const PAGES_MAX: usize = 100;

/// What a filter found for a page.
#[derive(Debug)]
pub(super) struct FoundDevices {
    /// The devices, complete, at most as many as were asked for.
    pub(super) devices: Vec<DeviceDetails>,
    /// The last device that was looked at, where others are left.
    pub(super) next: Option<String>,
}

/// What a filter may ask of a device, which is complete.
pub(super) fn facts_of<'a>(state: &HttpState, details: &'a DeviceDetails) -> DeviceFacts<'a> {
    DeviceFacts {
        device: &details.device,
        report: &details.report,
        registered: state.live.device(&details.device.endpoint).is_some(),
    }
}

/// Finds a page of devices.
pub(super) async fn find_devices(
    state: &HttpState,
    filter: &Filter,
    page: &PageRequest,
) -> Result<FoundDevices, Problem> {
    let types = DeviceTypes::read(state).await?;
    let wanted = page.limit();
    let mut found = FoundDevices {
        devices: Vec::new(),
        next: page.after().map(str::to_owned),
    };
    for _ in 0..PAGES_MAX {
        let page = Page {
            after: found.next.clone(),
            limit: DETAILS_PAGE,
        };
        let rows = state.store.device_details(DevicesOf::All, page).await?;
        let is_last = u32::try_from(rows.len()).is_ok_and(|rows| rows < DETAILS_PAGE);
        for details in rows {
            if found.devices.len() == wanted {
                return Ok(found);
            }
            found.next = Some(details.device.endpoint.to_string());
            let (device, _) = complete(&types, details.device, &details.report);
            let details = DeviceDetails { device, ..details };
            if filter.matches(&facts_of(state, &details)) {
                found.devices.push(details);
            }
        }
        if is_last {
            found.next = None;
            return Ok(found);
        }
    }
    Ok(found)
}
