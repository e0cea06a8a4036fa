//! JSON text and JSONPath.

use super::text;
use crate::Value;
use crate::error::{Error, Result};
use crate::format::GoText;
use crate::json::{Numbers, Printer, complaint, parse};
use crate::registry::Type::{Any, Str};
use crate::registry::{Args, Function, Nulls};
use crate::scalar::json_path::Path;

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::scalar("to_json", (1, 1), &[Any], |args, context| {
        Printer::new(context.zone.clone())
            .text(&args[0])
            .map(Value::from)
            .map_err(|error| Error::call(format!("fail to convert {} to json: {error}", GoText(&args[0]))))
    })
    .nulls(Nulls::Seen),
    Function::scalar("parse_json", (1, 1), &[Str], |args, _| {
        let source = match &*args[0] {
            Value::Str(_) | Value::Bytes(_) => text(args, 0),
            other => return Err(Error::call(format!("fail to convert {} to string", GoText(other)))),
        };
        from_text(source.as_bytes()).map_err(|error| Error::call(format!("fail to parse json: {error}")))
    }),
    Function::scalar("json_path_query", (2, 2), &[Any, Str], |args, _| query(args)),
    Function::scalar("json_path_query_first", (2, 2), &[Any, Str], |args, _| {
        let found = query(args)?;
        match &found {
            Value::Array(items) => Ok(items.first().cloned().unwrap_or_default()),
            _ => Err(Error::call(format!("query result ({}) is not an array", GoText(&found)))),
        }
    }),
    Function::scalar("json_path_exists", (2, 2), &[Any, Str], |args, _| {
        Ok(Value::Bool(match query(args) {
            Ok(Value::Array(items)) => !items.is_empty(),
            Ok(value) => !value.is_nil(),
            Err(_) => false,
        }))
    }),
];

/// JSON text as a value, with Go's words for what is wrong with it.
fn from_text(text: &[u8]) -> Result<Value> {
    parse(text, Numbers::Float).map_err(|error| Error::call(complaint(text).unwrap_or_else(|| error.to_string())))
}

/// What a path finds in a structure, or in JSON text of one.
fn query(args: &Args<'_>) -> Result<Value> {
    let Value::Str(path) = &*args[1] else {
        return Err(Error::call(format!("invalid jsonPath, must be a string but got {}", GoText(&args[1]))));
    };
    let path = Path::parse(path)?;
    match &*args[0] {
        Value::Str(text) => path.find(&from_text(text.as_bytes())?),
        Value::Bytes(text) => path.find(&from_text(text)?),
        value => path.find(value),
    }
}
