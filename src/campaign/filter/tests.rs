use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::clock::Utc;
use crate::model::{DeviceModel, DeviceType, EndpointName, FirmwareVersion, Manufacturer};

fn device() -> Device {
    Device {
        endpoint: EndpointName::parse("860000000000001").unwrap(),
        manufacturer: Some(Manufacturer::parse("Acme").unwrap()),
        model: Some(DeviceModel::parse("M 1").unwrap()),
        device_type: None,
        tags: vec!["lab".to_owned(), "east".to_owned()],
        created_at: Utc::default(),
    }
}

fn report() -> DeviceReport {
    DeviceReport {
        firmware_version: Some(FirmwareVersion::parse("V1.0*").unwrap()),
        cell_id: Some(CellId(0x01A2_B301)),
        tier: Some(CoverageTier::Tier1),
        ..DeviceReport::default()
    }
}

fn matches(filter: &str) -> bool {
    let (device, report) = (device(), report());
    let facts = DeviceFacts {
        device: &device,
        report: &report,
        registered: true,
    };
    Filter::parse(filter).unwrap().matches(&facts)
}

#[test]
fn each_field_and_each_operator_says_what_it_says() {
    for (filter, is_meant) in [
        ("endpoint==860000000000001", true),
        ("endpoint==86*1", true),
        ("endpoint==86*2", false),
        ("manufacturer==Acme", true),
        ("manufacturer==acme", false),
        ("manufacturer!=Acme", false),
        ("model=='M 1'", true),
        ("model==\"M*\"", true),
        ("model=in=(M1,'M 1')", true),
        ("model=in='M 1'", true),
        ("model=out=(M1,M2)", true),
        ("tags==lab", true),
        ("tags!=lab", false),
        ("tags!=spare", true),
        ("tags=out=(spare,east)", false),
        ("firmware_version==V1*", true),
        ("firmware_version=='V1.0\\*'", true),
        ("firmware_version=='V1\\*'", false),
        ("cell_id==27439873", true),
        ("cell_id==0x1A2B301", true),
        ("cell_id==274*", true),
        ("tier==1", true),
        ("tier=in=(0,2)", false),
        ("registered==true", true),
        ("registered!=true", false),
        ("manufacturer==Acme;model==M1", false),
        ("manufacturer==Acme;model==M1,tags==east", true),
        ("manufacturer==Acme;(model==M1,tags==east)", true),
        ("manufacturer==Nobody;(model==M1,tags==east)", false),
        ("manufacturer==Acme and model==M1 or tags==east", true),
        (" ( manufacturer == Acme ) ; tags == lab ", true),
    ] {
        assert_eq!(matches(filter), is_meant, "{filter}");
    }
}

#[test]
fn what_is_not_known_equals_nothing() {
    assert!(!matches("device_type==*"));
    assert!(matches("device_type!=*"));
    assert!(!matches("device_type==WaterMeter"));
    assert!(matches("device_type=out=(WaterMeter,GasMeter)"));
    assert!(!matches("device_type==''"));
}

#[test]
fn a_fault_says_where_it_is() {
    let deep = format!("{}model==M1{}", "(".repeat(17), ")".repeat(17));
    let long = format!("model=={}", "M".repeat(Filter::TEXT_BYTES_MAX));
    for (filter, position, fault) in [
        ("", 1, "expected one of endpoint, "),
        ("colour==red", 1, "expected one of endpoint, "),
        ("modell==M1", 1, "expected one of endpoint, "),
        ("model", 6, "expected ==, !=, =in= or =out="),
        ("model=M1", 6, "expected ==, !=, =in= or =out="),
        ("model=gt=M1", 6, "expected ==, !=, =in= or =out="),
        ("model==", 8, "expected a value"),
        ("model=in=()", 11, "expected a value"),
        ("model=in=(M1", 13, "expected a comma or )"),
        ("(model==M1", 11, "expected ;, a comma, or )"),
        ("model==M1)", 10, "expected ;, a comma, or the end"),
        ("model==M1 M2", 11, "expected ;, a comma, or the end"),
        ("model==M1;", 11, "expected one of endpoint, "),
        ("model=='厂;", 8, "the quotation marks are not closed"),
        ("model=='厂';x==1", 12, "expected one of endpoint, "),
        ("registered==yes", 13, "registered is true or false"),
        ("tier==3", 7, "tier is one of 0, 1, 2, unknown"),
        ("cell_id==1;cell_id==x", 21, "cell_id is a whole number"),
        (&deep, 17, "more than 16 parentheses"),
        (&long, 1, "a filter has at most 8192 bytes"),
    ] {
        let found = Filter::parse(filter).unwrap_err();
        assert_eq!(found.position, position, "{filter}: {found}");
        assert!(found.fault.starts_with(fault), "{filter}: {found}");
    }
    let allowed = format!("{}model==M1{}", "(".repeat(16), ")".repeat(16));
    assert!(Filter::parse(&allowed).is_ok());
}

#[test]
fn a_filter_is_written_in_one_form() {
    for (filter, written) in [
        (" model == 'M1' ", "model==M1"),
        ("model=in=M1", "model=in=(M1)"),
        ("cell_id==0x10", "cell_id==16"),
        (
            "((tags==a));(tags==b or tags==c)",
            "tags==a;(tags==b,tags==c)",
        ),
        ("(tags==a;tags==b),tags==c", "tags==a;tags==b,tags==c"),
        ("model=='say \\'M\\''", "model==\"say 'M'\""),
        ("model=='*a\\*b'", "model==\"*a\\*b\""),
    ] {
        assert_eq!(Filter::parse(filter).unwrap().to_string(), written);
    }
}

/// A filter as it is meant, apart from how it is written and read.
#[derive(Clone, Debug)]
enum Meant {
    /// Field, whether it is to be so, whether the values are a list, values; `None` is a star.
    Compare(usize, bool, bool, Vec<Vec<Option<char>>>),
    Join(bool, Vec<Self>),
}

const NAMES: [&str; 4] = ["endpoint", "manufacturer", "tags", "firmware_version"];

fn write_value(value: &[Option<char>], is_quoted: bool) -> String {
    let plain = |it: &Option<char>| it.is_none_or(|it| it.is_ascii_alphanumeric());
    let text = value.iter().map(|it| match it {
        None => "*".to_owned(),
        Some(it) if it.is_ascii_alphanumeric() => it.to_string(),
        Some(it) => format!("\\{it}"),
    });
    let text: String = text.collect();
    if is_quoted || value.is_empty() || !value.iter().all(plain) {
        format!("'{text}'")
    } else {
        text
    }
}

impl Meant {
    fn write(&self, is_quoted: bool) -> String {
        match self {
            Self::Compare(field, is_so, is_list, values) => {
                let values: Vec<_> = values.iter().map(|it| write_value(it, is_quoted)).collect();
                let name = NAMES[*field];
                match (is_list, is_so) {
                    (false, true) => format!("{name}=={}", values[0]),
                    (false, false) => format!("{name}!={}", values[0]),
                    (true, true) => format!("{name}=in=({})", values.join(" , ")),
                    (true, false) => format!("{name} =out= ({})", values.join(",")),
                }
            }
            Self::Join(all, parts) => {
                let parts: Vec<_> = parts.iter().map(|it| it.write(is_quoted)).collect();
                let sign = match (all, is_quoted) {
                    (true, true) => " and ",
                    (true, false) => ";",
                    (false, true) => " or ",
                    (false, false) => ",",
                };
                format!("({})", parts.join(sign))
            }
        }
    }

    fn holds(&self, facts: &DeviceFacts<'_>) -> bool {
        match self {
            Self::Join(true, parts) => parts.iter().all(|it| it.holds(facts)),
            Self::Join(false, parts) => parts.iter().any(|it| it.holds(facts)),
            Self::Compare(field, is_so, is_list, values) => {
                let asked = if *is_list { &values[..] } else { &values[..1] };
                let said: Vec<&str> = match field {
                    0 => vec![facts.device.endpoint.as_str()],
                    1 => facts
                        .device
                        .manufacturer
                        .iter()
                        .map(|it| it.as_str())
                        .collect(),
                    2 => facts.device.tags.iter().map(String::as_str).collect(),
                    _ => {
                        let version = facts.report.firmware_version.iter();
                        version.map(|it| it.as_str()).collect()
                    }
                };
                let is = |text: &&str| {
                    let text: Vec<char> = text.chars().collect();
                    asked.iter().any(|value| covers(value, &text))
                };
                said.iter().any(is) == *is_so
            }
        }
    }
}

fn covers(pattern: &[Option<char>], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((None, rest)) => (0..=text.len()).any(|from| covers(rest, &text[from..])),
        Some((Some(it), rest)) => text.first() == Some(it) && covers(rest, &text[1..]),
    }
}

fn letters() -> impl Strategy<Value = char> {
    prop_oneof![
        6 => proptest::sample::select(vec!['a', 'b']),
        1 => proptest::sample::select(vec!['\'', '"', '\\', '*', ' ', ',', ';', ')', '厂', '=']),
    ]
}

fn meant() -> impl Strategy<Value = Meant> {
    let value = vec(
        prop_oneof![1 => Just(None), 3 => letters().prop_map(Some)],
        0..4,
    );
    let compare = (
        0..NAMES.len(),
        any::<bool>(),
        any::<bool>(),
        vec(value, 1..3),
    );
    let leaf = compare
        .prop_map(|(field, is_so, is_list, values)| Meant::Compare(field, is_so, is_list, values));
    leaf.prop_recursive(4, 12, 3, |inner| {
        (any::<bool>(), vec(inner, 1..4)).prop_map(|(all, parts)| Meant::Join(all, parts))
    })
}

fn text() -> impl Strategy<Value = String> {
    vec(letters(), 1..4).prop_map(|it| it.into_iter().collect())
}

proptest! {
    #[test]
    fn a_filter_means_what_it_meant(
        meant in meant(),
        is_quoted in any::<bool>(),
        manufacturer in proptest::option::of(text()),
        version in proptest::option::of(text()),
        endpoint in text(),
        tags in vec(text(), 0..3),
    ) {
        let written = meant.write(is_quoted);
        let filter = Filter::parse(&written).unwrap();
        let again = Filter::parse(&filter.to_string()).unwrap();
        prop_assert_eq!(&again, &filter, "{} and {}", written, filter);
        let (Ok(endpoint), Ok(manufacturer), Ok(version)) = (
            EndpointName::parse(&endpoint),
            manufacturer.map(|it| Manufacturer::parse(&it)).transpose(),
            version.map(|it| FirmwareVersion::parse(&it)).transpose(),
        ) else {
            return Ok(());
        };
        let device = Device { endpoint, manufacturer, tags, device_type: None::<DeviceType>, ..device() };
        let report = DeviceReport { firmware_version: version, ..DeviceReport::default() };
        let facts = DeviceFacts { device: &device, report: &report, registered: false };
        prop_assert_eq!(filter.matches(&facts), meant.holds(&facts), "{}", written);
    }

    #[test]
    fn any_text_is_a_filter_or_has_a_fault_within_it(text in "[a-z_=!();,'\"\\\\* ]{0,40}|\\PC{0,40}") {
        match Filter::parse(&text) {
            Ok(filter) => prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter)),
            Err(fault) => prop_assert!((1..=text.chars().count() + 1).contains(&fault.position)),
        }
    }
}
