use edgeward_objects::Quantity;
use serde_json::{Map, Number, Value};

use crate::node::{Kind, Node};

/// Applies the `default`s of a schema: outer ones first, so that a default may itself be completed. Numbers get
/// their one spelling.
pub(crate) fn apply(node: &Node, map: &mut Map<String, Value>) {
    for (name, field) in &node.properties {
        if let Some(default) = &field.default
            && map.get(&**name).is_none_or(|value| value.is_null() && !field.nullable)
        {
            map.insert(name.to_string(), default.clone());
        }
    }
    for (name, value) in map {
        if let Some(field) = node.field(name) {
            apply_value(field, value);
        }
    }
}

fn apply_value(node: &Node, value: &mut Value) {
    match value {
        Value::Object(map) => apply(node, map),
        Value::Array(items) => {
            if let Some(element) = &node.items {
                items.iter_mut().for_each(|item| apply_value(element, item));
            }
        }
        Value::Number(number) => {
            if let Some(plain) = normal(node.kind, number) {
                *value = plain;
            }
        }
        _ => {}
    }
}

/// Quantities are texts and integers have no fraction, however YAML wrote them: typed clients read nothing else.
fn normal(kind: Kind, number: &Number) -> Option<Value> {
    match kind {
        Kind::Quantity => Some(number.to_string().parse::<Quantity>().ok()?.to_string().into()),
        Kind::Integer if number.is_f64() => {
            // Up to 2^53 every integer is exact as a float.
            number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15).map(|n| Value::from(n as i64))
        }
        _ => None,
    }
}
