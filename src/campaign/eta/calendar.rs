//! When something of a campaign may begin, in milliseconds from the time of an estimate.

use crate::clock::Utc;

use super::super::{Timetable, Timing};

/// Milliseconds from the time of the estimate.
pub(super) type Ms = u64;

/// No wait is longer: what does not come by then does not come.
pub(super) const NEVER: Ms = 10 * 365 * 24 * 60 * 60 * 1000;

/// When something may begin.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    /// From, inclusive, and to, exclusive, in order.
    open: Vec<(Ms, Ms)>,
}

impl Calendar {
    /// As many openings as are looked at: those of two years, day by day.
    const OPENINGS_MAX: usize = 730;

    pub(super) fn new(timetable: &Timetable, now: Utc) -> Self {
        let mut open = Vec::new();
        let mut at = now;
        let ms = |at: Utc| u64::try_from(at.saturating_since(now).as_millis()).unwrap_or(NEVER);
        while open.len() < Self::OPENINGS_MAX {
            match timetable.timing(at) {
                Timing::Open { until: Some(until) } => {
                    open.push((ms(at), ms(until)));
                    at = until;
                }
                Timing::Open { until: None } => {
                    open.push((ms(at), NEVER));
                    break;
                }
                Timing::Ahead { opens_at }
                | Timing::Closed {
                    opens_at: Some(opens_at),
                } => at = opens_at,
                Timing::Closed { opens_at: None } | Timing::Over => break,
            }
        }
        Self { open }
    }

    /// The first moment from `at` on at which something may begin.
    pub(super) fn open_from(&self, at: Ms) -> Option<Ms> {
        let next = self.open.partition_point(|(_, to)| *to <= at);
        self.open.get(next).map(|(from, _)| at.max(*from))
    }

    /// From then on nothing begins.
    pub(super) fn end(&self) -> Ms {
        self.open.last().map_or(0, |(_, to)| *to)
    }
}
