//! Values as test cases write them.

use base64::Engine as _;
use edgeward_functions::{Map, Value, time};
use jiff::tz::TimeZone;

/// A value of a case that means nothing.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
#[error("{0}")]
pub struct CaseValueError(pub String);

/// Reads a value: a whole number is an integer, a number with a point or exponent a float; `{"$float": …}`, `{"$bytes": …}` and
/// `{"$time": …}` stand for what JSON cannot say.
///
/// # Errors
/// An integer beyond 64 bits, or a `$` form that is wrong.
pub fn from_json(json: &serde_json::Value) -> Result<Value, CaseValueError> {
    use serde_json::Value as Json;
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Value::Int(int),
            (None, Some(float)) if number.is_f64() => Value::Float(float),
            _ => return Err(CaseValueError(format!("integer {number} does not fit 64 bits"))),
        },
        Json::String(text) => Value::str(text.as_str()),
        Json::Array(items) => Value::array(items.iter().map(from_json).collect::<Result<_, _>>()?),
        Json::Object(object) => match object.iter().next() {
            Some((key, inner)) if object.len() == 1 && key.starts_with('$') => special(key, inner)?,
            _ => Value::map(
                object
                    .iter()
                    .map(|(key, value)| Ok((key.as_str().into(), from_json(value)?)))
                    .collect::<Result<Map, _>>()?,
            ),
        },
    })
}

fn special(key: &str, inner: &serde_json::Value) -> Result<Value, CaseValueError> {
    let wrong = || CaseValueError(format!("{key}: {inner} is not understood"));
    Ok(match (key, inner.as_str()) {
        ("$float", Some("NaN")) => Value::Float(f64::NAN),
        ("$float", Some("+Inf")) => Value::Float(f64::INFINITY),
        ("$float", Some("-Inf")) => Value::Float(f64::NEG_INFINITY),
        ("$float", None) => Value::Float(inner.as_f64().ok_or_else(wrong)?),
        ("$bytes", Some(text)) => {
            Value::bytes(base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| wrong())?)
        }
        ("$time", Some(text)) => Value::Time(time::guess(text, &TimeZone::UTC).ok_or_else(wrong)?),
        ("$time", None) => Value::time_ms(inner.as_i64().ok_or_else(wrong)?),
        _ => return Err(wrong()),
    })
}
