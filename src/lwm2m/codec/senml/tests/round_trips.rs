//! What is written reads back, always as the same bytes.

use proptest::prelude::*;

use super::*;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[ -~é漢\n\"\\\\]{0,40}".prop_map(Value::Text),
        any::<i64>().prop_map(Value::Integer),
        (-200..200_i64).prop_map(Value::Integer),
        any::<f64>()
            .prop_filter("finite", |float| float.is_finite())
            .prop_map(Value::Float),
        any::<f32>()
            .prop_filter("finite", |float| float.is_finite())
            .prop_map(|float| Value::Float(float.into())),
        (-2048..2048_i16).prop_map(|half| Value::Float(f64::from(half) / 4.0)),
        any::<bool>().prop_map(Value::Boolean),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Opaque(bytes.into())),
        (any::<u16>(), any::<u16>())
            .prop_map(|(object, instance)| Value::ObjectLink { object, instance }),
    ]
}

pub(in crate::lwm2m) fn records() -> impl Strategy<Value = Vec<SenmlRecord>> {
    let path = (0..3_u16, 0..2_u16, any::<u16>());
    let path = path.prop_map(|(object, instance, id)| Path::of_resource(object, instance, id));
    let time = prop_oneof![
        Just(None),
        (-1000..1000_i32).prop_map(|seconds| Some(seconds.into())),
        (0..2_000_000_000_000_u64).prop_map(|ms| Some(ms as f64 / 1000.0)),
    ];
    let record = (path, proptest::option::of(any::<u16>()), value(), time).prop_map(
        |(path, resource_instance, value, time_seconds)| SenmlRecord {
            path,
            resource_instance,
            value,
            time_seconds,
        },
    );
    proptest::collection::vec(record, 0..12)
}

proptest! {
    #[test]
    fn records_read_back_from_json(records in records()) {
        let payload = json::encode(&records).unwrap();
        prop_assert_eq!(json::decode(&payload, &LIMITS), Ok(records));
    }

    #[test]
    fn records_read_back_from_cbor(records in records()) {
        let payload = cbor::encode(&records).unwrap();
        let read = cbor::decode(&payload, &LIMITS);
        prop_assert_eq!(read.as_ref(), Ok(&records));
        prop_assert_eq!(cbor::encode(&read.unwrap()), Ok(payload));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        payload in proptest::collection::vec(any::<u8>(), 0..64),
        text in r#"[\[\]{}",:0-9nvbtsde/.\\_ -]{0,64}"#,
    ) {
        let _ = cbor::decode(&payload, &LIMITS);
        let _ = json::decode(&payload, &LIMITS);
        let _ = json::decode(text.as_bytes(), &LIMITS);
    }

    #[test]
    fn a_damaged_pack_is_read_or_refused(
        records in records(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for mut payload in [cbor::encode(&records).unwrap(), json::encode(&records).unwrap()] {
            let index = at.index(payload.len());
            payload[index] = byte;
            let _ = cbor::decode(&payload, &LIMITS);
            let _ = json::decode(&payload, &LIMITS);
        }
    }
}

/// RFC 8949 §4.2.1: the shortest numbers and lengths, keys in the order of their bytes.
#[test]
fn cbor_is_written_in_the_core_deterministic_form() {
    let record = |resource, value, time_seconds| SenmlRecord {
        time_seconds,
        ..SenmlRecord::new(Path::of_resource(5, 0, resource), value)
    };
    let link = Value::ObjectLink {
        object: 66,
        instance: 0,
    };
    let bytes = cbor::encode(&[
        record(3, Value::Integer(-97), Some(-5.0)),
        record(4, Value::Float(1.5), None),
        record(5, Value::Float(100_000.5), None),
        record(6, Value::Float(0.1), Some(0.1)),
        record(7, Value::Opaque(hex("0102").into()), Some(1_795_000_000.0)),
        record(8, link, None),
    ]);
    let expected = "86 a4 00 61 33 02 3860 06 24 21 65 2f352f302f \
        a2 00 61 34 02 f93e00 \
        a2 00 61 35 02 fa47c35040 \
        a3 00 61 36 02 fb3fb999999999999a 06 fb3fb999999999999a \
        a3 00 61 37 06 1a6afd86c0 08 42 0102 \
        a2 00 61 38 63 766c6f 64 36363a30";
    assert_eq!(hex::encode(bytes.unwrap()), expected.replace(' ', ""));
}

#[test]
fn json_names_the_base_wherever_the_instance_changes() {
    let record = |object, resource| {
        SenmlRecord::new(Path::of_resource(object, 0, resource), Value::Integer(1))
    };
    let bytes = json::encode(&[record(3, 9), record(3, 10), record(4, 8), record(3, 9)]).unwrap();
    assert_eq!(
        std::str::from_utf8(&bytes).unwrap(),
        r#"[{"bn":"/3/0/","n":"9","v":1},{"n":"10","v":1},{"bn":"/4/0/","n":"8","v":1},{"bn":"/3/0/","n":"9","v":1}]"#
    );
    let instance = SenmlRecord::new(Path::of_instance(5, 0), Value::Integer(1));
    let nameless = std::slice::from_ref(&instance);
    assert_eq!(json::encode(nameless), Err(PackError::Name));
    assert_eq!(cbor::encode(nameless), Err(PackError::Name));
}
