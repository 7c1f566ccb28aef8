//! `/api/v1/cells`: how many devices update in each cell, and what the coverage tiers are.

mod list;
mod tiers;

pub(super) use list::*;
pub(super) use tiers::*;
pub use tiers::{CurrentTiers, Tiers};
