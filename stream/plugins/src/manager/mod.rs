//! What is installed: portable plugins, scripts, modules; kept in folders, found by name, changed one at a time.
//!
//! The bodies and sentences are those of eKuiper's REST (`/plugins/portables`, `/plugins/udfs`, `/udf/javascript`); whoever
//! serves REST only carries them.

mod connectors;
#[cfg(feature = "wasm")]
mod modules;
mod portables;
mod scripts;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use edgeward_functions::{UserFunction, UserFunctions};
use edgeward_service::Tasks;
use futures::future::BoxFuture;
use parking_lot::RwLock;

use crate::error::{PluginError, Result};
use crate::portable::Options;
use portables::Portable;
use scripts::StoredScript;

/// Gets what a URL names, for packages over HTTP: this room has no client of its own.
pub trait Fetch: Send + Sync {
    /// The body of a GET, refused beyond `max_bytes`.
    ///
    /// # Errors
    /// It cannot be had; the text says why.
    fn fetch<'a>(&'a self, url: &'a str, max_bytes: u64) -> BoxFuture<'a, Result<Bytes, String>>;
}

/// Options of the manager.
#[derive(Clone)]
pub struct ManagerOptions {
    /// Portable plugins; their folder is `plugins/portable`.
    pub portable: Options,
    /// Folder of the scripts, one JSON file each.
    pub scripts: PathBuf,
    /// Folder of Wasm modules, `NAME.wasm`; read at start.
    pub modules: PathBuf,
    /// Scripts that may be stored.
    pub max_scripts: usize,
    /// Largest script in bytes.
    pub max_script_bytes: usize,
    /// Largest package as it is fetched, in bytes.
    pub max_download_bytes: u64,
    /// Packages may be files of this machine (`file:///…`).
    pub allow_files: bool,
    /// Gets packages over HTTP; none refuses such URLs.
    pub fetch: Option<Arc<dyn Fetch>>,
}

impl ManagerOptions {
    /// Defaults below a folder (`plugins`).
    pub fn new(folder: &Path) -> ManagerOptions {
        ManagerOptions {
            portable: Options::new(folder.join("portable")),
            scripts: folder.join("javascript"),
            modules: folder.join("wasm"),
            max_scripts: 1000,
            max_script_bytes: 256 << 10,
            max_download_bytes: 128 << 20,
            allow_files: true,
            fetch: None,
        }
    }
}

/// What is installed. Clones are the same.
#[derive(Clone)]
pub struct Manager {
    shared: Arc<Shared>,
}

struct Shared {
    options: ManagerOptions,
    portable: Arc<Options>,
    portables: RwLock<BTreeMap<String, Portable>>,
    scripts: RwLock<BTreeMap<String, StoredScript>>,
    #[cfg(feature = "wasm")]
    modules: BTreeMap<String, crate::wasm::WasmModule>,
    /// Held while something is installed or removed.
    changes: tokio::sync::Mutex<()>,
    /// Sources and sinks made so far: each has a socket of its own.
    instances: AtomicU32,
    tasks: Tasks,
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Manager").field("portables", &self.shared.portables.read().len()).finish_non_exhaustive()
    }
}

impl Manager {
    /// Opens what is installed. A plugin or script that cannot be read is logged and left out.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub async fn open(options: ManagerOptions, tasks: &Tasks) -> Result<Manager> {
        for folder in [&options.portable.folder, &options.scripts] {
            fs::create_dir_all(folder).map_err(|source| PluginError::File { path: folder.clone(), source })?;
        }
        let tasks = tasks.child("plugins");
        let portable = Arc::new(options.portable.clone());
        let portables = portables::open_all(&portable, &tasks).await;
        let scripts = scripts::read_all(&options);
        let shared = Shared {
            portables: RwLock::new(portables),
            scripts: RwLock::new(scripts),
            #[cfg(feature = "wasm")]
            modules: modules::read_all(&options.modules),
            changes: tokio::sync::Mutex::default(),
            instances: AtomicU32::default(),
            portable,
            options,
            tasks,
        };
        Ok(Manager { shared: Arc::new(shared) })
    }

    /// The functions, as the planner asks for them.
    pub fn functions(&self) -> Arc<dyn UserFunctions> {
        Arc::new(self.clone())
    }

    /// Names of the functions users brought, sorted.
    pub fn function_names(&self) -> Vec<String> {
        let portables = self.shared.portables.read();
        let mut names: Vec<String> = portables.values().flat_map(|entry| entry.functions.keys().cloned()).collect();
        drop(portables);
        names.extend(self.shared.scripts.read().keys().cloned());
        #[cfg(feature = "wasm")]
        names.extend(self.shared.modules.values().flat_map(|module| module.functions().map(str::to_owned)));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What has a function: the plugin's name, or none for a script or module.
    fn owner(&self, name: &str) -> Option<String> {
        let portables = self.shared.portables.read();
        portables
            .values()
            .find(|entry| entry.functions.contains_key(name))
            .map(|entry| entry.plugin.spec().name.clone())
    }

    /// `GET /plugins/udfs`: names of the functions users brought.
    pub fn list_udfs(&self) -> serde_json::Value {
        self.function_names().into()
    }

    /// `GET /plugins/udfs/{name}`.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn describe_udf(&self, name: &str) -> Result<serde_json::Value> {
        let known = self.function_names().iter().any(|known| known == name);
        if !known {
            return Err(PluginError::Unknown(format!("function {name}")));
        }
        Ok(serde_json::json!({"name": name, "plugin": self.owner(name).unwrap_or_default()}))
    }
}

impl UserFunctions for Manager {
    fn find(&self, name: &str) -> Option<Arc<dyn UserFunction>> {
        let portables = self.shared.portables.read();
        if let Some(function) = portables.values().find_map(|entry| entry.functions.get(name)) {
            return Some(Arc::new(function.clone()));
        }
        drop(portables);
        #[cfg(feature = "javascript")]
        if let Some(stored) = self.shared.scripts.read().get(name) {
            return Some(Arc::new(stored.function()));
        }
        #[cfg(feature = "wasm")]
        if let Some(function) = self.shared.modules.values().find_map(|module| module.function(name)) {
            return Some(Arc::new(function));
        }
        None
    }

    #[cfg(feature = "javascript")]
    fn script(&self, source: &str) -> Option<Arc<dyn UserFunction>> {
        Some(Arc::new(crate::javascript::JsFunction::of_graph(source)))
    }
}

/// What `/plugins/sources`, `/plugins/sinks` and `/plugins/functions` answer to POST and PUT: Go's `.so` files cannot be
/// loaded by another program.
pub fn native_refusal(kind: &str) -> String {
    let kind = if kind.is_empty() { String::new() } else { format!("{kind} ") };
    format!(
        "native {kind}plugins (Go .so files) cannot be loaded by this program; build the plugin as a portable plugin"
    )
}

/// Writes a file so that either the old or the new content is there after a crash. Blocks.
fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let failed = |source| PluginError::File { path: path.to_owned(), source };
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed),
        None => Ok(()),
    }
}

/// Runs blocking work off the runtime's threads.
async fn off_runtime<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(PluginError::Limit("the program is stopping".into())))
}
