//! What fits nowhere else.

use super::text;
use crate::Value;
use crate::error::{Error, Result};
use crate::json::{Numbers, parse};
use crate::registry::Type::{Any, Str};
use crate::registry::{Args, Context, Function, MANY, Nulls};

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::scalar("chr", (1, 1), &[Any], chr),
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
];

/// The code point of a character or of its number.
fn chr(args: &Args<'_>, _: &Context) -> Result<Value> {
    match &*args[0] {
        Value::Int(int) => Ok(Value::Int(*int)),
        Value::Float(float) => Ok(Value::Int(*float as i64)),
        Value::Str(text) => {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) => Ok(Value::Int(u32::from(char).into())),
                (None, _) => Ok(Value::Nil),
                _ => Err(Error::call("Parameter length cannot larger than 1.")),
            }
        }
        _ => Err(Error::call("Only bigint and string type can be convert to char type.")),
    }
}

/// A property of the JSON object in the environment variable `KUIPER_PROPS`.
fn props(args: &Args<'_>, _: &Context) -> Result<Value> {
    let Ok(all) = std::env::var("KUIPER_PROPS") else { return Ok(Value::Nil) };
    let all =
        parse(all.as_bytes(), Numbers::WholeAsInt).map_err(|error| Error::call(format!("KUIPER_PROPS: {error}")))?;
    Ok(all.as_map().and_then(|map| map.get(&*text(args, 0))).cloned().unwrap_or_default())
}
