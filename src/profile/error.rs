//! Why a file is no profile that can be read.

/// Why a profile is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// The whole file is too large.
    #[error("the file has {size_bytes} bytes, and {max_bytes} are accepted")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// A zip whose JSON unpacks to too much, whatever its headers say.
    #[error("{file} unpacks to more than is accepted: {max_bytes} bytes for all files together")]
    UnpacksTooLarge {
        /// The file that passed the limit.
        file: String,
        /// The limit.
        max_bytes: usize,
    },
    /// A zip with too many entries.
    #[error("the zip has {found} entries, and {max} are accepted")]
    TooManyEntries {
        /// How many there are.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// The zip, or one file in it, cannot be unpacked.
    #[error("the zip cannot be unpacked: {0}")]
    Zip(String),
    /// A zip with other files than a profile has.
    #[error(transparent)]
    Tree(#[from] TreeFault),
    /// Not JSON, or a key twice in one object, or beyond a bound.
    #[error("{file}, line {line}, column {column}: {reason}")]
    Json {
        /// The file within the zip, or `profile` where it is no zip.
        file: String,
        /// From 1.
        line: usize,
        /// From 1; 0 at the very end.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// JSON, but not a profile's.
    #[error("{file}: `{path}` must be {expected}")]
    Shape {
        /// The file within the zip, or `profile` where it is no zip.
        file: String,
        /// Where in it.
        path: String,
        /// What must be there.
        expected: &'static str,
    },
}

/// What is wrong with a zip's folders and files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeFault {
    /// A name that leads out of the folder it is unpacked to, or is none on some system.
    #[error(
        "the zip's entry {0:?} leads outside, or is no name: `..`, `\\`, `:` and the like are refused"
    )]
    Path(String),
    /// A link, a device, anything but a file or folder.
    #[error("the zip's entry {0:?} is neither a file nor a folder")]
    Kind(String),
    /// The two folders lie in another one.
    #[error(
        "the folder {0:?} holds the profile: zip the two folders `profile` and `service` themselves"
    )]
    OuterFolder(String),
    /// Something that is no part of a profile.
    #[error(
        "the zip's entry {0:?} is no part of a profile: it has profile/devicetype-capability.json and \
         service/<ServiceType>/profile/servicetype-capability.json, nothing else"
    )]
    Unexpected(String),
    /// One name twice, to the letter: readers differ in which of the two they take.
    #[error("the zip has two entries of one name")]
    SameName,
    /// One name twice, but for upper and lower case: one file on some systems.
    #[error("the zip's entry {0:?} is there twice but for upper and lower case")]
    Twice(String),
    /// Without the device part.
    #[error("the zip has no profile/devicetype-capability.json")]
    NoDevicePart,
    /// Without any service.
    #[error("the zip has no service/<ServiceType>/profile/servicetype-capability.json")]
    NoServicePart,
}

impl ProfileError {
    /// A stable word for this reason.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::UnpacksTooLarge { .. } | Self::TooManyEntries { .. } => {
                "profile_too_large"
            }
            Self::Zip(_) => "profile_zip",
            Self::Tree(TreeFault::Path(_) | TreeFault::Kind(_)) => "profile_unsafe_entry",
            Self::Tree(
                TreeFault::OuterFolder(_)
                | TreeFault::Unexpected(_)
                | TreeFault::SameName
                | TreeFault::Twice(_)
                | TreeFault::NoDevicePart
                | TreeFault::NoServicePart,
            ) => "profile_tree",
            Self::Json { .. } => "profile_json",
            Self::Shape { .. } => "profile_shape",
        }
    }
}
