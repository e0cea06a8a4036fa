//! Values as test cases write them.

use base64::Engine as _;
use edgeward_functions::format::FloatText;
use edgeward_functions::json::{Printer, write_string};
use edgeward_functions::{Map, Value};

/// Objects with one of these keys are values JSON has no form for. `$number` is one that 64 bits cannot hold.
const SPECIAL: [&str; 4] = ["$float", "$bytes", "$time", "$number"];

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
            (None, Some(float)) if number.is_f64() && float.is_finite() => Value::Float(float),
            _ => return Err(CaseValueError(format!("integer {number} does not fit 64 bits"))),
        },
        Json::String(text) => Value::str(text.as_str()),
        Json::Array(items) => Value::array(items.iter().map(from_json).collect::<Result<_, _>>()?),
        Json::Object(object) => match object.iter().next() {
            Some((key, inner)) if object.len() == 1 && SPECIAL.contains(&key.as_str()) => special(key, inner)?,
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
    if key == "$number" {
        return Err(CaseValueError(format!("number {inner} does not fit 64 bits")));
    }
    Ok(match (key, inner.as_str()) {
        ("$float", Some("NaN")) => Value::Float(f64::NAN),
        ("$float", Some("+Inf")) => Value::Float(f64::INFINITY),
        ("$float", Some("-Inf")) => Value::Float(f64::NEG_INFINITY),
        ("$float", None) => Value::Float(inner.as_f64().ok_or_else(wrong)?),
        ("$bytes", Some(text)) => {
            Value::bytes(base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| wrong())?)
        }
        ("$time", Some(text)) => Value::Time(text.parse().map_err(|_| wrong())?),
        ("$time", None) => Value::time_ms(inner.as_i64().ok_or_else(wrong)?),
        _ => return Err(wrong()),
    })
}

/// The JSON text of a value: as eKuiper's JSON sink prints it, or with `types` so that every type can be told.
///
/// # Errors
/// NaN and the infinities, without `types`.
pub(crate) fn write(value: &Value, printer: &Printer, types: bool) -> Result<String, String> {
    if !types {
        return printer.text(value).map_err(|error| error.to_string());
    }
    let mut out = Vec::new();
    typed(value, printer, &mut out).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn typed(value: &Value, printer: &Printer, out: &mut Vec<u8>) -> Result<(), edgeward_functions::json::Unprintable> {
    match value {
        Value::Float(float) if float.is_nan() => out.extend_from_slice(b"{\"$float\":\"NaN\"}"),
        Value::Float(float) if float.is_infinite() => {
            let sign = if *float > 0.0 { '+' } else { '-' };
            out.extend_from_slice(format!("{{\"$float\":\"{sign}Inf\"}}").as_bytes());
        }
        Value::Float(float) => {
            let text = FloatText::json(*float);
            out.extend_from_slice(text.as_str().as_bytes());
            if !text.as_str().contains(['.', 'e']) {
                out.extend_from_slice(b".0");
            }
        }
        Value::Bytes(_) => wrapped("$bytes", value, printer, out)?,
        Value::Time(time) if time.subsec_nanosecond() % 1_000_000 == 0 => {
            out.extend_from_slice(format!("{{\"$time\":{}}}", time.as_millisecond()).as_bytes());
        }
        Value::Time(_) => wrapped("$time", value, printer, out)?,
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                typed(item, printer, out)?;
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.push(b'{');
            for (index, (key, item)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                typed(item, printer, out)?;
            }
            out.push(b'}');
        }
        other => printer.write(other, out)?,
    }
    Ok(())
}

fn wrapped(
    key: &str,
    value: &Value,
    printer: &Printer,
    out: &mut Vec<u8>,
) -> Result<(), edgeward_functions::json::Unprintable> {
    out.extend_from_slice(format!("{{\"{key}\":").as_bytes());
    printer.write(value, out)?;
    out.push(b'}');
    Ok(())
}
