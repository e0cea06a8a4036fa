//! `a[i]` and `a[from:to]`, with the texts of eKuiper 2.4.

use edgeward_functions::format::GoText;
use edgeward_functions::{Error, Value};

/// What eKuiper writes for an end that is not given.
const OPEN: i64 = i32::MIN as i64;

type Result<T> = std::result::Result<T, Error>;

/// An item of an array, counted from the end when negative.
pub(super) fn index(base: &Value, index: &Value) -> Result<Value> {
    let at = whole(index, "index")?;
    match base {
        Value::Nil => Ok(Value::Nil),
        Value::Array(items) => {
            let place = place(items.len(), at, "")?;
            items.get(place).cloned().ok_or_else(|| outside("", at, items.len()))
        }
        other => Err(refused(other, at, at)),
    }
}

/// The items from `from` up to before `to`, each counted from the end when negative.
pub(super) fn slice(base: &Value, from: Option<&Value>, to: Option<&Value>) -> Result<Value> {
    let from = from.map_or(Ok(0), |from| whole(from, "colon start"))?;
    let to = to.map_or(Ok(OPEN), |to| whole(to, "colon end"))?;
    let items = match base {
        Value::Nil => return Ok(Value::Nil),
        Value::Array(items) => items,
        other => return Err(refused(other, from, to)),
    };
    let start = place(items.len(), from, "start value is ")?;
    if start >= items.len() {
        return Err(outside("start value is ", from, items.len()));
    }
    let end = if to == OPEN { items.len() } else { place(items.len(), to, "end value is ")? };
    if end > items.len() {
        return Err(outside("end value is ", to, items.len()));
    }
    match items.get(start..end) {
        Some(part) if !part.is_empty() => Ok(Value::array(part.to_vec())),
        _ => Err(Error::call(format!("start cannot be greater than end. start:{start}  end:{end}"))),
    }
}

/// A bound as an integer: JSON's numbers are floats.
fn whole(value: &Value, what: &str) -> Result<i64> {
    match value {
        Value::Int(int) => Ok(*int),
        Value::Float(float) if float.fract() == 0.0 => Ok(*float as i64),
        other => {
            let (kind, text) = (other.type_name(), GoText(other));
            Err(Error::call(format!("{what} {text} is not int: cannot convert {kind}({text}) to int")))
        }
    }
}

/// The place `at` means; one before the first item is an error.
fn place(length: usize, at: i64, what: &str) -> Result<usize> {
    let place = if at < 0 { at.checked_add_unsigned(length as u64) } else { Some(at) };
    let place = place.and_then(|place| usize::try_from(place).ok());
    place.ok_or_else(|| outside(if at < 0 { "" } else { what }, at, length))
}

fn outside(what: &str, at: i64, length: usize) -> Error {
    Error::call(format!("{what}out of index: {at} of {length}"))
}

/// Brackets behind something that is no array.
fn refused(base: &Value, from: i64, to: i64) -> Error {
    let (kind, text) = (base.type_name(), GoText(base));
    Error::call(match base {
        Value::Map(_) => "[] is an invalid operation for map[string]interface {}".to_string(),
        _ => format!("invalid operation {kind}({text}) [] *xsql.BracketEvalResult(&{{{from} {to}}})"),
    })
}
