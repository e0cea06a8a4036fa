use serde_json::{Map, Value};

use crate::node::{Node, Path};

pub(crate) fn prune(root: &Node, object: &mut Map<String, Value>) -> Vec<String> {
    let mut unknown = Vec::new();
    prune_map(root, object, &mut Path::default(), &mut unknown);
    unknown
}

fn prune_map(node: &Node, map: &mut Map<String, Value>, path: &mut Path, unknown: &mut Vec<String>) {
    map.retain(|name, value| {
        if node.drops_null && value.is_null() {
            return false;
        }
        let length = path.push_field(name);
        let known = match node.field(name) {
            Some(field) => {
                prune_value(field, value, path, unknown);
                true
            }
            None => node.keeps_unknown(),
        };
        if !known {
            unknown.push(path.text().to_owned());
        }
        path.cut(length);
        known
    });
}

fn prune_value(node: &Node, value: &mut Value, path: &mut Path, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => prune_map(node, map, path, unknown),
        Value::Array(items) => {
            if let Some(element) = &node.items {
                for (at, item) in items.iter_mut().enumerate() {
                    let length = path.push_index(at);
                    prune_value(element, item, path, unknown);
                    path.cut(length);
                }
            }
        }
        _ => {}
    }
}
