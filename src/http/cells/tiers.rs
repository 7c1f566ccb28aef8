//! `GET /api/v1/cells/tiers`.

use std::sync::{Arc, PoisonError, RwLock};

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::HttpState;
use crate::http::precondition::EntityTag;
use crate::model::{TierBorders, TierLimits};

/// The coverage tiers, as the scheduler was told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tiers {
    /// Where their borders lie.
    pub borders: TierBorders,
    /// How much they bear, where a cell has no limits of its own.
    pub limits: TierLimits,
}

/// The tiers as they are now: limits may be set while the server runs.
#[derive(Clone, Debug, Default)]
pub struct CurrentTiers(Arc<RwLock<Tiers>>);

impl CurrentTiers {
    /// Shares these.
    pub fn new(tiers: Tiers) -> Self {
        Self(Arc::new(RwLock::new(tiers)))
    }

    /// Shows other limits from now on.
    pub fn set_limits(&self, limits: TierLimits) {
        let mut tiers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        tiers.limits = limits;
    }

    fn get(&self) -> Tiers {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What makes a coverage tier, and how much it bears.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tiers)]
pub(crate) struct TiersView {
    /// A device is in the worse of the tiers of its two values; beyond all borders it is in tier 2.
    borders: BordersView,
    /// Whose borders these are: `narrowcast_default`, which are ours, since the carriers publish theirs
    /// only as a picture; or `configured`.
    borders_origin: &'static str,
    /// How many devices of one cell and tier update at once, where a cell has no limits of its own.
    limits: LimitsView,
}

/// The lower borders of tiers 0, 1 and 2, in this order. The border belongs to the better tier.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TierBorders)]
pub(crate) struct BordersView {
    /// RSRP, in dBm.
    rsrp_dbm: [i16; 3],
    /// SINR, in dB.
    sinr_db: [i16; 3],
}

/// Slots of a cell.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TierLimits)]
pub(crate) struct LimitsView {
    /// Of tier 0.
    #[serde(rename = "0")]
    tier0: u32,
    /// Of tier 1.
    #[serde(rename = "1")]
    tier1: u32,
    /// Of tier 2.
    #[serde(rename = "2")]
    tier2: u32,
    /// Of devices whose cell is known and whose signal is not.
    unknown: u32,
}

impl From<TierBorders> for BordersView {
    fn from(borders: TierBorders) -> Self {
        let TierBorders { rsrp_dbm, sinr_db } = borders;
        Self { rsrp_dbm, sinr_db }
    }
}

impl From<TierLimits> for LimitsView {
    fn from(limits: TierLimits) -> Self {
        let TierLimits {
            tier0,
            tier1,
            tier2,
            unknown,
        } = limits;
        Self {
            tier0,
            tier1,
            tier2,
            unknown,
        }
    }
}

/// The borders of the coverage tiers, whose they are, and the limits.
#[utoipa::path(get, path = "/api/v1/cells/tiers", tag = "cells",
    responses((status = 200, description = "The tiers", body = TiersView)))]
pub(crate) async fn show_tiers(State(state): State<HttpState>) -> Response {
    let Tiers { borders, limits } = state.tiers.get();
    let borders_origin = if borders == TierBorders::default() {
        "narrowcast_default"
    } else {
        "configured"
    };
    let view = TiersView {
        borders: borders.into(),
        borders_origin,
        limits: limits.into(),
    };
    let shown = serde_json::to_string(&view).unwrap_or_default();
    EntityTag::of([shown.as_str()]).with(Json(view))
}
