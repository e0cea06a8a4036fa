//! `a[i]` and `a[from:to]`.

use edgeward_functions::{Error, Value};

/// An item of an array, counted from the end when negative, or of a map.
pub(super) fn index(base: &Value, index: &Value) -> Result<Value, Error> {
    match (base, index) {
        (Value::Nil, _) => Ok(Value::Nil),
        (Value::Array(items), Value::Int(at)) => {
            let place = position(items.len(), *at);
            let found = place.and_then(|place| items.get(place));
            found.cloned().ok_or_else(|| Error::call(format!("out of index: {at} of {}", items.len())))
        }
        (Value::Map(map), Value::Str(key)) => Ok(map.get(key).cloned().unwrap_or_default()),
        _ => Err(Error::operation(base, "[]", index)),
    }
}

/// The items from `from` up to before `to`, each counted from the end when negative.
pub(super) fn slice(base: &Value, from: Option<&Value>, to: Option<&Value>) -> Result<Value, Error> {
    let items = match base {
        Value::Nil => return Ok(Value::Nil),
        Value::Array(items) => items,
        _ => return Err(Error::operation(base, "[:]", from.unwrap_or(&Value::Nil))),
    };
    let bound = |bound: Option<&Value>, default: usize| match bound {
        None => Ok(default),
        Some(Value::Int(at)) => {
            position(items.len(), *at).ok_or_else(|| Error::call(format!("out of index: {at} of {}", items.len())))
        }
        Some(other) => Err(Error::operation(base, "[:]", other)),
    };
    let (start, end) = (bound(from, 0)?, bound(to, items.len())?);
    let part = items
        .get(start..end)
        .ok_or_else(|| Error::call(format!("out of index: [{start}:{end}] of {}", items.len())))?;
    Ok(Value::array(part.to_vec()))
}

fn position(length: usize, at: i64) -> Option<usize> {
    if at >= 0 { usize::try_from(at).ok() } else { length.checked_sub(usize::try_from(at.unsigned_abs()).ok()?) }
}
