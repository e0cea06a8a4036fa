//! Properties in environment variables.

use edgeward_connect::registry::source_kinds;
use serde_json::{Map, Value, json};

use super::{Scope, Sections};

/// `MQTT_SOURCE__DEFAULT__SERVER`, `FILE__DEFAULT__PATH`, `CONNECTION__MQTT__ID__SERVER`, and deeper: names match what is
/// there without regard to case; what is not there is made, in small letters.
pub(super) fn override_by(base: &mut Sections, connections: &mut Sections, name: &str, value: &str) {
    let parts: Vec<String> = name.split("__").map(str::to_ascii_lowercase).collect();
    let (first, path) = match &parts[..] {
        [file, kind, id, path @ ..] if file == "connection" && !path.is_empty() => {
            return override_in(connections, &format!("{kind}.{id}"), path, value);
        }
        [file, key, path @ ..] if !path.is_empty() => ((file, key), path),
        _ => return,
    };
    let (file, key) = first;
    let plugin = file.strip_suffix("_source").unwrap_or(file);
    let known = |scope: Scope, base: &Sections| {
        let start = format!("{}.{plugin}.", scope.name());
        base.keys().any(|name| {
            name.len() > start.len() && name.as_bytes()[..start.len()].eq_ignore_ascii_case(start.as_bytes())
        })
    };
    if source_kinds().any(|kind| kind.eq_ignore_ascii_case(plugin)) || known(Scope::Sources, base) {
        override_in(base, &format!("sources.{plugin}.{key}"), path, value);
    }
    if known(Scope::Sinks, base) && plugin == file {
        override_in(base, &format!("sinks.{plugin}.{key}"), path, value);
    }
}

fn override_in(sections: &mut Sections, name: &str, path: &[String], value: &str) {
    let name = sections.keys().find(|known| known.eq_ignore_ascii_case(name)).map_or(name, |known| known).to_owned();
    let mut props = sections.entry(name).or_default();
    let Some((last, inner)) = path.split_last() else { return };
    for key in inner {
        let next = props.entry(spelled(props, key)).or_insert_with(|| json!({}));
        if !next.is_object() {
            *next = json!({});
        }
        let Value::Object(next) = next else { return };
        props = next;
    }
    props.insert(spelled(props, last), typed(value));
}

/// The key as it is written where it is there.
fn spelled(props: &Map<String, Value>, key: &str) -> String {
    props.keys().find(|known| known.eq_ignore_ascii_case(key)).map_or(key, |known| known).to_owned()
}

/// A value of the environment as eKuiper reads it: `[a,b]`, whole number, truth value in Go's spellings, number, else text.
fn typed(value: &str) -> Value {
    let value = value.trim_matches(' ');
    if let Some(list) = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return list.split(',').filter(|item| !item.is_empty()).map(|item| typed(item.trim())).collect();
    }
    if let Ok(number) = value.parse::<i64>() {
        return number.into();
    }
    match value {
        "t" | "T" | "true" | "TRUE" | "True" => return true.into(),
        "f" | "F" | "false" | "FALSE" | "False" => return false.into(),
        _ => {}
    }
    // What is written like a number, not Rust's words for what is none.
    let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
    number.map_or_else(|| value.into(), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_overrides_known_keys() {
        let mut base = Sections::from([(
            "sources.mqtt.default".to_owned(),
            json!({"server": "tcp://a", "qos": 1}).as_object().unwrap().clone(),
        )]);
        let mut connections = Sections::from([("edgex.Bus".to_owned(), Map::new())]);
        for (name, value) in [
            ("MQTT_SOURCE__DEFAULT__SERVER", "tcp://b"),
            ("MQTT_SOURCE__DEFAULT__QOS", "2"),
            ("MQTT_SOURCE__DEMO__SERVER", "tcp://c"),
            ("HTTPPULL__DEFAULT__HEADERS__ACCEPT", "text/plain"),
            ("CONNECTION__EDGEX__BUS__PORT", "6379"),
            ("CONNECTION__EDGEX__BUS__OPTIONAL__CLIENTID", "me"),
            ("CONNECTION__MQTT__NEW__SERVER", "tcp://d"),
            ("HOME", "/"),
            ("A__B__C", "d"),
            ("MQTT__", "d"),
        ] {
            override_by(&mut base, &mut connections, name, value);
        }
        assert_eq!(
            json!(base),
            json!({
                "sources.mqtt.default": {"server": "tcp://b", "qos": 2},
                "sources.mqtt.demo": {"server": "tcp://c"},
                "sources.httppull.default": {"headers": {"accept": "text/plain"}},
            })
        );
        let made =
            json!({"edgex.Bus": {"port": 6379, "optional": {"clientid": "me"}}, "mqtt.new": {"server": "tcp://d"}});
        assert_eq!(json!(connections), made);
        for (text, value) in [
            ("[a,1]", json!(["a", 1])),
            ("true", json!(true)),
            ("x", json!("x")),
            (" 1.5 ", json!(1.5)),
            ("-3", json!(-3)),
            ("inf", json!("inf")),
            ("", json!("")),
        ] {
            assert_eq!(typed(text), value);
        }
    }
}
