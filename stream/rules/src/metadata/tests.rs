//! The data of the forms, and that it fits the connectors.

use std::path::Path;

use super::*;

#[test]
fn every_line_of_the_data_is_understood() {
    let text = include_str!("forms.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let (mut heads, mut fields) = (0, 0);
    for line in lines {
        match line.split('|').count() {
            1 => assert!(line.starts_with("group ") || line.starts_with("+ "), "{line}"),
            5 => heads += 1,
            8 => {
                let field = field(line).unwrap_or_else(|| panic!("{line}"));
                let choices = field["values"].as_array();
                assert!(choices.is_none_or(|choices| choices.contains(&field["default"])), "{line}");
                fields += 1;
            }
            _ => panic!("{line}"),
        }
    }
    assert_eq!(FORMS.forms.len(), heads);
    assert!(fields > 200 && FORMS.groups.len() == 3);
    let sources = FORMS.forms.iter().filter(|((kind, _), _)| *kind == Kind::Source);
    sources.for_each(|((_, name), form)| assert!(form.data_source.is_some(), "{name}"));
}

/// The properties a connector reads, as its source says: `props.text("server")`, `Template::read(props, "path")`.
fn read_by(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connect/src").join(folder);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}")).flatten() {
        let source = entry.path().extension().is_some_and(|kind| kind == "rs");
        if !source || entry.file_name() == "tests.rs" {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let name = |char: char| char == '_' || char.is_alphanumeric();
        let calls = text.split("props.").skip(1).filter_map(|call| call.trim_start_matches(name).strip_prefix("(\""));
        let templates = text.split("Template::read(props, \"").skip(1);
        let keys = calls.chain(templates).filter_map(|key| key.split_once('"'));
        found.extend(keys.map(|(key, _)| key.to_owned()));
    }
    found
}

#[test]
fn forms_have_every_property_their_connectors_read() {
    // What is no property of a form: SQL's own words, and old names of others.
    let old = ["KEY", "DATASOURCE", "SCHEMAID", "connectionSelector", "rollingHook", "encryption", "compression"];
    for (folder, forms) in [
        ("mqtt", &["source mqtt", "sink mqtt"][..]),
        ("file", &["source file", "sink file"]),
        ("httppull", &["source httppull"]),
        ("httppush", &["source httppush"]),
        ("rest", &["sink rest"]),
        ("websocket", &["source websocket", "sink websocket"]),
        ("simulator", &["source simulator"]),
        ("redis", &["source redisSub", "source redis", "sink redis", "sink redisPub"]),
        ("neuron", &["source neuron", "sink neuron"]),
        ("nexmark", &["source nexmark"]),
        ("nats", &["source nats", "sink nats"]),
        ("influx", &["sink influx", "sink influx2"]),
        ("tdengine", &["sink tdengine3"]),
        ("cloud", &["sink cloud"]),
    ] {
        let known: Vec<Value> = forms
            .iter()
            .flat_map(|form| {
                let (kind, name) = form.split_once(' ').unwrap();
                FORMS.forms[&(Kind::read(kind).unwrap(), name.to_owned())].fields.clone()
            })
            .collect();
        let read = read_by(folder);
        assert!(!read.is_empty(), "{folder}: the test no longer finds what the connector reads");
        let has = |key: &String| {
            known.iter().any(|field| field["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(key)))
        };
        let missing: Vec<&String> =
            read.iter().filter(|key| !has(key) && !old.iter().any(|word| word.eq_ignore_ascii_case(key))).collect();
        assert!(missing.is_empty(), "{folder}: forms.txt lacks {missing:?}");
    }
    for kind in edgeward_connect::registry::source_kinds() {
        assert!(FORMS.forms.contains_key(&(Kind::Source, kind.to_owned())), "{kind}");
    }
}

#[test]
fn files_of_users_are_read_with_their_languages() {
    let file = json!({
        "about": {"author": {"name": "me"}, "description": {"en_US": "d", "zh_CN": "z"}},
        "libs": ["x"],
        "dataSource": {"name": "dataSource", "hint": {"en_US": "h"}},
        "properties": {"default": [{"name": "count", "default": 1, "label": {"en_US": "Count", "zh_CN": "数"}}]},
        "node": {"category": "source", "label": {"en_US": "Mine"}},
    });
    let form = Form::of_file(Kind::Source, "mine", &file);
    let shown = form.shown("mine", "portable", form.by_key(&Map::new()));
    assert_eq!(shown["about"]["description"], json!({"en": "d", "zh": "z"}));
    assert_eq!(shown["properties"]["default"][0]["label"], json!({"en": "Count", "zh": "数"}));
    assert_eq!((&shown["node"]["label"], &shown["libs"]), (&json!({"en": "Mine"}), &json!(["x"])));
}

#[test]
fn keys_fill_their_fields() {
    let keys = json!({"lab": {"Server": "tcp://h:1"}});
    let shown = form(Kind::Source, "mqtt").by_key(keys.as_object().unwrap());
    let server =
        |key: &str| shown[key].as_array().unwrap().iter().find(|field| field["name"] == "server").cloned().unwrap();
    assert_eq!(server("lab")["default"], "tcp://h:1");
    assert_eq!((server("lab")["exist"].clone(), server("default")["exist"].clone()), (true.into(), Value::Null));
    assert_eq!(server("default")["default"], "tcp://127.0.0.1:1883");
}
