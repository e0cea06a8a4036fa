//! What an export of some rules needs besides their streams: the configuration, schemas, services, scripts and files that
//! their texts name. A name that stands somewhere in them by chance is exported too: better too much than too little.

use serde_json::{Map, Value};

/// Drops from an export what is not named in its rules, streams and tables. `functions`: names of functions and the service each is of.
pub(crate) fn keep_named(export: &mut Value, functions: &[(String, String)]) {
    let mut text = String::new();
    for key in ["streams", "tables", "rules"] {
        export[key].as_object().into_iter().flatten().for_each(|(_, item)| add(&mut text, item));
    }
    for key in ["sourceConfig", "sinkConfig", "connectionConfig"] {
        keep(export, key, |plugin, keys| {
            let mut known: Map<String, Value> = serde_json::from_str(keys.as_str()?).ok()?;
            // A type's defaults count for whatever is of the type.
            known.retain(|name, _| mentions(&text, if name == "default" { plugin } else { name }));
            (!known.is_empty()).then(|| Value::Object(known).to_string().into())
        });
        // Sections may name connections and files themselves.
        export[key].as_object().into_iter().flatten().for_each(|(_, item)| add(&mut text, item));
    }
    let service = |name: &str| functions.iter().any(|(function, service)| service == name && mentions(&text, function));
    keep(export, "Service", |name, item| service(name).then(|| item.clone()));
    keep(export, "Schema", |name, item| {
        let (_, name) = name.split_once('_')?;
        mentions(&text, name).then(|| item.clone())
    });
    for key in ["uploads", "scripts"] {
        keep(export, key, |name, item| mentions(&text, name).then(|| item.clone()));
    }
}

fn add(text: &mut String, item: &Value) {
    text.push_str(item.as_str().unwrap_or_default());
    text.push('\n');
}

/// Replaces the members of a map by what is left of them.
fn keep(export: &mut Value, key: &str, left: impl Fn(&str, &Value) -> Option<Value>) {
    let members = export[key].as_object().into_iter().flatten();
    let kept: Map<String, Value> = members.filter_map(|(name, item)| Some((name.clone(), left(name, item)?))).collect();
    export[key] = kept.into();
}

/// Whether a name stands in a text, and not as a part of a longer one.
fn mentions(text: &str, name: &str) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !name.is_empty()
        && text.match_indices(name).any(|(at, _)| {
            let (before, after) = (&text.as_bytes()[..at], &text.as_bytes()[at + name.len()..]);
            !before.last().is_some_and(inner) && !after.first().is_some_and(inner)
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_named_is_left() {
        let mut export = json!({
            "streams": {"s": "CREATE STREAM s () WITH (TYPE=\"mqtt\", CONF_KEY=\"lab\", SCHEMAID=\"books.Book\")"},
            "tables": {},
            "rules": {"r": r#"{"sql":"SELECT twice(a), far(b) FROM s","actions":[{"rest":{"resourceId":"there"}}]}"#},
            "sourceConfig": {"mqtt": r#"{"default":{"qos":1},"lab":{"connectionSelector":"mqtt.broker"},"laboratory":{}}"#,
                "file": r#"{"default":{}}"#},
            "sinkConfig": {"rest": r#"{"there":{},"else":{}}"#, "mqtt": r#"{"x":{}}"#},
            "connectionConfig": {"mqtt": r#"{"broker":{},"other":{}}"#},
            "Service": {"near": "{}", "distant": "{}"},
            "Schema": {"protobuf_books": "{}", "protobuf_films": "{}"},
            "uploads": {"a.txt": "{}"},
            "scripts": {"twice": "{}", "thrice": "{}"},
        });
        keep_named(&mut export, &[("far".into(), "distant".into()), ("close".into(), "near".into())]);
        for (key, expect) in [
            ("sourceConfig", json!({"mqtt": r#"{"default":{"qos":1},"lab":{"connectionSelector":"mqtt.broker"}}"#})),
            ("sinkConfig", json!({"rest": r#"{"there":{}}"#})),
            ("connectionConfig", json!({"mqtt": r#"{"broker":{}}"#})),
            ("Service", json!({"distant": "{}"})),
            ("Schema", json!({"protobuf_books": "{}"})),
            ("uploads", json!({})),
            ("scripts", json!({"twice": "{}"})),
        ] {
            assert_eq!(export[key], expect, "{key}");
        }
    }
}
