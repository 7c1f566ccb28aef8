//! Decisions about a whole campaign: who is in, who is tried again, how far it is.

mod eta;
mod event_text;
mod failure_text;
mod filter;
mod loop_guard;
mod next_action;
mod pace;
mod progress;
mod retry;
mod rollout;
mod shown;
mod step_text;
mod targets;
mod timetable;
mod why;
mod window;

pub use eta::{Assumption, CellLoad, Eta, EtaInput, Figure, LimitingCell, estimate};
pub use event_text::event_text;
pub use failure_text::{failure_text, success_note_text};
pub use filter::{DeviceFacts, Filter, FilterFault};
pub use loop_guard::{DeliveryRefused, LoopGuard, LoopGuardConfig};
pub use next_action::{next_action, next_action_after, next_action_text};
pub use pace::{Pace, TierPace, Times};
pub use progress::{NotCounted, PhaseProgress, Progress};
pub use retry::{Next, decide, longest_delay};
pub use rollout::{PhaseVerdict, in_phases, judge};
pub use shown::{EarlierPhase, Hold, ShownTask, TaskShower};
pub use step_text::{phase_text, step_text, waiting_text};
pub use targets::{
    Field, Ineligible, TargetSet, TooManyTargets, eligibility, precedence, startable,
};
pub use timetable::{InvalidSchedule, Timetable, Timing};
pub use why::{QueuePlace, Why, WhyFacts, WhyLeftOut, WhyTask, why};
pub use window::{InvalidWindow, Windows};
