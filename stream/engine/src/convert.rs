//! Declared types against values: what the decoder accepts and what STRICT_VALIDATION converts.

use base64::Engine as _;
use edgeward_functions::Value;

use crate::schema::ColumnType;

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
            let converted: Result<Vec<Value>, String> = items.iter().map(|value| conform(name, value.clone(), item)).collect();
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
        (declared, value) => return Err(format!("{name} has wrong type:{}, expect:{}", json_kind(&value), type_name(declared))),
    })
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
