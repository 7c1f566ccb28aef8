//! Why a pack is refused, and what of one is taken.

/// Why a payload is no pack of records, or no single CBOR value. It is refused as a whole: half of
/// what a device said may mean something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// Not JSON, or not all of it (RFC 8259).
    #[error("not JSON")]
    Json,
    /// Not CBOR, or not all of it (RFC 8949).
    #[error("not CBOR")]
    Cbor,
    /// More than [`PackLimits::records_max`].
    #[error("too many records")]
    TooManyRecords,
    /// Nested deeper than [`PackLimits::depth_max`].
    #[error("nested too deep")]
    TooDeep,
    /// A name beyond [`PackLimits::name_bytes_max`], or a value beyond
    /// [`PackLimits::value_bytes_max`].
    #[error("a name or value is too long")]
    TooLong,
    /// A field has a value of another type than its label's.
    #[error("a field has the wrong type")]
    WrongType,
    /// A label that ends in `_` must be understood, and is not (RFC 8428 §4.4).
    #[error("an unknown field must be understood")]
    MustUnderstand,
    /// A label stands twice in one record.
    #[error("a field stands twice in one record")]
    DuplicateField,
    /// Neither a value nor a sum (RFC 8428 §4.2).
    #[error("a record has no value")]
    NoValue,
    /// More than one value in one record (RFC 8428 §4.2).
    #[error("a record has several values")]
    SeveralValues,
    /// A version that is newer than ours, or not the same in all records (RFC 8428 §4.4).
    #[error("the version is not understood")]
    Version,
    /// A name that is no resource's or resource instance's path (LwM2M 1.1 §7.4.4).
    #[error("a name is no resource's path")]
    Name,
    /// Not base64 by the letter: another alphabet, padding, or bits that nothing reads.
    #[error("an opaque value is not base64")]
    Base64,
    /// Not `object:instance`.
    #[error("a value is no object link")]
    ObjectLink,
    /// A number that has no end.
    #[error("a number is not finite")]
    NotFinite,
}

/// What is taken of a pack; beyond: refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackLimits {
    /// The most records.
    pub records_max: usize,
    /// How deep arrays and maps may lie in each other, the pack's own two included. Deeper ones can
    /// only stand in fields that are ignored.
    pub depth_max: usize,
    /// The longest name, base name included, in bytes.
    pub name_bytes_max: usize,
    /// The longest text, or opaque value as it stands in the payload, in bytes.
    pub value_bytes_max: usize,
}

impl Default for PackLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl PackLimits {
    /// Room for the largest object in use several times over, and for whatever a Block1 body holds of
    /// short values.
    pub const DEFAULT: Self = Self {
        records_max: 256,
        depth_max: 8,
        name_bytes_max: 128,
        value_bytes_max: 16 * 1024,
    };

    pub(in crate::lwm2m::codec) fn name(&self, name: String) -> Result<String, PackError> {
        at_most(self.name_bytes_max, name)
    }

    pub(in crate::lwm2m::codec) fn text(&self, text: String) -> Result<String, PackError> {
        at_most(self.value_bytes_max, text)
    }
}

fn at_most(bytes_max: usize, text: String) -> Result<String, PackError> {
    if text.len() > bytes_max {
        return Err(PackError::TooLong);
    }
    Ok(text)
}
