//! The 11 object functions.

use std::sync::Arc;

use super::map;
use crate::error::{Error, Result};
use crate::format::{GoText, plain_text};
use crate::registry::Type::Any;
use crate::registry::{Args, Context, Function, MANY, Nulls};
use crate::{Map, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::scalar("keys", (1, 1), &[Any], |args, _| {
        Ok(Value::array(map(args, 0)?.keys().map(|key| Value::Str(key.clone())).collect()))
    })
    .nulls(Nulls::Empty),
    Function::scalar("values", (1, 1), &[Any], |args, _| Ok(Value::array(map(args, 0)?.values().cloned().collect())))
        .nulls(Nulls::Empty),
    Function::scalar("items", (1, 1), &[Any], |args, _| {
        let pair = |(key, value): (&Arc<str>, &Value)| Value::array(vec![Value::Str(key.clone()), value.clone()]);
        Ok(Value::array(map(args, 0)?.iter().map(pair).collect()))
    })
    .nulls(Nulls::Empty),
    Function::scalar("object", (2, 2), &[Any], object).nulls(Nulls::Empty),
    Function::scalar("zip", (1, 1), &[Any], zip).nulls(Nulls::Empty),
    Function::scalar("object_concat", (2, MANY), &[Any], concat)
        .miscounted("the argument number should be at least 2, got %d"),
    Function::scalar("object_construct", (0, MANY), &[Any], construct)
        .nulls(Nulls::Seen)
        .literals(|args| if args.len().is_multiple_of(2) { Ok(()) } else { Err("the args must be key value pairs") }),
    Function::scalar("erase", (2, 2), &[Any], |args, _| select(args, false))
        .nulls(Nulls::Empty)
        .miscounted("the argument number should be 2, got %d"),
    Function::scalar("object_pick", (2, MANY), &[Any], |args, _| select(args, true))
        .nulls(Nulls::Empty)
        .miscounted("the argument number should be at least 2, got %d"),
    Function::scalar("object_size", (1, 1), &[Any], |args, _| Ok(Value::Int(map(args, 0)?.len() as i64)))
        .nulls(Nulls::Zero),
    Function::scalar("obj_to_kvpair_array", (1, 1), &[Any], |args, _| {
        let pair = |(key, value): (&Arc<str>, &Value)| {
            let pair: Map = [("key".into(), Value::Str(key.clone())), ("value".into(), value.clone())].into();
            Value::map(pair)
        };
        Ok(Value::array(map(args, 0)?.iter().map(pair).collect()))
    })
    .nulls(Nulls::Empty),
];

/// A key of a map.
fn key(value: &Value, otherwise: &str) -> Result<Arc<str>> {
    match value {
        Value::Str(key) => Ok(key.clone()),
        _ => Err(Error::call(otherwise)),
    }
}

fn object(args: &Args<'_>, _: &Context) -> Result<Value> {
    const KEYS: &str = "first argument should be []string";
    let keys = args[0].as_array().ok_or_else(|| Error::call(KEYS))?;
    let values = args[1].as_array().ok_or_else(|| Error::call("second argument should be []interface{}"))?;
    if keys.len() != values.len() {
        return Err(Error::call("the length of the arguments should be same"));
    }
    let made: Result<Map> =
        keys.iter().zip(values).map(|(name, value)| Ok((key(name, KEYS)?, value.clone()))).collect();
    made.map(Value::map)
}

fn zip(args: &Args<'_>, _: &Context) -> Result<Value> {
    const PAIRS: &str = "each argument should be [][2]interface{}";
    let pair = |pair: &Value| match pair.as_array() {
        Some([name, value]) => Ok((key(name, "the first element in the list item should be string")?, value.clone())),
        _ => Err(Error::call(PAIRS)),
    };
    let pairs = args[0].as_array().ok_or_else(|| Error::call(PAIRS))?;
    pairs.iter().map(pair).collect::<Result<Map>>().map(Value::map)
}

/// The last of equal keys wins.
fn concat(args: &Args<'_>, _: &Context) -> Result<Value> {
    let mut merged = Map::new();
    for index in 0..args.len() {
        merged.extend(map(args, index)?.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    Ok(Value::map(merged))
}

/// Pairs of key and value; a nil key leaves its pair out, a nil value is kept.
fn construct(args: &Args<'_>, _: &Context) -> Result<Value> {
    let mut made = Map::new();
    for pair in args.chunks_exact(2).filter(|pair| !pair[0].is_nil()) {
        made.insert(key(&pair[0], &format!("key {} is not a string", GoText(&pair[0])))?, (*pair[1]).clone());
    }
    Ok(Value::map(made))
}

/// The pairs whose keys are named, by texts or arrays of them, or the others.
fn select(args: &Args<'_>, named: bool) -> Result<Value> {
    let object = args[0].as_map().ok_or_else(|| {
        Error::call(format!("the first argument should be map[string]interface{{}}, got {}", GoText(&args[0])))
    })?;
    let mut names = Vec::new();
    for arg in &args[1..] {
        match &**arg {
            Value::Array(items) => names.extend(items.iter().map(|item| plain_text(item).into_owned())),
            Value::Str(name) => names.push(name.to_string()),
            _ => return Err(Error::call("the augument should be slice or string")),
        }
    }
    let kept = object.iter().filter(|(key, _)| names.iter().any(|name| **name == ***key) == named);
    Ok(Value::map(kept.map(|(key, value)| (key.clone(), value.clone())).collect()))
}
