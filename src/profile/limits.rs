//! How much of a profile is looked at.

/// Bounds on one profile. One that passes a bound is refused, never cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileLimits {
    /// The whole file, zip or JSON, in bytes.
    pub file_bytes_max: usize,
    /// All JSON of a zip together, unpacked, in bytes.
    pub json_bytes_max: usize,
    /// Files and folders in a zip.
    pub entries_max: usize,
    /// How deep objects and lists may lie in one another.
    pub depth_max: usize,
    /// Objects, lists, texts, numbers and words of one JSON text, in all: a small text can make large
    /// values.
    pub values_max: usize,
    /// Entries in `devices`.
    pub devices_max: usize,
}

impl Default for ProfileLimits {
    fn default() -> Self {
        const MEBIBYTE: usize = 1 << 20;
        Self {
            file_bytes_max: 4 * MEBIBYTE,
            json_bytes_max: 4 * MEBIBYTE,
            entries_max: 512,
            depth_max: 32,
            values_max: 100_000,
            devices_max: 64,
        }
    }
}
