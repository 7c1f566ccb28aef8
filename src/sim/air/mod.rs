//! The radio side of cells: what devices of one cell share, and what each coverage enhancement level
//! makes of it.
//!
//! A datagram first waits for its turn (random access, scheduling, the core network: half a round trip
//! drawn for its level, less what it takes on the air), then goes out over its cell's [`SharedCarrier`]
//! of that direction, beside all others under way there; then it has arrived, or is lost. Alone in its
//! cell a device so has the round trips of [`CeLevel::round_trip`]; together they slow each other down.
//!
//! Whole numbers only: a seed gives the same run on every machine.

mod cell_air;
mod level;
mod operation_mode;
mod shared_carrier;

pub use crate::net::Direction;
pub use cell_air::CellAir;
pub use level::CeLevel;
pub use operation_mode::{Carrier, OperationMode};
pub use shared_carrier::SharedCarrier;
