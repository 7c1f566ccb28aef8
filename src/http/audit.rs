//! `/api/v1/audit`: who did what.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::error::Problem;
use super::extract::QueryParams;
use super::page::PageQuery;
use super::{HttpState, fields};
use crate::store::AuditEntry;

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct AuditEntryView {
    /// Its place, from 1 on without gaps.
    number: u64,
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// Who: a token's name, `cli` or `server`.
    actor: String,
    /// The token's role; `cli` or `server` where it was no token.
    role: String,
    /// What was done, such as `key_created`.
    action: String,
    /// To what: `key`, `package`, `link`, `campaign`, `token`, `device`, `group` or `task`.
    kind: String,
    /// To which; a package that was refused has no number.
    object: String,
    /// What else is known: an object of texts.
    #[schema(value_type = Object)]
    details: Value,
    /// The SHA-256 of the entry before, hexadecimal; 64 zeros for the first.
    previous: String,
    /// Its own SHA-256, hexadecimal.
    sha256: String,
}

impl From<AuditEntry> for AuditEntryView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            number: entry.number,
            at: fields::time(entry.at),
            actor: entry.actor,
            role: entry.role,
            action: entry.action,
            kind: entry.kind,
            object: entry.object,
            // One that was altered may be no JSON any more: then it is shown as the text that it is.
            details: serde_json::from_str(&entry.details).unwrap_or(Value::String(entry.details)),
            previous: hex::encode(entry.previous),
            sha256: hex::encode(entry.sha256),
        }
    }
}

/// The end of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditHeadView {
    /// How many entries there are, which is the number of the last.
    entries: u64,
    /// The last entry's SHA-256, hexadecimal; 64 zeros where there is none.
    sha256: String,
    /// Both as `narrowcast audit verify --head` takes them.
    head: String,
}

/// The end of the audit log, to be noted elsewhere: against it entries show that were taken off the end,
/// or a log that somebody computed anew.
#[utoipa::path(get, path = "/api/v1/audit/head", tag = "audit",
    responses((status = 200, description = "The head", body = AuditHeadView)))]
pub(crate) async fn show_audit_head(
    State(state): State<HttpState>,
) -> Result<Json<AuditHeadView>, Problem> {
    let head = state.store.audit_head().await?;
    Ok(Json(AuditHeadView {
        entries: head.entries,
        sha256: hex::encode(head.sha256),
        head: head.to_string(),
    }))
}

/// Lists who did what, by number. Nothing is ever taken away from it.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(PageQuery),
    responses((status = 200, description = "The entries", body = Vec<AuditEntryView>)))]
pub(crate) async fn list_audit(
    State(state): State<HttpState>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.by_number()?;
    let mut entries = state.store.audit_entries(page.to_store()).await?;
    let next = page.cut(&mut entries, |entry| entry.number.to_string());
    let rows: Vec<_> = entries.into_iter().map(AuditEntryView::from).collect();
    Ok(next.respond("/api/v1/audit", &[], rows))
}
