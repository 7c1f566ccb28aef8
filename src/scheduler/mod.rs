//! Who may update now: slots per cell and coverage tier (seed 004, steps 6 to 8).
//!
//! A cell and a tier make a class ([`crate::model::SlotClaim`]). A class has a limit of slots and a
//! queue. Those who wait are served by rounds, and within a round by lot: who asks after so many slots were
//! given among those who wait is of a later round, so that nobody waits for all who come after. A task
//! whose device falls asleep is passed over until the device is heard again, and is then of an earlier
//! round than it was. Devices that would sleep may be kept awake, in a waiting room of so many places a
//! cell; that gives nobody a slot. Whom a limit counts is of the campaign's
//! [`crate::model::AdmissionPolicy`]; the strictest of those whose tasks stand in a cell holds there.
//! Beyond cells there are rates of starts, of a campaign and of all: who has a slot to come waits for them
//! at the same place.
//!
//! Where by that tiers stand in each other's way, they are served by how long they have waited against what
//! they take, which is the highest response ratio next of Brinch Hansen (1971), in airtime instead of time:
//! who takes a fiftieth of the cell goes before who takes all of it. Once the others were given
//! [`SchedulerConfig::stretch_max`] times what one takes, that one is due and nobody begins before it: so weak
//! coverage, which may be admitted only when all others have ended, neither starves nor stops its cell more
//! often than for its part of the airtime.
//!
//! ```text
//! request ─► Cell ── Load admits it, nobody comes before it ─► Granted
//!              │
//!              └─ a Queue for each tier: places by round and lot; only reachable ones stand in it
//! hold ────► some of these are kept awake
//! release ─► the first reachable task that the cell admits now, and whose line may start, is granted
//! handle_timeout ─► the turn of a line has come: the next of it, cell by cell
//! ```

mod admission;
mod cell;
mod cell_scheduler;
mod lines;
mod owed;
mod queue;
mod start_rate;
mod start_rates;

pub use cell_scheduler::{
    Admission, CellOccupancy, CellScheduler, Hold, SchedulerConfig, Standing, TierOccupancy,
};
use start_rate::StartRate;
pub use start_rates::Line;
