use serde_json::{Map, Value};

use crate::node::Node;

/// Applies the `default`s of a schema: outer ones first, so that a default may itself be completed.
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
        _ => {}
    }
}
