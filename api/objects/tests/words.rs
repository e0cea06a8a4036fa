//! Selectors, names and quantities: many short cases.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap here is a failed test")]

use edgeward_objects::{FieldSelector, GroupResource, LabelSelector, NodeSelector, Object, Quantity, names};
use proptest::prelude::*;
use serde_json::{Value, json};

fn object(labels: Value) -> Object {
    Object::from_value(json!({"metadata": {"name": "x", "labels": labels}, "spec": {"nodeName": "edge-1"}})).unwrap()
}

#[test]
fn label_selectors_in_text() {
    let object = object(json!({"app": "web", "tier": "front", "rack": "7", "example.com/zone": "a"}));
    let check = |text: &str, expect: bool| {
        let selector = LabelSelector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(selector.matches_object(&object), expect, "{text}");
    };
    for text in [
        "",
        "app",
        "!gone",
        "app=web",
        "app==web",
        "app != db",
        "gone!=x",
        "app in (web,db)",
        "tier notin (back)",
        "gone notin (x)",
        "rack>6",
        "rack<8",
        "example.com/zone in ( a , b )",
        "app=web,tier in (front,back),!gone",
    ] {
        check(text, true);
    }
    for text in [
        "gone",
        "!app",
        "app=db",
        "app!=web",
        "app in (db)",
        "tier notin (front,x)",
        "rack>7",
        "rack<7",
        "app=",
        "app>1",
    ] {
        check(text, false);
    }
    for text in
        ["app in", "app in (a", "app in a)", "=x", "app=a b", "app>x", "a/b/c", "app in (a),", "((", "app=web,,x"]
    {
        assert!(LabelSelector::parse(text).is_err(), "{text}");
    }
}

#[test]
fn label_selectors_as_structs() {
    let labels = object(json!({"app": "web", "tier": "front"}));
    let check = |selector: Value, expect: bool| {
        assert_eq!(LabelSelector::from_value(Some(&selector)).unwrap().matches_object(&labels), expect, "{selector}");
    };
    check(json!({}), true);
    check(json!(null), false);
    check(json!({"matchLabels": {"app": "web"}}), true);
    check(json!({"matchLabels": {"app": "web", "x": "y"}}), false);
    check(json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}), true);
    check(json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}), false);
    assert!(!LabelSelector::from_value(None).unwrap().matches_object(&labels));
    for bad in [
        json!({"matchExpressions": [{"key": "app", "operator": "Is"}]}),
        json!({"matchExpressions": [{"key": "app", "operator": "In"}]}),
        json!({"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["1"]}]}),
        json!({"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["1"]}]}),
    ] {
        assert!(LabelSelector::from_value(Some(&bad)).is_err(), "{bad}");
    }
}

#[test]
fn node_selectors() {
    let labels = object(json!({"zone": "a", "cores": "8"}));
    let check = |terms: Value, expect: bool| {
        let selector = NodeSelector::from_value(&json!({"nodeSelectorTerms": terms})).unwrap();
        assert_eq!(selector.matches("edge-1", |key| labels.label(key)), expect, "{terms}");
    };
    check(json!([]), false);
    check(json!([{}]), false);
    check(json!([{}, {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}]), true);
    check(json!([{"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["4"]}]}]), true);
    check(json!([{"matchExpressions": [{"key": "cores", "operator": "Lt", "values": ["4"]}]}]), false);
    check(json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["edge-1"]}]}]), true);
    check(json!([{"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["edge-1"]}]}]), false);
    assert!(
        NodeSelector::from_value(
            &json!({"nodeSelectorTerms": [{"matchFields": [{"key": "x", "operator": "Exists"}]}]})
        )
        .is_err()
    );
}

#[test]
fn field_selectors() {
    let pods = GroupResource::new("", "pods");
    let check = |text: &str, expect: bool| {
        let selector = FieldSelector::parse(text).unwrap();
        selector.check(&pods).unwrap();
        assert_eq!(selector.matches(&object(json!({}))), expect, "{text}");
    };
    for text in ["", "metadata.name=x", "spec.nodeName==edge-1", "status.phase!=Failed", "spec.hostNetwork=false"] {
        check(text, true);
    }
    for text in ["metadata.name=y", "spec.nodeName!=edge-1", "metadata.name=x,status.phase=Running"] {
        check(text, false);
    }
    let unknown = FieldSelector::parse("spec.x=1").unwrap().check(&pods).unwrap_err();
    assert_eq!(unknown.to_string(), "field label not supported: spec.x");
    assert_eq!(FieldSelector::parse(r"metadata.name=a\,b\=c\\d").unwrap().exact("metadata.name"), Some(r"a,b=c\d"));
    for text in ["metadata.name", "a!b", r"a=\x", "a=b=c"] {
        assert!(FieldSelector::parse(text).is_err(), "{text}");
    }
}

#[test]
fn quantities_print_canonically() {
    let check = |text: &str, expect: &str| {
        let quantity: Quantity = text.parse().unwrap_or_else(|_| panic!("{text}"));
        assert_eq!(quantity.to_string(), expect, "{text}");
    };
    for (text, expect) in [
        ("0", "0"),
        ("0Mi", "0"),
        ("100m", "100m"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("5.", "5"),
        ("1.5Gi", "1536Mi"),
        ("1024Ki", "1Mi"),
        ("1024", "1024"),
        ("1000", "1k"),
        ("0.1Gi", "107374182400m"), // no binary suffix says this exactly
        ("512.5Ki", "524800"),
        ("0.5Ki", "512"),
        ("128M", "128M"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("12e6", "12e6"),
        ("1.5e3", "1500"),
        ("1E", "1E"),
        ("-1.5", "-1500m"),
        ("+2", "2"),
        ("0.0000000001", "1n"),
        ("123456789n", "123456789n"),
        ("1e-3", "1e-3"),
        ("99999999999999999999E", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775807"),
    ] {
        check(text, expect);
    }
    for text in ["", "-", ".", "1.2.3", "1x", "Mi", "1 Mi", "1mi", "1e", "1eM", "0x1", "1KI"] {
        assert!(text.parse::<Quantity>().is_err(), "{text}");
    }
}

#[test]
fn quantities_compare_and_add() {
    let quantity = |text: &str| text.parse::<Quantity>().unwrap();
    assert!(quantity("1Gi") > quantity("1G"));
    assert_eq!(quantity("1"), quantity("1000m"));
    assert_eq!((quantity("100Mi") + quantity("28Mi")).to_string(), "128Mi");
    assert_eq!((Quantity::default() + quantity("1Gi")).to_string(), "1Gi");
    assert_eq!(quantity("1").minus(quantity("250m")).millis(), 750);
    assert_eq!((quantity("0.1").millis(), quantity("1n").millis(), quantity("1.5").units()), (100, 1, 2));
    assert_eq!(["100m", "200m"].map(quantity).into_iter().sum::<Quantity>().to_string(), "300m");
}

#[test]
fn names_follow_their_rules() {
    let count = |faults: Vec<String>| faults.len();
    for (text, label, subdomain, label_1035) in [
        ("web", 0, 0, 0),
        ("1web", 0, 0, 1),
        ("web.example", 1, 0, 1),
        ("Web", 1, 1, 1),
        ("-web", 1, 1, 1),
        ("web-", 1, 1, 1),
        ("", 1, 1, 1),
        ("a..b", 1, 1, 1),
        ("wéb", 1, 1, 1),
    ] {
        let found = [names::dns1123_label(text), names::dns1123_subdomain(text), names::dns1035_label(text)].map(count);
        assert_eq!(found, [label, subdomain, label_1035], "{text}");
    }
    assert_eq!(names::dns1123_label(&"a".repeat(64)), ["must be no more than 63 bytes"]);
    for (text, faults) in
        [("app", 0), ("example.com/app", 0), ("/app", 1), ("a/", 2), ("a/b/c", 1), ("A_b.c", 0), ("é", 1)]
    {
        assert_eq!(names::qualified_name(text).len(), faults, "{text}");
    }
    assert_eq!(names::path_segment("system:node"), Vec::<String>::new());
    assert_eq!(names::path_segment("a/b"), ["may not contain '/'"]);
}

#[test]
fn generated_names_are_short_and_different() {
    let name = names::generate("web-");
    assert_eq!((name.len(), name.starts_with("web-")), (9, true));
    assert!(names::dns1123_label(&names::generate(&"a".repeat(300))).is_empty());
    assert_ne!(names::generate("x"), names::generate("x"));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in ".{0,60}") {
        let _ = LabelSelector::parse(&text);
        let _ = FieldSelector::parse(&text);
        let _ = names::qualified_name(&text);
        let _ = names::generate(&text);
        if let Ok(quantity) = text.parse::<Quantity>() {
            prop_assert_eq!(quantity.to_string().parse::<Quantity>().unwrap(), quantity);
        }
    }

    #[test]
    fn a_canonical_quantity_is_the_same_amount(number in "[+-]?[0-9]{1,30}(\\.[0-9]{0,30})?", suffix in "(n|u|m||k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e-?[0-9]{1,3})") {
        let quantity: Quantity = format!("{number}{suffix}").parse().unwrap();
        let again: Quantity = quantity.to_string().parse().unwrap();
        prop_assert_eq!(again.to_string(), quantity.to_string());
    }
}
