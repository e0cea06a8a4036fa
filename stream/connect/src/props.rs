//! Reading the properties of sources and sinks.

use serde_json::{Map, Value};

use crate::ConnectError;

/// Properties as they stand in a rule's action, a stream's EXTRA or a configuration section. Names match without regard
/// to case, as eKuiper's do; later layers override earlier ones.
#[derive(Debug, Clone, Default)]
pub struct Props(Map<String, Value>);

impl Props {
    /// Properties of one JSON object.
    pub fn new(values: Map<String, Value>) -> Props {
        Props(values)
    }

    /// Lays `values` over these properties.
    #[must_use]
    pub fn overlaid(mut self, values: Map<String, Value>) -> Props {
        for (key, value) in values {
            self.0.retain(|known, _| !known.eq_ignore_ascii_case(&key));
            self.0.insert(key, value);
        }
        self
    }

    /// All of them.
    pub fn all(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The value of a property; null counts as absent.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let exact = self.0.get(key);
        let found =
            exact.or_else(|| self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value));
        found.filter(|value| !value.is_null())
    }

    /// A text property; empty text counts as absent.
    ///
    /// # Errors
    /// It is not text, or holds a Go template.
    pub fn text(&self, key: &str) -> Result<Option<&str>, ConnectError> {
        match self.raw_text(key)? {
            Some(text) if text.contains("{{") => Err(ConnectError::Unsupported(format!("{key} with a template"))),
            text => Ok(text),
        }
    }

    /// A text property that may hold a template; empty text counts as absent.
    ///
    /// # Errors
    /// It is not text.
    pub fn raw_text(&self, key: &str) -> Result<Option<&str>, ConnectError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(other) => Err(wrong(key, "string", other)),
        }
    }

    /// A true or false property; false when absent.
    ///
    /// # Errors
    /// It is neither.
    pub fn flag(&self, key: &str) -> Result<bool, ConnectError> {
        Ok(self.flag_if_set(key)?.unwrap_or(false))
    }

    /// A true or false property.
    ///
    /// # Errors
    /// It is neither.
    pub fn flag_if_set(&self, key: &str) -> Result<Option<bool>, ConnectError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(wrong(key, "bool", other)),
        }
    }

    /// A whole number of at least 0.
    ///
    /// # Errors
    /// It is not one.
    pub fn number(&self, key: &str) -> Result<Option<u64>, ConnectError> {
        let whole = |value: &Value| {
            let float = value.as_f64().filter(|float| float.fract() == 0.0 && (0.0..9e15).contains(float));
            value.as_u64().or(float.map(|float| float as u64))
        };
        match self.get(key) {
            None => Ok(None),
            Some(value) => whole(value).map(Some).ok_or_else(|| wrong(key, "int", value)),
        }
    }

    /// A duration in ms: Go text (`1m30s`) or a whole number of ms.
    ///
    /// # Errors
    /// It is neither.
    pub fn duration_ms(&self, key: &'static str) -> Result<Option<u64>, ConnectError> {
        match self.get(key) {
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => parse_duration_ms(text)
                .map(Some)
                .ok_or_else(|| ConnectError::Invalid { key, reason: format!("time: invalid duration {text:?}") }),
            _ => self.number(key),
        }
    }

    /// A list of texts.
    ///
    /// # Errors
    /// It is no list, or holds something else.
    pub fn list(&self, key: &str) -> Result<Vec<String>, ConnectError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let Value::Array(items) = value else { return Err(wrong(key, "[]string", value)) };
        let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(|| wrong(key, "string", item));
        items.iter().map(text).collect()
    }

    /// Refuses properties that eKuiper has and this version does not; false, zero, empty and absent ones ask for nothing.
    ///
    /// # Errors
    /// One of them is set.
    pub fn refuse(&self, keys: &[&str]) -> Result<(), ConnectError> {
        let asks = |value: &Value| match value {
            Value::Null => false,
            Value::Bool(flag) => *flag,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(map) => !map.is_empty(),
        };
        match keys.iter().find(|key| self.get(key).is_some_and(asks)) {
            Some(key) => Err(ConnectError::Unsupported((*key).to_owned())),
            None => Ok(()),
        }
    }
}

fn wrong(key: &str, expected: &'static str, value: &Value) -> ConnectError {
    let found = match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    ConnectError::WrongType { key: key.to_owned(), expected, found, value }
}

/// Milliseconds of a Go duration: decimal numbers with units `ns us ms s m h`, not negative. Parts below a millisecond are
/// cut off.
pub fn parse_duration_ms(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0.0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_end = rest.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..unit_end] {
                "ns" => 1e-6,
                "us" | "µs" | "μs" => 1e-3,
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 60e3,
                "h" => 3600e3,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    // 292 years, Go's longest duration.
    (total < 9.2e12).then_some((total + 1e-6) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn props(value: Value) -> Props {
        Props::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn reads_go_durations() {
        for (text, expect) in [
            ("0", Some(0)),
            ("1s", Some(1_000)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            (".5s", Some(500)),
            ("100ms20us", Some(100)),
            ("", None),
            ("5", None),
            ("-1s", None),
            ("1x", None),
            ("1.2.3s", None),
            ("9999999h", None),
        ] {
            assert_eq!(parse_duration_ms(text), expect, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_duration_or_not(text in ".*") {
            let _ = parse_duration_ms(&text);
        }
    }

    #[test]
    fn reads_properties_as_ekuiper_does() {
        let props = props(
            json!({"Server": "tcp://a", "qos": 1.0, "n": null, "on": true, "linger": "2s", "wait": 30, "fields": ["a"]}),
        );
        assert_eq!(props.text("server"), Ok(Some("tcp://a")));
        assert_eq!(props.number("QOS"), Ok(Some(1)));
        assert_eq!((props.number("n"), props.flag("on"), props.flag("off")), (Ok(None), Ok(true), Ok(false)));
        assert_eq!((props.duration_ms("linger"), props.duration_ms("wait")), (Ok(Some(2_000)), Ok(Some(30))));
        assert_eq!(props.list("fields"), Ok(vec!["a".to_owned()]));
        let overlaid = props.overlaid(json!({"SERVER": "tcp://b"}).as_object().unwrap().clone());
        assert_eq!(overlaid.text("server"), Ok(Some("tcp://b")));
        assert_eq!(
            overlaid.flag("server").unwrap_err().to_string(),
            "'server' expected type 'bool', got unconvertible type 'string', value: 'tcp://b'"
        );
        assert!(overlaid.number("linger").is_err() && overlaid.list("qos").is_err());
    }

    #[test]
    fn refuses_what_is_set_and_not_built() {
        for (value, refused) in
            [(json!(""), false), (json!(false), false), (json!(0), false), (json!("x"), true), (json!(1), true)]
        {
            assert_eq!(props(json!({"dataTemplate": value})).refuse(&["dataTemplate"]).is_err(), refused);
        }
    }
}
