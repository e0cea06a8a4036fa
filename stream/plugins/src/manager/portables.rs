//! `/plugins/portables`.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::PathBuf;
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

/// An installed plugin.
pub(super) struct Portable {
    pub(super) plugin: Plugin,
    pub(super) functions: BTreeMap<String, Callable>,
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
}

/// The body of POST and PUT.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    name: String,
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
        match open(&name, options, tasks).await {
            Ok(entry) => drop(opened.insert(name, entry)),
            Err(error) => tracing::error!(plugin = name, %error, "an installed plugin cannot be used and is left out"),
        }
    }
    opened
}

/// Opens an unpacked plugin; its functions are asked what they are unless that is on record.
async fn open(name: &str, options: &Arc<Options>, tasks: &Tasks) -> Result<Portable> {
    let folder = options.folder.join(name);
    let (spec, record) = off_runtime({
        let (name, folder) = (name.to_owned(), folder.clone());
        move || Ok((portable::read_spec(&folder, &name)?, read_record(&folder.join(RECORD))))
    })
    .await?;
    let plugin = Plugin::open(spec, options.clone(), tasks);
    let names = plugin.spec().functions.iter();
    let functions: Vec<_> = names.map(|name| (name.clone(), PortableFunction::open(&plugin, name))).collect();
    let record = match record {
        Some(record) => record,
        None => match learn(functions.clone(), folder.join(RECORD)).await {
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
    Ok(Portable { functions: functions.into_iter().map(callable).collect(), plugin })
}

fn read_record(path: &PathBuf) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

async fn learn(functions: Vec<(String, PortableFunction)>, path: PathBuf) -> Result<Record> {
    off_runtime(move || {
        let mut record = Record::default();
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
        portable::check_name(&body.name)?;
        let package = self.fetch(&body.file).await?;
        let _changes = self.shared.changes.lock().await;
        if self.shared.portables.read().contains_key(&body.name) {
            return Err(PluginError::Exists(body.name));
        }
        if self.shared.portables.read().len() >= self.shared.portable.max_plugins {
            let text = format!("{} portable plugins are installed; delete some", self.shared.portable.max_plugins);
            return Err(PluginError::Limit(text));
        }
        self.install(&body.name, package).await?;
        Ok(format!("portable plugin {} is created", body.name))
    }

    /// `PUT /plugins/portables/{name}`: ends the old version and puts the new one in its place. Sources and sinks that run
    /// come back with their rules' next start.
    ///
    /// # Errors
    /// As for [`Manager::create_portable`]; the old version goes on if the package is wrong.
    pub async fn update_portable(&self, name: &str, body: &str) -> Result<String> {
        let package = self.fetch(&read_body(body)?.file).await?;
        let _changes = self.shared.changes.lock().await;
        let old = self.portable(name)?;
        // Looked at before the old one ends.
        let staged = format!("{name}-staged");
        let spec = self.unpack(&staged, name, package.clone()).await?;
        self.shared.check_free(&spec)?;
        old.close().await;
        self.install(name, package).await?;
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

    async fn install(&self, name: &str, package: Bytes) -> Result<()> {
        let shared = &self.shared;
        let spec = self.unpack(name, name, package).await?;
        let opened = match shared.check_free(&spec) {
            Ok(()) => open(name, &shared.portable, &shared.tasks).await,
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
        let bad = |reason: &str| PluginError::Body(format!("invalid file {url}: {reason}"));
        if let Some(path) = url.strip_prefix("file://") {
            if !options.allow_files {
                return Err(bad("files of this machine are not allowed (allowExternalFileAccess)"));
            }
            let (path, max) = (PathBuf::from(path), options.max_download_bytes);
            return off_runtime(move || read_package(path, max)).await;
        }
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(bad("it must be a URL of http, https or file"));
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
    serde_json::from_str(body)
        .map_err(|error| PluginError::Body(format!("Invalid body: Error decoding the json: {error}")))
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
