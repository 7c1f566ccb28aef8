//! What operators ask of a device (LwM2M Core §6.3), in the formats that its version has, and what it
//! answers, as records whatever it was written in.

use bytes::Bytes;

use super::Path;
use super::codec::tlv::{self, Kind};
use super::pack::{decode_pack, encode_pack};
use super::value::{
    DataType, PackError, PackLimits, SenmlRecord, Value, ValueError, decode_value, encode_value,
    read_tlv_value, tlv_value,
};
use crate::coap::{Code, ContentFormat, OptionNumber, Request, Response};
use crate::model::{DeviceOperation, Lwm2mVersion};

/// Formats of an instance or of several values, the likeliest first: a device that says 4.15 has done
/// nothing, and is asked in the next one.
const FORMATS_1_0: &[ContentFormat] = &[ContentFormat::TLV, ContentFormat::OLD_TLV];
const FORMATS_1_1: &[ContentFormat] = &[
    ContentFormat::SENML_JSON,
    ContentFormat::SENML_CBOR,
    ContentFormat::TLV,
];

/// What our own packs are read with: they were bounded when they were made.
const KEPT: PackLimits = PackLimits {
    records_max: usize::MAX,
    depth_max: 8,
    name_bytes_max: 128,
    value_bytes_max: usize::MAX,
};

/// Values as they are kept, whatever device they are of: SenML CBOR.
///
/// # Errors
/// Where a path names no resource, or a number is not finite.
pub fn encode_kept(values: &[SenmlRecord]) -> Result<Bytes, ValueError> {
    encode_pack(ContentFormat::SENML_CBOR, values)
}

/// Reads values as they are kept.
///
/// # Errors
/// Where they are not.
pub fn decode_kept(content: &[u8]) -> Result<Vec<SenmlRecord>, ValueError> {
    decode_pack(None, ContentFormat::SENML_CBOR, content, &KEPT)
}

/// The CoAP request for an operation on `path`, for a device of this version whose objects lie below
/// `alternate_path`. `content` is as [`crate::model::NewDeviceRequest::content`] says. Of the ways in
/// which it can be asked it is the `attempt`-th, from 0; `None` where there are no more.
///
/// # Errors
/// Where the operation does not fit the path, or a value cannot be written.
pub fn management_request(
    operation: DeviceOperation,
    path: Path,
    content: &Bytes,
    version: Lwm2mVersion,
    alternate_path: &str,
    attempt: usize,
) -> Result<Option<Request>, ValueError> {
    let target = format!("{alternate_path}{path}");
    let only = |request: Request| Ok((attempt == 0).then_some(request));
    match operation {
        DeviceOperation::Read => Ok(read_request(path, &target, attempt)),
        DeviceOperation::Discover => only(accepting(
            Request::new(Code::GET, &target),
            ContentFormat::LINK_FORMAT,
        )),
        DeviceOperation::Write => {
            let method = Request::new(Code::PUT, &target);
            write_request(path, method, content, version, attempt)
        }
        // §6.3.3: POST leaves what is not named.
        DeviceOperation::PartialWrite => {
            let method = Request::new(Code::POST, &target);
            write_request(path, method, content, version, attempt)
        }
        // Some modules refuse an Execute that has a format and no argument (carrier flows §3.2).
        DeviceOperation::Execute if content.is_empty() => only(Request::new(Code::POST, &target)),
        DeviceOperation::Execute => {
            let request = Request::new(Code::POST, &target);
            only(request.with_payload(ContentFormat::TEXT, content.clone()))
        }
        DeviceOperation::WriteAttributes => {
            let query = std::str::from_utf8(content).map_err(|_| ValueError::NotText)?;
            let request = Request::new(Code::PUT, &target);
            only(query.split('&').fold(request, Request::with_query))
        }
    }
}

/// Whether a refusal only says that the format was not the right one: nothing was done, and another may
/// be tried.
pub fn is_refused_format(code: Code) -> bool {
    code == Code::NOT_ACCEPTABLE || code == Code::UNSUPPORTED_CONTENT_FORMAT
}

/// The values that an answer to a Read of `path` holds.
///
/// # Errors
/// Where it cannot be read.
pub fn decode_read(
    path: Path,
    response: &Response,
    limits: &PackLimits,
) -> Result<Vec<SenmlRecord>, ValueError> {
    let (format, payload) = (response.content_format(), &response.payload);
    let mut records = match format {
        Some(ContentFormat::TLV | ContentFormat::OLD_TLV) => tlv_records(path, payload)?,
        Some(
            format @ (ContentFormat::SENML_JSON | ContentFormat::SENML_CBOR | ContentFormat::JSON),
        ) => decode_pack(Some(path), format, payload, limits)?,
        None if path.resource.is_none() => tlv_records(path, payload)?,
        Some(_) | None => {
            let value = decode_value(path, format, payload, limits)?;
            vec![SenmlRecord::new(path, value)]
        }
    };
    records.retain(|record| is_within(record.path, path));
    if records.len() > limits.records_max {
        return Err(PackError::TooManyRecords.into());
    }
    Ok(records)
}

/// The first attempt says the format, as modules differ in what they do without; 4.06 to it is how a
/// resource with several values is known.
fn read_request(path: Path, target: &str, attempt: usize) -> Option<Request> {
    let request = Request::new(Code::GET, target);
    match (path.resource, attempt) {
        (Some(_), 0) if DataType::of(path) == DataType::Opaque => {
            Some(accepting(request, ContentFormat::OPAQUE))
        }
        (Some(_), 0) => Some(accepting(request, ContentFormat::TEXT)),
        (Some(_), 1) | (None, 0) => Some(request),
        (Some(_) | None, _) => None,
    }
}

fn accepting(mut request: Request, format: ContentFormat) -> Request {
    let options = &mut request.options;
    options.push_uint(OptionNumber::ACCEPT, format.0.into());
    request
}

fn write_request(
    path: Path,
    request: Request,
    content: &Bytes,
    version: Lwm2mVersion,
    attempt: usize,
) -> Result<Option<Request>, ValueError> {
    let records = decode_kept(content)?;
    let formats = match version {
        Lwm2mVersion::V1_0 => FORMATS_1_0,
        Lwm2mVersion::V1_1 => FORMATS_1_1,
    };
    // One value of one resource goes out by itself first.
    let single = match records.as_slice() {
        [one] if path.resource.is_some() && one.resource_instance.is_none() => Some(&one.value),
        _ => None,
    };
    let Some(at) = attempt.checked_sub(usize::from(single.is_some())) else {
        let Some(value) = single else {
            return Ok(None);
        };
        let format = match value {
            Value::Opaque(_) => ContentFormat::OPAQUE,
            Value::Text(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::ObjectLink { .. } => ContentFormat::TEXT,
        };
        let payload = encode_value(path, format, value)?;
        return Ok(Some(request.with_payload(format, payload)));
    };
    let Some(&format) = formats.get(at) else {
        return Ok(None);
    };
    let payload = match format {
        ContentFormat::TLV | ContentFormat::OLD_TLV => encode_tlv(&records)?,
        format => encode_pack(format, &records)?,
    };
    Ok(Some(request.with_payload(format, payload)))
}

/// Resources one after another, those with instances as multiple resources: what stands in a Write of
/// an instance, and of a resource.
fn encode_tlv(records: &[SenmlRecord]) -> Result<Bytes, ValueError> {
    let mut sorted: Vec<&SenmlRecord> = records.iter().collect();
    sorted.sort_by_key(|record| (record.path, record.resource_instance));
    let mut bytes = Vec::new();
    for of_resource in sorted.chunk_by(|one, other| one.path == other.path) {
        let id = of_resource
            .first()
            .and_then(|record| record.path.resource)
            .ok_or(ValueError::NotAResource)?;
        match of_resource {
            [only] if only.resource_instance.is_none() => {
                let value = tlv_value(&only.value);
                bytes.extend(encode_entry(Kind::Resource, id, &value)?);
            }
            several => {
                let mut instances = Vec::new();
                for record in several {
                    let id = record.resource_instance.ok_or(ValueError::NotSingle)?;
                    let value = tlv_value(&record.value);
                    instances.extend(encode_entry(Kind::ResourceInstance, id, &value)?);
                }
                bytes.extend(encode_entry(Kind::MultipleResource, id, &instances)?);
            }
        }
    }
    Ok(bytes.into())
}

fn encode_entry(kind: Kind, id: u16, value: &[u8]) -> Result<Vec<u8>, ValueError> {
    tlv::encode(tlv::Entry { kind, id, value }).ok_or(ValueError::TooLong)
}

fn tlv_records(asked: Path, payload: &[u8]) -> Result<Vec<SenmlRecord>, ValueError> {
    let mut records = Vec::new();
    for entry in tlv::decode(payload)? {
        if entry.kind == Kind::ObjectInstance {
            for inner in tlv::decode(entry.value)? {
                resource_records(asked.object, entry.id, inner, &mut records)?;
            }
            continue;
        }
        // LwM2M 1.0 §6.4.3: of an object that has one instance its resources may stand alone.
        let instance = asked.instance.unwrap_or(0);
        match (entry.kind, asked.resource) {
            (Kind::ResourceInstance, Some(resource)) => {
                let path = Path::of_resource(asked.object, instance, resource);
                records.push(instance_record(path, entry)?);
            }
            _ => resource_records(asked.object, instance, entry, &mut records)?,
        }
    }
    Ok(records)
}

fn resource_records(
    object: u16,
    instance: u16,
    entry: tlv::Entry<'_>,
    records: &mut Vec<SenmlRecord>,
) -> Result<(), ValueError> {
    let path = Path::of_resource(object, instance, entry.id);
    match entry.kind {
        Kind::Resource => {
            let value = read_tlv_value(DataType::of(path), entry.value)?;
            records.push(SenmlRecord::new(path, value));
        }
        Kind::MultipleResource => {
            for inner in tlv::decode(entry.value)? {
                records.push(instance_record(path, inner)?);
            }
        }
        Kind::ObjectInstance | Kind::ResourceInstance => return Err(ValueError::Missing),
    }
    Ok(())
}

fn instance_record(path: Path, entry: tlv::Entry<'_>) -> Result<SenmlRecord, ValueError> {
    if entry.kind != Kind::ResourceInstance {
        return Err(ValueError::Missing);
    }
    let value = read_tlv_value(DataType::of(path), entry.value)?;
    Ok(SenmlRecord {
        resource_instance: Some(entry.id),
        ..SenmlRecord::new(path, value)
    })
}

fn is_within(path: Path, asked: Path) -> bool {
    path.object == asked.object
        && (asked.instance.is_none() || asked.instance == path.instance)
        && (asked.resource.is_none() || asked.resource == path.resource)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lwm2m::codec::tlv::tests::{DEVICE_INSTANCE, DEVICE_RESOURCES};

    fn request(
        operation: DeviceOperation,
        path: &str,
        content: &Bytes,
        version: Lwm2mVersion,
        attempt: usize,
    ) -> Option<Request> {
        let path = Path::parse(path).unwrap();
        management_request(operation, path, content, version, "", attempt).unwrap()
    }

    fn values(records: &[(&str, Option<u16>, Value)]) -> Bytes {
        let records: Vec<_> = records
            .iter()
            .map(|(path, resource_instance, value)| SenmlRecord {
                resource_instance: *resource_instance,
                ..SenmlRecord::new(Path::parse(path).unwrap(), value.clone())
            })
            .collect();
        encode_kept(&records).unwrap()
    }

    fn write(path: &str, content: &Bytes, version: Lwm2mVersion) -> Vec<(u16, Vec<u8>)> {
        (0..)
            .map_while(|at| request(DeviceOperation::Write, path, content, version, at))
            .map(|it| (it.content_format().unwrap().0, it.payload.to_vec()))
            .collect()
    }

    fn read(path: &str, format: ContentFormat, payload: &[u8]) -> Result<String, ValueError> {
        let response = Response::new(Code::CONTENT).with_payload(format, payload.to_vec());
        let path = Path::parse(path).unwrap();
        let records = decode_read(path, &response, &PackLimits::DEFAULT)?;
        let shown = records.iter().map(|it| match it.resource_instance {
            Some(instance) => format!("{}/{instance}={:?}", it.path, it.value),
            None => format!("{}={:?}", it.path, it.value),
        });
        Ok(shown.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_single_value_is_written_as_text_first_and_bytes_as_bytes() {
        let number = values(&[("/3303/0/5601", None, Value::Integer(-7))]);
        let formats = write("/3303/0/5601", &number, Lwm2mVersion::V1_0);
        assert_eq!(formats[0], (0, b"-7".to_vec()));
        assert_eq!(formats[1], (11_542, b"\xe1\x15\xe1\xf9".to_vec()));
        assert_eq!(formats[2].0, 1542);
        assert_eq!(formats.len(), 3);
        let bytes = values(&[(
            "/19/1/0",
            None,
            Value::Opaque(Bytes::from_static(b"\0\x01")),
        )]);
        let formats = write("/19/1/0", &bytes, Lwm2mVersion::V1_1);
        assert_eq!(formats[0], (42, b"\0\x01".to_vec()));
        let numbers: Vec<_> = formats.iter().map(|(format, _)| *format).collect();
        assert_eq!(numbers, [42, 110, 112, 11_542]);
        let link = Value::ObjectLink {
            object: 10,
            instance: 3,
        };
        let link = values(&[("/1/0/9", None, link)]);
        let formats = write("/1/0/9", &link, Lwm2mVersion::V1_0);
        assert_eq!(formats[0], (0, b"10:3".to_vec()));
    }

    #[test]
    fn an_instance_is_written_in_the_format_of_the_devices_version() {
        let several = values(&[
            ("/1/0/1", None, Value::Integer(300)),
            ("/1/0/6", None, Value::Boolean(true)),
        ]);
        let tlv = write("/1/0", &several, Lwm2mVersion::V1_0);
        assert_eq!(tlv[0], (11_542, b"\xc2\x01\x01\x2c\xc1\x06\x01".to_vec()));
        let json = write("/1/0", &several, Lwm2mVersion::V1_1);
        let expected = r#"[{"bn":"/1/0/","n":"1","v":300},{"n":"6","vb":true}]"#;
        assert_eq!(String::from_utf8_lossy(&json[0].1), expected);
        let instances = values(&[
            ("/3/0/16", Some(1), Value::Integer(2)),
            ("/3/0/16", Some(0), Value::Integer(1)),
        ]);
        let tlv = write("/3/0/16", &instances, Lwm2mVersion::V1_0);
        assert_eq!(tlv[0].1, b"\x86\x10\x41\x00\x01\x41\x01\x02");
    }

    #[test]
    fn requests_have_the_methods_and_options_of_their_operations() {
        let none = Bytes::new();
        let of = |operation, path, content: &Bytes| {
            request(operation, path, content, Lwm2mVersion::V1_0, 0).unwrap()
        };
        let read = of(DeviceOperation::Read, "/3/0/9", &none);
        assert_eq!(read.options.uint(OptionNumber::ACCEPT), Some(0));
        let again = request(
            DeviceOperation::Read,
            "/3/0/9",
            &none,
            Lwm2mVersion::V1_0,
            1,
        );
        assert_eq!(again.unwrap().options.uint(OptionNumber::ACCEPT), None);
        let discover = of(DeviceOperation::Discover, "/3", &none);
        assert_eq!(discover.options.uint(OptionNumber::ACCEPT), Some(40));
        let execute = of(DeviceOperation::Execute, "/3/0/4", &none);
        assert_eq!((execute.code, execute.content_format()), (Code::POST, None));
        let with = of(
            DeviceOperation::Execute,
            "/3/0/4",
            &Bytes::from_static(b"0='x'"),
        );
        assert_eq!(with.content_format(), Some(ContentFormat::TEXT));
        let attributes = Bytes::from_static(b"pmin=10&pmax=60");
        let request = of(DeviceOperation::WriteAttributes, "/3/0/9", &attributes);
        assert_eq!(request.queries().unwrap(), ["pmin=10", "pmax=60"]);
        assert_eq!((request.code, request.payload.len()), (Code::PUT, 0));
        let partial = values(&[("/1/0/1", None, Value::Integer(300))]);
        let request = of(DeviceOperation::PartialWrite, "/1/0", &partial);
        assert_eq!(request.code, Code::POST);
    }

    #[test]
    fn tlv_of_an_instance_and_of_an_object_is_read_resource_by_resource() {
        let resources = hex::decode(DEVICE_RESOURCES).unwrap();
        let instance = hex::decode(DEVICE_INSTANCE).unwrap();
        let by_instance = read("/3/0", ContentFormat::TLV, &resources).unwrap();
        assert!(
            by_instance.contains("/3/0/0=Text(\"Open Mobile Alliance\")"),
            "{by_instance}"
        );
        assert!(
            by_instance.contains("/3/0/7/1=Integer(5000)"),
            "{by_instance}"
        );
        let by_object = read("/3", ContentFormat::TLV, &instance).unwrap();
        assert_eq!(by_object, by_instance);
        assert_eq!(
            read("/3", ContentFormat::TLV, &resources).unwrap(),
            by_instance
        );
        let one = read("/3/0/9", ContentFormat::TLV, &resources).unwrap();
        assert_eq!(one, "/3/0/9=Integer(100)");
    }

    #[test]
    fn other_formats_are_read_as_they_say() {
        let json =
            br#"[{"bn":"/3/0/","n":"9","v":87},{"n":"6/0","v":1},{"bn":"/4/0/","n":"2","v":1}]"#;
        let read_json = read("/3/0", ContentFormat::SENML_JSON, json).unwrap();
        assert_eq!(read_json, "/3/0/9=Integer(87) /3/0/6/0=Integer(1)");
        let text = read("/3303/0/5700", ContentFormat::TEXT, b"21.5").unwrap();
        assert_eq!(text, "/3303/0/5700=Float(21.5)");
        let refused = read("/3/0", ContentFormat::TEXT, b"21.5");
        assert_eq!(refused, Err(ValueError::NotAResource));
    }
}
