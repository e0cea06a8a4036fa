//! What fits nowhere else.

use edgeward_sql::ast::Expr;

use super::text;
use crate::Value;
use crate::error::{Error, Result};
use crate::json::{Numbers, parse};
use crate::registry::Type::{Any, Int, Str};
use crate::registry::{Args, Context, Function, MANY, Nulls};

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::scalar("chr", (1, 1), &[Any], chr).literals(|args| match args.first() {
        Some(Expr::Float(_) | Expr::Bool(_)) => Err("Expect int type for parameter 1"),
        _ => Ok(()),
    }),
    Function::scalar("isnull", (1, 1), &[Any], |args, _| Ok(Value::Bool(args[0].is_nil()))).nulls(Nulls::Seen),
    Function::scalar("coalesce", (1, MANY), &[Any], |args, _| {
        Ok(args.iter().find(|arg| !arg.is_nil()).map(|arg| (**arg).clone()).unwrap_or_default())
    })
    .nulls(Nulls::Seen),
    Function::scalar("newuuid", (0, 0), &[Any], |_, _| Ok(Value::str(uuid::Uuid::new_v4().to_string()))),
    Function::scalar("rule_id", (0, 0), &[Any], |_, context| Ok(Value::Str(context.rule_id.clone()))),
    Function::scalar("rule_start", (0, 0), &[Any], |_, context| Ok(Value::Int(context.rule_start))),
    Function::scalar("last_agg_hit_count", (0, 0), &[Any], |_, context| Ok(Value::Int(context.agg_hits.0))),
    Function::scalar("last_agg_hit_time", (0, 0), &[Any], |_, context| Ok(Value::Int(context.agg_hits.1))),
    Function::scalar("bypass", (1, 1), &[Any], |args, _| Ok((*args[0]).clone())).nulls(Nulls::Seen),
    Function::scalar("props", (1, 1), &[Str], props),
    Function::scalar("delay", (2, 2), &[Int, Any], delay).nulls(Nulls::Seen),
    Function::scalar("get_keyed_state", (3, 3), &[Str, Str, Any], keyed_state).nulls(Nulls::Seen),
];

/// The code point of a character or of its number.
fn chr(args: &Args<'_>, _: &Context) -> Result<Value> {
    match &*args[0] {
        // A code point has 32 bits.
        Value::Int(int) => Ok(Value::Int(i64::from(*int as i32))),
        Value::Float(float) => Ok(Value::Int(i64::from(*float as i64 as i32))),
        // Longer means bytes: only ASCII passes.
        Value::Str(text) if text.len() > 1 => Err(Error::call("Parameter length cannot larger than 1.")),
        Value::Str(text) => Ok(text.chars().next().map(|char| i64::from(u32::from(char))).into()),
        _ => Err(Error::call("Only bigint, float and string type can be convert to char type.")),
    }
}

/// `delay(ms, x)`: x, after as many milliseconds; at most a minute each.
fn delay(args: &Args<'_>, context: &Context) -> Result<Value> {
    const MOST: i64 = 60_000;
    let wait = super::int(args, 0)?.clamp(0, MOST);
    if context.sleeps {
        std::thread::sleep(std::time::Duration::from_millis(wait.unsigned_abs()));
    }
    Ok((*args[1]).clone())
}

/// `get_keyed_state(key, type, default)`. No external key-value store can be configured, so every key is missing.
fn keyed_state(args: &Args<'_>, _: &Context) -> Result<Value> {
    match &*args[0] {
        Value::Str(_) => Ok((*args[2]).clone()),
        other => Err(Error::call(format!("key {} is not a string", crate::format::GoText(other)))),
    }
}

/// A property of the JSON object in the environment variable `KUIPER_PROPS`.
fn props(args: &Args<'_>, _: &Context) -> Result<Value> {
    let Ok(all) = std::env::var("KUIPER_PROPS") else { return Ok(Value::Nil) };
    let all =
        parse(all.as_bytes(), Numbers::WholeAsInt).map_err(|error| Error::call(format!("KUIPER_PROPS: {error}")))?;
    Ok(all.as_map().and_then(|map| map.get(&*text(args, 0))).cloned().unwrap_or_default())
}
