//! Who may update now: slots per cell and coverage tier (seed 004, steps 6 to 8).
//!
//! A cell and a tier make a class ([`crate::model::SlotClaim`]). A class has a limit of slots and a
//! queue, first come, first served. A task whose device sleeps keeps its place in the queue and is
//! passed over until the device is heard again. Whom a limit counts is of the campaign's
//! [`crate::model::AdmissionPolicy`]; the strictest of those whose tasks stand in a cell holds there.
//!
//! ```text
//! request ─► Cell ── Load admits it, nobody comes before it ─► Granted
//!              │
//!              └─ a Queue for each tier: places in order of arrival; only reachable ones stand in it
//! release ─► the first reachable task that the cell admits now is granted
//! ```

mod admission;
mod cell;
mod cell_scheduler;
mod queue;

pub use cell_scheduler::{Admission, CellOccupancy, CellScheduler, SchedulerConfig, TierOccupancy};
