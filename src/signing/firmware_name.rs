//! Which files are firmware.

/// What a firmware file's name may end with (QuecThing, 上传版本包), in any case.
pub const FIRMWARE_EXTENSIONS: [&str; 12] = [
    ".bin", ".zip", ".rar", ".pack", ".mini_1", ".mini_2", ".py", ".tar", ".tar.gz", ".s19",
    ".bin_1", ".bin_2",
];

/// The longest name of a firmware file in bytes (BC25 DFOTA, `AT+QFOTADL`).
pub const FIRMWARE_NAME_BYTES_MAX: usize = 63;

/// The name without its extension; `None` where it has none of a firmware file's.
pub fn firmware_stem(name: &str) -> Option<&str> {
    FIRMWARE_EXTENSIONS.into_iter().find_map(|extension| {
        let (stem, end) = name.split_at_checked(name.len().checked_sub(extension.len())?)?;
        (!stem.is_empty() && end.eq_ignore_ascii_case(extension)).then_some(stem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_extension_is_known_in_any_case_and_no_other() {
        for extension in FIRMWARE_EXTENSIONS {
            for name in [
                format!("FW.1{extension}"),
                format!("FW.1{extension}").to_uppercase(),
            ] {
                assert_eq!(firmware_stem(&name), Some("FW.1"), "{name}");
            }
            assert_eq!(firmware_stem(extension), None, "no name before it");
        }
        for name in [
            "",
            "FW",
            "FW.bin_3",
            "FW.gz",
            "FW.exe",
            "FWbin",
            "固件",
            "固.件bin",
        ] {
            assert_eq!(firmware_stem(name), None, "{name}");
        }
    }
}
