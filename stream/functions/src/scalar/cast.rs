//! `cast` and its rules.

use super::text;
use crate::Value;
use crate::error::{Error, Result};
use crate::format::GoText;
use crate::registry::Type::{Any, Str};
use crate::registry::{Args, Context, Function};
use crate::time::to_timestamp;

pub(crate) const FUNCTIONS: &[Function] = &[Function::scalar("cast", (2, 2), &[Any, Str], cast)];

fn cast(args: &Args<'_>, context: &Context) -> Result<Value> {
    let wanted = text(args, 1);
    let value = &*args[0];
    let refuse = || Error::call(format!("cannot convert {}({}) to {wanted}", value.type_name(), GoText(value)));
    Ok(match (&*wanted, value) {
        ("bigint", Value::Int(int)) => Value::Int(*int),
        ("bigint", Value::Float(float)) => Value::Int(*float as i64),
        ("bigint", Value::Bool(bool)) => Value::Int(i64::from(*bool)),
        ("bigint", Value::Str(text)) => Value::Int(text.parse().map_err(|_| refuse())?),
        ("float", Value::Int(_) | Value::Float(_)) => Value::Float(value.as_f64().unwrap_or_default()),
        ("float", Value::Bool(bool)) => Value::Float(f64::from(u8::from(*bool))),
        ("float", Value::Str(text)) => Value::Float(text.parse().map_err(|_| refuse())?),
        ("string", Value::Bytes(bytes)) => Value::str(String::from_utf8_lossy(bytes)),
        ("string", value) => Value::str(GoText(value).to_string()),
        ("boolean", Value::Bool(bool)) => Value::Bool(*bool),
        ("boolean", Value::Int(_) | Value::Float(_)) => Value::Bool(value.as_f64() != Some(0.0)),
        ("boolean", Value::Str(text)) => match &**text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Value::Bool(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Value::Bool(false),
            _ => return Err(refuse()),
        },
        ("bytea", Value::Bytes(_)) => value.clone(),
        ("bytea", Value::Str(text)) => Value::bytes(text.as_bytes().to_vec()),
        ("datetime", value) => Value::Time(to_timestamp(value, &context.zone)?),
        ("bigint" | "float" | "boolean" | "bytea", _) => return Err(refuse()),
        _ => {
            return Err(Error::call(
                "Expect one of following value for the 2nd parameter: bigint, float, string, boolean, datetime, bytea",
            ));
        }
    })
}
