//! Who may update now: slots per cell and coverage tier (seed 004, steps 6 to 8).
//!
//! A cell and a tier make a class ([`crate::model::SlotClaim`]). A class has a limit of slots and a
//! queue, first come, first served. A task whose device sleeps keeps its place in the queue and is
//! passed over until the device is heard again.
//!
//! ```text
//! request ─► Bucket of (cell, tier) ── slot free, nobody reachable waits ─► Granted
//!                   │
//!                   └─ Queue: places in order of arrival; only reachable ones stand in it
//! release ─► the first reachable task of the same class is granted
//! ```

mod bucket;
mod cell_scheduler;
mod queue;

pub use cell_scheduler::{Admission, CellOccupancy, CellScheduler, SchedulerConfig, TierOccupancy};
