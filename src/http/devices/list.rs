//! `GET /api/v1/devices`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::view::DeviceView;
use crate::campaign::Filter;
use crate::http::HttpState;
use crate::http::error::{Problem, kinds};
use crate::http::extract::QueryParams;
use crate::http::find::find_devices;
use crate::http::page::{PageQuery, PageRequest};
use crate::http::profiles::DeviceTypes;
use crate::model::Device;
use crate::store::{Page, StoreError};

/// Which devices.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DevicesQuery {
    /// Only those that match, e.g. `manufacturer==Acme;model==M1`: RSQL with `==`, `!=`, `=in=(…)`, `=out=(…)`,
    /// `;` (and), `,` (or), parentheses, and `*` for any characters. Fields: `endpoint`, `manufacturer`, `model`,
    /// `device_type`, `tags`, `firmware_version`, `cell_id`, `tier`, `registered`. A page may have fewer rows
    /// than its limit and yet another behind it.
    #[param(max_length = 8192)]
    filter: Option<String>,
    /// `true`: only those under whose name several devices register in turn.
    flapping: Option<bool>,
    /// The most rows, 1 to 1000; 100 unless said otherwise.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Where to go on: taken from the `Link` header of the page before.
    cursor: Option<String>,
}

/// Lists devices by endpoint name.
#[utoipa::path(get, path = "/api/v1/devices", tag = "devices", params(DevicesQuery),
    responses((status = 200, description = "The devices", body = Vec<DeviceView>)))]
pub(crate) async fn list_devices(
    State(state): State<HttpState>,
    QueryParams(query): QueryParams<DevicesQuery>,
) -> Result<Response, Problem> {
    let page = PageQuery::new(query.limit, query.cursor).by_name()?;
    if query.flapping == Some(false) {
        let detail = "flapping must be true, or left out";
        return Err(Problem::new(kinds::INVALID_QUERY, detail).with_field("flapping"));
    }
    if let Some(text) = &query.filter {
        return filtered(&state, text, query.flapping.is_some(), &page).await;
    }
    let is_filtered = query.flapping.is_some();
    let mut devices = if is_filtered {
        flapping(&state, &page.to_store()).await?
    } else {
        state.store.devices(page.to_store()).await?
    };
    let next = page.cut(&mut devices, |device| device.endpoint.to_string());
    let types = DeviceTypes::read(&state).await?;
    let mut rows = Vec::with_capacity(devices.len());
    for device in devices {
        rows.push(DeviceView::of_each(&state, &types, device).await?);
    }
    let filter = is_filtered.then_some("true");
    Ok(next.respond("/api/v1/devices", &[("flapping", filter)], rows))
}

/// Devices that a filter finds.
async fn filtered(
    state: &HttpState,
    text: &str,
    is_flapping: bool,
    page: &PageRequest,
) -> Result<Response, Problem> {
    if is_flapping {
        let detail = "filter and flapping cannot be asked together";
        return Err(Problem::new(kinds::INVALID_QUERY, detail).with_field("filter"));
    }
    let filter = Filter::parse(text).map_err(|fault| {
        Problem::new(kinds::INVALID_QUERY, format!("filter {fault}")).with_field("filter")
    })?;
    let found = find_devices(state, &filter, page).await?;
    let types = DeviceTypes::read(state).await?;
    let mut rows = Vec::with_capacity(found.devices.len());
    for details in found.devices {
        rows.push(DeviceView::of_details(state, &types, details).await?);
    }
    let next = page.next_after(found.next);
    Ok(next.respond("/api/v1/devices", &[("filter", Some(text))], rows))
}

/// Devices under whose name several register, as the live view knows them.
async fn flapping(state: &HttpState, page: &Page) -> Result<Vec<Device>, Problem> {
    let names = state.live.flapping_endpoints();
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let after = page.after.as_deref();
    let is_behind = |name: &str| after.is_none_or(|after| name > after);
    let mut devices = Vec::new();
    for name in names.iter().filter(|name| is_behind(name.as_str())) {
        if devices.len() >= limit {
            break;
        }
        match state.store.device(name).await {
            Ok(device) => devices.push(device),
            // Taken away meanwhile.
            Err(StoreError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(devices)
}
