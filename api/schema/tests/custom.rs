//! Schemas of custom resources: compiled from JSON, then validate, prune and default.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap here is a failed test")]

use edgeward_objects::{Cause, Object};
use edgeward_schema::Schema;
use proptest::prelude::*;
use serde_json::{Value, json};

fn compile(properties: Value) -> Schema {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}});
    Schema::compile(&schema, "schema").unwrap()
}

fn object(spec: &Value) -> Object {
    Object::from_value(json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "x"}, "spec": spec})).unwrap()
}

fn texts(causes: &[Cause]) -> Vec<String> {
    causes.iter().map(Cause::text).collect()
}

/// One property `x` of that schema with that value.
fn check(schema: Value, value: Value, expect: &[&str]) {
    let found = compile(json!({ "x": schema })).validate(&object(&json!({ "x": value })));
    assert_eq!(texts(&found), expect, "{schema} against {value}");
}

#[test]
fn types() {
    let wrong = |expected: &str, got: &str| {
        format!("spec.x: Invalid value: \"{got}\": spec.x in body must be of type {expected}: \"{got}\"")
    };
    for (schema, good, bad, got) in [
        ("string", json!("a"), json!(1), "integer"),
        ("integer", json!(1), json!("1"), "string"),
        ("integer", json!(2.0), json!(1.5), "number"),
        ("number", json!(1.5), json!(true), "boolean"),
        ("boolean", json!(true), json!("true"), "string"),
        ("object", json!({}), json!([]), "array"),
        ("object", json!({}), json!(null), "null"),
    ] {
        check(json!({"type": schema}), good, &[]);
        check(json!({"type": schema}), bad, &[&wrong(schema, got)]);
    }
    check(json!({"type": "array", "items": {"type": "string"}}), json!(["a"]), &[]);
    let at = "spec.x[1]: Invalid value: \"integer\": spec.x[1] in body must be of type string: \"integer\"";
    check(json!({"type": "array", "items": {"type": "string"}}), json!(["a", 1]), &[at]);
    check(json!({"x-kubernetes-int-or-string": true}), json!("50%"), &[]);
    check(json!({"x-kubernetes-int-or-string": true}), json!(5), &[]);
    check(json!({"x-kubernetes-int-or-string": true}), json!([]), &[&wrong("integer or string", "array")]);
    check(json!({"type": "string", "nullable": true}), json!(null), &[]);
    check(json!({"x-kubernetes-preserve-unknown-fields": true}), json!([1, "a", null]), &[]);
}

#[test]
fn limits() {
    for (schema, value, fault) in [
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            "Unsupported value: \"c\": supported values: \"a\", \"b\"",
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            "Invalid value: \"b\": spec.x in body should match '^a+$'",
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("é"),
            "Invalid value: \"é\": spec.x in body should be at least 2 chars long",
        ),
        (json!({"type": "string", "maxLength": 2}), json!("abc"), "Too long: may not be more than 2 bytes"),
        (
            json!({"type": "integer", "minimum": 1}),
            json!(0),
            "Invalid value: 0: spec.x in body should be greater than or equal to 1",
        ),
        (
            json!({"type": "integer", "maximum": 1}),
            json!(2),
            "Invalid value: 2: spec.x in body should be less than or equal to 1",
        ),
        (
            json!({"type": "number", "minimum": 1, "exclusiveMinimum": true}),
            json!(1),
            "Invalid value: 1: spec.x in body should be greater than 1",
        ),
        (
            json!({"type": "number", "maximum": 1, "exclusiveMaximum": true}),
            json!(1),
            "Invalid value: 1: spec.x in body should be less than 1",
        ),
        (
            json!({"type": "integer", "multipleOf": 5}),
            json!(7),
            "Invalid value: 7: spec.x in body should be a multiple of 5",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            json!([]),
            "Invalid value: []: spec.x in body should have at least 1 items",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "maxItems": 1}),
            json!(["a", "b"]),
            "Too many: 2: must have at most 1 item",
        ),
        (
            json!({"type": "object", "minProperties": 1}),
            json!({}),
            "Invalid value: {}: spec.x in body should have at least 1 properties",
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!("today"),
            "Invalid value: \"today\": spec.x in body must be of type date-time: \"today\"",
        ),
        (
            json!({"type": "integer", "not": {"enum": [3]}}),
            json!(3),
            "Invalid value: 3: \"spec.x\" must not validate the schema (not)",
        ),
        (
            json!({"type": "integer", "anyOf": [{"minimum": 5}, {"enum": [1]}]}),
            json!(2),
            "Invalid value: 2: \"spec.x\" must validate at least one schema (anyOf)",
        ),
        (
            json!({"type": "integer", "oneOf": [{"minimum": 1}, {"minimum": 2}]}),
            json!(2),
            "Invalid value: 2: \"spec.x\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ),
        (
            json!({"type": "integer", "allOf": [{"minimum": 5}]}),
            json!(2),
            "Invalid value: 2: \"spec.x\" must validate all the schemas (allOf)",
        ),
    ] {
        check(schema, value, &[&format!("spec.x: {fault}")]);
    }
}

#[test]
fn lists_with_identity() {
    let set = json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"});
    check(set, json!(["a", "b", "a"]), &["spec.x[2]: Duplicate value: \"a\""]);
    let map = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "v": {"type": "integer"}}}});
    check(
        map,
        json!([{"name": "a", "v": 1}, {"name": "a", "v": 2}]),
        &["spec.x[1]: Duplicate value: {\"name\":\"a\"}"],
    );
}

#[test]
fn required_fields() {
    let schema = Schema::compile(
        &json!({"type": "object", "required": ["spec"], "properties": {
            "spec": {"type": "object", "required": ["selector"], "properties": {"selector": {"type": "object"}}}}}),
        "schema",
    )
    .unwrap();
    assert_eq!(texts(&schema.validate(&object(&json!({})))), ["spec.selector: Required value"]);
    let bare = Object::from_value(json!({"apiVersion": "g/v1", "kind": "K"})).unwrap();
    assert_eq!(texts(&schema.validate(&bare)), ["spec: Required value"]);
}

#[test]
fn pruning_tells_what_it_removed() {
    let schema = compile(json!({
        "known": {"type": "string"},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"typed": {"type": "object"}}},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
        "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
        "any": {"x-kubernetes-preserve-unknown-fields": true},
    }));
    let mut given = Object::from_value(json!({
        "apiVersion": "g/v1", "kind": "K", "extra": 1,
        "metadata": {"name": "x", "labels": {"a": "b"}, "creationTimestamp": null, "colour": "red"},
        "spec": {"known": "k", "dat": 1, "open": {"free": {"x": 1}, "typed": {"gone": 1}}, "map": {"k": {"a": "1", "b": 2}},
            "list": [{"a": "1"}, {"b": 2}], "any": {"x": [1]},
            "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"y": 1}, "z": 1}},
    }))
    .unwrap();
    let unknown = schema.prune(&mut given);
    let expect = [
        "extra",
        "metadata.colour",
        "spec.dat",
        "spec.open.typed.gone",
        "spec.map.k.b",
        "spec.list[1].b",
        "spec.pod.spec.y",
        "spec.pod.z",
    ];
    assert_eq!(unknown, expect);
    assert_eq!(
        given.to_value(),
        json!({
            "apiVersion": "g/v1", "kind": "K", "metadata": {"name": "x", "labels": {"a": "b"}},
            "spec": {"known": "k", "open": {"free": {"x": 1}, "typed": {}}, "map": {"k": {"a": "1"}}, "list": [{"a": "1"}, {}],
                "any": {"x": [1]}, "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}}},
        })
    );
    let mut free = object(&json!({"whatever": [1]}));
    assert_eq!(Schema::open().prune(&mut free), Vec::<String>::new());
    assert_eq!(free, object(&json!({"whatever": [1]})));
}

#[test]
fn defaults_fill_what_is_absent() {
    let schema = compile(json!({
        "a": {"type": "integer", "default": 1},
        "b": {"type": "object", "default": {}, "properties": {"c": {"type": "string", "default": "d"}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"e": {"type": "boolean", "default": true}}}},
        "null": {"type": "string", "nullable": true, "default": "n"},
    }));
    let check = |given: Value, expect: Value| {
        let mut given = object(&given);
        schema.default(&mut given);
        assert_eq!(given, object(&expect));
    };
    check(json!({}), json!({"a": 1, "b": {"c": "d"}, "null": "n"}));
    check(
        json!({"a": null, "b": {"c": "x"}, "list": [{}, {"e": false}], "null": null}),
        json!({"a": 1, "b": {"c": "x"}, "list": [{"e": true}, {"e": false}], "null": null}),
    );
}

#[test]
fn schemas_that_are_not_structural_are_refused() {
    for (schema, fault) in [
        (json!({"type": "string"}), "schema.type: Invalid value: \"string\": must be object at the root"),
        (
            json!({"type": "object", "properties": {"a": {}}}),
            "schema.properties[a].type: Required value: must not be empty for specified object fields",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "array"}}}),
            "schema.properties[a].items: Required value: must be specified",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "text"}}}),
            "schema.properties[a].type: Unsupported value: \"text\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
        ),
    ] {
        assert_eq!(texts(&Schema::compile(&schema, "schema").unwrap_err()), [fault]);
    }
    let pattern = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}});
    assert_eq!(Schema::compile(&pattern, "schema").unwrap_err()[0].field, "schema.properties[a].pattern");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        any::<i64>().prop_map(|n| json!(n)),
        "[a-z]{0,8}".prop_map(Value::from)
    ];
    let key = prop_oneof![
        Just("type"),
        Just("properties"),
        Just("items"),
        Just("default"),
        Just("required"),
        Just("enum"),
        Just("pattern"),
        Just("additionalProperties"),
        Just("anyOf"),
        Just("not"),
        Just("x-kubernetes-list-type"),
        Just("spec"),
        Just("metadata"),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..5).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn any_schema_and_any_document(mut schema in any_json(), document in any_json()) {
        if let Some(map) = schema.as_object_mut() {
            map.insert("type".into(), json!("object"));
        }
        if let (Ok(schema), Ok(mut document)) = (Schema::compile(&schema, "schema"), Object::from_value(document)) {
            schema.prune(&mut document);
            schema.default(&mut document);
            let _ = schema.validate(&document);
            prop_assert!(schema.prune(&mut document.clone()).is_empty() || schema.validate(&document).len() < 1000);
        }
    }
}
