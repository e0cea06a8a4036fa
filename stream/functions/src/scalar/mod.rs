//! Scalar functions, one file per family.

mod array;
mod cast;
mod datetime;
mod hash;
mod json;
mod json_path;
mod math;
mod misc;
mod object;
mod string;

use crate::error::{Error, Result};
use crate::format::GoText;
use crate::registry::{Args, Function};
use crate::{Map, Value};

pub(crate) const FAMILIES: &[&[Function]] = &[
    array::FUNCTIONS,
    cast::FUNCTIONS,
    datetime::FUNCTIONS,
    hash::FUNCTIONS,
    json::FUNCTIONS,
    math::FUNCTIONS,
    misc::FUNCTIONS,
    object::FUNCTIONS,
    string::FUNCTIONS,
];

/// Most items or bytes a function may make out of a small argument (`repeat`, `sequence`, `lpad`).
const MAX_MADE: i64 = 1_000_000;

fn wrong(args: &Args<'_>, index: usize, expected: &str) -> Error {
    let value = &*args[index];
    Error::call(format!(
        "Expect {expected} type for parameter {} but found {}({})",
        index + 1,
        value.type_name(),
        GoText(value)
    ))
}

/// An integer argument; a whole float is taken too, because JSON numbers are floats.
fn int(args: &Args<'_>, index: usize) -> Result<i64> {
    match &*args[index] {
        Value::Int(int) => Ok(*int),
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 9.2e18 => Ok(*float as i64),
        _ => Err(wrong(args, index, "int")),
    }
}

/// An integer argument that says how much to make.
fn amount(args: &Args<'_>, index: usize) -> Result<usize> {
    let amount = int(args, index)?;
    if amount > MAX_MADE {
        return Err(Error::call(format!("parameter {} is {amount}, at most {MAX_MADE} is allowed", index + 1)));
    }
    Ok(usize::try_from(amount).unwrap_or(0))
}

/// A number argument of either kind as a float.
fn number(args: &Args<'_>, index: usize) -> Result<f64> {
    args[index].as_f64().ok_or_else(|| wrong(args, index, "number - float or int"))
}

/// A text argument; other types are shown as text.
fn text<'a>(args: &'a Args<'_>, index: usize) -> std::borrow::Cow<'a, str> {
    match &*args[index] {
        Value::Str(text) => std::borrow::Cow::Borrowed(text),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes),
        other => std::borrow::Cow::Owned(GoText(other).to_string()),
    }
}

fn array<'a>(args: &'a Args<'_>, index: usize) -> Result<&'a [Value]> {
    args[index].as_array().ok_or_else(|| wrong(args, index, "array"))
}

fn map<'a>(args: &'a Args<'_>, index: usize) -> Result<&'a Map> {
    args[index].as_map().map(|map| &**map).ok_or_else(|| wrong(args, index, "map[string]interface{}"))
}

#[cfg(test)]
mod tests;
