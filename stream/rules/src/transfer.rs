//! Export and import of everything that is defined, in eKuiper's shapes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use edgeward_connect::{Schemas, ServicePackage, Services};
use edgeward_service::Tasks;
use edgeward_sql::ast::{Statement, StreamKind};
use serde_json::{Map, Value, json};

use crate::Handle;
use crate::conf::Scope;
use crate::error::{Code, Result, RulesError};
use crate::go_json::{Reader, syntax_error};
use crate::needed::keep_named;
use crate::rest::schemas;
use crate::store::Kind;
use crate::uploads::{Upload, Uploads};

/// Go's plugins: the map of an export that is never filled.
const NATIVE: &str = "nativePlugins";
const PORTABLE: &str = "portablePlugins";
pub(crate) const CONFIGS: [(&str, Scope); 3] =
    [("sourceConfig", Scope::Sources), ("sinkConfig", Scope::Sinks), ("connectionConfig", Scope::Connections)];
/// The maps of an export in eKuiper's order.
const KEYS: [&str; 12] = [
    "streams",
    "tables",
    "rules",
    "nativePlugins",
    "portablePlugins",
    "sourceConfig",
    "sinkConfig",
    "connectionConfig",
    "Service",
    "Schema",
    "uploads",
    "scripts",
];
/// Largest file that is imported, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// How an import went.
#[derive(Debug, Clone, Default)]
pub(crate) struct Imported {
    /// Streams, tables and rules that were created.
    pub(crate) counts: [usize; 3],
    /// What could not be imported: kind → name → error.
    pub(crate) errors: Map<String, Value>,
}

impl Imported {
    fn note<T>(&mut self, kind: &str, name: &str, result: Result<T>) -> bool {
        if let Err(error) = &result {
            let kind = self.errors.entry(kind).or_insert_with(|| json!({}));
            kind[name] = error.to_string().into();
        }
        result.is_ok()
    }

    /// The errors under every key of an export.
    pub(crate) fn response(&self) -> Value {
        let errors = |key: &str| self.errors.get(key).cloned().unwrap_or_else(|| json!({}));
        KEYS.iter().map(|key| ((*key).to_owned(), errors(key))).collect::<Map<_, _>>().into()
    }
}

/// `{ErrorMsg, ConfigResponse}` of a content that cannot be read.
pub(crate) fn unreadable(content: &str) -> Option<Value> {
    let error = serde_json::from_str::<Map<String, Value>>(content).err()?;
    let reason = syntax_error(content, Reader::Unmarshal).unwrap_or_else(|| error.to_string());
    let nothing: Map<String, Value> = KEYS.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
    Some(json!({"ErrorMsg": format!("configuration unmarshal with error {reason}"), "ConfigResponse": nothing}))
}

impl Handle {
    /// `{streams, tables, rules}`: of the rules named and the streams they read, or of everything. Secrets are in it; what
    /// is not kept over a restart is not.
    pub(crate) fn ruleset(&self, only: Option<&[String]>) -> Result<Value> {
        let known: Vec<_> = self.registry.rules.read().values().cloned().collect();
        let (mut read, mut rules) = (Vec::new(), Map::new());
        for rule in known {
            let definition = self.registry.definition(&rule)?;
            if definition.temp || only.is_some_and(|ids| !ids.contains(&definition.id)) {
                continue;
            }
            let select = edgeward_sql::parse_select(&definition.sql)?;
            read.push(select.from.name);
            read.extend(select.joins.into_iter().map(|join| join.source.name));
            rules.insert(definition.id, Value::from(&*rule.document()));
        }
        let of = |kind: StreamKind| -> Map<String, Value> {
            let names = self.registry.world.catalog.names(kind, None).into_iter();
            let needed = names.filter(|name| only.is_none() || read.contains(name));
            let created = needed.filter_map(|name| self.registry.world.catalog.stream(&name));
            let kept = created.filter(|create| !create.options.temp);
            kept.map(|create| (create.name.clone(), create.to_string().into())).collect()
        };
        Ok(json!({"streams": of(StreamKind::Stream), "tables": of(StreamKind::Table), "rules": rules}))
    }

    /// A whole export, or that of some rules and what they name: the ruleset, configuration keys, files and scripts, and
    /// empty maps for the rest.
    pub(crate) fn export(&self, only: Option<&[String]>) -> Result<Value> {
        let mut all = self.ruleset(only)?;
        all[NATIVE] = json!({});
        let plugins = self.registry.world.plugins.iter().flat_map(edgeward_plugins::Manager::exported_portables);
        all[PORTABLE] = plugins.map(|(name, body)| (name, body.into())).collect::<Map<_, _>>().into();
        for (key, scope) in CONFIGS {
            all[key] = self.registry.world.confs.exported(scope).into();
        }
        let services = self.registry.world.services.packages().into_iter();
        all["Service"] = services.map(|(name, package)| (name, package.to_json().into())).collect::<Map<_, _>>().into();
        all["Schema"] = self.exported_schemas().into();
        let upload = |(name, content): (String, String)| {
            let kept = json!({"name": name, "content": content}).to_string();
            (name, kept.into())
        };
        all["uploads"] = self.uploads.texts().into_iter().map(upload).collect::<Map<_, _>>().into();
        all["scripts"] = self.scripts().into();
        if only.is_some() {
            keep_named(&mut all, &self.functions_of_services());
        }
        Ok(all)
    }

    /// Functions, each with its service.
    fn functions_of_services(&self) -> Vec<(String, String)> {
        let services = &self.registry.world.services;
        let service = |function: &str| Some(services.function(function).ok()?["ServiceName"].as_str()?.to_owned());
        services.functions().into_iter().filter_map(|name| service(&name).map(|service| (name, service))).collect()
    }

    /// JavaScript functions by id, as they were created.
    fn scripts(&self) -> Map<String, Value> {
        let Some(plugins) = &self.registry.world.plugins else { return Map::new() };
        let ids = plugins.list_scripts();
        let ids = ids.as_array().into_iter().flatten().filter_map(Value::as_str);
        ids.filter_map(|id| Some((id.to_owned(), plugins.describe_script(id).ok()?.to_string().into()))).collect()
    }

    /// Schemas as `TYPE_NAME`; those that were packages are exported by their main file.
    fn exported_schemas(&self) -> Map<String, Value> {
        let schemas = &self.registry.world.hosts.schemas;
        let names = schemas.list("protobuf").unwrap_or_default().into_iter();
        let exported = names.filter_map(|name| {
            let info = schemas.get("protobuf", &name).ok()?;
            Some((format!("protobuf_{name}"), schemas::shown("protobuf", &info).to_string().into()))
        });
        exported.collect()
    }

    async fn import_schema(&self, name: &str, text: &str) -> Result<()> {
        let wrong = |error: serde_json::Error| RulesError::refused(Code::Undefined, error.to_string());
        let mut document: Map<String, Value> = serde_json::from_str(text).map_err(wrong)?;
        // Where the file lay on the machine of the export; its text is there.
        if document.get("content").and_then(Value::as_str).is_some_and(|content| !content.is_empty()) {
            document.remove("file");
        }
        let kind = document.get("type").and_then(Value::as_str).unwrap_or("protobuf").to_owned();
        let body: schemas::Body = serde_json::from_value(document.into()).map_err(wrong)?;
        let name =
            if body.name.is_empty() { name.trim_start_matches("protobuf_").to_owned() } else { body.name.clone() };
        self.put_schema(kind, name, body, false).await
    }

    async fn import_plugin(&self, name: &str, body: &str) -> Result<()> {
        let off = || RulesError::refused(Code::Undefined, "plugins are switched off in this program");
        let plugins = self.registry.world.plugins.as_ref().ok_or_else(off)?;
        plugins.update_portable(name, body).await.map(drop).map_err(RulesError::from)
    }

    /// Plugins, uploads, schemas and scripts come first: what follows may need them.
    async fn import_files(&self, all: &Map<String, Value>, done: &mut Imported) {
        for (name, _) in section(all, NATIVE) {
            let refused = RulesError::refused(Code::Undefined, edgeward_plugins::native_refusal(""));
            done.note(NATIVE, &name, Err::<(), _>(refused));
        }
        for (name, body) in section(all, PORTABLE) {
            let result = self.import_plugin(&name, &body).await;
            done.note(PORTABLE, &name, result);
        }
        for (name, text) in section(all, "uploads") {
            let upload: serde_json::Result<Upload> = serde_json::from_str(&text);
            let upload = upload.map_err(|error| RulesError::refused(Code::Undefined, error.to_string()));
            let result = match upload {
                Ok(upload) => self.uploads.work(move |uploads| uploads.take(upload)).await,
                Err(error) => Err(error),
            };
            done.note("uploads", &name, result);
        }
        for (name, text) in section(all, "Schema") {
            let result = self.import_schema(&name, &text).await;
            done.note("Schema", &name, result);
        }
        for (name, text) in section(all, "Service") {
            let at = name.clone();
            let put = move |services: &Services| services.update(&at, &ServicePackage::from_json(&text)?);
            let result = self.services(put).await;
            done.note("Service", &name, result);
        }
        for (id, text) in section(all, "scripts") {
            let result = match &self.registry.world.plugins {
                None => Err(RulesError::refused(Code::Undefined, "plugins are switched off in this program")),
                Some(plugins) if plugins.describe_script(&id).is_ok() => {
                    plugins.update_script(&id, &text).await.map_err(RulesError::from)
                }
                Some(plugins) => plugins.create_script(&text).await.map_err(RulesError::from),
            };
            done.note("scripts", &id, result);
        }
    }

    /// Imports an export or a ruleset. What is there already is left as it is unless `replace` is set. Nothing more is
    /// imported once `node` is cancelled.
    pub(crate) async fn import(&self, content: &str, replace: bool, node: &Tasks) -> Result<Imported> {
        let parsed: serde_json::Result<Map<String, Value>> = serde_json::from_str(content);
        let all = parsed.map_err(|error| {
            let reason = syntax_error(content, Reader::Unmarshal).unwrap_or_else(|| error.to_string());
            RulesError::refused(Code::Undefined, reason)
        })?;
        let mut done = Imported::default();
        self.import_files(&all, &mut done).await;
        for (key, scope) in CONFIGS {
            for (plugin, keys) in section(&all, key) {
                let result = self.import_keys(scope, &plugin, &keys).await;
                done.note(key, &plugin, result);
            }
        }
        for (at, (key, kind)) in
            [("streams", StreamKind::Stream), ("tables", StreamKind::Table)].into_iter().enumerate()
        {
            for (name, sql) in section(&all, key) {
                if node.is_cancelled() {
                    return Ok(done);
                }
                let result = self.import_stream(kind, &name, &sql, replace).await;
                done.counts[at] += usize::from(done.note(key, &name, result));
            }
        }
        self.import_rules(section(&all, "rules"), replace, node, &mut done).await;
        *self.last_import.lock() = done.clone();
        Ok(done)
    }

    async fn import_rules(&self, rules: Vec<(String, String)>, replace: bool, node: &Tasks, done: &mut Imported) {
        let (known, new): (Vec<_>, Vec<_>) =
            rules.into_iter().partition(|(id, _)| replace && self.registry.get(id).is_ok());
        for (id, text) in known {
            if node.is_cancelled() {
                return;
            }
            let result = self.update_rule(&id, &text).await;
            done.counts[2] += usize::from(done.note("rules", &id, result));
        }
        if node.is_cancelled() {
            return;
        }
        let ids: Vec<String> = new.iter().map(|(id, _)| id.clone()).collect();
        for (id, result) in ids.iter().zip(self.registry.create_many(new).await) {
            done.counts[2] += usize::from(done.note("rules", id, result));
        }
    }

    async fn import_keys(&self, scope: Scope, plugin: &str, keys: &str) -> Result<()> {
        let parsed: serde_json::Result<Map<String, Value>> = serde_json::from_str(keys);
        let keys = parsed.map_err(|error| RulesError::refused(Code::ConfKey, error.to_string()))?;
        for (key, props) in keys {
            let Value::Object(props) = props else { continue };
            self.put_key(scope, plugin, &key, props).await?;
        }
        Ok(())
    }

    async fn import_stream(&self, kind: StreamKind, name: &str, sql: &str, replace: bool) -> Result<()> {
        match edgeward_sql::parse(sql)? {
            Statement::Create(create) if create.kind == kind && create.name == name => {}
            _ => {
                let message = format!("{name} is no CREATE {} statement of this name", kind.word());
                return Err(RulesError::refused(Code::Stream, message));
            }
        }
        let known = self.registry.world.catalog.get(kind, name).is_ok();
        if known && replace {
            return self.replace_stream(kind, name, sql).await.map(drop);
        }
        self.execute(sql).await.map(drop)
    }

    /// Removes everything that an import brings.
    pub(crate) async fn clear(&self) -> Result<()> {
        self.registry.delete_all().await?;
        for kind in [StreamKind::Stream, StreamKind::Table] {
            for name in self.stream_names(kind, None) {
                self.drop_stream(kind, &name, true).await?;
            }
        }
        self.clear_keys().await?;
        if let Some(plugins) = &self.registry.world.plugins {
            for (id, _) in self.scripts() {
                plugins.delete_script(&id).await?;
            }
            for (name, _) in plugins.exported_portables() {
                plugins.delete_portable(&name).await?;
            }
        }
        let clear =
            |schemas: &Schemas| schemas.list("protobuf")?.iter().try_for_each(|name| schemas.delete("protobuf", name));
        self.schemas(clear).await?;
        self.services(|services| services.list().iter().try_for_each(|name| services.delete(name))).await?;
        self.uploads.work(Uploads::clear).await
    }

    /// Imports `init.json` of the data or the `etc` folder once for each time it was written.
    pub(crate) async fn import_init(&self, data: &Path, etc: Option<&Path>) -> Result<()> {
        let candidates = std::iter::once(data).chain(etc).map(|folder| folder.join("init.json"));
        let Some(path) = candidates.into_iter().find(|path| path.exists()) else { return Ok(()) };
        let failed =
            |error: std::io::Error| RulesError::refused(Code::Io, format!("cannot read {}: {error}", path.display()));
        let modified = std::fs::metadata(&path).and_then(|meta| meta.modified()).map_err(failed)?;
        let stamp = modified.duration_since(std::time::UNIX_EPOCH).map_or(0, |age| age.as_millis()).to_string();
        let store = &self.registry.world.store;
        if store.load(Kind::Mark)?.iter().any(|(name, known)| name == "init.json" && *known == stamp) {
            return Ok(());
        }
        let done = self.import(&read_file(&path).map_err(failed)?, true, &self.registry.world.tasks).await?;
        if !done.errors.is_empty() {
            let errors = Value::Object(done.errors).to_string();
            tracing::error!(errors, "parts of init.json were not imported");
        }
        store.put(Kind::Mark, "init.json", &stamp).await
    }
}

/// Reads a file to import.
pub(crate) fn read_file(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > MAX_FILE {
        return Err(std::io::Error::other("the file is larger than 256 MiB"));
    }
    std::fs::read_to_string(path)
}

/// Names and texts of one map of an export; a value that is no text counts as its JSON.
fn section(all: &Map<String, Value>, key: &str) -> Vec<(String, String)> {
    let entries = all.get(key).and_then(Value::as_object);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    entries.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// Imports that run on their own, by id.
pub(crate) type AsyncImports = Arc<parking_lot::Mutex<BTreeMap<String, AsyncImport>>>;

/// How an import that runs on its own is doing.
pub(crate) struct AsyncImport {
    /// `running`, `finished`, `failed` or `cancelled`.
    pub(crate) status: &'static str,
    pub(crate) message: String,
    /// Cancelled when nothing more is to be imported.
    pub(crate) node: Tasks,
}
