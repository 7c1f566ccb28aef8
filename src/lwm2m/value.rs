//! Values of resources, in whatever format and shape a device sends them.

use bytes::Bytes;

use super::Path;
use super::codec::{cbor, text, tlv};
use super::pack;
use crate::coap::ContentFormat;

pub use super::codec::senml::{PackError, PackLimits, SenmlRecord};
pub use super::codec::tlv::TlvError;

/// The value of one resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A signed integer.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Bytes.
    Opaque(Bytes),
    /// An object instance (LwM2M 1.1 appendix C, Objlnk); 65535 stands for none.
    ObjectLink {
        /// Object id.
        object: u16,
        /// Object instance id.
        instance: u16,
    },
}

impl Value {
    /// The whole number that this is, whether it came as text, as TLV or as a float without fraction.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            Self::Text(text) => text.trim().parse().ok(),
            // Up to 2^53 every whole float is exact.
            Self::Float(float)
                if float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 =>
            {
                Some(*float as i64)
            }
            Self::Float(_) | Self::Boolean(_) | Self::Opaque(_) | Self::ObjectLink { .. } => None,
        }
    }

    /// The text that this is; a number as it would be written in text/plain.
    pub fn as_text(&self) -> Option<String> {
        String::from_utf8(text::encode(self)).ok()
    }
}

/// Why a payload gives no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The path names no resource.
    #[error("the path names no resource")]
    NotAResource,
    /// A format that is not spoken.
    #[error("content format {} is not understood", .0.0)]
    UnsupportedFormat(ContentFormat),
    /// Text that is not UTF-8.
    #[error("not UTF-8")]
    NotText,
    /// A number was expected.
    #[error("not a number")]
    NotANumber,
    /// Not TLV.
    #[error(transparent)]
    Tlv(#[from] TlvError),
    /// No pack of records, nor a CBOR value.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// Sound, but without the resource that was asked for.
    #[error("the resource is not in the payload")]
    Missing,
    /// None or several values of a resource that has one.
    #[error("not exactly one value")]
    NotSingle,
    /// Too long to write.
    #[error("the value is too long")]
    TooLong,
}

/// The type of a resource (OMA registry). TLV does not say it, so the reader must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataType {
    Text,
    Integer,
    Float,
    Boolean,
    Opaque,
    Unknown,
}

impl DataType {
    /// The type of the resources that we read and write, and of those that operators most often do: of
    /// the core objects (LwM2M Core appendix E) and the reusable ones of sensors.
    pub(super) const fn of(path: Path) -> Self {
        let Some(resource) = path.resource else {
            return Self::Unknown;
        };
        match (path.object, resource) {
            (1, 7) | (3, 0..=3 | 14..=19) | (4, 4 | 5 | 7) | (5, 1 | 6 | 7) => Self::Text,
            (1, 0..=3 | 5)
            | (3, 6..=11 | 13 | 20 | 21)
            | (4, 0..=3 | 6 | 8..=13)
            | (5, 3 | 5 | 8 | 9 | 11..=13) => Self::Integer,
            (3200..=3441, 5601..=5604 | 5700) => Self::Float,
            (1, 6) => Self::Boolean,
            (5, 0) | (19, 0) => Self::Opaque,
            _ => Self::Unknown,
        }
    }
}

/// text/plain with a number of an LwM2M draft (carrier flows §3.2).
const DRAFT_TEXT: ContentFormat = ContentFormat(11_541);

/// Reads the value of the resource `path` from an answer or a notification.
///
/// - Without a Content-Format a payload is text where it is UTF-8, and TLV otherwise: clients leave
///   the option out before text, and no TLV of a resource that we ask for is UTF-8, as its first byte
///   starts a character that its second cannot go on with. Opaque resources are taken as they are.
/// - TLV may hold the resource alone, among others of its instance, or within its object instance.
/// - 1543 is JSON in the drafts and opaque data for some modules: opaque resources are taken as they
///   are, others as JSON where they begin with `{`, and else as text.
/// - Packs (SenML, JSON) may hold the resource alone or among others. Of several records of it the
///   newest counts, and of those of one time the last in the pack.
///
/// # Errors
/// Where no value of that resource can be read.
pub fn decode_value(
    path: Path,
    format: Option<ContentFormat>,
    payload: &[u8],
    limits: &PackLimits,
) -> Result<Value, ValueError> {
    if path.resource.is_none() {
        return Err(ValueError::NotAResource);
    }
    let data_type = DataType::of(path);
    match format {
        Some(ContentFormat::TLV | ContentFormat::OLD_TLV) => decode_tlv(path, payload),
        Some(ContentFormat::TEXT | ContentFormat::OLD_TEXT | DRAFT_TEXT) => {
            text::decode(data_type, payload)
        }
        Some(ContentFormat::OPAQUE | ContentFormat::OLD_JSON) | None
            if data_type == DataType::Opaque =>
        {
            Ok(Value::Opaque(Bytes::copy_from_slice(payload)))
        }
        Some(ContentFormat::OPAQUE) if data_type == DataType::Unknown => {
            Ok(Value::Opaque(Bytes::copy_from_slice(payload)))
        }
        Some(format @ ContentFormat::OLD_JSON) if payload.starts_with(b"{") => {
            pack::decode_resource(path, format, payload, limits)
        }
        Some(ContentFormat::OPAQUE | ContentFormat::OLD_JSON) => text::decode(data_type, payload),
        Some(ContentFormat::CBOR) => Ok(cbor::decode(payload, limits)?),
        Some(
            format @ (ContentFormat::SENML_JSON | ContentFormat::SENML_CBOR | ContentFormat::JSON),
        ) => pack::decode_resource(path, format, payload, limits),
        None if std::str::from_utf8(payload).is_ok() => text::decode(data_type, payload),
        None => decode_tlv(path, payload),
        Some(format) => Err(ValueError::UnsupportedFormat(format)),
    }
}

/// Writes a value of the resource `path`: the device's side of [`decode_value`].
///
/// # Errors
/// Where the path names no resource, the format is not written, or the value is too long for it.
pub fn encode_value(path: Path, format: ContentFormat, value: &Value) -> Result<Bytes, ValueError> {
    let id = path.resource.ok_or(ValueError::NotAResource)?;
    match format {
        ContentFormat::TEXT | ContentFormat::OLD_TEXT | ContentFormat::OPAQUE => {
            Ok(text::encode(value).into())
        }
        ContentFormat::TLV | ContentFormat::OLD_TLV => {
            let value = tlv_value(value);
            let kind = tlv::Kind::Resource;
            let entry = tlv::Entry {
                kind,
                id,
                value: &value,
            };
            Ok(tlv::encode(entry).ok_or(ValueError::TooLong)?.into())
        }
        ContentFormat::CBOR => Ok(cbor::encode(value)?.into()),
        format => pack::encode_pack(format, &[SenmlRecord::new(path, value.clone())]),
    }
}

/// Reads all values of a resource that has several, of integers, from TLV.
///
/// # Errors
/// Where it is no TLV, or the resource is one value in it.
pub(super) fn decode_integers(
    path: Path,
    format: Option<ContentFormat>,
    payload: &[u8],
) -> Result<Vec<i64>, ValueError> {
    match format {
        Some(ContentFormat::TLV | ContentFormat::OLD_TLV) | None => {}
        Some(format) => return Err(ValueError::UnsupportedFormat(format)),
    }
    let resource = find_tlv(path, payload)?;
    if resource.kind != tlv::Kind::MultipleResource {
        return Err(ValueError::NotSingle);
    }
    let values = tlv::decode(resource.value)?;
    values
        .iter()
        .map(|value| tlv_integer(value.value))
        .collect()
}

fn find_tlv(path: Path, payload: &[u8]) -> Result<tlv::Entry<'_>, ValueError> {
    let mut entries = tlv::decode(payload)?;
    let wrapped = entries
        .iter()
        .find(|entry| entry.kind == tlv::Kind::ObjectInstance && Some(entry.id) == path.instance);
    if let Some(instance) = wrapped {
        entries = tlv::decode(instance.value)?;
    }
    entries
        .into_iter()
        .find(|entry| Some(entry.id) == path.resource && is_resource(entry.kind))
        .ok_or(ValueError::Missing)
}

fn decode_tlv(path: Path, payload: &[u8]) -> Result<Value, ValueError> {
    let resource = find_tlv(path, payload)?;
    if resource.kind == tlv::Kind::Resource {
        return read_tlv_value(DataType::of(path), resource.value);
    }
    match tlv::decode(resource.value)?.as_slice() {
        [only] if only.kind == tlv::Kind::ResourceInstance => {
            read_tlv_value(DataType::of(path), only.value)
        }
        _ => Err(ValueError::NotSingle),
    }
}

const fn is_resource(kind: tlv::Kind) -> bool {
    matches!(kind, tlv::Kind::Resource | tlv::Kind::MultipleResource)
}

pub(super) fn read_tlv_value(data_type: DataType, bytes: &[u8]) -> Result<Value, ValueError> {
    match data_type {
        DataType::Text => text::decode(data_type, bytes),
        DataType::Integer => tlv_integer(bytes).map(Value::Integer),
        DataType::Float => tlv_float(bytes).map(Value::Float),
        DataType::Boolean => match bytes {
            [byte @ (0 | 1)] => Ok(Value::Boolean(*byte == 1)),
            _ => Err(ValueError::NotANumber),
        },
        DataType::Opaque | DataType::Unknown => Ok(Value::Opaque(Bytes::copy_from_slice(bytes))),
    }
}

/// IEEE 754 of 4 or 8 bytes (LwM2M 1.0 appendix C); finite, as in text: nothing else is a measurement, or
/// can be said in JSON.
fn tlv_float(bytes: &[u8]) -> Result<f64, ValueError> {
    let float = if let Ok(single) = <[u8; 4]>::try_from(bytes) {
        f64::from(f32::from_be_bytes(single))
    } else {
        let double = <[u8; 8]>::try_from(bytes).map_err(|_| ValueError::NotANumber)?;
        f64::from_be_bytes(double)
    };
    float
        .is_finite()
        .then_some(float)
        .ok_or(ValueError::NotANumber)
}

/// Two's complement of 1, 2, 4 or 8 bytes (LwM2M 1.0 appendix C).
fn tlv_integer(bytes: &[u8]) -> Result<i64, ValueError> {
    if !matches!(bytes.len(), 1 | 2 | 4 | 8) {
        return Err(ValueError::NotANumber);
    }
    let fill = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
    let mut wide = [fill; 8];
    wide[8 - bytes.len()..].copy_from_slice(bytes);
    Ok(i64::from_be_bytes(wide))
}

pub(super) fn tlv_value(value: &Value) -> Vec<u8> {
    match value {
        Value::Text(text) => text.clone().into_bytes(),
        Value::Integer(integer) => {
            let bytes = integer.to_be_bytes();
            let width = [1, 2, 4]
                .into_iter()
                .find(|width| tlv_integer(&bytes[8 - width..]) == Ok(*integer));
            bytes[8 - width.unwrap_or(8)..].to_vec()
        }
        Value::Float(float) => float.to_be_bytes().to_vec(),
        Value::Boolean(boolean) => vec![u8::from(*boolean)],
        Value::Opaque(bytes) => bytes.to_vec(),
        Value::ObjectLink { object, instance } => {
            [object.to_be_bytes(), instance.to_be_bytes()].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lwm2m::codec::tlv::tests::{
        DEVICE_INSTANCE, DEVICE_RESOURCES, MALFORMED, SPECIFICATION,
    };
    use crate::lwm2m::path::*;

    const TLV: Option<ContentFormat> = Some(ContentFormat::TLV);
    const LIMITS: PackLimits = PackLimits::DEFAULT;

    fn decode_hex(path: Path, payload: &str) -> Result<Value, ValueError> {
        decode_value(path, TLV, &hex::decode(payload).unwrap(), &LIMITS)
    }

    #[test]
    fn a_resource_is_found_in_every_shape_of_reply() {
        let version = Ok(Value::Text("1.0".into()));
        assert_eq!(decode_hex(DEVICE_FIRMWARE_VERSION, "c303312e30"), version);
        assert_eq!(
            decode_hex(DEVICE_FIRMWARE_VERSION, DEVICE_RESOURCES),
            version
        );
        assert_eq!(
            decode_hex(DEVICE_FIRMWARE_VERSION, DEVICE_INSTANCE),
            version
        );
        let elsewhere = Path::of_resource(3, 1, 3);
        assert_eq!(
            decode_hex(elsewhere, DEVICE_INSTANCE),
            Err(ValueError::Missing)
        );
        assert_eq!(decode_hex(CELL_ID, "c1029f"), Err(ValueError::Missing));
    }

    #[test]
    fn tlv_integers_of_every_width_are_signed() {
        assert_eq!(decode_hex(FIRMWARE_STATE, "c10302"), Ok(Value::Integer(2)));
        assert_eq!(
            decode_hex(FIRMWARE_STATE, "c2030002"),
            Ok(Value::Integer(2))
        );
        assert_eq!(
            decode_hex(RADIO_SIGNAL_STRENGTH, "c1029f"),
            Ok(Value::Integer(-97))
        );
        assert_eq!(
            decode_hex(CELL_ID, "c408075bcd15"),
            Ok(Value::Integer(123_456_789))
        );
        assert_eq!(
            decode_hex(FIRMWARE_STATE, "c003"),
            Err(ValueError::NotANumber)
        );
        assert_eq!(
            decode_hex(FIRMWARE_STATE, "c303000002"),
            Err(ValueError::NotANumber)
        );
    }

    #[test]
    fn of_a_multiple_resource_only_a_lone_value_is_taken() {
        let protocols = Path::of_resource(5, 0, 8);
        assert_eq!(
            decode_hex(protocols, "8608410000410102"),
            Err(ValueError::NotSingle)
        );
        assert_eq!(decode_hex(protocols, "8308410002"), Ok(Value::Integer(2)));
        assert_eq!(decode_hex(protocols, "8008"), Err(ValueError::NotSingle));
    }

    #[test]
    fn an_unknown_resource_of_tlv_keeps_its_bytes() {
        let value = decode_hex(Path::of_resource(33_030, 0, 5700), "e4164441f80000");
        assert_eq!(
            value,
            Ok(Value::Opaque(Bytes::from_static(&[0x41, 0xf8, 0, 0])))
        );
        let known = decode_hex(Path::of_resource(3303, 0, 5700), "e4164441f80000");
        assert_eq!(known, Ok(Value::Float(31.0)));
    }

    #[test]
    fn a_float_of_tlv_is_a_finite_number() {
        let temperature = Path::of_resource(3303, 0, 5700);
        for payload in [
            "e416447fc00000",
            "e41644ff800000",
            "e81644087ff0000000000000",
            "e816440041",
        ] {
            assert!(decode_hex(temperature, payload).is_err(), "{payload}");
        }
    }

    #[test]
    fn malformed_tlv_is_an_error() {
        for payload in MALFORMED {
            assert!(decode_hex(FIRMWARE_STATE, payload).is_err(), "{payload}");
        }
        // Cut off within the object instance.
        assert!(decode_hex(FIRMWARE_STATE, "080003c10a").is_err());
    }

    #[test]
    fn without_a_content_format_text_and_tlv_are_told_apart() {
        let state = decode_value(FIRMWARE_STATE, None, b"2", &LIMITS).unwrap();
        assert_eq!(state, Value::Integer(2));
        let version = decode_value(DEVICE_FIRMWARE_VERSION, None, b"1.0", &LIMITS).unwrap();
        assert_eq!(version, Value::Text("1.0".into()));
        for payload in SPECIFICATION {
            let payload = hex::decode(payload).unwrap();
            if payload[0] >> 6 == 0b11 {
                let version = decode_value(DEVICE_FIRMWARE_VERSION, None, &payload, &LIMITS);
                assert_eq!(version, Ok(Value::Text("1.0".into())));
            }
        }
        let reading = decode_value(UPLINK_DATA, None, b"\xc1\x00\x07", &LIMITS).unwrap();
        assert_eq!(reading, Value::Opaque(Bytes::from_static(b"\xc1\x00\x07")));
    }

    #[test]
    fn the_drafts_numbers_are_understood() {
        let old = |number| Some(ContentFormat(number));
        let two = Ok(Value::Integer(2));
        assert_eq!(decode_value(FIRMWARE_STATE, old(1541), b"2", &LIMITS), two);
        assert_eq!(decode_value(FIRMWARE_STATE, old(11541), b"2", &LIMITS), two);
        assert_eq!(
            decode_value(FIRMWARE_STATE, old(1542), b"\xc1\x03\x02", &LIMITS),
            two
        );
        assert_eq!(decode_value(FIRMWARE_STATE, old(1543), b"2", &LIMITS), two);
        let json = br#"{"bn":"/5/0/","e":[{"n":"3","v":2}]}"#;
        assert_eq!(decode_value(FIRMWARE_STATE, old(1543), json, &LIMITS), two);
        let reading = decode_value(UPLINK_DATA, old(1543), b"{\xff", &LIMITS).unwrap();
        assert_eq!(reading, Value::Opaque(Bytes::from_static(b"{\xff")));
        for unknown in [40, 50, 320, 322, 11_544] {
            let result = decode_value(FIRMWARE_STATE, old(unknown), b"2", &LIMITS);
            assert_eq!(
                result,
                Err(ValueError::UnsupportedFormat(ContentFormat(unknown)))
            );
        }
    }

    #[test]
    fn a_number_is_a_number_in_whatever_type_it_came() {
        assert_eq!(Value::Text(" 3".into()).as_integer(), Some(3));
        assert_eq!(Value::Integer(3).as_text().unwrap(), "3");
        assert_eq!(Value::Float(-97.0).as_integer(), Some(-97));
        assert_eq!(Value::Float(-97.5).as_integer(), None);
        assert_eq!(Value::Float(1e300).as_integer(), None);
        assert_eq!(Value::Opaque(Bytes::from_static(b"\xff")).as_text(), None);
    }

    #[test]
    fn a_path_without_a_resource_has_no_value() {
        let result = decode_value(Path::of_instance(5, 0), TLV, b"\xc1\x03\x02", &LIMITS);
        assert_eq!(result, Err(ValueError::NotAResource));
    }

    proptest! {
        #[test]
        fn any_payload_is_read_or_refused(
            payload in proptest::collection::vec(any::<u8>(), 0..48),
            format in proptest::option::of(any::<u16>().prop_map(ContentFormat)),
        ) {
            for path in [FIRMWARE_STATE, DEVICE_MODEL, UPLINK_DATA, Path::of_resource(9, 9, 9)] {
                let _ = decode_value(path, format, &payload, &LIMITS);
                let _ = decode_value(path, TLV, &payload, &LIMITS);
                let _ = decode_value(path, None, &payload, &LIMITS);
            }
        }

        #[test]
        fn a_value_reads_back_as_it_was_written(
            integer in any::<i64>(),
            text in "[ -~é]{0,300}",
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            for format in [ContentFormat::TEXT, ContentFormat::OLD_TEXT, ContentFormat::TLV] {
                for (path, value) in [
                    (CELL_ID, Value::Integer(integer)),
                    (DEVICE_MODEL, Value::Text(text.clone())),
                ] {
                    let payload = encode_value(path, format, &value).unwrap();
                    prop_assert_eq!(decode_value(path, Some(format), &payload, &LIMITS), Ok(value));
                }
            }
            let value = Value::Opaque(bytes.into());
            for format in [ContentFormat::OPAQUE, ContentFormat::TLV] {
                let payload = encode_value(UPLINK_DATA, format, &value).unwrap();
                prop_assert_eq!(&decode_value(UPLINK_DATA, Some(format), &payload, &LIMITS), &Ok(value.clone()));
            }
        }

        #[test]
        fn a_resource_in_tlv_is_never_utf_8(resource in 0..=127_u16, len in 1..300_usize) {
            let path = Path::of_resource(5, 0, resource);
            let value = Value::Text("x".repeat(len));
            let payload = encode_value(path, ContentFormat::TLV, &value).unwrap();
            prop_assert!(std::str::from_utf8(&payload).is_err());
        }
    }
}
