//! A sans-IO CoAP endpoint (RFC 7252, 7641, 7959), for either role.
//!
//! ```text
//!   poll_event   request observe notify   respond acknowledge respond_stateless
//!       ▲                 │                              │
//! ┌─────┴─────────────────┴── endpoint ──────────────────┴───────────────┐
//! │  echo      who proved its address, and what others may be answered   │
//! │  block1    bodies that come in pieces, put together                  │
//! │  transfer  bodies that we send in blocks, and answers that come so   │
//! │  observe   observations we made; which notification is fresh         │
//! │  exchange  what we began: NSTART, retransmission, its response       │
//! │  dedup     what others began: a duplicate gets the same bytes        │
//! │  option_rules   which options a message may have                     │
//! │  codec     messages ◄──► bytes                                       │
//! └─────▲──────────────────────────────────────────────────┬────────────┘
//!       │                                                  ▼
//!   handle_datagram    handle_timeout ◄── poll_timeout   poll_transmit
//! ```
//!
//! Blocks that others ask for need no state: [`block2_slice`] cuts any block from a shared body.
//!
//! After each input, events and datagrams are polled until there are none; a request is answered, or
//! acknowledged, in the same turn.

mod block;
mod block1;
mod codec;
mod config;
mod dedup;
pub(crate) mod digest;
mod endpoint;
mod event;
mod exchange;
mod message;
mod message_ids;
mod observe;
mod option;
mod option_rules;
mod outbox;
mod params;
mod timer;
mod transfer;

pub use block::{BlockError, BlockValue, block2_slice};
pub use codec::DecodeError;
pub use config::{Counters, EndpointConfig, Held};
pub use endpoint::Endpoint;
pub use event::{Event, Full, Reliability, ReplyTo, RequestId, TransferError};
pub use message::{Code, ContentFormat, Message, MessageId, MessageType, Request, Response, Token};
pub use option::{OptionNumber, Options};
pub use params::{RetransmissionBackoff, TransmissionParameters};
