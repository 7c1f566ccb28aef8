//! A profile as it was read.

use serde_json::{Map, Value};

use super::archive::{DEVICE_PART, Tree};
use super::error::ProfileError;
use super::json;
use super::limits::ProfileLimits;

/// What a message calls the file where it is no zip.
const PLAIN: &str = "profile";

/// One product's profile. It can be read, which does not mean that it is right: see [`Self::lint`].
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// An object whose `devices` is a list of at least one object.
    document: Value,
    services: Vec<ServicePart>,
}

/// One service's file in a zip.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePart {
    /// The folder's name.
    pub service_type: String,
    /// The file as it came.
    pub document: Value,
}

impl Profile {
    /// Reads a zip, or plain JSON.
    ///
    /// # Errors
    /// Where it passes a bound, is neither, or is not the tree or the JSON of a profile.
    pub fn decode(bytes: &[u8], limits: &ProfileLimits) -> Result<Self, ProfileError> {
        if bytes.len() > limits.file_bytes_max {
            return Err(ProfileError::TooLarge {
                size_bytes: bytes.len(),
                max_bytes: limits.file_bytes_max,
            });
        }
        if !bytes.starts_with(b"PK") {
            return Self::checked(PLAIN, json::parse(PLAIN, bytes, limits)?, limits);
        }
        let tree = Tree::unpack(bytes, limits)?;
        let document = json::parse(DEVICE_PART, &tree.device_part, limits)?;
        let mut profile = Self::checked(DEVICE_PART, document, limits)?;
        for (service_type, file, content) in tree.services {
            let document = json::parse(&file, &content, limits)?;
            check_list(&file, &document, "services")?;
            profile.services.push(ServicePart {
                service_type,
                document,
            });
        }
        Ok(profile)
    }

    /// The device part as it came. Of plain JSON with both parts, the whole.
    pub const fn document(&self) -> &Value {
        &self.document
    }

    /// The services' files of a zip, by name; none of plain JSON, where they are in the document.
    pub fn services(&self) -> &[ServicePart] {
        &self.services
    }

    /// Every entry of `devices`; there is at least one.
    pub fn devices(&self) -> impl Iterator<Item = &Map<String, Value>> {
        let devices = self.document["devices"].as_array();
        devices.into_iter().flatten().filter_map(Value::as_object)
    }

    fn checked(file: &str, document: Value, limits: &ProfileLimits) -> Result<Self, ProfileError> {
        let shape = |path: String, expected| ProfileError::Shape {
            file: file.to_owned(),
            path,
            expected,
        };
        let devices = check_list(file, &document, "devices")?;
        if devices.is_empty() {
            return Err(shape("devices".to_owned(), "a list of one device"));
        }
        if devices.len() > limits.devices_max {
            return Err(shape(
                "devices".to_owned(),
                "a list of one device, not of many",
            ));
        }
        if let Some(at) = devices.iter().position(|device| !device.is_object()) {
            return Err(shape(format!("devices[{at}]"), "an object"));
        }
        if !matches!(document.get("services"), None | Some(Value::Null)) {
            check_list(file, &document, "services")?;
        }
        Ok(Self {
            document,
            services: Vec::new(),
        })
    }
}

fn check_list<'a>(
    file: &str,
    document: &'a Value,
    key: &str,
) -> Result<&'a Vec<Value>, ProfileError> {
    let list = document.get(key).and_then(Value::as_array);
    list.ok_or_else(|| ProfileError::Shape {
        file: file.to_owned(),
        path: key.to_owned(),
        expected: "a list",
    })
}
