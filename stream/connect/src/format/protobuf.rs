//! `FORMAT="protobuf"`: messages of a type known at run time only.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_engine::{Decode, Map, Value};
use edgeward_functions::format::GoText;
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value as Proto,
};

/// Reads messages of one type.
pub(super) struct Protobuf(pub(super) MessageDescriptor);

impl Decode for Protobuf {
    fn decode(&mut self, payload: &Bytes, rows: &mut Vec<Arc<Map>>) -> Result<(), String> {
        let message = DynamicMessage::decode(self.0.clone(), payload.clone());
        let message = message.map_err(|error| format!("parse protobuf {} failed: {error}", self.0.full_name()))?;
        rows.push(Arc::new(columns(&message)));
        Ok(())
    }
}

/// All fields: one that is not in the message has its default, or is left out if the schema tells absence from default.
fn columns(message: &DynamicMessage) -> Map {
    let descriptor = message.descriptor();
    let known = descriptor.fields().filter(|field| !field.supports_presence() || message.has_field(field));
    known.map(|field| (Arc::from(field.name()), value(&message.get_field(&field)))).collect()
}

fn value(proto: &Proto) -> Value {
    match proto {
        Proto::Bool(flag) => Value::Bool(*flag),
        Proto::I32(int) | Proto::EnumNumber(int) => Value::Int((*int).into()),
        Proto::I64(int) => Value::Int(*int),
        Proto::U32(int) => Value::Int((*int).into()),
        Proto::U64(int) => i64::try_from(*int).map_or(Value::Float(*int as f64), Value::Int),
        // Through its text: 0.1 stays 0.1 instead of 0.10000000149011612.
        Proto::F32(float) => Value::Float(float.to_string().parse().unwrap_or(f64::from(*float))),
        Proto::F64(float) => Value::Float(*float),
        Proto::String(text) => Value::str(text.as_str()),
        Proto::Bytes(bytes) => Value::bytes(bytes.clone()),
        Proto::Message(message) => wrapped(message).unwrap_or_else(|| Value::map(columns(message))),
        Proto::List(items) => Value::array(items.iter().map(value).collect()),
        Proto::Map(members) => Value::map(members.iter().map(|(name, item)| (key(name), value(item))).collect()),
    }
}

/// A message as a value: what a wrapper type wraps, else its columns.
pub(crate) fn value_of(message: &DynamicMessage) -> Value {
    wrapped(message).unwrap_or_else(|| Value::map(columns(message)))
}

/// What one of Google's wrapper types wraps.
fn wrapped(message: &DynamicMessage) -> Option<Value> {
    is_wrapper(&message.descriptor()).then(|| message.get_field_by_number(1).map(|inner| value(&inner)))?
}

fn is_wrapper(message: &MessageDescriptor) -> bool {
    message.package_name() == "google.protobuf" && message.name().ends_with("Value") && message.fields().len() == 1 && {
        message.get_field(1).is_some_and(|field| field.name() == "value")
    }
}

fn key(key: &MapKey) -> Arc<str> {
    match key {
        MapKey::Bool(flag) => flag.to_string(),
        MapKey::I32(int) => int.to_string(),
        MapKey::I64(int) => int.to_string(),
        MapKey::U32(int) => int.to_string(),
        MapKey::U64(int) => int.to_string(),
        MapKey::String(text) => text.clone(),
    }
    .into()
}

/// Appends a row as a message. Columns the type does not have are left out.
///
/// # Errors
/// A column has a value its field cannot hold, or a required one is missing.
pub(crate) fn encode(descriptor: &MessageDescriptor, row: &Map, out: &mut Vec<u8>) -> Result<(), String> {
    let message = message(descriptor, row)?;
    // A Vec grows as needed, so there is always room.
    message.encode(out).map_err(|error| error.to_string())
}

/// A row as a message. Columns the type does not have are left out.
///
/// # Errors
/// A column has a value its field cannot hold, or a required one is missing.
pub(crate) fn message(descriptor: &MessageDescriptor, row: &Map) -> Result<DynamicMessage, String> {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        match row.get(field.name()).filter(|value| !value.is_nil()) {
            Some(value) => message.set_field(&field, whole(&field, value)?),
            None if field.is_required() => return Err(format!("field {} not found", field.name())),
            None => {}
        }
    }
    Ok(message)
}

fn whole(field: &FieldDescriptor, value: &Value) -> Result<Proto, String> {
    let wrong = || format!("invalid type for field '{}': {}", field.name(), GoText(value));
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { return Err(wrong()) };
        let (names, values) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        let members = value.as_map().ok_or_else(wrong)?.iter().map(|(name, value)| {
            let name = map_key(&names.kind(), name).ok_or_else(wrong)?;
            Ok((name, single(&values, value)?))
        });
        return members.collect::<Result<_, String>>().map(Proto::Map);
    }
    if field.is_list() {
        let items = value.as_array().ok_or_else(wrong)?;
        return items.iter().map(|item| single(field, item)).collect::<Result<_, _>>().map(Proto::List);
    }
    single(field, value)
}

fn map_key(kind: &Kind, text: &str) -> Option<MapKey> {
    Some(match kind {
        Kind::String => MapKey::String(text.to_owned()),
        Kind::Bool => MapKey::Bool(text.parse().ok()?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(text.parse().ok()?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(text.parse().ok()?),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(text.parse().ok()?),
        Kind::Uint64 | Kind::Fixed64 => MapKey::U64(text.parse().ok()?),
        _ => return None,
    })
}

/// One value that is neither list nor map.
fn single(field: &FieldDescriptor, value: &Value) -> Result<Proto, String> {
    let wrong = || format!("invalid type for field '{}': {}", field.name(), GoText(value));
    let int = || match value {
        Value::Int(int) => Some(*int),
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 9.0e18 => Some(*float as i64),
        Value::Time(time) => Some(time.as_millisecond()),
        _ => None,
    };
    let float = || match value {
        Value::Int(int) => Some(*int as f64),
        Value::Float(float) => Some(*float),
        _ => None,
    };
    let made = match field.kind() {
        Kind::Double => float().map(Proto::F64),
        Kind::Float => float().map(|float| Proto::F32(float as f32)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => int().and_then(|int| int.try_into().ok()).map(Proto::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => int().map(Proto::I64),
        Kind::Uint32 | Kind::Fixed32 => int().and_then(|int| int.try_into().ok()).map(Proto::U32),
        Kind::Uint64 | Kind::Fixed64 => int().and_then(|int| int.try_into().ok()).map(Proto::U64),
        Kind::Enum(names) => match value {
            Value::Str(name) => names.get_value_by_name(name).map(|value| Proto::EnumNumber(value.number())),
            _ => int().and_then(|int| int.try_into().ok()).map(Proto::EnumNumber),
        },
        Kind::Bool => match value {
            Value::Bool(flag) => Some(Proto::Bool(*flag)),
            _ => None,
        },
        Kind::String => match value {
            Value::Str(text) => Some(Proto::String(text.to_string())),
            _ => None,
        },
        Kind::Bytes => match value {
            Value::Bytes(bytes) => Some(Proto::Bytes(Bytes::clone(bytes))),
            Value::Str(text) => Some(Proto::Bytes(Bytes::copy_from_slice(text.as_bytes()))),
            _ => None,
        },
        Kind::Message(inner) => match value.as_map() {
            Some(row) => Some(Proto::Message(message(&inner, row)?)),
            None if is_wrapper(&inner) => {
                let mut made = DynamicMessage::new(inner.clone());
                let field = inner.get_field(1).ok_or_else(wrong)?;
                made.set_field(&field, single(&field, value)?);
                Some(Proto::Message(made))
            }
            None => None,
        },
    };
    made.ok_or_else(wrong)
}
