//! Simulated devices: the client side of registration and of Objects 3, 4, 5 and 19, on the same
//! sans-IO endpoint as the server, and the log by which every run is judged.
//!
//! A device knows nothing of the server but its protocol. What it did stands in its own append-only
//! [`log`]; [`Judge`] reads nothing else.

mod air;
mod coap_watch;
mod device;
mod fleet;
mod habits;
mod judge;
pub mod log;
mod network;
mod trial;

pub use air::{Carrier, CeLevel, CellAir, Direction, OperationMode, SharedCarrier};
pub use coap_watch::{CoapKind, CoapSample, CoapWatch};
pub use device::{
    Chance, CoapTimers, Condition, DailyUplink, DeviceConfig, DeviceOutput, Fault, Faults,
    NotifyReliability, Outcome, Quirks, Radio, SignalDrift, SimDevice, SmallerBlocks, SocketKind,
};
pub use fleet::{Fleet, FleetConfig, FleetError, FleetEvent, FleetSink, Order, sources_towards};
pub use habits::Habits;
pub use judge::{AtRest, ClassPeak, Judge, Limits, Verdict};
pub use network::{Account, Kept, Network, NetworkDevice, Told, at_once, ended_tasks};
pub use trial::{Mix, Report, Stop, Trial, TrialError, UplinkPattern};
