//! Decisions about a whole campaign: who is in, who is tried again, how far it is.

mod failure_text;
mod filter;
mod loop_guard;
mod progress;
mod retry;
mod rollout;
mod targets;
mod timetable;
mod start_rate;
mod step_text;
mod window;

pub use failure_text::{failure_text, success_note_text};
pub use filter::{DeviceFacts, Filter, FilterFault};
pub use loop_guard::{DeliveryRefused, LoopGuard, LoopGuardConfig};
pub use progress::{NotCounted, PhaseProgress, Progress};
pub use retry::{Next, decide};
pub use rollout::{PhaseVerdict, in_phases, judge};
pub use targets::{Field, Ineligible, TargetSet, TooManyTargets, eligibility, precedence};
pub use timetable::{InvalidSchedule, Timetable, Timing};
pub use window::{InvalidWindow, Windows};
pub use start_rate::StartRate;
pub use step_text::{phase_text, step_text, waiting_text};
