//! Reads Device, DeviceModel and membership documents into the inner form.
//!
//! The CRDs convert with strategy `None`, so a document's shape, not its apiVersion, tells how it was written; and
//! KubeEdge's sync controller sends documents without apiVersion at all.

use std::sync::Arc;
use std::time::Duration;

use edgeward_objects::Object;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::device::{Access, Device, DeviceId, Model, ModelProperty, Property, Protocol, ValueType};
use crate::error::TwinError;

/// Properties of one device or model at most; a document that names more is refused.
const MAX_PROPERTIES: usize = 4096;

/// Reads a Device: v1beta1 (`spec.properties`) or v1alpha2 (`spec.propertyVisitors`, `status.twins`).
pub fn parse_device(object: &Object) -> Result<Device, TwinError> {
    let id = parse_id("Device", object)?;
    let invalid = |reason: String| TwinError::Document { kind: "Device", name: id.to_string(), reason };
    let properties = match object.get(&["spec", "properties"]) {
        Some(_) => object.get_list(&["spec", "properties"]).iter().map(beta_property).collect::<Result<Vec<_>, _>>(),
        None => alpha_properties(object),
    }
    .map_err(&invalid)?;
    if properties.len() > MAX_PROPERTIES {
        return Err(invalid(format!("it has {} properties; {MAX_PROPERTIES} are the limit", properties.len())));
    }
    Ok(Device {
        description: object.label("description").unwrap_or_default().to_owned(),
        model: object.get_str(&["spec", "deviceModelRef", "name"]).unwrap_or_default().to_owned(),
        protocol: parse_protocol(object.get(&["spec", "protocol"])),
        properties,
        id,
    })
}

/// Reads a DeviceModel of either version.
pub fn parse_model(object: &Object) -> Result<Model, TwinError> {
    let id = parse_id("DeviceModel", object)?;
    let invalid = |reason: String| TwinError::Document { kind: "DeviceModel", name: id.to_string(), reason };
    let listed = object.get_list(&["spec", "properties"]);
    if listed.len() > MAX_PROPERTIES {
        return Err(invalid(format!("it has {} properties; {MAX_PROPERTIES} are the limit", listed.len())));
    }
    let properties = listed.iter().map(model_property).collect::<Result<_, _>>().map_err(invalid)?;
    let protocol_config = object.get(&["spec", "protocolConfigData"]).cloned().unwrap_or_default();
    Ok(Model { id, properties, protocol_config })
}

fn parse_id(kind: &'static str, object: &Object) -> Result<DeviceId, TwinError> {
    let (namespace, name) = (object.namespace().unwrap_or("default"), object.name());
    let text = format!("{namespace}/{name}");
    DeviceId::parse(&text).ok_or_else(|| TwinError::Document {
        kind,
        name: text,
        reason: "metadata.name must be a name without slashes".to_owned(),
    })
}

fn beta_property(property: &Value) -> Result<Property, String> {
    let name = name_of(property, "name", "spec.properties[].name")?;
    Ok(Property {
        desired: desired_of(property.get("desired")),
        visitor: property.pointer("/visitors/configData").cloned().unwrap_or_default(),
        collect_cycle: millis(property.get("collectCycle")),
        report_cycle: millis(property.get("reportCycle")),
        report_to_cloud: property.get("reportToCloud").and_then(Value::as_bool).unwrap_or(true),
        name,
    })
}

/// v1alpha2 spreads a property over visitors, twins and data properties; the order of first mention is kept.
fn alpha_properties(object: &Object) -> Result<Vec<Property>, String> {
    let mut properties: Vec<Property> = Vec::new();
    for visitor in object.get_list(&["spec", "propertyVisitors"]) {
        let name = name_of(visitor, "propertyName", "spec.propertyVisitors[].propertyName")?;
        let property = mention(&mut properties, name);
        property.visitor = alpha_visitor(visitor);
        property.collect_cycle = nanos(visitor.get("collectCycle"));
        property.report_cycle = nanos(visitor.get("reportCycle"));
    }
    for twin in object.get_list(&["status", "twins"]) {
        let name = name_of(twin, "propertyName", "status.twins[].propertyName")?;
        mention(&mut properties, name).desired = desired_of(twin.get("desired"));
    }
    for data in object.get_list(&["spec", "data", "dataProperties"]) {
        mention(&mut properties, name_of(data, "propertyName", "spec.data.dataProperties[].propertyName")?);
    }
    Ok(properties)
}

fn mention(properties: &mut Vec<Property>, name: Arc<str>) -> &mut Property {
    let at = properties.iter().position(|property| property.name == name).unwrap_or_else(|| {
        properties.push(Property {
            name,
            desired: None,
            visitor: Value::Null,
            collect_cycle: None,
            report_cycle: None,
            report_to_cloud: true,
        });
        properties.len() - 1
    });
    &mut properties[at]
}

/// The one protocol member of a visitor, with `customizedValues` folded in; null when there is none.
fn alpha_visitor(visitor: &Value) -> Value {
    let mut merged = Map::new();
    for member in ["modbus", "opcua", "bluetooth"] {
        fold(&mut merged, visitor.get(member));
    }
    fold(&mut merged, visitor.pointer("/customizedProtocol/configData"));
    fold(&mut merged, visitor.get("customizedValues"));
    if merged.is_empty() { Value::Null } else { Value::Object(merged) }
}

/// An empty desired value means none: the v1alpha2 schema requires the field, so people leave it empty.
fn desired_of(desired: Option<&Value>) -> Option<String> {
    desired?.get("value")?.as_str().filter(|value| !value.is_empty()).map(str::to_owned)
}

fn name_of(map: &Value, key: &str, path: &str) -> Result<Arc<str>, String> {
    match map.get(key).and_then(Value::as_str) {
        Some(name) if !name.is_empty() => Ok(name.into()),
        _ => Err(format!("{path} must be a name")),
    }
}

fn parse_protocol(protocol: Option<&Value>) -> Protocol {
    let Some(protocol) = protocol else { return Protocol::default() };
    if let Some(name) = protocol.get("protocolName").and_then(Value::as_str) {
        let config = protocol.get("configData").cloned().unwrap_or_default();
        return Protocol { name: name.to_ascii_lowercase(), config };
    }
    let mut config = Map::new();
    let common = protocol.get("common");
    fold(&mut config, common.and_then(|common| common.get("com")));
    fold(&mut config, common.and_then(|common| common.get("tcp")));
    fold(&mut config, common.and_then(|common| common.get("customizedValues")));
    for name in ["modbus", "opcua", "bluetooth"] {
        if let Some(own) = protocol.get(name) {
            fold(&mut config, Some(own));
            return Protocol { name: name.to_owned(), config: Value::Object(config) };
        }
    }
    let custom = protocol.get("customizedProtocol");
    fold(&mut config, custom.and_then(|custom| custom.get("configData")));
    let name = custom.and_then(|custom| custom.get("protocolName")).and_then(Value::as_str).unwrap_or_default();
    Protocol { name: name.to_ascii_lowercase(), config: Value::Object(config) }
}

fn fold(into: &mut Map<String, Value>, from: Option<&Value>) {
    for (key, value) in from.and_then(Value::as_object).into_iter().flatten() {
        into.insert(key.clone(), value.clone());
    }
}

/// Instance settings over the model's defaults, field by field.
pub(crate) fn over(defaults: &Value, own: &Value) -> Value {
    match (defaults, own) {
        (Value::Object(defaults), Value::Object(own)) => {
            let mut merged = defaults.clone();
            merged.extend(own.iter().map(|(key, value)| (key.clone(), value.clone())));
            Value::Object(merged)
        }
        (defaults, Value::Null) => defaults.clone(),
        (_, own) => own.clone(),
    }
}

fn millis(value: Option<&Value>) -> Option<Duration> {
    value?.as_u64().filter(|cycle| *cycle > 0).map(Duration::from_millis)
}

/// v1alpha2 cycles are Go durations, nanoseconds; numbers below a million can only be meant as milliseconds.
fn nanos(value: Option<&Value>) -> Option<Duration> {
    let cycle = value?.as_u64().filter(|cycle| *cycle > 0)?;
    Some(if cycle < 1_000_000 { Duration::from_millis(cycle) } else { Duration::from_nanos(cycle) })
}

fn model_property(property: &Value) -> Result<ModelProperty, String> {
    let name = name_of(property, "name", "spec.properties[].name")?;
    let (type_name, details) = match property.get("type") {
        Some(Value::String(name)) => (name.as_str(), property),
        Some(Value::Object(alpha)) => {
            alpha.iter().next().map_or(("string", property), |(name, own)| (name.as_str(), own))
        }
        _ => ("string", property),
    };
    let value_type = ValueType::parse(type_name).ok_or_else(|| {
        format!("property {name} has type {type_name:?}; use INT, FLOAT, DOUBLE, STRING, BOOLEAN, BYTES or STREAM")
    })?;
    let read_only = details.get("accessMode").and_then(Value::as_str) == Some("ReadOnly");
    Ok(ModelProperty {
        value_type,
        access: if read_only { Access::ReadOnly } else { Access::ReadWrite },
        minimum: number(details.get("minimum")),
        maximum: number(details.get("maximum")),
        visitor: property.pointer("/visitors/configData").or(property.get("visitors")).cloned().unwrap_or_default(),
        name: name.to_string(),
    })
}

/// v1beta1 writes bounds as text, v1alpha2 as numbers.
fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    }
}

/// Devices that joined or left, with their descriptions.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    pub added: Vec<(DeviceId, String)>,
    pub removed: Vec<DeviceId>,
}

/// Reads a membership message; ids that are not `<namespace>/<name>` are passed over.
pub(crate) fn parse_membership(content: &[u8]) -> Result<Membership, TwinError> {
    #[derive(Deserialize)]
    struct Document {
        added_devices: Option<Vec<Member>>,
        removed_devices: Option<Vec<Member>>,
    }
    #[derive(Deserialize)]
    struct Member {
        id: String,
        #[serde(default)]
        description: String,
    }
    let document: Document = serde_json::from_slice(content).map_err(|error| TwinError::Document {
        kind: "Membership",
        name: String::new(),
        reason: error.to_string(),
    })?;
    let members = |list: Option<Vec<Member>>| {
        list.unwrap_or_default()
            .into_iter()
            .filter_map(|member| Some((DeviceId::parse(&member.id)?, member.description)))
    };
    Ok(Membership {
        added: members(document.added_devices).collect(),
        removed: members(document.removed_devices).map(|(id, _)| id).collect(),
    })
}

#[cfg(test)]
#[path = "normalise_tests.rs"]
mod tests;
