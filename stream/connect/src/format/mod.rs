//! Input formats other than JSON, which the engine reads itself.

mod delimited;
mod simple;

use edgeward_engine::{ColumnType, Decode, Field, Value};

pub(crate) use delimited::split_line;

use crate::ConnectError;

/// The decoder of a stream's FORMAT; none for JSON.
///
/// # Errors
/// The format is unknown, or does not fit the declared columns.
pub fn decoder(
    format: &str,
    fields: &[Field],
    delimiter: Option<&str>,
) -> Result<Option<Box<dyn Decode>>, ConnectError> {
    match format.to_ascii_lowercase().as_str() {
        "" | "json" => Ok(None),
        "binary" => Ok(Some(Box::new(simple::Binary::new(fields)?))),
        "urlencoded" => Ok(Some(Box::new(simple::UrlEncoded::new(fields)))),
        "delimited" => Ok(Some(Box::new(delimited::Delimited::new(fields, delimiter.unwrap_or(","))))),
        _ => Err(ConnectError::UnknownFormat(format.to_owned())),
    }
}

/// Text of a format without types as a value of the column's declared type.
fn typed(name: &str, text: &str, declared: Option<&ColumnType>) -> Result<Value, String> {
    let wrong = || format!("cannot convert {text:?} to the type of {name}");
    Ok(match declared {
        Some(_) if text.is_empty() => Value::Nil,
        Some(ColumnType::Bigint) => Value::Int(text.trim().parse().map_err(|_| wrong())?),
        Some(ColumnType::Float) => Value::Float(text.trim().parse().map_err(|_| wrong())?),
        Some(ColumnType::Boolean) => Value::Bool(match text.trim() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
            _ => return Err(wrong()),
        }),
        _ => Value::str(text),
    })
}
