//! The zip's tree, unpacked within bounds. Who packed it does not matter: folders may have entries of
//! their own, and the packer may be any; names must be those of a profile.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::read::ZipFile;

use super::error::{ProfileError, TreeFault};
use super::limits::ProfileLimits;

/// The device part's name in a zip.
pub(super) const DEVICE_PART: &str = "profile/devicetype-capability.json";
const SERVICE_FILE: &str = "servicetype-capability.json";
/// How much of a name a message shows.
const NAME_SHOWN_CHARS: usize = 160;

/// The files of a profile, unpacked.
pub(super) struct Tree {
    pub(super) device_part: Vec<u8>,
    /// Service type, the file's name in the zip, its content; by name.
    pub(super) services: Vec<(String, String, Vec<u8>)>,
}

impl Tree {
    /// Checks every name before anything is unpacked.
    pub(super) fn unpack(bytes: &[u8], limits: &ProfileLimits) -> Result<Self, ProfileError> {
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(zip_error)?;
        if archive.len() > limits.entries_max {
            return Err(ProfileError::TooManyEntries {
                found: archive.len(),
                max: limits.entries_max,
            });
        }
        if archive.has_duplicate_names() {
            return Err(TreeFault::SameName.into());
        }
        let entries = entries(&mut archive)?;
        let (device_part, mut services) = sort(&entries)?;
        services.sort_by(|one, other| entries[one.1].cmp(&entries[other.1]));

        let mut left = limits.json_bytes_max;
        let mut read = |index: usize| {
            let mut content = Vec::new();
            let file = archive.by_index(index).map_err(zip_error)?;
            file.take(left as u64 + 1)
                .read_to_end(&mut content)
                .map_err(|error| ProfileError::Zip(error.to_string()))?;
            left =
                left.checked_sub(content.len())
                    .ok_or_else(|| ProfileError::UnpacksTooLarge {
                        file: entries[index].clone(),
                        max_bytes: limits.json_bytes_max,
                    })?;
            Ok::<_, ProfileError>(content)
        };
        Ok(Self {
            device_part: read(device_part)?,
            services: services
                .into_iter()
                .map(|(service, index)| Ok((service, entries[index].clone(), read(index)?)))
                .collect::<Result<_, ProfileError>>()?,
        })
    }
}

/// Every entry's name in the archive's order, once its path and kind are sound.
fn entries(archive: &mut ZipArchive<Cursor<&[u8]>>) -> Result<Vec<String>, ProfileError> {
    let mut names: Vec<String> = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(zip_error)?;
        let name = checked_name(&entry)?;
        if names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            return Err(TreeFault::Twice(name).into());
        }
        names.push(name);
    }
    Ok(names)
}

fn checked_name<R: Read>(entry: &ZipFile<'_, R>) -> Result<String, TreeFault> {
    let raw = entry.name_raw();
    let shown = || -> String {
        let name = String::from_utf8_lossy(raw);
        name.chars().take(NAME_SHOWN_CHARS).collect()
    };
    let is_name = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part
                .chars()
                .any(|c| c.is_control() || matches!(c, '\\' | ':'))
    };
    let Ok(name) = std::str::from_utf8(raw) else {
        return Err(TreeFault::Path(shown()));
    };
    let path = name.strip_suffix('/').unwrap_or(name);
    if name.chars().count() > NAME_SHOWN_CHARS || !path.split('/').all(is_name) {
        return Err(TreeFault::Path(shown()));
    }
    let unix_type = entry.unix_mode().map_or(0, |mode| mode & 0o170_000);
    let of_kind = if name.ends_with('/') {
        0o040_000
    } else {
        0o100_000
    };
    if unix_type != 0 && unix_type != of_kind {
        return Err(TreeFault::Kind(shown()));
    }
    Ok(name.to_owned())
}

/// The index of the device part, and service types with the index of each.
fn sort(entries: &[String]) -> Result<(usize, Vec<(String, usize)>), TreeFault> {
    let (mut device_part, mut services) = (None, Vec::new());
    for (index, name) in entries.iter().enumerate() {
        match name.split('/').collect::<Vec<_>>().as_slice() {
            ["profile", "devicetype-capability.json"] => device_part = Some(index),
            ["service", service, "profile", file] if *file == SERVICE_FILE => {
                services.push(((*service).to_owned(), index));
            }
            ["profile" | "service", ""] | ["service", _, ""] | ["service", _, "profile", ""] => {}
            [outer, ..] if is_outer(outer, entries) => {
                return Err(TreeFault::OuterFolder((*outer).to_owned()));
            }
            _ => return Err(TreeFault::Unexpected(name.clone())),
        }
    }
    let device_part = device_part.ok_or(TreeFault::NoDevicePart)?;
    if services.is_empty() {
        return Err(TreeFault::NoServicePart);
    }
    Ok((device_part, services))
}

/// Whether a whole profile's device part lies in the folder `outer`.
fn is_outer(outer: &str, entries: &[String]) -> bool {
    let inside = format!("{outer}/{DEVICE_PART}");
    entries.contains(&inside)
}

fn zip_error(error: zip::result::ZipError) -> ProfileError {
    ProfileError::Zip(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::json;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::super::{Profile, ProfileError, ProfileLimits, TreeFault};
    use super::DEVICE_PART;

    const DEVICES: &str = r#"{"devices":[{"model":"NB-1"}]}"#;
    const SERVICE: &str = "service/Battery/profile/servicetype-capability.json";
    const SERVICES: &str = r#"{"services":[{"serviceType":"Battery","events":null,
        "properties":[{"propertyName":"level","min":"0","max":"100","step":1.0,"x":{}}]}]}"#;

    fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default();
        for (name, content) in entries {
            if let Some(folder) = name.strip_suffix('/') {
                writer.add_directory(folder, options).unwrap();
            } else {
                writer.start_file(*name, options).unwrap();
                writer.write_all(content).unwrap();
            }
        }
        writer.finish().unwrap().into_inner()
    }

    fn decode(entries: &[(&str, &[u8])]) -> Result<Profile, ProfileError> {
        Profile::decode(&zip_of(entries), &ProfileLimits::default())
    }

    /// A whole profile, and one entry more.
    fn with(name: &str) -> ProfileError {
        let more: (&str, &[u8]) = (name, b"{}");
        let whole: [(&str, &[u8]); 2] = [
            (DEVICE_PART, DEVICES.as_bytes()),
            (SERVICE, SERVICES.as_bytes()),
        ];
        decode(&[whole[0], whole[1], more]).unwrap_err()
    }

    #[test]
    fn a_zip_is_read_whoever_packed_it_and_services_are_kept_as_they_came() {
        let profile = decode(&[
            ("profile/", b""),
            (DEVICE_PART, DEVICES.as_bytes()),
            ("service/", b""),
            ("service/Battery/", b""),
            ("service/Battery/profile/", b""),
            (SERVICE, SERVICES.as_bytes()),
            (
                "service/Alarm/profile/servicetype-capability.json",
                br#"{"services":[]}"#,
            ),
        ]);
        let profile = profile.unwrap();
        assert_eq!(profile.document(), &json!({"devices": [{"model": "NB-1"}]}));
        let names: Vec<&str> = profile
            .services()
            .iter()
            .map(|it| it.service_type.as_str())
            .collect();
        assert_eq!(names, ["Alarm", "Battery"]);
        let property = &profile.services()[1].document["services"][0]["properties"][0];
        assert_eq!(property["min"], "0");
        assert_eq!(property["x"], json!({}));
    }

    #[test]
    fn a_name_that_leads_outside_is_refused() {
        for name in [
            "../evil.json",
            "service/../../evil.json",
            "/etc/passwd",
            "service\\Battery\\x.json",
            "C:/x.json",
            "profile//devicetype-capability.json",
            "profile/./x.json",
        ] {
            let error = with(name);
            assert_eq!(error, TreeFault::Path(name.to_owned()).into(), "{name}");
            assert_eq!(error.code(), "profile_unsafe_entry");
        }
    }

    #[test]
    fn a_wrong_tree_is_refused_with_what_is_wrong() {
        let device: (&str, &[u8]) = (DEVICE_PART, DEVICES.as_bytes());
        let service: (&str, &[u8]) = (SERVICE, SERVICES.as_bytes());
        assert_eq!(decode(&[device]), Err(TreeFault::NoServicePart.into()));
        assert_eq!(decode(&[service]), Err(TreeFault::NoDevicePart.into()));
        assert_eq!(decode(&[]), Err(TreeFault::NoDevicePart.into()));
        for name in [
            "readme.txt",
            "profile/icon.png",
            "service/Battery/x.json",
            "__MACOSX/x",
        ] {
            assert_eq!(with(name), TreeFault::Unexpected(name.to_owned()).into());
        }
        let twice = "Profile/devicetype-capability.json";
        assert_eq!(with(twice), TreeFault::Twice(twice.to_owned()).into());
        let inside = format!("Meter_x/{DEVICE_PART}");
        let outer = decode(&[("Meter_x/", b""), (&inside, DEVICES.as_bytes())]).unwrap_err();
        assert_eq!(outer, TreeFault::OuterFolder("Meter_x".to_owned()).into());
        assert!(outer.to_string().contains("zip the two folders"), "{outer}");
    }

    #[test]
    fn two_entries_of_one_name_are_refused() {
        let (one, other) = (SERVICE, SERVICE.replace("Battery", "Buttery"));
        let mut bytes = zip_of(&[
            (DEVICE_PART, DEVICES.as_bytes()),
            (one, SERVICES.as_bytes()),
            (&other, SERVICES.as_bytes()),
        ]);
        assert!(Profile::decode(&bytes, &ProfileLimits::default()).is_ok());
        for at in 0..bytes.len() - other.len() {
            if bytes[at..].starts_with(other.as_bytes()) {
                bytes[at..at + one.len()].copy_from_slice(one.as_bytes());
            }
        }
        let refused = Profile::decode(&bytes, &ProfileLimits::default());
        assert_eq!(refused, Err(TreeFault::SameName.into()));
    }

    #[test]
    fn a_link_is_no_file() {
        let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        writer
            .add_symlink(DEVICE_PART, "/etc/passwd", SimpleFileOptions::default())
            .unwrap();
        let bytes = writer.finish().unwrap().into_inner();
        let refused = Profile::decode(&bytes, &ProfileLimits::default());
        assert_eq!(refused, Err(TreeFault::Kind(DEVICE_PART.to_owned()).into()));
    }

    #[test]
    fn a_bomb_is_cut_off_at_the_bound_of_all_files_together() {
        let limits = ProfileLimits {
            json_bytes_max: 64 << 10,
            ..ProfileLimits::default()
        };
        let blanks = vec![b' '; 1 << 20];
        let half = [SERVICES.as_bytes(), &vec![b' '; 40 << 10]].concat();
        let other = "service/Alarm/profile/servicetype-capability.json";
        for (services, first_beyond) in [
            (vec![(SERVICE, &blanks)], SERVICE),
            (vec![(SERVICE, &half), (other, &half)], SERVICE),
        ] {
            let mut entries: Vec<(&str, &[u8])> = vec![(DEVICE_PART, DEVICES.as_bytes())];
            entries.extend(
                services
                    .iter()
                    .map(|(name, content)| (*name, content.as_slice())),
            );
            let bytes = zip_of(&entries);
            assert!(bytes.len() < 8 << 10, "it is small packed");
            let error = Profile::decode(&bytes, &limits).unwrap_err();
            let expected = ProfileError::UnpacksTooLarge {
                file: first_beyond.to_owned(),
                max_bytes: 64 << 10,
            };
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn entries_and_the_file_itself_are_bounded_and_damage_is_told() {
        let limits = ProfileLimits {
            entries_max: 1,
            file_bytes_max: 1000,
            ..ProfileLimits::default()
        };
        let bytes = zip_of(&[(DEVICE_PART, b"{}"), (SERVICE, b"{}")]);
        let error = Profile::decode(&bytes, &limits).unwrap_err();
        assert_eq!(error, ProfileError::TooManyEntries { found: 2, max: 1 });
        let error = Profile::decode(&[b'{'; 1001], &limits).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the file has 1001 bytes, and 1000 are accepted"
        );
        let cut = &bytes[..bytes.len() - 5];
        let error = Profile::decode(cut, &ProfileLimits::default()).unwrap_err();
        assert_eq!(error.code(), "profile_zip");
    }

    #[test]
    fn a_fault_in_a_file_is_told_with_its_file_and_line() {
        let error = decode(&[
            (DEVICE_PART, DEVICES.as_bytes()),
            (SERVICE, b"{\n\"services\": [,]}"),
        ]);
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{SERVICE}, line 2, column 14:")),
            "{error}"
        );
        let error = decode(&[
            (DEVICE_PART, DEVICES.as_bytes()),
            (SERVICE, b"{\"services\":{}}"),
        ]);
        let error = error.unwrap_err().to_string();
        assert_eq!(error, format!("{SERVICE}: `services` must be a list"));
    }
}
