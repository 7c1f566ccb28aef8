//! application/vnd.oma.lwm2m+tlv (LwM2M 1.0 §6.4.3): one level of entries at a time.
//!
//! The format has three levels and no more (object instance, resource, resource instance), so a
//! reader goes down by hand and nothing recurses.

/// What an entry is: bits 7 and 6 of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lwm2m) enum Kind {
    /// Holds resources.
    ObjectInstance,
    /// One value of several.
    ResourceInstance,
    /// Holds resource instances.
    MultipleResource,
    /// One value.
    Resource,
}

/// One entry; its value is entries again where the kind says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lwm2m) struct Entry<'p> {
    pub(in crate::lwm2m) kind: Kind,
    pub(in crate::lwm2m) id: u16,
    pub(in crate::lwm2m) value: &'p [u8],
}

/// Why a payload is no TLV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlvError {
    /// An entry ends behind the payload's end.
    #[error("cut off within an entry")]
    Truncated,
    /// More entries on one level than are read.
    #[error("more than {ENTRIES_MAX} entries on one level")]
    TooMany,
}

/// The most entries on one level that are read; the largest object in use has some 40 resources.
const ENTRIES_MAX: usize = 256;

/// The largest value: the length has 24 bits.
pub(in crate::lwm2m) const VALUE_BYTES_MAX: usize = 0x00ff_ffff;

/// Reads all entries of one level.
pub(in crate::lwm2m) fn decode(mut payload: &[u8]) -> Result<Vec<Entry<'_>>, TlvError> {
    let mut entries = Vec::new();
    while !payload.is_empty() {
        if entries.len() == ENTRIES_MAX {
            return Err(TlvError::TooMany);
        }
        let (entry, rest) = split_entry(payload).ok_or(TlvError::Truncated)?;
        entries.push(entry);
        payload = rest;
    }
    Ok(entries)
}

/// Writes one entry, its id and length as short as they go. `None` where the value is longer than
/// [`VALUE_BYTES_MAX`].
pub(in crate::lwm2m) fn encode(entry: Entry<'_>) -> Option<Vec<u8>> {
    let len = entry.value.len();
    if len > VALUE_BYTES_MAX {
        return None;
    }
    let len_bytes = u32::try_from(len).ok()?.to_be_bytes();
    let len_width = if len < 8 {
        0
    } else {
        (32 - u32::try_from(len).ok()?.leading_zeros()).div_ceil(8) as usize
    };
    let kind = match entry.kind {
        Kind::ObjectInstance => 0b00,
        Kind::ResourceInstance => 0b01,
        Kind::MultipleResource => 0b10,
        Kind::Resource => 0b11,
    };
    let has_long_id = entry.id > 0xff;
    let short_len = if len_width == 0 { len_bytes[3] } else { 0 };
    let first = kind << 6 | u8::from(has_long_id) << 5 | (len_width as u8) << 3 | short_len;
    let mut bytes = Vec::with_capacity(6 + len);
    bytes.push(first);
    bytes.extend_from_slice(&entry.id.to_be_bytes()[usize::from(!has_long_id)..]);
    bytes.extend_from_slice(&len_bytes[4 - len_width..]);
    bytes.extend_from_slice(entry.value);
    Some(bytes)
}

fn split_entry(payload: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (first, rest) = payload.split_first()?;
    let kind = match first >> 6 {
        0b00 => Kind::ObjectInstance,
        0b01 => Kind::ResourceInstance,
        0b10 => Kind::MultipleResource,
        _ => Kind::Resource,
    };
    let id_width = if first & 0b10_0000 == 0 { 1 } else { 2 };
    let (id, rest) = rest.split_at_checked(id_width)?;
    let len_width = usize::from(first >> 3 & 0b11);
    let (len, rest) = rest.split_at_checked(len_width)?;
    let len = if len_width == 0 {
        usize::from(first & 0b111)
    } else {
        big_endian(len)
    };
    let (value, rest) = rest.split_at_checked(len)?;
    let id = u16::try_from(big_endian(id)).ok()?;
    Some((Entry { kind, id, value }, rest))
}

/// At most three bytes, so it fits.
fn big_endian(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

#[cfg(test)]
pub(in crate::lwm2m) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// LwM2M 1.0 §6.4.3.1: `/3/0`, resources only.
    pub(in crate::lwm2m) const DEVICE_RESOURCES: &str = "c800144f70656e204d6f62696c6520416c6c69616e6365c801164c69676874776569676874204d324d20436c69656e74c80209333435303030313233c303312e30860641000141010588070842000ed842011388870841007d42010384c10964c10a0f830b410000c40d5182428fc60e2b30323a3030c11055";
    /// LwM2M 1.0 §6.4.3.2 A: `/3` with one object instance.
    pub(in crate::lwm2m) const DEVICE_INSTANCE: &str = "080079c800144f70656e204d6f62696c6520416c6c69616e6365c801164c69676874776569676874204d324d20436c69656e74c80209333435303030313233c303312e30860641000141010588070842000ed842011388870841007d42010384c10964c10a0f830b410000c40d5182428fc60e2b30323a3030c11055";
    /// LwM2M 1.0 §6.4.3.2 B: `/2` with two instances.
    const ACCESS_CONTROL: &str =
        "08000ec10001c101008302417f07c1037f080212c10003c101008702417f0761013601c1037f";
    /// LwM2M 1.0 §6.4.3.2 C: `/1` with one instance.
    const SERVER: &str = "08000fc10001c40100015180c10601c10755";
    /// LwM2M 1.0 §6.4.3.3: object links in `/65/0` and `/66`.
    const OBJECT_LINKS_65: &str =
        "88000c440000420000440100420001c8010d38363133383030373535353030c40212345678";
    const OBJECT_LINKS_66: &str = "080026c8000b6d79536572766963652031c8010f496e7465726e65742e31352e323334c40200430000080126c8000b6d79536572766963652032c8010f496e7465726e65742e31352e323335c402ffffffff";

    pub(in crate::lwm2m) const SPECIFICATION: [&str; 6] = [
        DEVICE_RESOURCES,
        DEVICE_INSTANCE,
        ACCESS_CONTROL,
        SERVER,
        OBJECT_LINKS_65,
        OBJECT_LINKS_66,
    ];

    /// Cut within the header, the id, the length, the value, and 16 MiB that are not there.
    pub(in crate::lwm2m) const MALFORMED: [&str; 7] = [
        "c8",
        "c80014",
        "e4",
        "c103",
        "4400ff",
        "c1030200",
        "d800ffffff",
    ];

    /// Reads and writes all levels again.
    fn rewrite(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in decode(payload).unwrap() {
            let value = match entry.kind {
                Kind::ObjectInstance | Kind::MultipleResource => rewrite(entry.value),
                Kind::ResourceInstance | Kind::Resource => entry.value.to_vec(),
            };
            let value = value.as_slice();
            bytes.extend(encode(Entry { value, ..entry }).unwrap());
        }
        bytes
    }

    #[test]
    fn the_examples_of_the_specification_read_and_write_to_the_byte() {
        for text in SPECIFICATION {
            let payload = hex::decode(text).unwrap();
            assert_eq!(hex::encode(rewrite(&payload)), text);
        }
        let payload = hex::decode(ACCESS_CONTROL).unwrap();
        let instances = decode(&payload).unwrap();
        let owners = decode(decode(instances[1].value).unwrap()[2].value).unwrap();
        assert_eq!(
            (owners[1].kind, owners[1].id),
            (Kind::ResourceInstance, 310)
        );
    }

    #[test]
    fn an_entry_that_is_cut_off_is_refused() {
        for text in MALFORMED {
            let payload = hex::decode(text).unwrap();
            assert_eq!(decode(&payload), Err(TlvError::Truncated), "{text}");
        }
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        assert!(decode(&[0xc0, 0].repeat(ENTRIES_MAX)).is_ok());
        let payload = [0xc0, 0].repeat(ENTRIES_MAX + 1);
        assert_eq!(decode(&payload), Err(TlvError::TooMany));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&payload);
        }

        #[test]
        fn an_entry_reads_back_as_it_was_written(
            kind in proptest::sample::select(vec![
                Kind::ObjectInstance, Kind::ResourceInstance, Kind::MultipleResource, Kind::Resource,
            ]),
            id in any::<u16>(),
            len in prop_oneof![0..20_usize, 250..260_usize, 65_530..65_540_usize],
        ) {
            let value = vec![0xa5; len];
            let entry = Entry { kind, id, value: &value };
            let payload = encode(entry).unwrap();
            prop_assert_eq!(decode(&payload), Ok(vec![entry]));
        }
    }
}
