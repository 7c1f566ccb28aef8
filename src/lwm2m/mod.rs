//! A sans-IO LwM2M server (LwM2M 1.0 and 1.1): who is registered, and what is asked of a device.
//!
//! ```text
//!   coap::Request  ──► RegistrationRequest::parse ──► Registry (by slot, by endpoint, lifetimes)
//!   Operation      ──► Operation::request ──► device ──► decode_answer ──► Answer
//!   notification   ──► decode_value ──► Value
//! ```

mod codec;
mod link;
mod operation;
pub mod path;
mod value;

pub use link::{LinkError, Links};
pub use operation::{Answer, Operation, decode_answer};
pub use path::Path;
pub use value::{TlvError, Value, ValueError, decode_value, encode_value};
