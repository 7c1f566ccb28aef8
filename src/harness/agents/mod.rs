//! A load run whose devices are spread over several processes: one commander and its agents.
//!
//! The commander waits for its agents, gives each the scenario, the seed and some of the cells, and
//! starts them together. It alone speaks with the server's REST interface. Agents tell it all that their
//! devices do, and one [`Observer`](super::Observer) takes that in, in the order of time: the result is
//! the one that a single process would have had, as nothing is added up twice or averaged. A cell's
//! devices stay with one agent, since who is active at once in a cell is a matter of milliseconds and
//! clocks of two machines differ by more; between cells nothing depends on that.
//!
//! Both sides prove to hold the same secret, which is never sent, and every frame is tagged. An agent that is
//! lost ends the run, with what is missing in its result.

mod commander;
mod events;
mod frame;
mod handshake;
mod link;
mod merge;
mod message;
mod octets;
mod outbox;
mod remote;
mod secret;
mod worker;

pub use commander::{AGENTS_MAX, Arrival, Commander, CommanderError, Order};
pub use frame::FrameError;
pub use handshake::{HandshakeError, Identity, PROTOCOL};
pub use link::LinkError;
pub use outbox::AgentCounts;
pub use remote::RemoteDevices;
pub use secret::{SECRET_BYTES_MIN, Secret, SecretTooShort};
pub use worker::{AgentConfig, AgentError, AgentPart, AgentStep, work};
