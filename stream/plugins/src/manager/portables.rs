//! `/plugins/portables`.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use edgeward_functions::{Args, Context, Error, UserFunction, Value};
use edgeward_service::Tasks;
use serde::{Deserialize, Serialize};

use super::{Manager, Shared, off_runtime, write_file};
use crate::error::{PluginError, Result};
use crate::portable::{self, Options, Plugin, PortableFunction, Spec};

/// What was learned from the process once, so that planning needs no process.
const RECORD: &str = ".edgeward.json";

/// Largest file of configuration or form in a package, in bytes, and most of them in a folder.
const MAX_EXTRA: u64 = 1 << 20;
const MAX_EXTRAS: usize = 256;

/// An installed plugin.
pub(super) struct Portable {
    pub(super) plugin: Plugin,
    pub(super) functions: BTreeMap<String, Callable>,
    body: Body,
    /// Configuration and forms of its package by path, e.g. `sources/TYPE.yaml`.
    extras: BTreeMap<String, serde_json::Value>,
}

/// A function with what the planner wants to know of it.
#[derive(Debug, Clone)]
pub(super) struct Callable {
    function: PortableFunction,
    aggregate: bool,
}

#[derive(Default, Deserialize, Serialize)]
struct Record {
    aggregates: Vec<String>,
    /// How it was installed; exports say it again.
    #[serde(default)]
    body: Body,
}

/// The body of POST and PUT.
#[derive(Clone, Default, Deserialize, Serialize)]
struct Body {
    #[serde(default)]
    name: String,
    #[serde(default)]
    file: String,
}

impl UserFunction for Callable {
    fn is_aggregate(&self) -> bool {
        self.aggregate
    }

    fn call(&self, args: &Args<'_>, context: &Context) -> std::result::Result<Value, Error> {
        self.function.call(args, context)
    }
}

/// Opens every plugin of the folder.
pub(super) async fn open_all(options: &Arc<Options>, tasks: &Tasks) -> BTreeMap<String, Portable> {
    let folder = options.folder.clone();
    let names = off_runtime(move || {
        let failed = |source| PluginError::File { path: folder.clone(), source };
        let entries = std::fs::read_dir(&folder).map_err(failed)?;
        let names = entries.flatten().filter(|entry| entry.path().is_dir());
        Ok(names.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>())
    });
    let mut opened = BTreeMap::new();
    for name in names.await.unwrap_or_default() {
        if portable::check_name(&name).is_err() || opened.len() >= options.max_plugins {
            continue;
        }
        match open(&name, options, tasks, Body::default()).await {
            Ok(entry) => drop(opened.insert(name, entry)),
            Err(error) => tracing::error!(plugin = name, %error, "an installed plugin cannot be used and is left out"),
        }
    }
    opened
}

/// Opens an unpacked plugin; its functions are asked what they are unless that is on record. `body` is how it was installed
/// just now.
async fn open(name: &str, options: &Arc<Options>, tasks: &Tasks, body: Body) -> Result<Portable> {
    let folder = options.folder.join(name);
    let (spec, record, extras) = off_runtime({
        let (name, folder) = (name.to_owned(), folder.clone());
        move || {
            let spec = portable::read_spec(&folder, &name)?;
            Ok((spec, read_record(&folder.join(RECORD)), read_extras(&folder)))
        }
    })
    .await?;
    let plugin = Plugin::open(spec, options.clone(), tasks);
    let names = plugin.spec().functions.iter();
    let functions: Vec<_> = names.map(|name| (name.clone(), PortableFunction::open(&plugin, name))).collect();
    let record = match record {
        Some(record) => record,
        None => match learn(functions.clone(), folder.join(RECORD), body).await {
            Ok(record) => record,
            Err(error) => {
                plugin.close().await;
                return Err(error);
            }
        },
    };
    let callable = |(name, function): (String, PortableFunction)| {
        let aggregate = record.aggregates.contains(&name);
        (name, Callable { function, aggregate })
    };
    Ok(Portable { functions: functions.into_iter().map(callable).collect(), plugin, body: record.body.clone(), extras })
}

/// The YAML and JSON files of `sources`, `sinks` and `functions`; one that cannot be read is logged and left out.
fn read_extras(folder: &Path) -> BTreeMap<String, serde_json::Value> {
    let mut extras = BTreeMap::new();
    for part in ["sources", "sinks", "functions"] {
        for entry in std::fs::read_dir(folder.join(part)).into_iter().flatten().flatten().take(MAX_EXTRAS) {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !entry.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_EXTRA) {
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).map_err(|error| error.to_string());
            let read = match name.rsplit_once('.').map(|(_, kind)| kind) {
                Some("yaml") => text.and_then(|text| serde_saphyr::from_str(&text).map_err(|error| error.to_string())),
                Some("json") => text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string())),
                _ => continue,
            };
            match read {
                Ok(value) => drop(extras.insert(format!("{part}/{name}"), value)),
                Err(error) => {
                    tracing::warn!(path = %entry.path().display(), error, "a file of a plugin cannot be read")
                }
            }
        }
    }
    extras
}

fn read_record(path: &PathBuf) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

async fn learn(functions: Vec<(String, PortableFunction)>, path: PathBuf, body: Body) -> Result<Record> {
    off_runtime(move || {
        let mut record = Record { body, ..Record::default() };
        for (name, function) in functions {
            if function.is_aggregate()? {
                record.aggregates.push(name);
            }
        }
        let text = serde_json::to_vec(&record).map_err(|error| PluginError::Body(error.to_string()))?;
        write_file(&path, &text)?;
        Ok(record)
    })
    .await
}

impl Manager {
    /// `GET /plugins/portables`: what their packages say.
    pub fn list_portables(&self) -> serde_json::Value {
        let portables = self.shared.portables.read();
        portables.values().map(|entry| serde_json::json!(entry.plugin.spec())).collect()
    }

    /// `GET /plugins/portables/{name}`.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn describe_portable(&self, name: &str) -> Result<serde_json::Value> {
        self.portable(name).map(|plugin| serde_json::json!(plugin.spec()))
    }

    /// `GET /plugins/portables/{name}/status`.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn portable_status(&self, name: &str) -> Result<serde_json::Value> {
        self.portable(name).map(|plugin| serde_json::json!(plugin.status()))
    }

    /// How the plugins were installed, for an export: the body of POST as JSON text by name.
    pub fn exported_portables(&self) -> Vec<(String, String)> {
        let portables = self.shared.portables.read();
        let installed = portables.iter().filter(|(_, entry)| !entry.body.file.is_empty());
        installed.map(|(name, entry)| (name.clone(), serde_json::json!(entry.body).to_string())).collect()
    }

    /// A file of configuration or form that came with a plugin, e.g. `sources/TYPE.yaml`.
    pub fn extra(&self, path: &str) -> Option<serde_json::Value> {
        let portables = self.shared.portables.read();
        portables.values().find_map(|entry| entry.extras.get(path).cloned())
    }

    /// All such files below a folder, e.g. `functions/`.
    pub fn extras(&self, folder: &str) -> Vec<serde_json::Value> {
        let portables = self.shared.portables.read();
        let extras = portables.values().flat_map(|entry| &entry.extras);
        extras.filter(|(path, _)| path.starts_with(folder)).map(|(_, value)| value.clone()).collect()
    }

    fn portable(&self, name: &str) -> Result<Plugin> {
        let found = self.shared.portables.read().get(name).map(|entry| entry.plugin.clone());
        found.ok_or_else(|| PluginError::Unknown(format!("portable plugin {name}")))
    }

    /// `POST /plugins/portables` with `{"name","file"}`: fetches, unpacks and starts the plugin, and answers the sentence.
    /// On disk when it returns. An `install.sh` of the package is not run.
    ///
    /// # Errors
    /// The body, the URL or the package is wrong, the name is taken, or the process does not start.
    pub async fn create_portable(&self, body: &str) -> Result<String> {
        let body = read_body(body)?;
        check_installable(&body)?;
        let taken = || self.shared.portables.read().contains_key(&body.name);
        if taken() {
            return Err(PluginError::Exists(body.name));
        }
        let package = self.fetch(&body.file).await?;
        let _changes = self.shared.changes.lock().await;
        if taken() {
            return Err(PluginError::Exists(body.name));
        }
        if self.shared.portables.read().len() >= self.shared.portable.max_plugins {
            let text = format!("{} portable plugins are installed; delete some", self.shared.portable.max_plugins);
            return Err(PluginError::Limit(text));
        }
        let name = body.name.clone();
        self.install(body, package).await?;
        Ok(format!("portable plugin {name} is created"))
    }

    /// `PUT /plugins/portables/{name}`: ends the old version and puts the new one in its place, or installs it. Sources and
    /// sinks that run come back with their rules' next start.
    ///
    /// # Errors
    /// As for [`Manager::create_portable`]; the old version goes on if the package is wrong.
    pub async fn update_portable(&self, name: &str, body: &str) -> Result<String> {
        let body = Body { name: name.to_owned(), ..read_body(body)? };
        if self.portable(name).is_err() {
            let created = self.create_portable(&serde_json::json!(body).to_string()).await;
            return created.map(|_| format!("portable plugin {name} is updated"));
        }
        check_installable(&body)?;
        let package = self.fetch(&body.file).await?;
        let _changes = self.shared.changes.lock().await;
        let old = self.portable(name)?;
        // Looked at before the old one ends.
        let staged = format!("{name}-staged");
        let spec = self.unpack(&staged, name, package.clone()).await?;
        self.shared.check_free(&spec)?;
        old.close().await;
        self.install(body, package).await?;
        Ok(format!("portable plugin {name} is updated"))
    }

    /// `DELETE /plugins/portables/{name}`: ends the process and removes the files.
    ///
    /// # Errors
    /// There is none of this name, or a rule uses it.
    pub async fn delete_portable(&self, name: &str) -> Result<String> {
        let _changes = self.shared.changes.lock().await;
        let plugin = self.portable(name)?;
        if let Some(rule) = plugin.status().ref_count.into_keys().find(|rule| rule != portable::FUNCTIONS_RULE) {
            return Err(PluginError::InUse { name: name.to_owned(), rule });
        }
        self.shared.portables.write().remove(name);
        plugin.close().await;
        let folder = self.shared.portable.folder.join(name);
        off_runtime(move || portable::remove(&folder)).await?;
        Ok(format!("portable plugin {name} is deleted"))
    }

    async fn install(&self, body: Body, package: Bytes) -> Result<()> {
        let shared = &self.shared;
        let name = body.name.clone();
        let name = name.as_str();
        let spec = self.unpack(name, name, package).await?;
        let opened = match shared.check_free(&spec) {
            Ok(()) => open(name, &shared.portable, &shared.tasks, body).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(entry) => {
                shared.portables.write().insert(name.to_owned(), entry);
                Ok(())
            }
            Err(error) => {
                shared.portables.write().remove(name);
                let folder = shared.portable.folder.join(name);
                off_runtime(move || portable::remove(&folder)).await?;
                Err(error)
            }
        }
    }

    /// Unpacks a package into `folder`; a trial one is removed again.
    async fn unpack(&self, folder: &str, name: &str, package: Bytes) -> Result<Spec> {
        let options = self.shared.portable.clone();
        let (folder, name) = (folder.to_owned(), name.to_owned());
        off_runtime(move || {
            if folder == name {
                return portable::install(&name, Cursor::new(package), &options);
            }
            let trial = Options { folder: options.folder.join(format!(".{folder}")), ..(*options).clone() };
            let spec = portable::install(&name, Cursor::new(package), &trial);
            portable::remove(&trial.folder)?;
            spec
        })
        .await
        .map_err(|error| match error {
            PluginError::Package(text) => PluginError::Package(format!("fail to install plugin: {text}")),
            other => other,
        })
    }

    /// Whether requests may name files of this machine.
    pub fn allows_files(&self) -> bool {
        self.shared.options.allow_files
    }

    /// The content of a URL of http, https or file.
    ///
    /// # Errors
    /// It is no such URL or not allowed, cannot be had, or is too large.
    pub async fn fetch(&self, url: &str) -> Result<Bytes> {
        let options = &self.shared.options;
        let bad = |reason: &str| PluginError::Body(format!("fail to download file {url}: {reason}"));
        if let Some(path) = url.strip_prefix("file://") {
            if !options.allow_files {
                return Err(bad("files of this machine are not allowed (allowExternalFileAccess)"));
            }
            let (path, max) = (PathBuf::from(path), options.max_download_bytes);
            let read = off_runtime(move || read_package(path, max)).await;
            return read.map_err(|error| bad(&error.to_string()));
        }
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(PluginError::Body(format!("invalid uri {url}")));
        }
        let Some(fetch) = &options.fetch else { return Err(bad("no HTTP here; use a file:// URL")) };
        fetch.fetch(url, options.max_download_bytes).await.map_err(|reason| bad(&reason))
    }
}

fn read_package(path: PathBuf, max: u64) -> Result<Bytes> {
    let failed = |source| PluginError::File { path: path.clone(), source };
    let size = std::fs::metadata(&path).map_err(failed)?.len();
    if size > max {
        return Err(PluginError::Package(format!("{size} bytes are more than {max}")));
    }
    Ok(std::fs::read(&path).map_err(failed)?.into())
}

fn read_body(body: &str) -> Result<Body> {
    let body: serde_json::Result<Body> = serde_json::from_str(body);
    let body = body.map_err(|error| PluginError::Body(format!("Invalid body: Error decoding the json: {error}")))?;
    Ok(Body { name: body.name.trim().to_owned(), ..body })
}

/// What eKuiper asks of a body before it fetches anything.
fn check_installable(body: &Body) -> Result<()> {
    if body.name.is_empty() {
        return Err(PluginError::Body("invalid name : should not be empty".into()));
    }
    portable::check_name(&body.name)?;
    let known = ["http://", "https://", "file://"].iter().any(|scheme| body.file.starts_with(scheme));
    if !known || !body.file.ends_with(".zip") {
        return Err(PluginError::Body(format!("invalid uri {}", body.file)));
    }
    Ok(())
}

impl Shared {
    /// Every symbol belongs to one plugin.
    fn check_free(&self, spec: &Spec) -> Result<()> {
        for entry in self.portables.read().values().filter(|entry| entry.plugin.spec().name != spec.name) {
            let theirs = entry.plugin.spec();
            let pairs =
                [(&spec.sources, &theirs.sources), (&spec.sinks, &theirs.sinks), (&spec.functions, &theirs.functions)];
            for (ours, theirs) in pairs {
                if let Some(symbol) = ours.iter().find(|symbol| theirs.contains(symbol)) {
                    let owner = entry.plugin.spec().name.clone();
                    return Err(PluginError::Taken { symbol: symbol.clone(), owner });
                }
            }
        }
        Ok(())
    }
}
