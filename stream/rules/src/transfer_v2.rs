//! The second form of exports: rules and streams as documents, configuration keys under `scope.type.key`.

use serde_json::{Map, Value, json};

use crate::transfer::CONFIGS;

/// An export in its second form.
pub(crate) fn to_v2(export: &Value) -> Value {
    let mut v2 = Map::new();
    for key in ["streams", "tables"] {
        let named = export[key].as_object().into_iter().flatten();
        v2.insert(
            key.into(),
            named.map(|(name, sql)| (name.clone(), json!({"sql": sql}))).collect::<Map<_, _>>().into(),
        );
    }
    let parse = |text: &Value| text.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    let rules = export["rules"].as_object().into_iter().flatten();
    v2.insert("rules".into(), rules.map(|(id, rule)| (id.clone(), parse(rule))).collect::<Map<_, _>>().into());
    for (key, scope) in CONFIGS {
        let mut flat = Map::new();
        for (plugin, keys) in export[key].as_object().into_iter().flatten() {
            let Value::Object(keys) = parse(keys) else { continue };
            flat.extend(keys.into_iter().map(|(name, props)| (format!("{}.{plugin}.{name}", scope.name()), props)));
        }
        v2.insert(key.into(), flat.into());
    }
    v2.into()
}

/// The first form of a v2 export.
pub(crate) fn from_v2(v2: &Value) -> Value {
    let mut all = Map::new();
    for key in ["streams", "tables"] {
        let named = v2[key].as_object().into_iter().flatten();
        all.insert(
            key.into(),
            named.map(|(name, item)| (name.clone(), item["sql"].clone())).collect::<Map<_, _>>().into(),
        );
    }
    let rules = v2["rules"].as_object().into_iter().flatten();
    all.insert(
        "rules".into(),
        rules.map(|(id, rule)| (id.clone(), rule.to_string().into())).collect::<Map<_, _>>().into(),
    );
    for (key, _) in CONFIGS {
        let mut plugins: Map<String, Value> = Map::new();
        for (name, props) in v2[key].as_object().into_iter().flatten() {
            let mut parts = name.splitn(3, '.').skip(1);
            if let (Some(plugin), Some(conf)) = (parts.next(), parts.next()) {
                plugins.entry(plugin).or_insert_with(|| json!({}))[conf] = props.clone();
            }
        }
        all.insert(
            key.into(),
            plugins.into_iter().map(|(plugin, keys)| (plugin, keys.to_string().into())).collect::<Map<_, _>>().into(),
        );
    }
    all.into()
}
