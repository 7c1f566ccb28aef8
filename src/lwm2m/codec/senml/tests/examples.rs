//! The examples of RFC 8428 and of LwM2M 1.1.

use bytes::Bytes;

use super::*;

fn resolved_json(text: &str) -> Vec<Resolved> {
    json::decode_resolved(text.as_bytes(), &LIMITS).unwrap()
}

/// RFC 8428 §5.1.2: current at 18:01:16.001 and at each of the five seconds before.
const CURRENTS: &str = r#"[
    {"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,
     "bu":"A","bver":5,
     "n":"voltage","u":"V","v":120.1},
    {"n":"current","t":-5,"v":1.2},
    {"n":"current","t":-4,"v":1.3},
    {"n":"current","t":-3,"v":1.4},
    {"n":"current","t":-2,"v":1.5},
    {"n":"current","t":-1,"v":1.6},
    {"n":"current","v":1.7}
]"#;

/// RFC 8428 §6: the same in CBOR.
const CURRENTS_CBOR: &str = "87 a7 21 78 1b 75726e3a6465763a6f773a3130653230373361303130383030363a \
    22 fb 41d303a15b001062 23 61 41 20 05 00 67 766f6c74616765 01 61 56 02 fb 405e066666666666 \
    a3 00 67 63757272656e74 06 24 02 fb 3ff3333333333333 \
    a3 00 67 63757272656e74 06 23 02 fb 3ff4cccccccccccd \
    a3 00 67 63757272656e74 06 22 02 fb 3ff6666666666666 \
    a3 00 67 63757272656e74 06 21 02 f9 3e00 \
    a3 00 67 63757272656e74 06 20 02 fb 3ff999999999999a \
    a3 00 67 63757272656e74 06 00 02 fb 3ffb333333333333";

fn currents() -> Vec<Resolved> {
    const NOW: f64 = 1_276_020_076.001;
    let device = "urn:dev:ow:10e2073a0108006:";
    let voltage = number(&format!("{device}voltage"), 120.1, Some(NOW));
    let current = format!("{device}current");
    let readings = [
        (-5.0, 1.2),
        (-4.0, 1.3),
        (-3.0, 1.4),
        (-2.0, 1.5),
        (-1.0, 1.6),
        (0.0, 1.7),
    ];
    let currents = readings.map(|(t, v)| number(&current, v, Some(NOW + t)));
    std::iter::once(voltage).chain(currents).collect()
}

#[test]
fn base_name_and_base_time_hold_for_the_records_that_follow() {
    assert_eq!(resolved_json(CURRENTS), currents());
    let cbor = cbor::decode_resolved(&hex(CURRENTS_CBOR), &LIMITS).unwrap();
    assert_eq!(cbor, currents());
}

#[test]
fn a_single_value_and_two_of_now() {
    let single = resolved_json(r#"[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]"#);
    assert_eq!(single, [number("urn:dev:ow:10e2073a01080063", 23.1, None)]);
    let two = resolved_json(
        r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},
            {"n":"current","u":"A","v":1.2}]"#,
    );
    assert_eq!(
        two,
        [
            number("urn:dev:ow:10e2073a01080063:voltage", 120.1, None),
            number("urn:dev:ow:10e2073a01080063:current", 1.2, None),
        ]
    );
}

/// RFC 8428 §5.1.3, in part: one time of its own, and names that are the base name alone.
#[test]
fn a_record_without_a_name_has_the_base_name() {
    let humidity = resolved_json(
        r#"[{"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,"bu":"%RH","v":20},
            {"u":"lon","v":24.30621},
            {"t":60,"v":20.3}]"#,
    );
    let values: Vec<_> = humidity.iter().map(|it| it.value.clone()).collect();
    assert_eq!(
        values,
        [
            Value::Integer(20),
            Value::Float(24.30621),
            Value::Float(20.3)
        ]
    );
    assert_eq!(humidity[2].time_seconds, Some(1_320_067_524.0));
    assert!(
        humidity
            .iter()
            .all(|it| it.name == "urn:dev:ow:10e2073a01080063")
    );
}

/// RFC 8428 §5.1.5.
#[test]
fn values_of_every_type_are_kept_as_they_are() {
    let types = resolved_json(
        r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},
            {"n":"label","vs":"Machine Room"},
            {"n":"open","vb":false},
            {"n":"nfc-reader","vd":"aGkgCg"}]"#,
    );
    let values: Vec<_> = types.into_iter().map(|it| it.value).collect();
    assert_eq!(
        values,
        [
            Value::Float(23.1),
            Value::Text("Machine Room".into()),
            Value::Boolean(false),
            Value::Opaque(Bytes::from_static(b"hi \n")),
        ]
    );
}

/// RFC 8428 §5.1.6.
#[test]
fn a_later_base_name_replaces_an_earlier_one_and_leaves_the_base_time() {
    let collection = resolved_json(
        r#"[{"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":25.2},
            {"n":"humidity","u":"%RH","v":30},
            {"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3},
            {"n":"humidity","u":"%RH","v":67}]"#,
    );
    let names: Vec<_> = collection.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "2001:db8::2/temperature",
            "2001:db8::2/humidity",
            "2001:db8::1/temperature",
            "2001:db8::1/humidity",
        ]
    );
    let times = collection.iter().map(|it| it.time_seconds);
    assert!(times.eq([Some(1_320_078_429.0); 4]));
}

#[test]
fn a_base_value_is_added_and_stands_alone_where_no_value_is() {
    let sums = resolved_json(
        r#"[{"bn":"a","bv":10,"v":5},{"v":0.5},{"vs":"text"},{},{"bv":-1,"v":9223372036854775807},
            {"bv":1,"v":9223372036854775807}]"#,
    );
    let values: Vec<_> = sums.into_iter().map(|it| it.value).collect();
    assert_eq!(
        values,
        [
            Value::Integer(15),
            Value::Float(10.5),
            Value::Text("text".into()),
            Value::Integer(10),
            Value::Integer(i64::MAX - 1),
            Value::Float(9_223_372_036_854_775_808.0),
        ]
    );
}

#[test]
fn a_record_that_has_only_a_sum_is_passed_over() {
    let one = resolved_json(r#"[{"n":"a","s":1},{"bs":3,"n":"b"},{"n":"c"},{"n":"d","v":1}]"#);
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].name, "d");
}

/// LwM2M 1.1 §7.4.5: `/3/0`.
const DEVICE_CBOR: &str = "90a321652f332f302f00613003744f70656e204d6f62696c6520416c6c69616e6365a200613103764c69676874776569676874204d324d20436c69656e74a20061320369333435303030313233a20061330363312e30a20063362f300201a20063362f310205a20063372f3002190ed8a20063372f3102191388a20063382f3002187da20063382f3102190384a2006139021864a200623130020fa2006431312f300200a200623133021a5182428fa20062313403662b30323a3030a200623136036155";

/// LwM2M 1.1 §7.4.4: `/3/0`.
const DEVICE_JSON: &str = r#"[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},{"n":"1","vs":"Lightweight M2M Client"},{"n":"2","vs":"345000123"},{"n":"3","vs":"1.0"},{"n":"6/0","v":1},{"n":"6/1","v":5},{"n":"7/0","v":3800},{"n":"7/1","v":5000},{"n":"8/0","v":125},{"n":"8/1","v":900},{"n":"9","v":100},{"n":"10","v":15},{"n":"11/0","v":0},{"n":"13","v":1367491215},{"n":"14","vs":"+02:00"},{"n":"16","vs":"U"}]"#;

#[test]
fn the_device_object_of_the_specification_is_the_same_in_both_formats() {
    let device = read_cbor(DEVICE_CBOR).unwrap();
    assert_eq!(read_json(DEVICE_JSON).unwrap(), device);
    let version = SenmlRecord::new(Path::of_resource(3, 0, 3), Value::Text("1.0".into()));
    assert_eq!(device[3], version);
    assert_eq!(device[7].path, Path::of_resource(3, 0, 7));
    assert_eq!(device[7].resource_instance, Some(1));
    assert_eq!(device[7].value, Value::Integer(5000));
    assert_eq!(json::encode(&device).unwrap(), DEVICE_JSON.as_bytes());
}

#[test]
fn the_opaque_value_the_half_float_and_the_object_link_of_the_specification() {
    let opaque = read_cbor("81a221662f302f302f330843abcdef").unwrap();
    assert_eq!(opaque[0].path, Path::of_resource(0, 0, 3));
    assert_eq!(opaque[0].value, Value::Opaque(hex("abcdef").into()));
    let half = read_cbor("81a202f95cb0216b2f333434322f302f313330").unwrap();
    assert_eq!(half[0].path, Path::of_resource(3442, 0, 130));
    assert_eq!(half[0].value, Value::Float(300.0));
    let links = read_json(
        r#"[{"bn":"/65/0/","n":"0/0","vlo":"66:0"},{"n":"0/1","vlo":"66:1"},
            {"n":"2","vlo":"65535:65535"}]"#,
    );
    let link = |object, instance| Value::ObjectLink { object, instance };
    let links: Vec<_> = links.unwrap().into_iter().map(|it| it.value).collect();
    assert_eq!(links, [link(66, 0), link(66, 1), link(65_535, 65_535)]);
}

#[test]
fn an_integer_stays_one_and_a_float_stays_one() {
    let values = |text: &str| -> Vec<_> {
        let records = read_json(text).unwrap();
        records.into_iter().map(|it| it.value).collect()
    };
    assert_eq!(
        values(
            r#"[{"n":"/1/0/1","v":-97},{"n":"/1/0/1","v":-97.0},{"n":"/1/0/1","v":1e2},
                {"n":"/1/0/1","v":18446744073709551615}]"#
        ),
        [
            Value::Integer(-97),
            Value::Float(-97.0),
            Value::Float(100.0),
            Value::Float(18_446_744_073_709_551_615.0),
        ]
    );
    // -97, -97.0 in each width, 273.15 as a decimal fraction (RFC 8949 §3.4.4), 2^64 - 1.
    let cbor = "86 a2 00 66 2f312f302f31 02 3860 a2 00 66 2f312f302f31 02 f9d610 \
        a2 00 66 2f312f302f31 02 fac2c20000 a2 00 66 2f312f302f31 02 fbc058400000000000 \
        a2 00 66 2f312f302f31 02 c4 82 21 196ab3 a2 00 66 2f312f302f31 02 1bffffffffffffffff";
    let values: Vec<_> = read_cbor(cbor)
        .unwrap()
        .into_iter()
        .map(|it| it.value)
        .collect();
    assert_eq!(
        values,
        [
            Value::Integer(-97),
            Value::Float(-97.0),
            Value::Float(-97.0),
            Value::Float(-97.0),
            Value::Float(273.15),
            Value::Float(18_446_744_073_709_551_615.0),
        ]
    );
}

#[test]
fn lengths_may_be_left_open_in_cbor() {
    // [_ {_ 0: (_ "/5/0", "/3"), 2: 1}]
    let open = read_cbor("9f bf 00 7f 64 2f352f30 62 2f33 ff 02 01 ff ff").unwrap();
    let state = SenmlRecord::new(Path::of_resource(5, 0, 3), Value::Integer(1));
    assert_eq!(open, [state]);
}

#[test]
fn an_unknown_field_is_passed_over_whatever_it_holds() {
    let state = SenmlRecord::new(Path::of_resource(5, 0, 3), Value::Integer(1));
    let json = read_json(r#"[{"x":{"y":[1,"]",null]},"n":"/5/0/3","v":1,"bu":"A","ut":5}]"#);
    assert_eq!(json.unwrap(), std::slice::from_ref(&state));
    // {9: [1, {_ 1: h'00', "a": 2(h'ff')}, [_]], "x": 1.5, 0: "/5/0/3", 2: 1}
    let cbor = "81 a4 09 83 01 bf 01 41 00 61 61 c2 41 ff ff 9f ff 61 78 f9 3e00 \
        00 66 2f352f302f33 02 01";
    assert_eq!(read_cbor(cbor).unwrap(), [state]);
}

#[test]
fn a_time_is_relative_to_the_receipt_or_absolute() {
    let now = Utc::from_unix_ms(1_795_000_000_000);
    let at = |time_seconds| {
        let mut record = SenmlRecord::new(Path::of_resource(5, 0, 3), Value::Integer(1));
        record.time_seconds = time_seconds;
        record.at(now).unix_ms()
    };
    assert_eq!(at(None), 1_795_000_000_000);
    assert_eq!(at(Some(-5.5)), 1_794_999_994_500);
    assert_eq!(at(Some(60.0)), 1_795_000_060_000);
    assert_eq!(at(Some(268_435_455.0)), 1_795_000_000_000 + 268_435_455_000);
    assert_eq!(at(Some(268_435_456.0)), 268_435_456_000);
    assert_eq!(at(Some(1e300)), i64::MAX);
    assert!(at(Some(-1e300)) < 0);
}
