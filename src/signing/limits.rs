//! How much of a package is looked at.

/// Bounds on one package. A package that passes one is refused, never cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageLimits {
    /// The whole signed file, in bytes.
    pub archive_bytes_max: u64,
    /// All unpacked firmware files together, in bytes.
    pub firmware_bytes_max: u64,
    /// Firmware files in one package.
    pub firmware_files_max: usize,
    /// How many times larger than its packed form a file may unpack.
    pub ratio_max: u64,
    /// `package-info.json`, in bytes.
    pub info_bytes_max: u64,
    /// `manifest.json`, in bytes.
    pub manifest_bytes_max: usize,
}

impl PackageLimits {
    /// The most entries of an inner zip: the firmware files and `package-info.json`.
    pub const fn entries_max(&self) -> usize {
        self.firmware_files_max + 1
    }
}

impl Default for PackageLimits {
    fn default() -> Self {
        const MEBIBYTE: u64 = 1 << 20;
        Self {
            // Room for the headers around an incompressible image of the largest size.
            archive_bytes_max: 101 * MEBIBYTE,
            firmware_bytes_max: 100 * MEBIBYTE,
            firmware_files_max: 5,
            ratio_max: 200,
            info_bytes_max: 64 << 10,
            manifest_bytes_max: 4096,
        }
    }
}
