//! `GET /api/v1/cells`.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::{CellStatus, TierStatus};
use crate::http::campaigns::Admission;
use crate::http::error::Problem;
use crate::http::extract::QueryParams;
use crate::http::page::PageQuery;
use crate::http::{CellsPage, HttpState};
use crate::model::CellId;

/// One cell, now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cell)]
pub(crate) struct CellView {
    /// `/4/0/8`.
    cell_id: u32,
    /// How it admits now: the strictest of what the campaigns want whose devices are there.
    admission: Admission,
    /// Tiers 0, 1, 2 and unknown.
    tiers: Vec<TierView>,
}

/// One tier of a cell, now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tier)]
pub(crate) struct TierView {
    /// `0`, `1`, `2` or `unknown`; `GET /api/v1/cells/tiers` says where their borders lie, and whose
    /// they are.
    tier: &'static str,
    /// Slots in use.
    active: u32,
    /// The most slots.
    limit: u32,
    /// Tasks that wait for one.
    queued: u32,
    /// Those of them whose devices are kept awake.
    held: u32,
}

impl From<CellStatus> for CellView {
    fn from(status: CellStatus) -> Self {
        Self {
            cell_id: status.cell.0,
            admission: status.admission.into(),
            tiers: status.tiers.into_iter().map(TierView::from).collect(),
        }
    }
}

impl From<TierStatus> for TierView {
    fn from(status: TierStatus) -> Self {
        Self {
            tier: status.tier.word(),
            active: status.active,
            limit: status.limit,
            queued: status.queued,
            held: status.held,
        }
    }
}

/// Lists the cells that devices update in, by cell id.
#[utoipa::path(get, path = "/api/v1/cells", tag = "cells", params(PageQuery),
    responses((status = 200, description = "The cells", body = Vec<CellView>)))]
pub(crate) async fn list_cells(
    State(state): State<HttpState>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.by_number()?;
    let asked = CellsPage {
        after: page
            .after()
            .and_then(|after| after.parse().ok())
            .map(CellId),
        limit: page.to_store().limit,
    };
    let mut cells = state.engine.cells(asked).await?;
    let next = page.cut(&mut cells, |status| status.cell.to_string());
    let rows: Vec<_> = cells.into_iter().map(CellView::from).collect();
    Ok(next.respond("/api/v1/cells", &[], rows))
}
