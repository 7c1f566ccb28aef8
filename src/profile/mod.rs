//! Product profiles of the carriers' platforms (产品模型), and what in one would stop a firmware upgrade.
//!
//! ```text
//! deviceType_manufacturerId_model.zip                          at most 4 MiB
//! ├── profile/devicetype-capability.json                       {"devices": [{…}]}
//! └── service/<ServiceType>/profile/servicetype-capability.json   {"services": [{…}]}, one a service
//! ```
//!
//! The same as plain JSON is read too: the device part alone, or one object with `devices` and
//! `services`. Services, and whatever else this project has no use for, are kept as they came.
//!
//! [`Profile::lint`] finds what stops an upgrade, [`Profile::mend`] mends of it what can be mended
//! without knowing the devices.

mod archive;
mod document;
mod error;
mod finding;
mod four_fields;
mod json;
mod json_path;
mod limits;
mod lint;
mod mend;
mod product;
mod quirks;
mod settings;
mod text;

pub use document::{Profile, ServicePart};
pub use error::{ProfileError, TreeFault};
pub use finding::{Code, Finding, Severity};
pub use four_fields::{FieldMatch, FourFields};
pub use limits::ProfileLimits;
pub use product::FirmwareCapability;
pub use quirks::QuirkSet;
pub use settings::{SettingError, change_settings, product_settings, setting_json};
