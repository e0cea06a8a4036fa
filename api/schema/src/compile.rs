//! From a CRD's `openAPIV3Schema` to nodes.

use std::sync::Arc;

use edgeward_objects::Cause;
use regex::RegexBuilder;
use serde_json::{Map, Value};

use crate::node::{Kind, List, Node, Rules};

/// Bytes one compiled pattern may take.
const PATTERN_BYTES: usize = 1 << 20;

/// Compiles the schema of a whole object. Fails with everything that keeps it from being structural.
pub(crate) fn root(schema: &Value, path: &str) -> Result<Node, Vec<Cause>> {
    let mut compiler = Compiler { causes: Vec::new() };
    let mut root = compiler.node(schema, path, true);
    if root.kind != Kind::Object {
        compiler.causes.push(Cause::invalid(format!("{path}.type"), &type_of(schema), "must be object at the root"));
    }
    root.embed();
    if compiler.causes.is_empty() { Ok(root) } else { Err(compiler.causes) }
}

struct Compiler {
    causes: Vec<Cause>,
}

impl Compiler {
    /// `structural` is false below `allOf` and its like, which only restrict what the structure around them says.
    fn node(&mut self, schema: &Value, path: &str, structural: bool) -> Node {
        let empty = Map::new();
        let map = schema.as_object().unwrap_or(&empty);
        let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or(false);
        let mut node = Node {
            kind: self.kind(map, path, structural),
            nullable: flag("nullable"),
            open: flag("x-kubernetes-preserve-unknown-fields"),
            default: map.get("default").cloned(),
            required: strings(map.get("required")),
            ..Node::default()
        };
        for (name, property) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let property = self.node(property, &format!("{path}.properties[{name}]"), structural);
            node.properties.insert(name.as_str().into(), Arc::new(property));
        }
        match map.get("additionalProperties") {
            Some(Value::Bool(true)) => node.open = true,
            Some(values @ Value::Object(_)) => {
                let values = self.node(values, &format!("{path}.additionalProperties"), structural);
                node.additional = Some(Arc::new(values));
            }
            _ => {}
        }
        if let Some(items) = map.get("items") {
            node.items = Some(Arc::new(self.node(items, &format!("{path}.items"), structural)));
        } else if structural && node.kind == Kind::Array {
            self.causes.push(Cause::required(format!("{path}.items"), "must be specified"));
        }
        node.rules = self.rules(map, path);
        if flag("x-kubernetes-embedded-resource") {
            node.embed();
        }
        node
    }

    fn kind(&mut self, map: &Map<String, Value>, path: &str, structural: bool) -> Kind {
        let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or(false);
        match map.get("type").and_then(Value::as_str) {
            _ if flag("x-kubernetes-int-or-string") => Kind::IntOrString,
            Some("object") => Kind::Object,
            Some("array") => Kind::Array,
            Some("string") => Kind::String,
            Some("integer") => Kind::Integer,
            Some("number") => Kind::Number,
            Some("boolean") => Kind::Boolean,
            None if !structural || flag("x-kubernetes-preserve-unknown-fields") => Kind::Any,
            None => {
                let why = "must not be empty for specified object fields";
                self.causes.push(Cause::required(format!("{path}.type"), why));
                Kind::Any
            }
            Some(other) => {
                let known = ["array", "boolean", "integer", "number", "object", "string"];
                self.causes.push(Cause::unsupported(format!("{path}.type"), &other.into(), known));
                Kind::Any
            }
        }
    }

    fn rules(&mut self, map: &Map<String, Value>, path: &str) -> Option<Box<Rules>> {
        let number = |key: &str| map.get(key).and_then(Value::as_f64);
        let count = |key: &str| map.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or(false);
        let mut rules = Rules {
            choices: map.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
            format: map.get("format").and_then(Value::as_str).map(Into::into),
            minimum: number("minimum"),
            exclusive_minimum: flag("exclusiveMinimum"),
            maximum: number("maximum"),
            exclusive_maximum: flag("exclusiveMaximum"),
            multiple_of: number("multipleOf"),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            unique_items: flag("uniqueItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            list: list_type(map),
            ..Rules::default()
        };
        if let Some(pattern) = map.get("pattern").and_then(Value::as_str) {
            match RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build() {
                Ok(pattern) => rules.pattern = Some(pattern),
                Err(error) => {
                    let why = format!("must be a valid regular expression, but isn't: {error}");
                    self.causes.push(Cause::invalid(format!("{path}.pattern"), &pattern.into(), &why));
                }
            }
        }
        for (key, list) in [("allOf", &mut rules.all_of), ("anyOf", &mut rules.any_of), ("oneOf", &mut rules.one_of)] {
            for (at, schema) in map.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
                list.push(self.node(schema, &format!("{path}.{key}[{at}]"), false));
            }
        }
        rules.not = map.get("not").map(|schema| Box::new(self.node(schema, &format!("{path}.not"), false)));
        RULE_KEYS.iter().any(|key| map.contains_key(*key)).then(|| Box::new(rules))
    }
}

/// Keys that make a node need [`Rules`].
const RULE_KEYS: &[&str] = &[
    "enum",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-list-type",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
];

fn list_type(map: &Map<String, Value>) -> List {
    match map.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => List::Set,
        Some("map") => List::Map(strings(map.get("x-kubernetes-list-map-keys"))),
        _ => List::Atomic,
    }
}

fn strings(list: Option<&Value>) -> Vec<Box<str>> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

fn type_of(schema: &Value) -> Value {
    schema.get("type").cloned().unwrap_or_default()
}
