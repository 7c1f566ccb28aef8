//! Packs of records in each format that has them, and one resource out of a pack.

use std::cmp::Ordering;

use bytes::Bytes;

use super::Path;
use super::codec::json;
use super::codec::senml::{self, PackLimits, SenmlRecord};
use super::value::{Value, ValueError};
use crate::coap::ContentFormat;

/// Reads all records of a pack: SenML JSON and CBOR (LwM2M 1.1 §7.4.4, §7.4.5), and the JSON of 1.0
/// under its number and the drafts'. `asked` is what the pack answers: names in the JSON of 1.0 may
/// be relative to it.
///
/// # Errors
/// Where it is no pack, or one beyond the limits: nothing of it is taken then.
pub fn decode_pack(
    asked: Option<Path>,
    format: ContentFormat,
    payload: &[u8],
    limits: &PackLimits,
) -> Result<Vec<SenmlRecord>, ValueError> {
    match format {
        ContentFormat::SENML_JSON => Ok(senml::json::decode(payload, limits)?),
        ContentFormat::SENML_CBOR => Ok(senml::cbor::decode(payload, limits)?),
        ContentFormat::JSON | ContentFormat::OLD_JSON => Ok(json::decode(asked, payload, limits)?),
        format => Err(ValueError::UnsupportedFormat(format)),
    }
}

/// Writes records as a pack: same records, same bytes.
///
/// # Errors
/// Where the format has no packs, a path names no resource, or a number is not finite.
pub fn encode_pack(format: ContentFormat, records: &[SenmlRecord]) -> Result<Bytes, ValueError> {
    let payload = match format {
        ContentFormat::SENML_JSON => senml::json::encode(records),
        ContentFormat::SENML_CBOR => senml::cbor::encode(records),
        ContentFormat::JSON | ContentFormat::OLD_JSON => json::encode(records),
        format => return Err(ValueError::UnsupportedFormat(format)),
    };
    Ok(payload?.into())
}

/// The value that a pack has of one resource.
pub(super) fn decode_resource(
    path: Path,
    format: ContentFormat,
    payload: &[u8],
    limits: &PackLimits,
) -> Result<Value, ValueError> {
    let mut records = decode_pack(Some(path), format, payload, limits)?;
    records.retain(|record| record.path == path);
    let first = records.first().ok_or(ValueError::Missing)?;
    let instance = first.resource_instance;
    if records.iter().any(|it| it.resource_instance != instance) {
        return Err(ValueError::NotSingle);
    }
    // Of those that are equally new, `max_by` takes the last.
    let newest = records.into_iter().max_by(compare_times);
    newest.map(|it| it.value).ok_or(ValueError::Missing)
}

/// What is relative to now is newer than what has a date.
fn compare_times(one: &SenmlRecord, two: &SenmlRecord) -> Ordering {
    let seconds = |record: &SenmlRecord| record.time_seconds.unwrap_or(0.0);
    let by_kind = one.is_relative().cmp(&two.is_relative());
    by_kind.then(seconds(one).total_cmp(&seconds(two)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lwm2m::path::{DEVICE_FIRMWARE_VERSION, FIRMWARE_STATE};
    use crate::lwm2m::{decode_value, encode_value};

    const LIMITS: PackLimits = PackLimits::DEFAULT;
    const FORMATS: [ContentFormat; 4] = [
        ContentFormat::SENML_JSON,
        ContentFormat::SENML_CBOR,
        ContentFormat::JSON,
        ContentFormat::OLD_JSON,
    ];

    fn record(resource: u16, value: i64, time_seconds: Option<f64>) -> SenmlRecord {
        SenmlRecord {
            time_seconds,
            ..SenmlRecord::new(Path::of_resource(5, 0, resource), Value::Integer(value))
        }
    }

    fn state_of(records: &[SenmlRecord]) -> Vec<Result<Value, ValueError>> {
        let read = FORMATS.map(|format| {
            let payload = encode_pack(format, records).unwrap();
            decode_value(FIRMWARE_STATE, Some(format), &payload, &LIMITS)
        });
        read.to_vec()
    }

    #[test]
    fn a_resource_is_found_alone_and_among_others() {
        let state = vec![Ok(Value::Integer(2)); FORMATS.len()];
        assert_eq!(state_of(&[record(3, 2, None)]), state);
        let among = [record(5, 1, None), record(3, 2, None), record(8, 0, None)];
        assert_eq!(state_of(&among), state);
        let missing = vec![Err(ValueError::Missing); FORMATS.len()];
        assert_eq!(state_of(&[record(5, 1, None)]), missing);
        assert_eq!(state_of(&[]), missing);
    }

    #[test]
    fn of_several_records_of_a_resource_the_newest_counts_and_then_the_last() {
        let state = vec![Ok(Value::Integer(2)); FORMATS.len()];
        let by_time = [record(3, 2, Some(-1.0)), record(3, 1, Some(-5.0))];
        assert_eq!(state_of(&by_time), state);
        let now = [record(3, 2, None), record(3, 1, Some(-5.0))];
        assert_eq!(state_of(&now), state);
        let dated = [
            record(3, 1, Some(1_276_020_076.0)),
            record(3, 2, Some(1_276_020_077.0)),
        ];
        assert_eq!(state_of(&dated), state);
        let dated_and_now = [record(3, 2, None), record(3, 1, Some(1_276_020_076.0))];
        assert_eq!(state_of(&dated_and_now), state);
        let twice = [record(3, 1, None), record(3, 2, None)];
        assert_eq!(state_of(&twice), state);
    }

    #[test]
    fn of_a_multiple_resource_only_a_lone_instance_is_taken() {
        let mut records = [record(3, 2, None), record(3, 1, None)];
        records[0].resource_instance = Some(7);
        let single = vec![Ok(Value::Integer(2)); FORMATS.len()];
        assert_eq!(state_of(&records[..1]), single);
        let several = vec![Err(ValueError::NotSingle); FORMATS.len()];
        assert_eq!(state_of(&records), several);
    }

    #[test]
    fn one_value_is_written_and_read_in_every_format_that_has_a_number() {
        let version = Value::Text("1.0.0".into());
        let formats = [ContentFormat::CBOR, ContentFormat::TEXT, ContentFormat::TLV];
        for format in FORMATS.into_iter().chain(formats) {
            let payload = encode_value(DEVICE_FIRMWARE_VERSION, format, &version).unwrap();
            let read = decode_value(DEVICE_FIRMWARE_VERSION, Some(format), &payload, &LIMITS);
            assert_eq!(read.as_ref(), Ok(&version), "{format:?}");
        }
        let etch = ContentFormat(320);
        let result = encode_value(DEVICE_FIRMWARE_VERSION, etch, &version);
        assert_eq!(result, Err(ValueError::UnsupportedFormat(etch)));
        let result = decode_pack(None, ContentFormat::TLV, b"", &LIMITS);
        assert_eq!(
            result,
            Err(ValueError::UnsupportedFormat(ContentFormat::TLV))
        );
    }
}
