//! The 23 array functions. An empty array counts as nil in most of them.

use std::borrow::Cow;

use edgeward_sql::ast::Expr;
use rand::seq::SliceRandom;

use super::{amount, array, inconvertible, int, ordinal};
use crate::error::{Error, Result};
use crate::format::{GoText, plain_text};
use crate::registry::Type::{Any, Array, Int, Str};
use crate::registry::{Args, Context, Function, MANY, Nulls, Run, lookup};
use crate::{Map, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::scalar("array_create", (1, MANY), &[Any], |args, _| {
        Ok(Value::array(args.iter().map(|arg| (**arg).clone()).collect()))
    })
    .miscounted("The arguments should be at least one."),
    Function::scalar("array_position", (2, 2), &[Array, Any], |args, _| {
        let found = array(args, 0)?.iter().position(|item| *item == *args[1]);
        Ok(Value::Int(found.map_or(-1, |at| at as i64)))
    })
    .nulls(Nulls::MinusOne),
    Function::scalar("array_last_position", (2, 2), &[Array, Any], |args, _| {
        let found = array(args, 0)?.iter().rposition(|item| *item == *args[1]);
        Ok(Value::Int(found.map_or(-1, |at| at as i64)))
    })
    .nulls(Nulls::MinusOne),
    Function::scalar("element_at", (2, 2), &[Any], element_at).nulls(Nulls::Empty),
    Function::scalar("array_contains", (2, 2), &[Array, Any], |args, _| {
        Ok(Value::Bool(array(args, 0)?.contains(&args[1])))
    })
    .nulls(Nulls::Empty),
    Function::scalar("array_contains_any", (2, 2), &[Array], |args, _| {
        let (one, other) = (array(args, 0)?, array(args, 1)?);
        Ok(Value::Bool(one.iter().any(|item| other.contains(item))))
    })
    .nulls(Nulls::False),
    Function::scalar("array_remove", (2, 2), &[Array, Any], |args, _| {
        Ok(Value::array(array(args, 0)?.iter().filter(|item| **item != *args[1]).cloned().collect()))
    })
    .nulls(Nulls::Empty),
    Function::scalar("array_intersect", (2, 2), &[Array], |args, _| {
        let (one, other) = (array(args, 0)?, array(args, 1)?);
        distinct(other.iter().filter(|item| one.contains(item)))
    })
    .nulls(Nulls::Empty),
    Function::scalar("array_union", (2, 2), &[Array], |args, _| {
        distinct(array(args, 0)?.iter().chain(array(args, 1)?))
    })
    .nulls(Nulls::Empty),
    Function::scalar("array_except", (2, 2), &[Array], |args, _| {
        let (one, other) = (array(args, 0)?, array(args, 1)?);
        distinct(one.iter().filter(|item| !other.contains(item)))
    })
    .nulls(Nulls::Empty),
    Function::scalar("array_max", (1, 1), &[Array], |args, _| extreme(args, f64::NEG_INFINITY, |a, b| a > b))
        .nulls(Nulls::Empty),
    Function::scalar("array_min", (1, 1), &[Array], |args, _| extreme(args, f64::INFINITY, |a, b| a < b))
        .nulls(Nulls::Empty),
    Function::scalar("repeat", (2, 2), &[Str, Int], |args, _| {
        strict_text(args, 0)?;
        if args[1].as_i64().is_none() {
            return Err(Error::call("second argument should be int"));
        }
        Ok(Value::array(vec![(*args[0]).clone(); amount(args, 1)?]))
    }),
    Function::scalar("sequence", (2, 3), &[Int], sequence),
    Function::scalar("array_cardinality", (1, 1), &[Array], cardinality).nulls(Nulls::Zero),
    Function::scalar("cardinality", (1, 1), &[Array], cardinality).nulls(Nulls::Zero),
    Function::scalar("array_flatten", (1, 1), &[Array], flatten).nulls(Nulls::Empty),
    Function::scalar("array_distinct", (1, 1), &[Array], |args, _| distinct(array(args, 0)?.iter()))
        .nulls(Nulls::Empty),
    Function::scalar("array_map", (2, 2), &[Str, Array], array_map).nulls(Nulls::Empty),
    Function::scalar("array_join", (2, 3), &[Array, Str, Str], join).nulls(Nulls::Empty),
    Function::scalar("array_shuffle", (1, 1), &[Array], |args, _| {
        let mut items = array(args, 0)?.to_vec();
        items.shuffle(&mut rand::rng());
        Ok(Value::array(items))
    })
    .nulls(Nulls::Empty),
    Function::scalar("array_sort", (1, 1), &[Array], |args, _| {
        let mut items = array(args, 0)?.to_vec();
        // By their text, as eKuiper does: 10 comes before 9.
        items.sort_by_cached_key(|item| plain_text(item).into_owned());
        Ok(Value::array(items))
    })
    .nulls(Nulls::Empty),
    Function::scalar("array_concat", (1, MANY), &[Array], concat).miscounted("The arguments should be at least one."),
    Function::scalar("kvpair_array_to_obj", (1, 1), &[Array], pairs_to_object).nulls(Nulls::Empty),
];

fn distinct<'a>(items: impl Iterator<Item = &'a Value>) -> Result<Value> {
    let mut seen = std::collections::HashSet::new();
    // The type is part of the key: 1 and 1.0 and "1" are three values.
    let fresh = items.filter(|item| seen.insert(format!("{}:{}", item.type_name(), GoText(item)))).cloned();
    Ok(Value::array(fresh.collect()))
}

/// An argument that must be text already.
fn strict_text<'a>(args: &'a Args<'_>, index: usize) -> Result<&'a str> {
    args[index].as_str().ok_or_else(|| Error::call(format!("{} argument should be string", ordinal(index))))
}

fn element_at(args: &Args<'_>, _: &Context) -> Result<Value> {
    match &*args[0] {
        Value::Map(map) => Ok(map.get(strict_text(args, 1)?).cloned().unwrap_or_default()),
        Value::Array(items) => {
            let index = args[1].as_i64().ok_or_else(|| Error::call("second argument should be int"))?;
            let at = if index < 0 { index + items.len() as i64 } else { index };
            let found = usize::try_from(at).ok().and_then(|at| items.get(at));
            found.cloned().ok_or_else(|| Error::call("index out of range"))
        }
        _ => Err(Error::call("first argument should be []interface{} or map[string]interface{}")),
    }
}

/// The greatest or least item by its number; texts of numbers count too. An item that is nil makes nil.
fn extreme(args: &Args<'_>, worst: f64, better: fn(f64, f64) -> bool) -> Result<Value> {
    let items = array(args, 0)?;
    let (mut best, mut found) = (worst, &Value::Nil);
    for item in items {
        if item.is_nil() {
            return Ok(Value::Nil);
        }
        let number = super::cast::to_float(item)
            .map_err(|_| Error::call("array contain elements that are not numeric or Boolean"))?;
        if better(number, best) {
            (best, found) = (number, item);
        }
    }
    Ok(found.clone())
}

fn sequence(args: &Args<'_>, _: &Context) -> Result<Value> {
    if let Some(index) = args.iter().position(|arg| arg.as_i64().is_none()) {
        return Err(Error::call(format!("{} argument should be int", ordinal(index))));
    }
    let (start, stop) = (int(args, 0)?, int(args, 1)?);
    let step = match args.get(2) {
        Some(_) => int(args, 2)?,
        None if start <= stop => 1,
        None => -1,
    };
    if step == 0 {
        return Err(Error::call("invalid step: should not be zero"));
    }
    let count = ((i128::from(stop) - i128::from(start)) / i128::from(step) + 1).max(0);
    if count > i128::from(super::MAX_MADE) {
        return Err(Error::call(format!("sequence of {count} items, at most {} are allowed", super::MAX_MADE)));
    }
    Ok(Value::array((0..count as i64).map(|index| Value::Int(start + index * step)).collect()))
}

fn cardinality(args: &Args<'_>, _: &Context) -> Result<Value> {
    Ok(Value::Int(array(args, 0)?.len() as i64))
}

fn flatten(args: &Args<'_>, _: &Context) -> Result<Value> {
    let mut items = Vec::new();
    for item in array(args, 0)? {
        items.extend_from_slice(item.as_array().ok_or_else(|| Error::call("array elements should be array"))?);
    }
    Ok(Value::array(items))
}

fn concat(args: &Args<'_>, _: &Context) -> Result<Value> {
    let mut items = Vec::new();
    for index in 0..args.len() {
        items.extend_from_slice(array(args, index)?);
    }
    Ok(Value::array(items))
}

fn array_map(args: &Args<'_>, context: &Context) -> Result<Value> {
    let name = strict_text(args, 0)?;
    // Unlike a call in SQL this is looked up as it is written.
    let found = lookup(name).filter(|_| !name.contains(|char: char| char.is_ascii_uppercase()));
    let function = found.ok_or_else(|| Error::call(format!("unknown built-in function: {name}.")))?;
    if !matches!(function.run, Run::Scalar(_)) {
        return Err(Error::call("first argument should be a scalar function."));
    }
    if function.check(&[Expr::Wildcard(None)]).is_err() {
        return Err(Error::call("validate function arguments failed."));
    }
    let items = array(args, 1)?.iter();
    let mapped: Result<Vec<Value>> = items.map(|item| function.run_scalar(&[Cow::Borrowed(item)], context)).collect();
    mapped.map(Value::array)
}

/// Texts with a delimiter between them; nil items are left out unless there is a text for them.
fn join(args: &Args<'_>, _: &Context) -> Result<Value> {
    let (items, delimiter) = (array(args, 0)?, strict_text(args, 1)?);
    let missing = if args.len() > 2 { strict_text(args, 2)? } else { "" };
    let mut parts = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Value::Nil if missing.is_empty() => {}
            Value::Nil => parts.push(missing),
            Value::Str(text) => parts.push(text),
            _ => return Err(Error::call("array elements should be string")),
        }
    }
    Ok(Value::str(parts.join(delimiter)))
}

fn pairs_to_object(args: &Args<'_>, _: &Context) -> Result<Value> {
    let mut object = Map::new();
    for item in array(args, 0)? {
        let pair = item.as_map().ok_or_else(|| inconvertible(item, "map[string]interface {}"))?;
        let (Some(Value::Str(key)), Some(value)) = (pair.get("key"), pair.get("value")) else {
            return Err(Error::call("each item must be an object with key and value"));
        };
        object.insert(key.clone(), value.clone());
    }
    Ok(Value::map(object))
}
