//! `/api/v1/devices/{endpoint}/resources/{path}`: Read, Write, Execute and the like on the device
//! itself, and what has become of what was asked.

mod execute;
mod read;
mod requests;
mod value;
mod view;
mod write;

pub(in crate::http) use execute::*;
pub(in crate::http) use read::*;
pub(in crate::http) use requests::*;
pub(in crate::http) use write::*;

pub(super) use value::{from_base64, keep_value, to_base64};
pub(super) use view::{AnswerView, DeviceRequestView};

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::super::auth::Role;
use super::super::error::{Problem, kinds};
use crate::http::HttpState;
use crate::http::page::percent;
use crate::lwm2m::{Path, path};
use crate::model::{
    AuditActor, DeviceOperation, DeviceRequest, DeviceRequestId, DeviceRequestState, EndpointName,
    NewDeviceRequest,
};
use view::{answer_view, refusal};

/// The most that a request carries to a device, in bytes.
const CONTENT_BYTES_MAX: usize = 16 * 1024;

/// Who asks what of which device.
pub(super) struct Question {
    pub(super) endpoint: EndpointName,
    pub(super) operation: DeviceOperation,
    pub(super) path: Path,
    pub(super) content: Bytes,
    pub(super) ttl_seconds: Option<u64>,
    pub(super) actor: AuditActor,
    pub(super) role: Role,
}

/// Has the engine ask, waits a while where the device listens, and answers with what came of it, or
/// with where that will be seen.
pub(super) async fn ask(state: &HttpState, question: Question) -> Result<Response, Problem> {
    let now = state.clock.now();
    let Question {
        endpoint,
        operation,
        path,
        content,
        actor,
        ..
    } = &question;
    check_role(&question)?;
    if content.len() > CONTENT_BYTES_MAX {
        let detail = format!("a device is sent at most {CONTENT_BYTES_MAX} bytes");
        return Err(Problem::new(kinds::TOO_LARGE, detail));
    }
    let ttl = time_to_live(state, question.ttl_seconds)?;
    known(state, endpoint).await?;
    let listens = state
        .live
        .device(endpoint)
        .is_some_and(|live| live.is_awake(now.instant));
    let asked = NewDeviceRequest {
        endpoint: endpoint.clone(),
        operation: *operation,
        path: path.to_string(),
        content: content.clone(),
        expires_at: now.utc + ttl,
    };
    let (id, end) = state.engine.device(asked, actor.clone()).await?;
    tracing::info!(%endpoint, %operation, %path, id = id.0, token = actor.name, "a device is asked");
    if listens
        && let Ok(Ok(ended)) = tokio::time::timeout(state.limits.device_wait, end).await
        && let Some(response) = ended_response(&ended)?
    {
        return Ok(response);
    }
    accepted(state, endpoint, id).await
}

/// The object, instance or resource that a URL's end names.
pub(super) fn parse_path(text: &str) -> Result<Path, Problem> {
    Path::parse(&format!("/{text}")).ok_or_else(|| {
        let fault = "must be an object, an instance or a resource, such as 3/0/3";
        Problem::invalid_field("path", fault)
    })
}

/// Refuses a device that nobody entered.
pub(super) async fn known(state: &HttpState, endpoint: &EndpointName) -> Result<(), Problem> {
    let found = state.store.device(endpoint).await;
    found.map_err(|error| Problem::of_store(error, format_args!("device '{endpoint}'")))?;
    Ok(())
}

/// Firmware that comes by no package was verified by nobody (decisions, Roles).
fn check_role(question: &Question) -> Result<(), Problem> {
    let is_firmware = question.path.object == path::FIRMWARE_STATE.object;
    if is_firmware && !question.operation.is_safe() && question.role != Role::Admin {
        let detail = "this needs role admin: firmware that is installed so is verified by nobody";
        return Err(Problem::new(kinds::FORBIDDEN, detail));
    }
    Ok(())
}

fn time_to_live(state: &HttpState, seconds: Option<u64>) -> Result<Duration, Problem> {
    let Some(seconds) = seconds else {
        return Ok(state.limits.device_ttl);
    };
    let max = state.limits.device_ttl_max.as_secs();
    if !(1..=max).contains(&seconds) {
        let detail = format!("ttl_seconds must be 1 to {max}");
        return Err(Problem::new(kinds::INVALID_QUERY, detail).with_field("ttl_seconds"));
    }
    Ok(Duration::from_secs(seconds))
}

/// What the device said, if it said anything; a refusal as the problem that it is.
fn ended_response(ended: &DeviceRequest) -> Result<Option<Response>, Problem> {
    match (ended.state, &ended.answer) {
        (DeviceRequestState::Done, Some(_)) => {
            Ok(answer_view(ended).map(|answer| Json(answer).into_response()))
        }
        (DeviceRequestState::Failed, Some(_)) => Err(refusal(ended)),
        (
            DeviceRequestState::Queued
            | DeviceRequestState::Sent
            | DeviceRequestState::Done
            | DeviceRequestState::Failed
            | DeviceRequestState::Expired
            | DeviceRequestState::Unknown
            | DeviceRequestState::Cancelled,
            _,
        ) => Ok(None),
    }
}

async fn accepted(
    state: &HttpState,
    endpoint: &EndpointName,
    id: DeviceRequestId,
) -> Result<Response, Problem> {
    let request = state.store.device_request(endpoint, id).await?;
    let view = DeviceRequestView::of(&request);
    let mut response = (StatusCode::ACCEPTED, Json(view)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("{}/{}", requests_of(endpoint), id.0)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Where the requests of a device are seen.
fn requests_of(endpoint: &EndpointName) -> String {
    format!("/api/v1/devices/{}/requests", percent(endpoint.as_str()))
}
