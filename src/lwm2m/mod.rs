//! A sans-IO LwM2M server (LwM2M 1.0 and 1.1): who is registered, and what is asked of a device.
//!
//! ```text
//!   coap::Request  ──► RegistrationRequest::parse ──► Registry (by slot, by endpoint, lifetimes)
//!   Operation      ──► Operation::request ──► device ──► decode_answer ──► Answer
//!   notification   ──► decode_value ──► Value
//! ```

mod codec;
mod endpoint_name;
mod expiry;
mod flapping;
mod link;
mod links_pool;
mod location;
mod management;
mod operation;
mod pack;
pub mod path;
mod peer_index;
mod register_rate;
mod registration;
mod registry;
mod value;

pub use endpoint_name::EndpointNameForm;
pub use flapping::{Flapping, FlappingConfig, FlappingDetector, Replacement};
pub use link::{LinkError, Links, ObjectVersion};
pub use location::Location;
pub use management::{
    decode_kept, decode_read, encode_kept, is_refused_format, management_request,
};
pub use operation::{Answer, Operation, decode_answer};
pub use pack::{decode_pack, encode_pack};
pub use path::Path;
pub use peer_index::UnknownPeer;
pub use register_rate::{RegisterRate, RegisterRateConfig};
pub use registration::{
    Register, RegistrationError, RegistrationLimits, RegistrationRequest, RegistrationUpdate,
};
pub use registry::{
    RegisterError, Registered, Registry, RegistryConfig, RestoreError, UnknownLocation, Updated,
};
pub use value::{
    PackError, PackLimits, SenmlRecord, TlvError, Value, ValueError, decode_value, encode_value,
};
