//! What is refused, rule by rule, in both formats.

use super::*;

/// The refusal of a record in JSON, and of the same in CBOR.
#[track_caller]
fn assert_refused(json: &str, cbor: &str, refusal: PackError) {
    assert_eq!(read_json(json), Err(refusal), "{json}");
    assert_eq!(read_cbor(cbor), Err(refusal), "{cbor}");
}

#[test]
fn what_is_no_pack() {
    for text in [
        "",
        "[",
        "[{\"n\":\"/1/0/1\",\"v\":1}",
        "[{\"n\":}]",
        "[{\"n\":\"/1/0/1\",\"v\":1}]x",
        "[{\"v\":01}]",
    ] {
        assert_eq!(read_json(text), Err(PackError::Json), "{text}");
    }
    assert_eq!(
        json::decode(b"[{\"n\":\"\xff\"}]", &LIMITS),
        Err(PackError::Json)
    );
    for text in ["{}", "1", "[1]", "[[]]", "null", r#"[{"n":1}]"#] {
        assert_eq!(read_json(text), Err(PackError::WrongType), "{text}");
    }
    let cut = hex("81 a2 00 66 2f352f302f33 02 01");
    for len in 0..cut.len() {
        let result = cbor::decode(&cut[..len], &LIMITS);
        assert_eq!(result, Err(PackError::Cbor), "{len} bytes");
    }
    // Something behind it, an end where none is open, text that is not UTF-8, a reserved length.
    for text in ["80 00", "81 a1 09 81 ff", "81 a1 00 61 ff", "81 a1 09 1c"] {
        assert_eq!(read_cbor(text), Err(PackError::Cbor), "{text}");
    }
    for text in [
        "a0",
        "01",
        "81 01",
        "81 80",
        "81 ff",
        "f6",
        "81 a1 00 01",
        "81 a1 41 00 01",
    ] {
        assert_eq!(read_cbor(text), Err(PackError::WrongType), "{text}");
    }
    assert_eq!(read_json("[]"), Ok(Vec::new()));
    assert_eq!(read_cbor("80"), Ok(Vec::new()));
}

#[test]
fn a_field_of_another_type_than_its_labels() {
    for (json, cbor) in [
        (
            r#"[{"n":"/5/0/3","v":"1"}]"#,
            "81 a2 00 66 2f352f302f33 02 61 31",
        ),
        (
            r#"[{"n":"/5/0/3","vs":1}]"#,
            "81 a2 00 66 2f352f302f33 03 01",
        ),
        (
            r#"[{"n":"/5/0/3","vb":1}]"#,
            "81 a2 00 66 2f352f302f33 04 01",
        ),
        (
            r#"[{"n":"/5/0/3","vd":1}]"#,
            "81 a2 00 66 2f352f302f33 08 61 31",
        ),
        (
            r#"[{"n":"/5/0/3","vlo":66}]"#,
            "81 a2 00 66 2f352f302f33 63 766c6f 01",
        ),
        (
            r#"[{"n":"/5/0/3","v":1,"t":"0"}]"#,
            "81 a3 00 66 2f352f302f33 02 01 06 61 30",
        ),
        (
            r#"[{"n":"/5/0/3","v":null}]"#,
            "81 a2 00 66 2f352f302f33 02 f6",
        ),
        (
            r#"[{"n":"/5/0/3","v":[1]}]"#,
            "81 a2 00 66 2f352f302f33 02 81 01",
        ),
        (r#"[{"bver":"5"}]"#, "81 a1 20 61 35"),
        (r#"[{"bt":true}]"#, "81 a1 22 f5"),
        // In CBOR a bignum, which the RFC does not take; in JSON something as little of a number.
        (r#"[{"v":{}}]"#, "81 a1 02 c2 41 01"),
    ] {
        assert_refused(json, cbor, PackError::WrongType);
    }
}

#[test]
fn a_label_that_must_be_understood_and_is_not() {
    assert_refused(
        r#"[{"n":"/5/0/3","v":1,"x_":1}]"#,
        "81 a3 00 66 2f352f302f33 02 01 62 785f 01",
        PackError::MustUnderstand,
    );
}

#[test]
fn a_label_that_stands_twice() {
    for (json, cbor) in [
        (
            r#"[{"n":"/5/0/3","v":1,"v":2}]"#,
            "81 a3 00 66 2f352f302f33 02 01 02 02",
        ),
        (
            r#"[{"n":"/5/0/3","n":"/5/0/5"}]"#,
            "81 a2 00 61 2f 00 61 2f",
        ),
        (r#"[{"u":"V","u":"V"}]"#, "81 a2 01 61 56 01 61 56"),
    ] {
        assert_refused(json, cbor, PackError::DuplicateField);
    }
}

#[test]
fn no_value_and_several() {
    assert_refused(
        r#"[{"n":"/5/0/3"}]"#,
        "81 a1 00 66 2f352f302f33",
        PackError::NoValue,
    );
    assert_refused(
        r#"[{"n":"/5/0/3","v":1,"vs":"1"}]"#,
        "81 a3 00 66 2f352f302f33 02 01 03 61 31",
        PackError::SeveralValues,
    );
}

#[test]
fn a_version_that_is_newer_or_differs_between_records() {
    for (json, cbor) in [
        (
            r#"[{"bver":11,"n":"/5/0/3","v":1}]"#,
            "81 a3 20 0b 00 66 2f352f302f33 02 01",
        ),
        (
            r#"[{"bver":0,"n":"/5/0/3","v":1}]"#,
            "81 a3 20 00 00 66 2f352f302f33 02 01",
        ),
        (
            r#"[{"n":"/5/0/3","v":1},{"bver":5,"v":1}]"#,
            "82 a2 00 66 2f352f302f33 02 01 a2 20 05 02 01",
        ),
    ] {
        assert_refused(json, cbor, PackError::Version);
    }
    assert!(read_json(r#"[{"bver":5,"n":"/5/0/3","v":1},{"bver":5,"n":"/5/0/5","v":1}]"#).is_ok());
}

#[test]
fn a_name_that_is_no_resource() {
    for name in [
        "",
        "/",
        "/5",
        "/5/0",
        "5/0/3",
        "/5/0/3/",
        "/5/0/3/0/0",
        "/5/0/03",
        "/5/0/x",
        "/5/0/3/65536",
        "urn:dev:ow:10e2073a01080063",
        "//5/0/3",
    ] {
        let json = format!(r#"[{{"n":"{name}","v":1}}]"#);
        assert_eq!(read_json(&json), Err(PackError::Name), "{name:?}");
    }
    assert_eq!(read_cbor("81 a1 02 01"), Err(PackError::Name));
}

#[test]
fn base64_that_is_not_by_the_letter() {
    // Padding, the other alphabet, bits that nothing reads, a length that no bytes give.
    for text in ["aGkgCg==", "+/8", "aGkgCh", "aGkgC", "aGkg Cg"] {
        let json = format!(r#"[{{"n":"/19/0/0","vd":"{text}"}}]"#);
        assert_eq!(read_json(&json), Err(PackError::Base64), "{text}");
    }
}

#[test]
fn an_object_link_that_is_none() {
    for text in ["", "66", ":", "66:", "66:0:0", "066:0", "66:65536", "66: 0"] {
        let json = format!(r#"[{{"n":"/65/0/0","vlo":"{text}"}}]"#);
        assert_eq!(read_json(&json), Err(PackError::ObjectLink), "{text:?}");
    }
}

#[test]
fn a_number_without_an_end() {
    for number in [
        "f97e00",
        "f97c00",
        "faff800000",
        "fb7ff0000000000000",
        "c4 82 190200 01",
    ] {
        let cbor = format!("81 a2 00 66 2f352f302f33 02 {number}");
        assert_eq!(read_cbor(&cbor), Err(PackError::NotFinite), "{number}");
    }
    // 1e308 + 1e308, as value and as time.
    let sum = r#"[{"n":"/5/0/3","bv":1e308,"v":1e308}]"#;
    assert_eq!(read_json(sum), Err(PackError::NotFinite));
    let time = r#"[{"n":"/5/0/3","v":1,"bt":1e308,"t":1e308}]"#;
    assert_eq!(read_json(time), Err(PackError::NotFinite));
    assert!(read_json(r#"[{"n":"/5/0/3","v":1e999}]"#).is_err());
    let infinite = SenmlRecord::new(Path::of_resource(5, 0, 3), Value::Float(f64::INFINITY));
    let infinite = std::slice::from_ref(&infinite);
    assert_eq!(json::encode(infinite), Err(PackError::NotFinite));
    assert_eq!(cbor::encode(infinite), Err(PackError::NotFinite));
}

#[test]
fn more_records_than_the_limit() {
    let of = |records: usize| {
        let json = format!("[{}]", vec![r#"{"n":"/5/0/3","v":1}"#; records].join(","));
        let mut cbor = hex("9f");
        cbor.extend(hex("a2 00 66 2f352f302f33 02 01").repeat(records));
        cbor.push(0xff);
        (json, cbor)
    };
    let (json, cbor) = of(LIMITS.records_max);
    assert_eq!(read_json(&json).unwrap().len(), LIMITS.records_max);
    assert_eq!(
        cbor::decode(&cbor, &LIMITS).unwrap().len(),
        LIMITS.records_max
    );
    let (json, cbor) = of(LIMITS.records_max + 1);
    assert_eq!(read_json(&json), Err(PackError::TooManyRecords));
    assert_eq!(cbor::decode(&cbor, &LIMITS), Err(PackError::TooManyRecords));
    // A length of which nothing is there, and one beyond all memory.
    assert_eq!(read_cbor("9b ffffffffffffffff"), Err(PackError::Cbor));
}

#[test]
fn deeper_than_the_limit() {
    let json = |depth: usize| {
        let inner = depth - 2;
        let (open, close) = ("[".repeat(inner), "]".repeat(inner));
        format!(r#"[{{"n":"/5/0/3","v":1,"x":{open}{close}}}]"#)
    };
    let cbor = |depth: usize, opened: &str| {
        let closed = if opened == "9f" { "ff" } else { "" };
        let inner = depth - 2;
        let innermost = if opened == "81" { "01" } else { "" };
        let value = opened.repeat(inner) + innermost + &closed.repeat(inner);
        format!("81 a3 00 66 2f352f302f33 02 01 09 {value}")
    };
    assert!(read_json(&json(LIMITS.depth_max)).is_ok());
    assert_eq!(
        read_json(&json(LIMITS.depth_max + 1)),
        Err(PackError::TooDeep)
    );
    assert_eq!(read_json(&json(60_000)), Err(PackError::TooDeep));
    for opened in ["81", "9f"] {
        assert!(
            read_cbor(&cbor(LIMITS.depth_max, opened)).is_ok(),
            "{opened}"
        );
        for depth in [LIMITS.depth_max + 1, 60_000] {
            let result = read_cbor(&cbor(depth, opened));
            assert_eq!(result, Err(PackError::TooDeep), "{opened}");
        }
    }
    // Brackets within texts are none, and neither is a quote behind a backslash.
    let text = format!(r#"[{{"n":"/3/0/0","vs":"{}\"[[["}}]"#, "[{".repeat(10));
    assert!(read_json(&text).is_ok());
    // Tags do not nest: a hundred thousand of them are passed over one by one.
    let tags = format!(
        "81 a3 00 66 2f352f302f33 02 01 09 {} 01",
        "c1".repeat(100_000)
    );
    assert!(read_cbor(&tags).is_ok());
}

#[test]
fn longer_than_the_limit() {
    let limits = PackLimits {
        name_bytes_max: 8,
        value_bytes_max: 8,
        ..LIMITS
    };
    for (json, fits) in [
        (r#"[{"n":"/5/0/333","v":1}]"#, true),
        (r#"[{"n":"/5/0/3333","v":1}]"#, false),
        (r#"[{"bn":"/5/0/","n":"333","v":1}]"#, true),
        (r#"[{"bn":"/5/0/","n":"3333","v":1}]"#, false),
        (r#"[{"n":"/3/0/0","vs":"12345678"}]"#, true),
        (r#"[{"n":"/3/0/0","vs":"123456789"}]"#, false),
        (r#"[{"n":"/19/0/0","vd":"AAAAAAAA"}]"#, true),
        (r#"[{"n":"/19/0/0","vd":"AAAAAAAAAAA"}]"#, false),
    ] {
        let result = json::decode(json.as_bytes(), &limits);
        assert_eq!(
            result.clone().err(),
            (!fits).then_some(PackError::TooLong),
            "{json}"
        );
        if let Ok(records) = result {
            let cbor = cbor::encode(&records).unwrap();
            assert_eq!(cbor::decode(&cbor, &limits), Ok(records));
        }
    }
    for cbor in [
        "81 a2 00 69 2f352f302f33333333 02 01",
        "81 a2 00 66 2f332f302f30 03 69 313233343536373839",
        "81 a2 00 66 2f332f302f30 03 7f 65 3132333435 65 3132333435 ff",
        "81 a2 00 67 2f31392f302f30 08 49 000000000000000000",
        "81 a1 69 787878787878787878 01",
    ] {
        assert_eq!(
            cbor::decode(&hex(cbor), &limits),
            Err(PackError::TooLong),
            "{cbor}"
        );
    }
}
