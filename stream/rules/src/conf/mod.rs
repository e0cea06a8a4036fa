//! Configuration keys: named sets of properties of sources, sinks and connections, from yaml files of an `etc` folder and
//! from REST. REST wins over the environment, the environment over the files.

mod environment;
mod files;

use std::collections::BTreeMap;
use std::path::Path;

use edgeward_connect::Props;
use edgeward_plugins::Manager;
use parking_lot::RwLock;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use environment::override_by;
use files::{read_etc, read_forms};

use crate::error::{Code, Result, RulesError};
use crate::secrets;
use crate::store::{Kind, Store};

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
    /// Connections of the file, by `TYPE.ID`.
    declared: Sections,
    /// Under the properties of every sink.
    sinks: Map<String, Value>,
    /// Forms by `sources/TYPE.json`, as the folder has them.
    forms: BTreeMap<String, Value>,
    /// Packages bring keys and forms of their own.
    plugins: Option<Manager>,
    store: Store,
}

/// Properties by the names of sections.
type Sections = BTreeMap<String, Map<String, Value>>;

/// What becomes of a connection of the file: `create` or `delete`.
const OPERATION: &str = "xOperation";
/// Under which the state of the file that was applied is remembered.
const DECLARED: &str = "connection.yaml";

impl Confs {
    pub(crate) fn open(
        store: Store,
        etc: Option<&Path>,
        sinks: Map<String, Value>,
        plugins: Option<Manager>,
    ) -> Result<Confs> {
        let (mut base, mut declared) = etc.map(read_etc).transpose()?.unwrap_or_default();
        // Variables that are no text are nobody's settings.
        let texts =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        for (name, value) in texts {
            override_by(&mut base, &mut declared, &name, &value);
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
        let forms = etc.map(read_forms).unwrap_or_default();
        Ok(Confs { base, kept: RwLock::new(kept), declared, sinks, forms, plugins, store })
    }

    /// Takes the connections of the file over when it, or what the environment says of it, is not what was taken last. What
    /// is there already stays as it is; `xOperation: delete` removes.
    pub(crate) async fn settle(&self) -> Result<()> {
        let text = serde_json::to_string(&self.declared).unwrap_or_default();
        let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        let known = self.store.load(Kind::Mark)?.into_iter().find(|(name, _)| name == DECLARED);
        if known.map_or(self.declared.is_empty(), |(_, known)| known == digest) {
            return Ok(());
        }
        for (name, props) in &self.declared {
            let name = format!("{}.{name}", Scope::Connections.name());
            let (mut props, there) = (props.clone(), self.kept.read().contains_key(&name));
            let operation = props.keys().find(|key| key.eq_ignore_ascii_case(OPERATION)).cloned();
            let operation = operation.and_then(|key| props.remove(&key));
            match operation.as_ref().and_then(Value::as_str).unwrap_or("create") {
                "delete" if there => {
                    self.store.delete(Kind::Conf, &name).await?;
                    self.kept.write().remove(&name);
                }
                "create" if !there => {
                    self.store.put(Kind::Conf, &name, &Value::Object(props.clone()).to_string()).await?;
                    self.kept.write().insert(name, props);
                }
                "delete" | "create" => {}
                other => tracing::error!(name, other, "xOperation of a connection must be create or delete"),
            }
        }
        self.store.put(Kind::Mark, DECLARED, &digest).await
    }

    /// The properties of one key.
    pub(crate) fn get(&self, scope: Scope, plugin: &str, key: &str) -> Option<Map<String, Value>> {
        let name = format!("{}.{plugin}.{key}", scope.name());
        let kept = self.kept.read().get(&name).cloned();
        kept.or_else(|| self.base.get(&name).cloned())
            .or_else(|| self.packed(scope, plugin)?.remove(key)?.as_object().cloned())
    }

    /// The keys that came with a plugin.
    fn packed(&self, scope: Scope, plugin: &str) -> Option<Map<String, Value>> {
        match self.plugins.as_ref()?.extra(&format!("{}/{plugin}.yaml", scope.name()))? {
            Value::Object(keys) => Some(keys),
            _ => None,
        }
    }

    /// The form of a type in eKuiper's own file, from the `etc` folder or a plugin's package.
    pub(crate) fn form(&self, folder: &str, plugin: &str) -> Option<Value> {
        let name = format!("{folder}/{plugin}.json");
        self.forms.get(&name).cloned().or_else(|| self.plugins.as_ref()?.extra(&name))
    }

    /// The keys of one type: `{key: properties}`, secrets hidden.
    pub(crate) fn of(&self, scope: Scope, plugin: &str) -> Value {
        let prefix = format!("{}.{plugin}.", scope.name());
        let mut keys = self.packed(scope, plugin).unwrap_or_default();
        for props in keys.values_mut() {
            *props = props.as_object().map(secrets::masked).unwrap_or_default();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_keys_and_connections_lie_over_each_other() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("connections")).unwrap();
        std::fs::write(folder.path().join("mqtt_source.yaml"), "default:\n  qos: 1\nslow:\n  qos: 0\n").unwrap();
        let declare = |text: &str| std::fs::write(folder.path().join("connections/connection.yaml"), text).unwrap();
        declare("mqtt:\n  local:\n    server: tcp://c\n");
        let store = Store::open(&folder.path().join("rules.db")).unwrap();
        let open = async || {
            let confs = Confs::open(store.clone(), Some(folder.path()), Map::new(), None).unwrap();
            confs.settle().await.unwrap();
            confs
        };
        let confs = open().await;
        assert_eq!(confs.source("mqtt", Some("slow")).unwrap().number("qos"), Ok(Some(0)));
        assert_eq!(confs.source("mqtt", Some("none")).unwrap().number("qos"), Ok(Some(1)));
        assert_eq!(confs.connections().len(), 1);
        // A file is applied once: what was deleted since stays deleted until the file changes, what is there stays.
        confs.delete(Scope::Connections, "mqtt", "local").await.unwrap();
        assert!(open().await.connections().is_empty());
        declare("mqtt:\n  local:\n    server: tcp://d\n  other:\n    server: tcp://e\n    xOperation: create\n");
        assert_eq!(open().await.connections().len(), 2);
        declare("mqtt:\n  local:\n    server: tcp://f\n  other:\n    xOperation: delete\n");
        let left = open().await.connections();
        assert_eq!((left.len(), &left[0].2["server"]), (1, &json!("tcp://d")));
        let props = Props::new(json!({"resourceId": "slow", "topic": "t"}).as_object().unwrap().clone());
        let resolved = confs.resolved(Scope::Sources, "mqtt", &props).unwrap();
        assert_eq!(Value::Object(resolved.all().clone()), json!({"qos": 0, "topic": "t"}));
        assert!(confs.resolved(Scope::Sinks, "mqtt", &props).is_err());
    }
}
