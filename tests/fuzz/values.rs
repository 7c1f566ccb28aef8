//! Values of resources in each format that is read.

use narrowcast::coap::ContentFormat;
use narrowcast::lwm2m::{PackLimits, Path, Value, ValueError, decode_value, encode_value, path};
use proptest::prelude::*;
use proptest::sample::select;

use crate::bounds::bounded;
use crate::mutate::{cases, mutants};
use crate::seeds;

const LIMITS: PackLimits = PackLimits::DEFAULT;

/// Resources of each type, and some that nobody knows.
fn paths() -> impl Strategy<Value = Path> {
    select(vec![
        path::FIRMWARE_STATE,
        path::FIRMWARE_UPDATE_RESULT,
        path::DEVICE_FIRMWARE_VERSION,
        path::DEVICE_MANUFACTURER,
        path::CELL_ID,
        path::RADIO_SIGNAL_STRENGTH,
        path::UPLINK_DATA,
        Path::of_resource(5, 0, 8),
        Path::of_resource(65, 0, 0),
        Path::of_resource(3303, 0, 5700),
        Path::of_instance(3, 0),
    ])
}

/// The same value, or the same number: 1e3 in text is written as 1000.
pub(crate) fn is_same(one: &Value, other: &Value) -> bool {
    one == other
        || match (one, other) {
            (Value::Float(float), Value::Integer(integer)) => *float == *integer as f64,
            _ => false,
        }
}

/// What is read is written and read as the same.
fn check(path: Path, format: ContentFormat, payload: &[u8]) -> Result<(), ValueError> {
    // Two lists of entries of at least two bytes each, at most 256 of them on a level.
    let value = bounded(payload.len(), 1024, 64, || {
        decode_value(path, Some(format), payload, &LIMITS)
    })?;
    assert!(path.resource.is_some());
    let size_bytes = match &value {
        Value::Text(text) => text.len(),
        Value::Opaque(bytes) => bytes.len(),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::ObjectLink { .. } => 0,
    };
    assert!(size_bytes <= payload.len());
    let written = encode_value(path, format, &value)?;
    let again = decode_value(path, Some(format), &written, &LIMITS)?;
    assert!(is_same(&value, &again), "{value:?} became {again:?}");
    Ok(())
}

proptest! {
    #![proptest_config(cases(50_000))]

    #[test]
    fn tlv_is_read_as_one_value_or_refused(
        path in paths(),
        payload in mutants(seeds::tlv(), &[]),
    ) {
        let result = check(path, ContentFormat::TLV, &payload);
        prop_assert!(!matches!(result, Err(ValueError::UnsupportedFormat(_))), "{result:?}");
    }

    #[test]
    fn text_is_read_as_one_value_or_refused(
        path in paths(),
        payload in mutants(
            ["-97", "1.0.0", "3", "-97.5", "", "9223372036854775807"]
                .map(|text| text.as_bytes().to_vec())
                .to_vec(),
            &["e", "+", "-", ".", "0", "\0", " ", "inf", "nan", "99999999999999999999", "é"],
        ),
    ) {
        let result = check(path, ContentFormat::TEXT, &payload);
        prop_assert!(
            matches!(
                result,
                Ok(()) | Err(
                    ValueError::NotText | ValueError::NotANumber | ValueError::NotAResource
                )
            ),
            "{result:?}"
        );
    }

    #[test]
    fn a_payload_without_a_format_is_text_or_tlv(
        path in paths(),
        payload in mutants(seeds::tlv(), &["1", "0.5"]),
    ) {
        if let Ok(value) = decode_value(path, None, &payload, &LIMITS) {
            let as_text = decode_value(path, Some(ContentFormat::TEXT), &payload, &LIMITS);
            let as_tlv = decode_value(path, Some(ContentFormat::TLV), &payload, &LIMITS);
            let is_either = [as_text, as_tlv]
                .into_iter()
                .flatten()
                .any(|other| is_same(&value, &other));
            prop_assert!(is_either || path == path::UPLINK_DATA, "{value:?}");
        }
    }
}

#[test]
fn a_length_of_sixteen_megabytes_without_data_allocates_nothing_of_it() {
    let payload = hex::decode("d800ffffff").unwrap();
    let result = check(path::DEVICE_MANUFACTURER, ContentFormat::TLV, &payload);
    assert!(matches!(result, Err(ValueError::Tlv(_))), "{result:?}");
}
