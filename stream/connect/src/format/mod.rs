//! Input formats other than JSON, which the engine reads itself.

mod delimited;
mod payload;
pub(crate) mod protobuf;
mod simple;
#[cfg(test)]
mod tests;

use edgeward_engine::{ColumnType, Decode, Field, Value};

pub(crate) use delimited::split_line;

use crate::{ConnectError, Props, Schemas};

/// How the payloads of a stream are to be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct FormatRequest<'a> {
    /// FORMAT; empty is JSON.
    pub format: &'a str,
    /// SCHEMAID, for protobuf.
    pub schema_id: Option<&'a str>,
    /// DELIMITER, for delimited; a comma by default.
    pub delimiter: Option<&'a str>,
    /// The declared columns.
    pub fields: &'a [Field],
    /// Properties of the source, for a payload inside the rows (`payloadField`).
    pub props: Option<&'a Props>,
}

/// The decoder of a stream; none for JSON.
///
/// # Errors
/// The format is unknown, does not fit the declared columns, or needs a schema that is not there.
pub fn decoder(request: &FormatRequest<'_>, schemas: &Schemas) -> Result<Option<Box<dyn Decode>>, ConnectError> {
    let main = of_format(request, schemas)?;
    match request.props {
        Some(props) => payload::inside(props, main, schemas),
        None => Ok(main),
    }
}

fn of_format(request: &FormatRequest<'_>, schemas: &Schemas) -> Result<Option<Box<dyn Decode>>, ConnectError> {
    let FormatRequest { format, schema_id, delimiter, fields, .. } = *request;
    Ok(Some(match format.to_ascii_lowercase().as_str() {
        "" | "json" => return Ok(None),
        "binary" => Box::new(simple::Binary::new(fields)?),
        "urlencoded" => Box::new(simple::UrlEncoded::new(fields)),
        "delimited" => Box::new(delimited::Delimited::new(fields, delimiter.unwrap_or(","))),
        "protobuf" => {
            let id = schema_id.filter(|id| !id.is_empty()).ok_or(ConnectError::Missing("SCHEMAID"))?;
            Box::new(protobuf::Protobuf(schemas.message(id)?))
        }
        _ => return Err(ConnectError::UnknownFormat(format.to_owned())),
    }))
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
