//! How often a device was given packages lately: what the loop guard goes by.

use crate::clock::Utc;

/// The packages that a device was given within the loop guard's window, and whether they barred it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryHistory {
    /// When each was given (its URI was to be written), oldest first. Of a barred device: those that
    /// barred it.
    pub delivered_at: Vec<Utc>,
    /// Since when it is given no more; an operator lifts that.
    pub barred_since: Option<Utc>,
}
