//! The whole, still sans-IO: datagrams and commands in; records, datagrams and the next deadline out.

mod command;

pub use command::{CellStatus, Command, CommandError, TaskProgress, TierStatus};
