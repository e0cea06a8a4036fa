//! Configuration keys: named sets of properties of sources, sinks and connections, from yaml files of an `etc` folder and
//! from REST. REST wins over the environment, the environment over the files.

use std::collections::BTreeMap;
use std::path::Path;

use edgeward_connect::Props;
use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use crate::error::{Code, Result, RulesError};
use crate::secrets;
use crate::store::{Kind, Store};

/// Largest yaml file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// What has configuration keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Sources,
    Sinks,
    Connections,
}

const SCOPES: [Scope; 3] = [Scope::Sources, Scope::Sinks, Scope::Connections];

impl Scope {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scope::Sources => "sources",
            Scope::Sinks => "sinks",
            Scope::Connections => "connections",
        }
    }
}

/// All keys by `scope.type.key`, e.g. `sources.mqtt.default`.
pub(crate) struct Confs {
    /// From files and environment.
    base: BTreeMap<String, Map<String, Value>>,
    /// From REST; each holds all properties of its key.
    kept: RwLock<BTreeMap<String, Map<String, Value>>>,
    /// Under the properties of every sink.
    sinks: Map<String, Value>,
    store: Store,
}

impl Confs {
    pub(crate) fn open(store: Store, etc: Option<&Path>, sinks: Map<String, Value>) -> Result<Confs> {
        let mut base = etc.map(read_etc).transpose()?.unwrap_or_default();
        for (name, value) in std::env::vars() {
            override_by(&mut base, &name, &value);
        }
        let mut kept = BTreeMap::new();
        for (name, body) in store.load(Kind::Conf)? {
            match serde_json::from_str(&body) {
                Ok(props) => drop(kept.insert(name, props)),
                Err(error) => {
                    tracing::error!(name, %error, "a stored configuration key cannot be read and is left out")
                }
            }
        }
        Ok(Confs { base, kept: RwLock::new(kept), sinks, store })
    }

    /// The properties of one key.
    pub(crate) fn get(&self, scope: Scope, plugin: &str, key: &str) -> Option<Map<String, Value>> {
        let name = format!("{}.{plugin}.{key}", scope.name());
        let kept = self.kept.read().get(&name).cloned();
        kept.or_else(|| self.base.get(&name).cloned())
    }

    /// The keys of one type: `{key: properties}`, secrets hidden.
    pub(crate) fn of(&self, scope: Scope, plugin: &str) -> Value {
        let prefix = format!("{}.{plugin}.", scope.name());
        let mut keys = Map::new();
        let kept = self.kept.read();
        for (name, props) in self.base.iter().chain(kept.iter()) {
            if let Some(key) = name.strip_prefix(&prefix) {
                keys.insert(key.to_owned(), secrets::masked(props));
            }
        }
        keys.into()
    }

    /// Sets a key; hidden secrets stay as they were.
    pub(crate) async fn put(&self, scope: Scope, plugin: &str, key: &str, mut props: Map<String, Value>) -> Result<()> {
        if let Some(old) = self.get(scope, plugin, key) {
            secrets::restore(&mut props, &old);
        }
        let name = format!("{}.{plugin}.{key}", scope.name());
        self.store.put(Kind::Conf, &name, &Value::Object(props.clone()).to_string()).await?;
        self.kept.write().insert(name, props);
        Ok(())
    }

    /// Removes a key that was set by REST.
    pub(crate) async fn delete(&self, scope: Scope, plugin: &str, key: &str) -> Result<()> {
        let name = format!("{}.{plugin}.{key}", scope.name());
        if !self.kept.read().contains_key(&name) {
            return Err(RulesError::refused(Code::ConfKey, format!("{key} of {plugin} is not found")));
        }
        self.store.delete(Kind::Conf, &name).await?;
        self.kept.write().remove(&name);
        Ok(())
    }

    /// All keys that were set by REST.
    pub(crate) fn kept(&self) -> Vec<(Scope, String, String)> {
        let split = |name: &String| {
            let mut parts = name.splitn(3, '.');
            let scope = parts.next()?;
            let scope = SCOPES.into_iter().find(|known| known.name() == scope)?;
            Some((scope, parts.next()?.to_owned(), parts.next()?.to_owned()))
        };
        self.kept.read().keys().filter_map(split).collect()
    }

    /// The keys set by REST of one scope as they are exported: `{type: "{key: properties}"}`.
    pub(crate) fn exported(&self, scope: Scope) -> Map<String, Value> {
        let mut plugins: Map<String, Value> = Map::new();
        for (name, props) in self.kept.read().iter() {
            let mut parts = name.splitn(3, '.');
            if let (Some(first), Some(plugin), Some(key)) = (parts.next(), parts.next(), parts.next())
                && first == scope.name()
            {
                plugins.entry(plugin).or_insert_with(|| json!({}))[key] = props.clone().into();
            }
        }
        plugins.into_iter().map(|(plugin, keys)| (plugin, keys.to_string().into())).collect()
    }

    /// All keys: scope, type and key.
    pub(crate) fn names(&self) -> Vec<(String, String, String)> {
        let kept = self.kept.read();
        let names: std::collections::BTreeSet<&String> = self.base.keys().chain(kept.keys()).collect();
        let split = |name: &&String| {
            let mut parts = name.splitn(3, '.').map(str::to_owned);
            Some((parts.next()?, parts.next()?, parts.next()?))
        };
        names.iter().filter_map(split).collect()
    }

    /// Names of the connections: type, id and properties.
    pub(crate) fn connections(&self) -> Vec<(String, String, Map<String, Value>)> {
        let kept = self.kept.read();
        let mut all: BTreeMap<&String, &Map<String, Value>> = self.base.iter().collect();
        all.extend(kept.iter());
        let split = |(name, props): (&&String, &&Map<String, Value>)| {
            let (plugin, id) = name.strip_prefix("connections.")?.split_once('.')?;
            Some((plugin.to_owned(), id.to_owned(), (*props).clone()))
        };
        all.iter().filter_map(split).collect()
    }

    /// Properties of a source: the type's `default` section, the CONF_KEY's over it.
    pub(crate) fn source(&self, plugin: &str, key: Option<&str>) -> Result<Props> {
        let mut props = Props::new(self.get(Scope::Sources, plugin, "default").unwrap_or_default());
        if let Some(key) = key.filter(|key| *key != "default") {
            match self.get(Scope::Sources, plugin, key) {
                Some(section) => props = props.overlaid(section),
                // As eKuiper: the defaults serve.
                None => tracing::warn!(source = plugin, key, "CONF_KEY is not defined; the defaults are used"),
            }
        }
        Ok(props)
    }

    /// Resolves `resourceId`: what it names lies under the properties themselves. `connectionSelector` is the connectors'.
    pub(crate) fn resolved(&self, scope: Scope, plugin: &str, props: &Props) -> Result<Props> {
        let mut under = if scope == Scope::Sinks { Props::new(self.sinks.clone()) } else { Props::default() };
        let named = |key: &str| props.get(key).and_then(Value::as_str).filter(|name| !name.is_empty());
        if let Some(key) = named("resourceId") {
            let missing = || RulesError::refused(Code::ConfKey, format!("resource id {key} of {plugin} is not found"));
            under = under.overlaid(self.get(scope, plugin, key).ok_or_else(missing)?);
        }
        let mut merged = under.overlaid(props.all().clone()).all().clone();
        merged.retain(|key, _| !key.eq_ignore_ascii_case("resourceId"));
        Ok(Props::new(merged))
    }
}

/// Reads `mqtt_source.yaml`, `sources/*.yaml`, `sinks/*.yaml` and `connections/connection.yaml`.
fn read_etc(etc: &Path) -> Result<BTreeMap<String, Map<String, Value>>> {
    let mut all = BTreeMap::new();
    let mut add = |scope: Scope, plugin: &str, keys: Map<String, Value>| {
        for (key, props) in keys {
            if let Value::Object(props) = props {
                all.insert(format!("{}.{plugin}.{key}", scope.name()), props);
            }
        }
    };
    add(Scope::Sources, "mqtt", read_yaml(&etc.join("mqtt_source.yaml"))?);
    for scope in [Scope::Sources, Scope::Sinks] {
        for entry in std::fs::read_dir(etc.join(scope.name())).into_iter().flatten().flatten() {
            let path = entry.path();
            let plugin = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            if let Some(plugin) = plugin.filter(|_| path.extension().is_some_and(|kind| kind == "yaml")) {
                add(scope, &plugin, read_yaml(&path)?);
            }
        }
    }
    for (plugin, keys) in read_yaml(&etc.join("connections/connection.yaml"))? {
        if let Value::Object(keys) = keys {
            add(Scope::Connections, &plugin, keys);
        }
    }
    Ok(all)
}

/// Sections of a file; none when there is no such file. One that cannot be read is an error: a rule must not run with other
/// settings than those it was given.
fn read_yaml(path: &Path) -> Result<Map<String, Value>> {
    let bad = |reason: &dyn std::fmt::Display| {
        RulesError::refused(Code::ConfKey, format!("configuration file {}: {reason}", path.display()))
    };
    let size = match std::fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => return Err(bad(&error)),
    };
    if size > MAX_FILE {
        return Err(bad(&format_args!("{size} bytes are more than {MAX_FILE}")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| bad(&error))?;
    let keys = match serde_saphyr::from_str::<Value>(&text).map_err(|error| bad(&error))? {
        Value::Null => return Ok(Map::new()),
        Value::Object(keys) => keys,
        _ => return Err(bad(&"must be sections with keys")),
    };
    match keys.iter().find(|(_, section)| !section.is_object() && !section.is_null()) {
        Some((key, _)) => Err(bad(&format_args!("{key}: must be a section with keys"))),
        None => Ok(keys),
    }
}

/// `MQTT_SOURCE__DEFAULT__SERVER`, `FILE__DEFAULT__PATH`, `CONNECTION__MQTT__ID__SERVER`: names match without regard to case.
fn override_by(base: &mut BTreeMap<String, Map<String, Value>>, name: &str, value: &str) {
    let parts: Vec<String> = name.split("__").map(str::to_ascii_lowercase).collect();
    let (prefix, key) = match &parts[..] {
        [file, key, property] => {
            let plugin = file.strip_suffix("_source").unwrap_or(file);
            (format!("sources.{plugin}.{key}"), property)
        }
        [file, plugin, key, property] if file == "connection" => (format!("connections.{plugin}.{key}"), property),
        _ => return,
    };
    let Some((_, props)) = base.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&prefix)) else { return };
    let key = props.keys().find(|known| known.eq_ignore_ascii_case(key)).unwrap_or(key).clone();
    props.insert(key, typed(value));
}

/// A value of the environment: whole number, truth value, `[a,b]`, else text.
pub(crate) fn typed(value: &str) -> Value {
    if let Some(list) = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return list.split(',').filter(|item| !item.is_empty()).map(|item| typed(item.trim())).collect();
    }
    let number = value.parse::<i64>().map(Value::from);
    number.or_else(|_| value.parse::<bool>().map(Value::from)).unwrap_or_else(|_| value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_overrides_known_keys() {
        let mut base = BTreeMap::from([(
            "sources.mqtt.default".to_owned(),
            json!({"server": "tcp://a", "qos": 1}).as_object().unwrap().clone(),
        )]);
        for (name, value) in [
            ("MQTT_SOURCE__DEFAULT__SERVER", "tcp://b"),
            ("MQTT_SOURCE__DEFAULT__QOS", "2"),
            ("HOME", "/"),
            ("A__B__C", "d"),
        ] {
            override_by(&mut base, name, value);
        }
        assert_eq!(Value::Object(base["sources.mqtt.default"].clone()), json!({"server": "tcp://b", "qos": 2}));
        assert_eq!((typed("[a,1]"), typed("true"), typed("x")), (json!(["a", 1]), json!(true), json!("x")));
    }

    #[test]
    fn files_keys_and_connections_lie_over_each_other() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("connections")).unwrap();
        std::fs::write(folder.path().join("mqtt_source.yaml"), "default:\n  qos: 1\nslow:\n  qos: 0\n").unwrap();
        std::fs::write(folder.path().join("connections/connection.yaml"), "mqtt:\n  local:\n    server: tcp://c\n")
            .unwrap();
        let store = Store::open(&folder.path().join("rules.db")).unwrap();
        let confs = Confs::open(store, Some(folder.path()), Map::new()).unwrap();
        assert_eq!(confs.source("mqtt", Some("slow")).unwrap().number("qos"), Ok(Some(0)));
        assert_eq!(confs.source("mqtt", Some("none")).unwrap().number("qos"), Ok(Some(1)));
        assert_eq!(confs.connections().len(), 1);
        let props = Props::new(json!({"resourceId": "slow", "topic": "t"}).as_object().unwrap().clone());
        let resolved = confs.resolved(Scope::Sources, "mqtt", &props).unwrap();
        assert_eq!(Value::Object(resolved.all().clone()), json!({"qos": 0, "topic": "t"}));
        assert!(confs.resolved(Scope::Sinks, "mqtt", &props).is_err());
    }
}
