//! The firmware update of one device, sans-IO: one [`Session`] drives one attempt of one task.
//!
//! `object5` is what devices say, `step` decides what comes next, `session` does it.

mod action;
mod object5;
mod said;
mod session;
mod step;

pub use action::{Action, Contact, End};
pub use object5::{State, UpdateResult};
pub use said::Said;
pub use session::{Gate, HELD_EVIDENCE, Session};
pub use step::{
    BatteryStatus, DeferralResources, Execution, Observation, Precedence, Progress, Reading,
    Reported, Step, Terms, UriWrite, Wanted, step,
};
