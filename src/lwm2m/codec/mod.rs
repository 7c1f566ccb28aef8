//! The payload formats of values.

pub(super) mod text;
pub(super) mod tlv;
