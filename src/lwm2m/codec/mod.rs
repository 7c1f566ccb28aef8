//! The payload formats of values.

pub(super) mod cbor;
pub(super) mod json;
pub(super) mod senml;
pub(super) mod text;
pub(super) mod tlv;
