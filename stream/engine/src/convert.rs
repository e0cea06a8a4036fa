//! Declared types against values: what the decoder accepts and what STRICT_VALIDATION converts.

use base64::Engine as _;
use edgeward_functions::format::GoText;
use edgeward_functions::json::{Numbers, parse};
use edgeward_functions::{Map, Value, time};
use edgeward_sql::ast::Expr;

use crate::StreamDef;
use crate::schema::{ColumnType, Field};

/// Takes a JSON value into a column of a declared type, without STRICT_VALIDATION.
///
/// # Errors
/// `X has wrong type:…, expect:…`.
pub(crate) fn conform(name: &str, value: Value, declared: &ColumnType) -> Result<Value, String> {
    Ok(match (declared, value) {
        (_, Value::Nil) => Value::Nil,
        (ColumnType::Bigint, Value::Int(int)) => Value::Int(int),
        (ColumnType::Float, Value::Int(int)) => Value::Float(int as f64),
        (ColumnType::Float, value @ Value::Float(_)) => value,
        (ColumnType::String, value @ Value::Str(_)) => value,
        (ColumnType::Boolean, value @ Value::Bool(_)) => value,
        (ColumnType::Datetime, value @ (Value::Str(_) | Value::Int(_))) => value,
        (ColumnType::Datetime, Value::Float(float)) => Value::Float(float),
        (ColumnType::Bytea, Value::Str(text)) => decode_base64(name, &text)?,
        (ColumnType::Array(item), Value::Array(items)) => {
            let converted: Result<Vec<Value>, String> =
                items.iter().map(|value| conform(name, value.clone(), item)).collect();
            Value::array(converted?)
        }
        (ColumnType::Struct(fields), Value::Map(map)) => {
            let mut kept = edgeward_functions::Map::new();
            for field in fields {
                if let Some((key, value)) = map.get_key_value(field.name.as_str()) {
                    kept.insert(key.clone(), conform(key, value.clone(), &field.data_type)?);
                }
            }
            Value::map(kept)
        }
        (declared, value) => {
            return Err(format!("{name} has wrong type:{}, expect:{}", json_kind(&value), type_name(declared)));
        }
    })
}

/// Takes a value into a declared type under STRICT_VALIDATION, converting within its kind.
///
/// # Errors
/// The value is of another kind.
fn convert(value: Value, declared: &ColumnType, definition: &StreamDef) -> Result<Value, String> {
    let refuse = |value: &Value| {
        let (kind, text) = (value.type_name(), GoText(value));
        match declared {
            ColumnType::Array(_) => format!("expect array but got {text}"),
            ColumnType::Struct(_) if matches!(value, Value::Str(_)) => {
                format!("invalid data type for {text}, expect map but found {kind}({text})")
            }
            ColumnType::Struct(_) => format!("expect struct but found {kind}({text})"),
            _ => format!("cannot convert {kind}({text}) to {}", go_type(declared)),
        }
    };
    Ok(match (declared, value) {
        (ColumnType::Bigint, Value::Int(int)) => Value::Int(int),
        (ColumnType::Bigint, Value::Float(float)) => Value::Int(float as i64),
        (ColumnType::Float, Value::Int(int)) => Value::Float(int as f64),
        (ColumnType::Float, value @ Value::Float(_)) => value,
        (ColumnType::String, value @ Value::Str(_)) => value,
        (ColumnType::Boolean, value @ Value::Bool(_)) => value,
        (ColumnType::Bytea, value @ Value::Bytes(_)) => value,
        (ColumnType::Bytea, Value::Str(text)) => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(&*text);
            Value::bytes(decoded.map_err(|error| format!("illegal base64 data: {error}"))?)
        }
        (ColumnType::Datetime, value @ Value::Time(_)) => value,
        (ColumnType::Datetime, Value::Str(text)) => {
            let time = match &definition.timestamp_format {
                Some(format) => time::parse_with(&text, format, &definition.timezone),
                None => time::to_timestamp(&Value::Str(text), &definition.timezone),
            };
            Value::Time(time.map_err(|error| error.to_string())?)
        }
        (ColumnType::Datetime, value @ (Value::Int(_) | Value::Float(_))) => {
            Value::Time(time::to_timestamp(&value, &definition.timezone).map_err(|error| error.to_string())?)
        }
        (ColumnType::Array(item), Value::Array(items)) => {
            let item = |value: &Value| convert(value.clone(), item, definition);
            let converted: Result<Vec<Value>, String> = items.iter().map(item).collect();
            Value::array(converted.map_err(|error| format!("array element type mismatch: {error}"))?)
        }
        (ColumnType::Struct(fields), Value::Map(map)) => Value::map(convert_fields(fields, &map, definition)?),
        // A struct may come as JSON text.
        (ColumnType::Struct(fields), Value::Str(text)) => match parse(text.as_bytes(), Numbers::WholeAsInt) {
            Ok(Value::Map(map)) => Value::map(convert_fields(fields, &map, definition)?),
            _ => return Err(refuse(&Value::Str(text))),
        },
        (ColumnType::Array(_) | ColumnType::Struct(_), Value::Nil) => Value::Nil,
        (_, value) => return Err(refuse(&value)),
    })
}

/// A scalar type as errors of conversions name it.
fn go_type(declared: &ColumnType) -> &'static str {
    match declared {
        ColumnType::Bigint => "int64",
        ColumnType::Float => "float64",
        ColumnType::Boolean => "bool",
        ColumnType::Bytea => "bytes",
        ColumnType::Datetime => "time.Time",
        other => type_name(other),
    }
}

/// Every declared field of a row, converted; a missing one takes its DEFAULT.
///
/// # Errors
/// `field X is not found`, or the conversion's.
pub(crate) fn convert_fields(fields: &[Field], row: &Map, definition: &StreamDef) -> Result<Map, String> {
    let mut converted = Map::new();
    for field in fields {
        let value = match (row.get(field.name.as_str()), &field.default) {
            (Some(value), None) => value.clone(),
            (Some(value), _) if !value.is_nil() => value.clone(),
            (_, Some(default)) => literal(default),
            (None, None) => return Err(format!("field {} is not found", field.name)),
        };
        let value = convert(value, &field.data_type, definition)
            .map_err(|error| format!("field {} type mismatch: {error}", field.name))?;
        converted.insert(field.name.as_str().into(), value);
    }
    Ok(converted)
}

/// The value of a DEFAULT.
fn literal(expr: &Expr) -> Value {
    match expr {
        Expr::Int(int) => Value::Int(*int),
        Expr::Float(float) => Value::Float(*float),
        Expr::Str(text) => Value::str(text.as_str()),
        Expr::Bool(bool) => Value::Bool(*bool),
        _ => Value::Nil,
    }
}

fn decode_base64(name: &str, text: &str) -> Result<Value, String> {
    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    decoded.map(Value::bytes).map_err(|error| format!("{name} has wrong type:string, expect:bytea: {error}"))
}

/// The JSON kind of a value as the decoder's errors name it.
fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "null",
        Value::Int(_) | Value::Float(_) => "number",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Array(_) => "array",
        Value::Map(_) => "object",
        _ => "string",
    }
}

/// A declared type as errors and DESCRIBE name it.
pub(crate) fn type_name(declared: &ColumnType) -> &'static str {
    match declared {
        ColumnType::Bigint => "bigint",
        ColumnType::Float => "float",
        ColumnType::String => "string",
        ColumnType::Bytea => "bytea",
        ColumnType::Datetime => "datetime",
        ColumnType::Boolean => "boolean",
        ColumnType::Array(_) => "array",
        ColumnType::Struct(_) => "struct",
    }
}
