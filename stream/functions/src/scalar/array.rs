//! The 23 array functions. An empty array counts as nil in most of them.

use edgeward_sql::ast::BinaryOp;
use rand::seq::SliceRandom;

use super::{amount, array, int, map, text, wrong};
use crate::error::{Error, Result};
use crate::format::GoText;
use crate::registry::Type::{Any, Int, Str};
use crate::registry::{Args, Context, Function, MANY, Nulls, lookup};
use crate::{Map, Value, ops};

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::scalar("array_create", (1, MANY), &[Any], |args, _| {
        Ok(Value::array(args.iter().map(|arg| (**arg).clone()).collect()))
    })
    .nulls(Nulls::Seen),
    Function::scalar("array_position", (2, 2), &[Any], |args, _| position(args, false)).nulls(Nulls::Seen),
    Function::scalar("array_last_position", (2, 2), &[Any], |args, _| position(args, true)).nulls(Nulls::Seen),
    Function::scalar("element_at", (2, 2), &[Any], element_at).nulls(Nulls::Empty),
    Function::scalar("array_contains", (2, 2), &[Any], |args, _| Ok(Value::Bool(array(args, 0)?.contains(&args[1]))))
        .nulls(Nulls::Empty),
    Function::scalar("array_contains_any", (2, 2), &[Any], contains_any).nulls(Nulls::Seen),
    Function::scalar("array_remove", (2, 2), &[Any], |args, _| keep(array(args, 0)?, |item| **item != *args[1]))
        .nulls(Nulls::Empty),
    Function::scalar("array_intersect", (2, 2), &[Any], |args, _| {
        let other = array(args, 1)?;
        distinct(array(args, 0)?.iter().filter(|item| other.contains(item)))
    })
    .nulls(Nulls::Empty),
    Function::scalar("array_union", (2, 2), &[Any], |args, _| distinct(array(args, 0)?.iter().chain(array(args, 1)?)))
        .nulls(Nulls::Empty),
    Function::scalar("array_except", (2, 2), &[Any], |args, _| {
        let other = array(args, 1)?;
        distinct(array(args, 0)?.iter().filter(|item| !other.contains(item)))
    })
    .nulls(Nulls::Empty),
    Function::scalar("array_max", (1, 1), &[Any], |args, _| extreme(args, BinaryOp::Gt)).nulls(Nulls::Empty),
    Function::scalar("array_min", (1, 1), &[Any], |args, _| extreme(args, BinaryOp::Lt)).nulls(Nulls::Empty),
    Function::scalar("repeat", (2, 2), &[Any, Int], |args, _| {
        Ok(Value::array(vec![Value::str(&*text(args, 0)); amount(args, 1)?]))
    }),
    Function::scalar("sequence", (2, 3), &[Int], sequence),
    Function::scalar("array_cardinality", (1, 1), &[Any], cardinality).nulls(Nulls::Seen),
    Function::scalar("cardinality", (1, 1), &[Any], cardinality).nulls(Nulls::Seen),
    Function::scalar("array_flatten", (1, 1), &[Any], flatten).nulls(Nulls::Empty),
    Function::scalar("array_distinct", (1, 1), &[Any], |args, _| distinct(array(args, 0)?.iter())).nulls(Nulls::Empty),
    Function::scalar("array_map", (2, 2), &[Str, Any], array_map).nulls(Nulls::Empty),
    Function::scalar("array_join", (2, 3), &[Any, Str, Str], join).nulls(Nulls::Empty),
    Function::scalar("array_shuffle", (1, 1), &[Any], |args, _| {
        let mut items = array(args, 0)?.to_vec();
        items.shuffle(&mut rand::rng());
        Ok(Value::array(items))
    })
    .nulls(Nulls::Empty),
    Function::scalar("array_sort", (1, 1), &[Any], |args, _| {
        let mut items = array(args, 0)?.to_vec();
        // By their text, as eKuiper does: 10 comes before 9.
        items.sort_by_cached_key(|item| GoText(item).to_string());
        Ok(Value::array(items))
    })
    .nulls(Nulls::Empty),
    Function::scalar("array_concat", (1, MANY), &[Any], |args, _| {
        let mut items = Vec::new();
        for index in 0..args.len() {
            items.extend_from_slice(array(args, index)?);
        }
        Ok(Value::array(items))
    }),
    Function::scalar("kvpair_array_to_obj", (1, 1), &[Any], pairs_to_object).nulls(Nulls::Empty),
];

fn keep(items: &[Value], wanted: impl Fn(&&Value) -> bool) -> Result<Value> {
    Ok(Value::array(items.iter().filter(wanted).cloned().collect()))
}

fn distinct<'a>(items: impl Iterator<Item = &'a Value>) -> Result<Value> {
    let mut seen = std::collections::HashSet::new();
    // The type is part of the key: 1 and 1.0 and "1" are three values.
    let fresh = items.filter(|item| seen.insert(format!("{}:{}", item.type_name(), GoText(item)))).cloned();
    Ok(Value::array(fresh.collect()))
}

fn position(args: &Args<'_>, last: bool) -> Result<Value> {
    if args[0].is_nil() {
        return Ok(Value::Int(-1));
    }
    let items = array(args, 0)?;
    let found = if last {
        items.iter().rposition(|item| *item == *args[1])
    } else {
        items.iter().position(|item| *item == *args[1])
    };
    Ok(Value::Int(found.map_or(-1, |at| at as i64)))
}

fn element_at(args: &Args<'_>, _: &Context) -> Result<Value> {
    if let Value::Map(map) = &*args[0] {
        let key = args[1].as_str().ok_or_else(|| wrong(args, 1, "string"))?;
        return Ok(map.get(key).cloned().unwrap_or_default());
    }
    let items = array(args, 0)?;
    let index = int(args, 1)?;
    let at = if index < 0 { index + items.len() as i64 } else { index };
    let found = usize::try_from(at).ok().and_then(|at| items.get(at));
    found.cloned().ok_or_else(|| Error::call(format!("index out of range: {index}")))
}

fn contains_any(args: &Args<'_>, _: &Context) -> Result<Value> {
    if args[0].is_nil() || args[1].is_nil() {
        return Ok(Value::Bool(false));
    }
    let other = array(args, 1)?;
    Ok(Value::Bool(array(args, 0)?.iter().any(|item| other.contains(item))))
}

fn extreme(args: &Args<'_>, better: BinaryOp) -> Result<Value> {
    let items = array(args, 0)?;
    let mut best = &items[0];
    for item in items {
        if item.is_nil() {
            return Ok(Value::Nil);
        }
        if ops::compare(better, item, best)? {
            best = item;
        }
    }
    Ok(best.clone())
}

fn sequence(args: &Args<'_>, _: &Context) -> Result<Value> {
    let (start, stop) = (int(args, 0)?, int(args, 1)?);
    let step = match args.get(2) {
        Some(_) => int(args, 2)?,
        None => {
            if start <= stop {
                1
            } else {
                -1
            }
        }
    };
    if step == 0 || (stop > start && step < 0) || (stop < start && step > 0) {
        return Err(Error::call("invalid step: should not be zero and must lead from start to stop"));
    }
    let count = (i128::from(stop) - i128::from(start)) / i128::from(step) + 1;
    if count > i128::from(super::MAX_MADE) {
        return Err(Error::call(format!("sequence of {count} items, at most {} are allowed", super::MAX_MADE)));
    }
    Ok(Value::array((0..count as i64).map(|index| Value::Int(start + index * step)).collect()))
}

fn cardinality(args: &Args<'_>, _: &Context) -> Result<Value> {
    Ok(Value::Int(if args[0].is_nil() { 0 } else { array(args, 0)?.len() as i64 }))
}

fn flatten(args: &Args<'_>, _: &Context) -> Result<Value> {
    let mut items = Vec::new();
    for item in array(args, 0)? {
        items.extend_from_slice(item.as_array().ok_or_else(|| wrong(args, 0, "array of arrays"))?);
    }
    Ok(Value::array(items))
}

fn array_map(args: &Args<'_>, context: &Context) -> Result<Value> {
    let name = text(args, 0);
    let function = lookup(&name).ok_or_else(|| Error::call(format!("unknown built-in function: {name}")))?;
    let mapped: Result<Vec<Value>> =
        array(args, 1)?.iter().map(|item| function.call(&[std::borrow::Cow::Borrowed(item)], context)).collect();
    mapped.map(Value::array)
}

fn join(args: &Args<'_>, _: &Context) -> Result<Value> {
    let delimiter = text(args, 1);
    let mut parts = Vec::new();
    for item in array(args, 0)? {
        match item {
            // Without a text for them nil items are left out.
            Value::Nil => parts.extend((args.len() > 2).then(|| text(args, 2).into_owned())),
            other => parts.push(GoText(other).to_string()),
        }
    }
    Ok(Value::str(parts.join(&delimiter)))
}

fn pairs_to_object(args: &Args<'_>, _: &Context) -> Result<Value> {
    let mut object = Map::new();
    for index in 0..array(args, 0)?.len() {
        let pair = [std::borrow::Cow::Borrowed(&array(args, 0)?[index])];
        let pair = map(&pair, 0)?;
        let (Some(Value::Str(key)), Some(value)) = (pair.get("key"), pair.get("value")) else {
            return Err(Error::call("each item must be an object with key and value"));
        };
        object.insert(key.clone(), value.clone());
    }
    Ok(Value::map(object))
}
