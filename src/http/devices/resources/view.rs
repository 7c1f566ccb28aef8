//! A request to a device as it is shown.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::value::{ResourceValue, shown};
use crate::coap::Code;
use crate::http::error::{Problem, kinds};
use crate::http::fields;
use crate::lwm2m::{Path, decode_kept};
use crate::model::{DeviceAnswer, DeviceOperation, DeviceRequest};

/// What a device answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeviceAnswer)]
pub(crate) struct AnswerView {
    /// What was asked for.
    path: String,
    /// Of a resource that has one value.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<ResourceValue>,
    /// Of an object, an instance, or a resource of several values: by their ids below what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    values: Option<serde_json::Value>,
    /// Of a discovery: what is there and its attributes, in link format (RFC 6690).
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<String>,
    /// The CoAP code, such as `2.05`.
    coap_code: String,
    /// The CoAP Content-Format of the device's answer.
    content_format: Option<u16>,
    /// When it came.
    #[schema(format = DateTime)]
    at: String,
}

/// A request to a device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeviceRequest)]
pub(crate) struct DeviceRequestView {
    /// Its number.
    id: u64,
    /// `read`, `write`, `partial_write`, `execute`, `discover` or `write_attributes`.
    operation: &'static str,
    /// Of what.
    path: String,
    /// `queued`, `sent`, `done`, `failed`, `expired`, `cancelled`, or `unknown`: it left and no answer
    /// came, so it may have been done; it is not sent again.
    state: &'static str,
    /// What there is to say beside the state.
    detail: Option<String>,
    /// What the device answered.
    result: Option<AnswerView>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it is no longer to be sent.
    #[schema(format = DateTime)]
    expires_at: String,
    /// When it ended.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

impl DeviceRequestView {
    pub(super) fn of(request: &DeviceRequest) -> Self {
        Self {
            id: request.id.0,
            operation: request.asked.operation.word(),
            path: request.asked.path.clone(),
            state: request.state.word(),
            detail: Some(request.detail.clone()).filter(|detail| !detail.is_empty()),
            result: answer_view(request),
            created_at: fields::time(request.created_at),
            expires_at: fields::time(request.asked.expires_at),
            ended_at: request.ended_at.map(fields::time),
        }
    }
}

/// What the device answered, where it did.
pub(super) fn answer_view(request: &DeviceRequest) -> Option<AnswerView> {
    let DeviceAnswer {
        coap_code,
        content_format,
        content,
    } = request.answer.as_ref()?;
    let path = Path::parse(&request.asked.path)?;
    let (mut value, mut values, mut links) = (None, None, None);
    if !content.is_empty() {
        match request.asked.operation {
            DeviceOperation::Read => {
                let records = decode_kept(content).unwrap_or_default();
                (value, values) = shown(path, &records);
            }
            DeviceOperation::Discover => links = Some(String::from_utf8_lossy(content).into()),
            DeviceOperation::Write
            | DeviceOperation::PartialWrite
            | DeviceOperation::Execute
            | DeviceOperation::WriteAttributes => {}
        }
    }
    Some(AnswerView {
        path: request.asked.path.clone(),
        value,
        values,
        links,
        coap_code: dotted(Code(*coap_code)),
        content_format: *content_format,
        at: fields::time(request.ended_at?),
    })
}

/// The problem of a request that the device refused, or whose answer cannot be read.
pub(super) fn refusal(request: &DeviceRequest) -> Problem {
    let code = request
        .answer
        .as_ref()
        .map_or(Code::EMPTY, |answer| Code(answer.coap_code));
    if code.is_success() {
        return Problem::new(kinds::DEVICE_UNREADABLE, request.detail.clone());
    }
    let said = if request.detail.is_empty() {
        String::new()
    } else {
        format!(": {}", request.detail)
    };
    let (operation, path) = (request.asked.operation, &request.asked.path);
    let detail = format!(
        "the device answered {} to {operation} {path}{said}",
        dotted(code)
    );
    Problem::new(kinds::DEVICE_REFUSED, detail).of_device(status(code), dotted(code))
}

/// RFC 8075 §7: what a CoAP code is in HTTP. 4.01 is not ours to ask a token for.
fn status(code: Code) -> StatusCode {
    match (code.class(), code.detail()) {
        (4, 0 | 2) => StatusCode::BAD_REQUEST,
        (4, 1 | 3) => StatusCode::FORBIDDEN,
        (4, 4) => StatusCode::NOT_FOUND,
        (4, 5) => StatusCode::METHOD_NOT_ALLOWED,
        (4, 6) => StatusCode::NOT_ACCEPTABLE,
        (4, 13) => StatusCode::PAYLOAD_TOO_LARGE,
        (4, 15) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        (5, 1) => StatusCode::NOT_IMPLEMENTED,
        (5, 3) => StatusCode::SERVICE_UNAVAILABLE,
        (5, 4) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    }
}

fn dotted(code: Code) -> String {
    format!("{}.{:02}", code.class(), code.detail())
}
