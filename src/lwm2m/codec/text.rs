//! text/plain values (LwM2M 1.0 §6.4.1).

use crate::lwm2m::value::{DataType, Value, ValueError};

/// Reads the text of a value of this type.
pub(in crate::lwm2m) fn decode(data_type: DataType, payload: &[u8]) -> Result<Value, ValueError> {
    let text = std::str::from_utf8(payload).map_err(|_| ValueError::NotText)?;
    match data_type {
        DataType::Integer | DataType::Float => parse_number(text),
        DataType::Boolean => match text {
            "0" | "false" => Ok(Value::Boolean(false)),
            "1" | "true" => Ok(Value::Boolean(true)),
            _ => Err(ValueError::NotANumber),
        },
        // Some modules send the terminator of their C string along.
        DataType::Text | DataType::Unknown => Ok(Value::Text(text.trim_end_matches('\0').into())),
        // The standard wants base64 here; modules send the bytes themselves (carrier flows §3.7).
        DataType::Opaque => Ok(Value::Opaque(payload.to_vec().into())),
    }
}

/// Writes a value as text.
pub(in crate::lwm2m) fn encode(value: &Value) -> Vec<u8> {
    match value {
        Value::Text(text) => text.clone().into_bytes(),
        Value::Integer(integer) => integer.to_string().into_bytes(),
        Value::Float(float) => float.to_string().into_bytes(),
        Value::Boolean(boolean) => u8::from(*boolean).to_string().into_bytes(),
        Value::Opaque(bytes) => bytes.to_vec(),
        Value::ObjectLink { object, instance } => format!("{object}:{instance}").into_bytes(),
    }
}

/// A whole number, or one with a fraction: some modules report radio values so.
fn parse_number(text: &str) -> Result<Value, ValueError> {
    let text = text.trim_matches(|c: char| c == '\0' || c.is_ascii_whitespace());
    if let Ok(integer) = text.parse() {
        return Ok(Value::Integer(integer));
    }
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() => Ok(Value::Float(float)),
        Ok(_) | Err(_) => Err(ValueError::NotANumber),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_modules_write_them() {
        for (text, number) in [("3", 3), ("-97", -97), ("+7", 7), (" 12\n", 12), ("5\0", 5)] {
            let value = decode(DataType::Integer, text.as_bytes());
            assert_eq!(value, Ok(Value::Integer(number)), "{text:?}");
        }
        let value = decode(DataType::Integer, b"-97.5");
        assert_eq!(value, Ok(Value::Float(-97.5)));
        for text in ["", "x", "3 dBm", "NaN", "inf", "0x3"] {
            let value = decode(DataType::Integer, text.as_bytes());
            assert_eq!(value, Err(ValueError::NotANumber), "{text:?}");
        }
    }

    #[test]
    fn a_text_keeps_its_blanks_and_loses_its_terminator() {
        let value = decode(DataType::Text, b" V1.0 \0\0");
        assert_eq!(value, Ok(Value::Text(" V1.0 ".into())));
        assert_eq!(decode(DataType::Text, b"\xff"), Err(ValueError::NotText));
    }
}
