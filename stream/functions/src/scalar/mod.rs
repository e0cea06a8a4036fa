//! Scalar functions, one file per family.

mod array;
mod cast;
mod datetime;
mod hash;
mod json;
mod json_filter;
mod json_path;
mod math;
mod misc;
mod object;
mod string;

use crate::error::{Error, Result};
use crate::format::{GoText, plain_text};
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

/// `cannot convert T(v) to KIND`, as eKuiper's casts say.
fn inconvertible(value: &Value, kind: &str) -> Error {
    Error::call(format!("cannot convert {}({}) to {kind}", value.type_name(), GoText(value)))
}

/// An integer argument. A float is none, not even a whole one: JSON numbers need a schema to be indexes.
fn int(args: &Args<'_>, index: usize) -> Result<i64> {
    args[index].as_i64().ok_or_else(|| inconvertible(&args[index], "int"))
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
    args[index].as_f64().ok_or_else(|| inconvertible(&args[index], "float64"))
}

/// A text argument; other types are shown as text.
fn text<'a>(args: &'a Args<'_>, index: usize) -> std::borrow::Cow<'a, str> {
    plain_text(&args[index])
}

/// An array argument.
fn array<'a>(args: &'a Args<'_>, index: usize) -> Result<&'a [Value]> {
    args[index]
        .as_array()
        .ok_or_else(|| Error::call(format!("{} argument should be array of interface{{}}", ordinal(index))))
}

/// A map argument.
fn map<'a>(args: &'a Args<'_>, index: usize) -> Result<&'a Map> {
    let map = args[index].as_map().map(|map| &**map);
    map.ok_or_else(|| Error::call("the argument should be map[string]interface{}"))
}

/// How errors count arguments.
fn ordinal(index: usize) -> &'static str {
    ["first", "second", "third", "fourth"].get(index).copied().unwrap_or("last")
}

#[cfg(test)]
mod tests;
