//! A sans-IO CoAP endpoint (RFC 7252, 7641, 7959), for either role.

mod message;
mod option;

pub use message::{Code, ContentFormat, Message, MessageId, MessageType, Request, Response, Token};
pub use option::{OptionNumber, Options};
