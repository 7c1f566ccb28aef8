//! Problems: every error of the API, as `application/problem+json` (RFC 9457).

mod kind;
mod sources;

pub(super) use kind::{Kind, kinds};

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::Language;

/// Seconds after which a request that met a bound may come again.
pub(super) const RETRY_AFTER_SECONDS: u16 = 5;

/// One error: what kind, and what exactly is wrong and would be right.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: &'static Kind,
    /// The code of a [`super::Refusal`], which is more exact than the kind's.
    code: Option<&'static str>,
    detail: String,
    field: Option<String>,
    /// What a device answered: the status that it stands for, and its CoAP code.
    device: Option<(StatusCode, String)>,
}

/// An error as it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What kind of error: stable, for programs.
    code: &'a str,
    /// What kind of error: for people, in the language of the request.
    title: &'a str,
    /// What is wrong here, and what would be right.
    detail: &'a str,
    /// The field or parameter that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// The CoAP code of the device that refused, such as `4.04`.
    #[serde(skip_serializing_if = "Option::is_none")]
    coap_code: Option<&'a str>,
    /// What to do about it, in the language of the request.
    #[serde(skip_serializing_if = "str::is_empty")]
    hint: &'a str,
}

impl Problem {
    pub(crate) fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            code: None,
            detail: detail.into(),
            field: None,
            device: None,
        }
    }

    /// A field whose value is not acceptable; `fault` says what would be.
    pub(crate) fn invalid_field(field: impl Into<String>, fault: impl std::fmt::Display) -> Self {
        let field = field.into();
        Self {
            detail: format!("{field}: {fault}"),
            field: Some(field),
            ..Self::new(kinds::INVALID_FIELD, "")
        }
    }

    /// The same, about a field.
    pub(crate) fn with_field(self, field: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..self
        }
    }

    /// The same, as what a device answered.
    pub(crate) fn of_device(self, status: StatusCode, coap_code: String) -> Self {
        Self {
            device: Some((status, coap_code)),
            ..self
        }
    }

    /// The same, as a fault of a line of a CSV file.
    pub(crate) fn at_line(self, line: u64) -> Self {
        Self {
            kind: kinds::INVALID_CSV,
            detail: format!("line {line}: {}", self.detail),
            ..self
        }
    }

    /// The same, with a code that is more exact than the kind's.
    pub(crate) fn with_code(self, code: &'static str) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    /// Puts the problem into another language and leaves the response's other headers as they are.
    pub(crate) fn rewrite(&self, mut response: Response, language: Language) -> Response {
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().insert(
            header::CONTENT_LANGUAGE,
            HeaderValue::from_static(language.word()),
        );
        *response.body_mut() = self.body(language);
        response
    }

    fn status(&self) -> StatusCode {
        self.device
            .as_ref()
            .map_or(self.kind.status, |(status, _)| *status)
    }

    /// The stable code, for programs.
    pub(super) fn code(&self) -> &'static str {
        self.code.unwrap_or(self.kind.code)
    }

    /// What is wrong here.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    fn body(&self, language: Language) -> Body {
        Body::from(self.to_json(language))
    }

    /// The body as bytes.
    pub(super) fn to_json(&self, language: Language) -> Vec<u8> {
        let body = ProblemBody {
            status: self.status().as_u16(),
            code: self.code(),
            title: of(self.kind.title, language),
            detail: &self.detail,
            field: self.field.as_deref(),
            coap_code: self.device.as_ref().map(|(_, code)| code.as_str()),
            hint: of(self.kind.hint, language),
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    /// In English; `language::localize` rewrites it where the request asks for another language.
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body(Language::En));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(
            header::CONTENT_LANGUAGE,
            HeaderValue::from_static(Language::En.word()),
        );
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"narrowcast\""),
            );
        }
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The one of `[English, Chinese]`.
const fn of(texts: [&'static str; 2], language: Language) -> &'static str {
    match language {
        Language::En => texts[0],
        Language::Zh => texts[1],
    }
}
