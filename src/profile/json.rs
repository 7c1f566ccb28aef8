//! JSON within bounds, and with every key once: of two values under one key a reader would take
//! either.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::error::ProfileError;
use super::limits::ProfileLimits;

/// Parses one JSON text, which may begin with a byte order mark; `file` is for the error.
pub(super) fn parse(
    file: &str,
    text: &[u8],
    limits: &ProfileLimits,
) -> Result<Value, ProfileError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let values_left = Cell::new(limits.values_max);
    let bounded = Bounded {
        depth_left: limits.depth_max,
        values_left: &values_left,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let parsed = bounded
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let reason = error.to_string();
        // The place has fields of its own.
        let place = format!(" at line {line} column {column}");
        ProfileError::Json {
            file: file.to_owned(),
            line,
            column,
            reason: reason.strip_suffix(&place).unwrap_or(&reason).to_owned(),
        }
    })
}

/// One value, and how much it may still hold.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    depth_left: usize,
    values_left: &'a Cell<usize>,
}

impl Bounded<'_> {
    fn inner<E: Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(E::custom("objects and lists lie too deep in one another")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.values_left.get().checked_sub(1) {
            Some(left) => self.values_left.set(left),
            None => return Err(D::Error::custom("it has too many values")),
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if values.contains_key(&key) {
                let key: String = key.chars().take(80).collect();
                let reason = format!("the key {key:?} is there twice in one object");
                return Err(A::Error::custom(reason));
            }
            let value = object.next_value_seed(inner)?;
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(text: &str, limits: &ProfileLimits) -> String {
        parse("f", text.as_bytes(), limits).unwrap_err().to_string()
    }

    #[test]
    fn values_are_kept_as_they_came() {
        let text = "\u{feff}{\"a\":[null,true,-1,1.5,\"0\",{\"x\":{}}],\"b\":18446744073709551615}";
        let expected = json!({"a": [null, true, -1, 1.5, "0", {"x": {}}], "b": u64::MAX});
        let parsed = parse("f", text.as_bytes(), &ProfileLimits::default());
        assert_eq!(parsed, Ok(expected));
    }

    #[test]
    fn a_fault_is_told_with_its_line() {
        let limits = ProfileLimits::default();
        assert_eq!(
            refusal("{\n  \"a\": trx\n}", &limits),
            "f, line 2, column 10: expected ident"
        );
        assert_eq!(
            refusal("{\"a\":1,\n\"a\":2}", &limits),
            "f, line 2, column 3: the key \"a\" is there twice in one object"
        );
        assert!(refusal("{}\n{}", &limits).starts_with("f, line 2, column 1: trailing"));
        assert!(refusal("", &limits).starts_with("f, line 1, column 0: EOF"));
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let limits = ProfileLimits {
            depth_max: 3,
            values_max: 4,
            ..ProfileLimits::default()
        };
        assert!(parse("f", b"[[[]]]", &limits).is_ok());
        assert!(refusal("[[[[]]]]", &limits).contains("too deep"));
        assert!(parse("f", b"[1,2,3]", &limits).is_ok());
        assert!(refusal("[1,2,3,4]", &limits).contains("too many values"));
        let deep = "[".repeat(1 << 20);
        assert!(refusal(&deep, &ProfileLimits::default()).contains("too deep"));
    }
}
