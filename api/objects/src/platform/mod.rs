//! The custom resources this platform ships, as CustomResourceDefinition objects.
//!
//! The YAML files beside this one hold the facts in a shorthand told at the top of `kubeedge.yaml`; this module spells them out.
//! All versions of a kind share one schema, the union of what its versions know, and no conversion: whatever a user sets in any
//! version is stored and comes back in every version.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::Object;

/// Every definition, in the order they should be listed: `devices.kubeedge.io` before any other group with a `Device`.
pub fn crds() -> &'static [Object] {
    &CRDS
}

static CRDS: LazyLock<Vec<Object>> = LazyLock::new(|| {
    // A file that does not parse would leave its kinds out; a test reads every one of them.
    [include_str!("kubeedge.yaml"), include_str!("openyurt.yaml")].into_iter().flat_map(read).collect()
});

fn read(text: &str) -> Vec<Object> {
    let file: Value = serde_saphyr::from_str(text).unwrap_or_default();
    let types = file.get("types").cloned().unwrap_or_default();
    let kinds = file.get("kinds").and_then(Value::as_array).into_iter().flatten();
    kinds.filter_map(|kind| definition(kind, &types)).collect()
}

fn definition(kind: &Value, types: &Value) -> Option<Object> {
    let text = |key: &str| kind.get(key).and_then(Value::as_str);
    let (name, group, plural) = (text("kind")?, text("group")?, text("plural")?);
    let mut names = json!({
        "kind": name, "listKind": format!("{name}List"), "plural": plural, "singular": name.to_lowercase(),
    });
    for key in ["shortNames", "categories"] {
        if let Some(list) = kind.get(key) {
            names[key] = list.clone();
        }
    }
    let schema = root_schema(kind, types);
    let versions = kind.get("versions")?.as_object()?;
    let versions: Vec<Value> =
        versions.iter().map(|(version, facts)| spell_version(version, facts, kind, &schema)).collect();
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "names": names, "scope": text("scope")?,
            "versions": versions, "conversion": {"strategy": "None"},
        },
    });
    Object::from_value(crd).ok()
}

/// One entry of `spec.versions`; what the version does not say, the kind says.
fn spell_version(version: &str, facts: &Value, kind: &Value, schema: &Value) -> Value {
    let fact = |key: &str| facts.get(key).or_else(|| kind.get(key));
    let flag = |key: &str, otherwise: bool| facts.get(key).and_then(Value::as_bool).unwrap_or(otherwise);
    let mut spelled = json!({
        "name": version, "served": flag("served", true), "storage": flag("storage", false),
        "schema": {"openAPIV3Schema": schema},
    });
    if let Some(columns) = fact("columns").and_then(Value::as_array) {
        spelled["additionalPrinterColumns"] = columns.iter().filter_map(spell_column).collect();
    }
    if fact("statusSubresource") == Some(&Value::Bool(true)) {
        spelled["subresources"] = json!({"status": {}});
    }
    for key in ["deprecated", "deprecationWarning"] {
        if let Some(value) = facts.get(key) {
            spelled[key] = value.clone();
        }
    }
    spelled
}

/// `NAME TYPE PATH`, or `NAME TYPE PATH wide`.
fn spell_column(text: &Value) -> Option<Value> {
    let mut words = text.as_str()?.split_whitespace();
    let mut column = json!({"name": words.next()?, "type": words.next()?, "jsonPath": words.next()?});
    if words.next() == Some("wide") {
        column["priority"] = json!(1);
    }
    Some(column)
}

/// The schema of the whole object: every key of the kind's `fields`.
fn root_schema(kind: &Value, types: &Value) -> Value {
    let mut properties = json!({
        "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
    });
    let mut root = spell(kind.get("fields").unwrap_or(&Value::Null), types);
    if let (Some(all), Some(own)) = (properties.as_object_mut(), root.get("properties").and_then(Value::as_object)) {
        all.extend(own.clone());
    }
    root["properties"] = properties;
    root
}

/// Spells one shorthand out.
fn spell(short: &Value, types: &Value) -> Value {
    match short {
        Value::String(word) => spell_word(word, types),
        Value::Array(items) => json!({"type": "array", "items": spell(items.first().unwrap_or(&Value::Null), types)}),
        Value::Object(fields) => spell_map(fields, types),
        _ => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    }
}

fn spell_map(fields: &Map<String, Value>, types: &Value) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut schema = json!({"type": "object"});
    for (key, value) in fields {
        match key.as_str() {
            "*" => schema["additionalProperties"] = spell(value, types),
            "..." => schema["x-kubernetes-preserve-unknown-fields"] = Value::Bool(true),
            key => {
                let name = key.trim_end_matches('!');
                if name != key {
                    required.push(name);
                }
                properties.insert(name.to_owned(), spell(value, types));
            }
        }
    }
    if !properties.is_empty() {
        schema["properties"] = Value::Object(properties);
    }
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn spell_word(word: &str, types: &Value) -> Value {
    let (word, default) = match word.split_once(" = ") {
        Some((word, default)) => (word, serde_json::from_str(default).ok().or(Some(json!(default)))),
        None => (word, None),
    };
    let mut schema = match word {
        "string" | "boolean" | "integer" | "number" => json!({"type": word}),
        "time" => json!({"type": "string", "format": "date-time"}),
        "any" => json!({"x-kubernetes-preserve-unknown-fields": true}),
        "object" => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        "map" => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        "intOrString" => json!({"x-kubernetes-int-or-string": true}),
        choices if choices.contains('|') => json!({"type": "string", "enum": choices.split('|').collect::<Vec<_>>()}),
        name => spell(types.get(name).unwrap_or(&Value::Null), types),
    };
    if let Some(default) = default {
        schema["default"] = default;
    }
    schema
}
