//! Packs of records: SenML in JSON and CBOR, the JSON of LwM2M 1.0; and single values in CBOR.

use narrowcast::coap::ContentFormat;
use narrowcast::lwm2m::{
    PackLimits, Path, SenmlRecord, ValueError, decode_pack, decode_value, encode_pack, encode_value,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::bounds::bounded;
use crate::mutate::{cases, mutants};
use crate::seeds;
use crate::values::is_same;

/// Words of both JSON forms.
const TOKENS: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-0",
    "1e308",
    "1e999",
    "0.1",
    "9223372036854775808",
    "{\"n\":\"/5/0/3\",\"v\":1},",
    "\"bn\":\"/\",",
    "\"bt\":1e9,",
    "\"bv\":1,",
    "\"s\":1,",
    "\"x_\":1,",
    "\"bver\":11,",
    "\"vd\":\"AQI\",",
    "\"vlo\":\"5:0\",",
    "\"t\":-1,",
    "/",
    "65536",
    "[[[[[[[[[[[[",
    "{\"a\":",
    "\u{202e}",
];

fn json_of_1_0() -> Vec<Vec<u8>> {
    [
        r#"{"bn":"/3/0/","e":[{"n":"0","sv":"Acme"},{"n":"9","v":100},{"n":"11/0","v":0}]}"#,
        r#"{"bn":"/5/0/","bt":1795000000,"e":[{"n":"3","v":2,"t":-5},{"n":"5","v":1}]}"#,
        r#"{"e":[{"n":"/1/0/6","bv":true},{"n":"/65/0/0/0","ov":"66:0"}]}"#,
    ]
    .map(|json| json.as_bytes().to_vec())
    .to_vec()
}

fn is_same_record(one: &SenmlRecord, other: &SenmlRecord) -> bool {
    is_same(&one.value, &other.value)
        && SenmlRecord {
            value: one.value.clone(),
            ..other.clone()
        } == *one
}

/// All records are read and written as the same, or the pack is refused as a whole.
fn check(format: ContentFormat, payload: &[u8]) -> Result<(), ValueError> {
    let limits = PackLimits::default();
    // Of names and values a copy each way; of records a list that doubles. The base name stands before
    // every name, once, and a record has three bytes at the least.
    let names =
        limits.records_max.min(payload.len() / 3) * limits.name_bytes_max.min(payload.len());
    let records = bounded(payload.len(), 4096 + 2 * names as u64, 128, || {
        decode_pack(None, format, payload, &limits)
    })?;
    assert!(records.len() <= limits.records_max);
    for record in &records {
        assert!(record.path.resource.is_some(), "{record:?}");
        assert!(record.time_seconds.is_none_or(f64::is_finite), "{record:?}");
    }
    let written = encode_pack(format, &records)?;
    let again = decode_pack(None, format, &written, &limits)?;
    assert_eq!(again.len(), records.len());
    for (one, other) in records.iter().zip(&again) {
        assert!(is_same_record(one, other), "{one:?} became {other:?}");
    }
    Ok(())
}

#[test]
fn the_seeds_themselves_are_read() {
    let formats = [
        (ContentFormat::SENML_JSON, seeds::senml_json()),
        (ContentFormat::SENML_CBOR, seeds::senml_cbor()),
        (ContentFormat::JSON, json_of_1_0()),
    ];
    for (format, seeds) in formats {
        let read = seeds.iter().filter(|seed| check(format, seed).is_ok());
        assert!(read.count() >= 3, "{format:?}");
    }
}

#[test]
fn bombs_are_refused() {
    for bomb in [vec![0x81; 900], vec![0x9f; 900], vec![0xa1; 900]] {
        assert!(check(ContentFormat::SENML_CBOR, &bomb).is_err());
    }
    // An array of 2^64 - 1 records, a text of as many bytes, and four gigabytes of bytes.
    for bomb in [
        "9bffffffffffffffff",
        "81a1007bffffffffffffffff",
        "81a1085affffffff",
    ] {
        let bomb = hex::decode(bomb).unwrap();
        assert!(check(ContentFormat::SENML_CBOR, &bomb).is_err());
    }
    for (format, bomb) in [
        (ContentFormat::SENML_JSON, "["),
        (ContentFormat::SENML_JSON, "[{\"a\":"),
        (ContentFormat::JSON, "{\"e\":"),
    ] {
        assert!(check(format, bomb.repeat(100_000).as_bytes()).is_err());
    }
}

proptest! {
    #![proptest_config(cases(50_000))]

    #[test]
    fn senml_json_is_read_as_it_is_written_or_refused(
        payload in mutants(seeds::senml_json(), TOKENS),
    ) {
        let _: Result<(), ValueError> = check(ContentFormat::SENML_JSON, &payload);
    }

    #[test]
    fn senml_cbor_is_read_as_it_is_written_or_refused(
        payload in mutants(seeds::senml_cbor(), &[]),
    ) {
        let _: Result<(), ValueError> = check(ContentFormat::SENML_CBOR, &payload);
    }

    #[test]
    fn the_json_of_1_0_is_read_as_it_is_written_or_refused(
        payload in mutants(json_of_1_0(), TOKENS),
    ) {
        let _: Result<(), ValueError> = check(ContentFormat::JSON, &payload);
    }

    #[test]
    fn a_value_in_cbor_is_read_as_it_is_written_or_refused(
        payload in prop_oneof![vec(any::<u8>(), 0..20), mutants(seeds::senml_cbor(), &[])],
    ) {
        let limits = PackLimits::default();
        let path = Path::of_resource(3303, 0, 5700);
        let format = ContentFormat::CBOR;
        let value = bounded(payload.len(), 4096, 64, || {
            decode_value(path, Some(format), &payload, &limits)
        });
        if let Ok(value) = value {
            let written = encode_value(path, format, &value).unwrap();
            let again = decode_value(path, Some(format), &written, &limits).unwrap();
            prop_assert!(is_same(&value, &again), "{value:?} became {again:?}");
        }
    }
}
