//! `cast` and its rules: Go's strconv where text is read.

use edgeward_sql::ast::Expr;

use super::{inconvertible, text};
use crate::Value;
use crate::error::{Error, Result};
use crate::format::plain_text;
use crate::registry::Type::{Any, StrLiteral};
use crate::registry::{Context, Function};
use crate::time::to_timestamp;

pub(crate) const FUNCTIONS: &[Function] =
    &[Function::scalar("cast", (2, 2), &[Any, StrLiteral], |args, context| to(&args[0], &text(args, 1), context))
        .literals(|args| match args.get(1) {
            Some(Expr::Str(kind)) if KINDS.contains(&kind.as_str()) => Ok(()),
            _ => Err(
                "Expect one of following value for the 2nd parameter: bigint, float, string, boolean, datetime, bytea.",
            ),
        })];

const KINDS: [&str; 6] = ["bigint", "float", "string", "boolean", "datetime", "bytea"];

/// Converts a value to a kind of column.
///
/// # Errors
/// `cannot convert T(v) to …`
pub(super) fn to(value: &Value, kind: &str, context: &Context) -> Result<Value> {
    match kind {
        "bigint" => to_int(value).map(Value::Int),
        "float" => to_float(value).map(Value::Float),
        "string" => match value {
            Value::Array(_) | Value::Map(_) => Err(inconvertible(value, "string")),
            _ => Ok(Value::str(&*plain_text(value))),
        },
        "boolean" => to_bool(value).map(Value::Bool),
        "bytea" => match value {
            Value::Bytes(_) => Ok(value.clone()),
            Value::Str(text) => Ok(Value::bytes(text.as_bytes().to_vec())),
            _ => Err(inconvertible(value, "bytes")),
        },
        "datetime" => to_timestamp(value, &context.zone).map(Value::Time),
        _ => Err(Error::call("unknow type, only support bigint, float, string, boolean and datetime")),
    }
}

/// An integer from any value that has one: floats lose their fraction, texts may have Go's prefixes (`0x1f`, `0b1`, `0o7`, `1_000`).
fn to_int(value: &Value) -> Result<i64> {
    match value {
        Value::Int(int) => Ok(*int),
        // Go on amd64 makes the least integer of what does not fit.
        Value::Float(float) if !(i64::MIN as f64..-(i64::MIN as f64)).contains(float) => Ok(i64::MIN),
        Value::Float(float) => Ok(*float as i64),
        Value::Bool(bool) => Ok(i64::from(*bool)),
        Value::Str(text) => parse_int(text).ok_or_else(|| inconvertible(value, "int64")),
        _ => Err(inconvertible(value, "int64")),
    }
}

/// `strconv.ParseInt(text, 0, 64)`.
fn parse_int(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // Underscores stand between digits, or after the prefix.
    let plain = body.replace('_', "");
    let misplaced = body.ends_with('_') || body.contains("__") || (radix == 10 && body.starts_with('_'));
    if misplaced || !plain.starts_with(|char: char| char.is_digit(radix)) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{plain}"), radix).ok()
}

/// A float from any value that has one.
///
/// # Errors
/// `cannot convert T(v) to float64`
pub(super) fn to_float(value: &Value) -> Result<f64> {
    match value {
        Value::Int(_) | Value::Float(_) => Ok(value.as_f64().unwrap_or_default()),
        Value::Bool(bool) => Ok(f64::from(u8::from(*bool))),
        Value::Str(text) => parse_float(text).ok_or_else(|| inconvertible(value, "float64")),
        _ => Err(inconvertible(value, "float64")),
    }
}

/// `strconv.ParseFloat`, which refuses what overflows.
fn parse_float(text: &str) -> Option<f64> {
    let float: f64 = text.parse().ok()?;
    let infinite = text.to_ascii_lowercase().contains("inf");
    (float.is_finite() || float.is_nan() || infinite).then_some(float)
}

/// `strconv.ParseBool` for texts; numbers are true unless zero.
fn to_bool(value: &Value) -> Result<bool> {
    match value {
        Value::Bool(bool) => Ok(*bool),
        Value::Int(int) => Ok(*int != 0),
        Value::Float(float) => Ok(*float != 0.0),
        Value::Str(text) => match &**text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            _ => Err(inconvertible(value, "bool")),
        },
        _ => Err(inconvertible(value, "bool")),
    }
}
