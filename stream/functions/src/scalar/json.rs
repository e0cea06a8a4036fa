//! JSON text and JSONPath.

use super::text;
use crate::Value;
use crate::error::{Error, Result};
use crate::json::{Numbers, Printer, parse};
use crate::registry::Type::{Any, Str};
use crate::registry::{Args, Context, Function, Nulls};
use crate::scalar::json_path::Path;

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::scalar("to_json", (1, 1), &[Any], |args, context| {
        Printer::new(context.zone.clone())
            .text(&args[0])
            .map(Value::from)
            .map_err(|error| Error::call(error.to_string()))
    })
    .nulls(Nulls::Seen),
    Function::scalar("parse_json", (1, 1), &[Str], |args, _| {
        let source = text(args, 0);
        if source == "null" {
            return Ok(Value::Nil);
        }
        parse(source.as_bytes(), Numbers::Float).map_err(|error| Error::call(format!("fail to parse json: {error}")))
    }),
    Function::scalar("json_path_query", (2, 2), &[Any, Str], |args, _| {
        let path = Path::parse(&text(args, 1))?;
        Ok(match path.find(&source(args)?) {
            found if path.is_definite() => {
                found.into_iter().next().ok_or_else(|| Error::call("unknown key or index of the path"))?
            }
            found => Value::array(found),
        })
    }),
    Function::scalar("json_path_query_first", (2, 2), &[Any, Str], |args, _| {
        Ok(Path::parse(&text(args, 1))?.find(&source(args)?).into_iter().next().unwrap_or_default())
    }),
    Function::scalar("json_path_exists", (2, 2), &[Any, Str], exists).nulls(Nulls::Seen),
];

/// What the path is looked up in: a structure, or JSON text of one.
fn source(args: &Args<'_>) -> Result<Value> {
    match &*args[0] {
        Value::Str(text) => parse(text.as_bytes(), Numbers::Float).map_err(|error| Error::call(error.to_string())),
        other => Ok(other.clone()),
    }
}

fn exists(args: &Args<'_>, _: &Context) -> Result<Value> {
    if args[0].is_nil() || args[1].is_nil() {
        return Ok(Value::Bool(false));
    }
    Ok(Value::Bool(!Path::parse(&text(args, 1))?.find(&source(args)?).is_empty()))
}
