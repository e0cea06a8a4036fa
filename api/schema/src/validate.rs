//! What is wrong with a document, in the words of the Kubernetes API server.

use std::collections::HashSet;

use edgeward_objects::{Cause, CauseReason, Object, Quantity};
use serde_json::{Map, Value};

use crate::formats;
use crate::node::{Kind, List, Node, Path, Rules};

/// Faults told at most; a document of a million wrong elements needs no million sentences.
const CAUSES: usize = 100;

pub(crate) fn validate(root: &Node, object: &Object) -> Vec<Cause> {
    let mut walk = Walk::default();
    walk.map(root, object.as_map());
    walk.causes
}

#[derive(Default)]
struct Walk {
    path: Path,
    causes: Vec<Cause>,
}

impl Walk {
    fn value(&mut self, node: &Node, value: &Value) {
        if self.causes.len() >= CAUSES || (value.is_null() && (node.nullable || node.kind == Kind::Any)) {
            return;
        }
        if let Some(expected) = mismatch(node.kind, value) {
            return self.wrong_type(expected, type_name(value));
        }
        match value {
            Value::Object(map) => self.map(node, map),
            Value::Array(items) => self.list(node, items),
            _ => {}
        }
        if let Some(rules) = &node.rules {
            self.rules(rules, value);
        }
    }

    fn map(&mut self, node: &Node, map: &Map<String, Value>) {
        for name in node.required.iter().filter(|name| !map.contains_key(&***name)) {
            let length = self.path.push_field(name);
            self.causes.push(Cause::required(self.path.text(), ""));
            self.path.cut(length);
        }
        for (name, value) in map {
            if let Some(field) = node.field(name) {
                let length = self.path.push_field(name);
                self.value(field, value);
                self.path.cut(length);
            }
        }
    }

    fn list(&mut self, node: &Node, items: &[Value]) {
        let Some(element) = &node.items else { return };
        for (at, item) in items.iter().enumerate() {
            let length = self.path.push_index(at);
            self.value(element, item);
            self.path.cut(length);
        }
    }

    fn rules(&mut self, rules: &Rules, value: &Value) {
        if !rules.choices.is_empty() && !rules.choices.contains(value) {
            let choices: Vec<String> = rules.choices.iter().map(plain).collect();
            self.causes.push(Cause::unsupported(self.path.text(), value, choices.iter().map(String::as_str)));
        }
        match value {
            Value::String(text) => self.text_rules(rules, text, value),
            Value::Number(number) => self.number_rules(rules, number.as_f64().unwrap_or(0.0), value),
            Value::Array(items) => self.list_rules(rules, items, value),
            Value::Object(map) => self.map_rules(rules, map, value),
            _ => {}
        }
        self.combinations(rules, value);
    }

    fn text_rules(&mut self, rules: &Rules, text: &str, value: &Value) {
        let length = text.chars().count();
        if let Some(max) = rules.max_length.filter(|max| length > *max) {
            self.causes.push(Cause::too_long(self.path.text(), max));
        }
        if let Some(min) = rules.min_length.filter(|min| length < *min) {
            self.should(value, &format!("should be at least {min} chars long"));
        }
        if let Some(pattern) = rules.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            self.should(value, &format!("should match '{}'", pattern.as_str()));
        }
        if let Some(format) = rules.format.as_ref().filter(|format| !formats::matches(format, text)) {
            self.should(value, &format!("must be of type {format}: {value}"));
        }
    }

    fn number_rules(&mut self, rules: &Rules, number: f64, value: &Value) {
        if let Some(min) = rules.minimum {
            if rules.exclusive_minimum && number <= min {
                self.should(value, &format!("should be greater than {min}"));
            } else if number < min {
                self.should(value, &format!("should be greater than or equal to {min}"));
            }
        }
        if let Some(max) = rules.maximum {
            if rules.exclusive_maximum && number >= max {
                self.should(value, &format!("should be less than {max}"));
            } else if number > max {
                self.should(value, &format!("should be less than or equal to {max}"));
            }
        }
        if let Some(step) = rules.multiple_of.filter(|step| *step > 0.0 && (number / step).fract() != 0.0) {
            self.should(value, &format!("should be a multiple of {step}"));
        }
    }

    fn list_rules(&mut self, rules: &Rules, items: &[Value], value: &Value) {
        if let Some(max) = rules.max_items.filter(|max| items.len() > *max) {
            self.causes.push(Cause::too_many(self.path.text(), items.len(), max));
        }
        if let Some(min) = rules.min_items.filter(|min| items.len() < *min) {
            self.should(value, &format!("should have at least {min} items"));
        }
        let identity = |item: &Value| match &rules.list {
            List::Atomic => rules.unique_items.then(|| item.clone()),
            List::Set => Some(item.clone()),
            List::Map(keys) => {
                let pairs = keys.iter().filter_map(|key| Some((key.to_string(), item.get(&**key)?.clone())));
                Some(Value::Object(pairs.collect()))
            }
        };
        let mut seen = HashSet::new();
        for (at, item) in items.iter().enumerate() {
            let Some(identity) = identity(item) else { return };
            if !seen.insert(identity.to_string()) {
                self.causes.push(Cause::duplicate(format!("{}[{at}]", self.path.text()), &identity));
            }
        }
    }

    fn map_rules(&mut self, rules: &Rules, map: &Map<String, Value>, value: &Value) {
        if let Some(max) = rules.max_properties.filter(|max| map.len() > *max) {
            self.causes.push(Cause::too_many(self.path.text(), map.len(), max));
        }
        if let Some(min) = rules.min_properties.filter(|min| map.len() < *min) {
            self.should(value, &format!("should have at least {min} properties"));
        }
    }

    fn combinations(&mut self, rules: &Rules, value: &Value) {
        let path = format!("\"{}\"", self.path.text());
        let mut refuse = |what: &str| {
            self.causes.push(Cause::invalid(self.path.text(), value, &format!("{path} must {what}")));
        };
        if rules.all_of.iter().any(|node| !accepts(node, value)) {
            refuse("validate all the schemas (allOf)");
        }
        if !rules.any_of.is_empty() && !rules.any_of.iter().any(|node| accepts(node, value)) {
            refuse("validate at least one schema (anyOf)");
        }
        let valid = rules.one_of.iter().filter(|node| accepts(node, value)).count();
        if !rules.one_of.is_empty() && valid != 1 {
            let found = if valid == 0 { "none valid".into() } else { format!("{valid} valid alternatives") };
            refuse(&format!("validate one and only one schema (oneOf). Found {found}"));
        }
        if rules.not.as_ref().is_some_and(|node| accepts(node, value)) {
            refuse("not validate the schema (not)");
        }
    }

    fn should(&mut self, value: &Value, what: &str) {
        let detail = format!("{} in body {what}", self.path.text());
        self.causes.push(Cause::invalid(self.path.text(), value, &detail));
    }

    fn wrong_type(&mut self, expected: &str, got: &str) {
        let path = self.path.text();
        let detail = format!("{path} in body must be of type {expected}: \"{got}\"");
        self.causes.push(Cause::new(
            CauseReason::FieldValueTypeInvalid,
            path,
            format!("Invalid value: \"{got}\": {detail}"),
        ));
    }
}

fn accepts(node: &Node, value: &Value) -> bool {
    let mut walk = Walk::default();
    walk.value(node, value);
    walk.causes.is_empty()
}

/// The expected type's name, if the value is of another one.
fn mismatch(kind: Kind, value: &Value) -> Option<&'static str> {
    let whole = |value: &Value| value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0);
    let (fits, name) = match kind {
        Kind::Any => (true, ""),
        Kind::Object => (value.is_object(), "object"),
        Kind::Array => (value.is_array(), "array"),
        Kind::String => (value.is_string(), "string"),
        Kind::Integer => (whole(value), "integer"),
        Kind::Number => (value.is_number(), "number"),
        Kind::Boolean => (value.is_boolean(), "boolean"),
        Kind::IntOrString => (value.is_string() || whole(value), "integer or string"),
        Kind::Quantity => (value.is_number() || value.as_str().is_some_and(is_quantity), "quantity"),
        Kind::Time => (value.as_str().is_some_and(|text| formats::matches("date-time", text)), "date-time"),
    };
    (!fits).then_some(name)
}

fn is_quantity(text: &str) -> bool {
    text.parse::<Quantity>().is_ok()
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A choice as `supported values` lists it, without its own quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
