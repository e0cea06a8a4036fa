//! The 11 object functions.

use std::sync::Arc;

use super::{array, map, wrong};
use crate::error::{Error, Result};
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
    Function::scalar("object_concat", (2, MANY), &[Any], concat).nulls(Nulls::Seen),
    Function::scalar("object_construct", (0, MANY), &[Any], construct).nulls(Nulls::Seen),
    Function::scalar("erase", (2, 2), &[Any], |args, _| select(args, false)).nulls(Nulls::Empty),
    Function::scalar("object_pick", (2, MANY), &[Any], |args, _| select(args, true)).nulls(Nulls::Empty),
    Function::scalar("object_size", (1, 1), &[Any], |args, _| {
        Ok(Value::Int(if args[0].is_nil() { 0 } else { map(args, 0)?.len() as i64 }))
    })
    .nulls(Nulls::Seen),
    Function::scalar("obj_to_kvpair_array", (1, 1), &[Any], |args, _| {
        let pair = |(key, value): (&Arc<str>, &Value)| {
            let pair: Map = [("key".into(), Value::Str(key.clone())), ("value".into(), value.clone())].into();
            Value::map(pair)
        };
        Ok(Value::array(map(args, 0)?.iter().map(pair).collect()))
    })
    .nulls(Nulls::Empty),
];

fn key(value: &Value) -> Result<Arc<str>> {
    match value {
        Value::Str(key) => Ok(key.clone()),
        other => Err(Error::call(format!("key {} is not a string", crate::format::GoText(other)))),
    }
}

fn object(args: &Args<'_>, _: &Context) -> Result<Value> {
    let (keys, values) = (array(args, 0)?, array(args, 1)?);
    if keys.len() != values.len() {
        return Err(Error::call("the length of the arguments should be same"));
    }
    let made: Result<Map> = keys.iter().zip(values).map(|(name, value)| Ok((key(name)?, value.clone()))).collect();
    made.map(Value::map)
}

fn zip(args: &Args<'_>, _: &Context) -> Result<Value> {
    let pair = |pair: &Value| match pair.as_array() {
        Some([name, value]) => Ok((key(name)?, value.clone())),
        _ => Err(wrong(args, 0, "array of [key, value]")),
    };
    array(args, 0)?.iter().map(pair).collect::<Result<Map>>().map(Value::map)
}

/// The last of equal keys wins; nil arguments are passed over.
fn concat(args: &Args<'_>, _: &Context) -> Result<Value> {
    let mut merged = Map::new();
    for index in (0..args.len()).filter(|index| !args[*index].is_nil()) {
        merged.extend(map(args, index)?.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    Ok(Value::map(merged))
}

/// Pairs of key and value; a nil key leaves its pair out, a nil value is kept.
fn construct(args: &Args<'_>, _: &Context) -> Result<Value> {
    if !args.len().is_multiple_of(2) {
        return Err(Error::call("the args must be key value pairs"));
    }
    let mut made = Map::new();
    for pair in args.chunks_exact(2) {
        if !pair[0].is_nil() {
            made.insert(key(&pair[0])?, (*pair[1]).clone());
        }
    }
    Ok(Value::map(made))
}

/// The pairs whose keys are named, or the others.
fn select(args: &Args<'_>, named: bool) -> Result<Value> {
    let mut names = Vec::new();
    for arg in &args[1..] {
        match &**arg {
            Value::Array(items) => names.extend(items.iter().map(key).collect::<Result<Vec<_>>>()?),
            other => names.push(key(other)?),
        }
    }
    let kept = map(args, 0)?.iter().filter(|(key, _)| names.contains(key) == named);
    Ok(Value::map(kept.map(|(key, value)| (key.clone(), value.clone())).collect()))
}
