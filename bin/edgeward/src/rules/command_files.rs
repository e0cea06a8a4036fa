//! Command files as `kuiper-kubernetes-tool` executes them: a folder of `*.json` files with REST requests, so that a
//! ConfigMap can carry streams and rules.
//!
//! ```json
//! {"commands": [{"url": "/streams", "description": "create demo", "method": "post", "data": {"sql": "CREATE STREAM …"}}]}
//! ```
//!
//! Requests of a file run in order until one fails. `.history` in the folder (in the data folder where that cannot be written, as in a
//! mounted ConfigMap) holds `[{name, loadTime}]`: a file runs again when it was changed after its `loadTime`. Requests go
//! to the engine in the same process, so they need no token. The tool looks every `intervalTime`; here the system tells when
//! something in the folder has changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use edgeward_rules::Handle;
use edgeward_service::Tasks;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::unix::pipe;

/// Largest command file in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// Most files of a folder that are looked at.
const MAX_FILES: usize = 10_000;
/// Files are changed several at a time: how long the folder is quiet before they run.
const QUIET: Duration = Duration::from_millis(200);
const HISTORY: &str = ".history";

#[derive(Debug, Deserialize)]
struct CommandFile {
    #[serde(default)]
    commands: Vec<Command>,
}

#[derive(Debug, Deserialize)]
struct Command {
    url: String,
    #[serde(default)]
    description: String,
    method: String,
    #[serde(default)]
    data: Value,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Loaded {
    name: String,
    /// Unix seconds.
    load_time: u64,
}

/// The folder and what is known of it.
struct Folder {
    path: PathBuf,
    /// Where the history is kept if not in the folder.
    fallback: PathBuf,
    /// Unix seconds by file.
    loaded: BTreeMap<String, u64>,
    /// The exact change a file had when it ran in this life of the program: seconds are too coarse for quick edits.
    changed: BTreeMap<String, SystemTime>,
    handle: Handle,
}

/// Runs the files of a folder, and again whatever changes, until the tasks end.
///
/// # Errors
/// The folder cannot be watched.
pub(super) async fn start(path: PathBuf, data: &Path, handle: Handle, tasks: &Tasks) -> anyhow::Result<()> {
    let failed = || format!("--command-dir {}", path.display());
    let mut events = watch(&path).with_context(failed)?;
    let fallback = data.join("command-history.json");
    let mut folder = Folder { path, fallback, loaded: BTreeMap::new(), changed: BTreeMap::new(), handle };
    folder.remember();
    // What is there runs before the engine counts as ready.
    folder.run().await;
    tasks.spawn_until_cancelled("command files", async move {
        while folder.quiet_again(&mut events).await.is_ok() {
            folder.run().await;
        }
        tracing::error!("the folder of command files can no longer be watched; changes have no effect");
    });
    Ok(())
}

/// Wakes on files that appear, were written or renamed; a ConfigMap's new version is a renamed link.
fn watch(path: &Path) -> anyhow::Result<pipe::Receiver> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let flags = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CREATE;
    inotify.add_watch(path, flags)?;
    // Not a pipe, but read and waited for like one; tokio's own wrapper for other descriptors is unsafe.
    Ok(pipe::Receiver::from_owned_fd_unchecked(inotify.into())?)
}

impl Folder {
    /// Waits for a change and for the end of changes.
    async fn quiet_again(&self, events: &mut pipe::Receiver) -> std::io::Result<()> {
        let mut unread = [0; 4096];
        events.readable().await?;
        loop {
            // Which file it was does not matter: times of change tell.
            while events.try_read(&mut unread).is_ok() {}
            match tokio::time::timeout(QUIET, events.readable()).await {
                Ok(more) => more?,
                Err(_) => return Ok(()),
            }
        }
    }

    fn remember(&mut self) {
        for path in [&self.fallback, &self.path.join(HISTORY)] {
            let read = std::fs::read(path).ok().and_then(|text| serde_json::from_slice::<Vec<Loaded>>(&text).ok());
            self.loaded.extend(read.into_iter().flatten().map(|loaded| (loaded.name, loaded.load_time)));
        }
    }

    /// Runs the files that were changed since they ran last, by name.
    async fn run(&mut self) {
        let files = match self.list() {
            Ok(files) => files,
            Err(error) => {
                tracing::error!(folder = %self.path.display(), %error, "command files cannot be listed");
                return;
            }
        };
        let mut ran = false;
        for (name, changed) in files {
            if !self.is_due(&name, changed) {
                continue;
            }
            let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
            match self.execute(&name).await {
                Ok(count) => tracing::info!(file = name, count, "command file executed"),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(file = name, error, "command file stopped; change it to run it again");
                }
            }
            self.loaded.insert(name.clone(), time);
            self.changed.insert(name, changed);
            ran = true;
        }
        if ran && let Err(error) = self.save() {
            tracing::error!(%error, "the history of command files cannot be kept: they will run again at the next start");
        }
    }

    fn list(&self) -> std::io::Result<BTreeMap<String, SystemTime>> {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(&self.path)?.take(MAX_FILES) {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // Through links, which is what files of a ConfigMap are.
            let meta = std::fs::metadata(entry.path());
            if let Some(meta) = meta.ok().filter(|meta| meta.is_file() && name.ends_with(".json")) {
                files.insert(name, meta.modified()?);
            }
        }
        Ok(files)
    }

    fn is_due(&self, name: &str, changed: SystemTime) -> bool {
        if let Some(known) = self.changed.get(name) {
            return *known != changed;
        }
        let seconds = changed.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        self.loaded.get(name).is_none_or(|loaded| seconds > *loaded)
    }

    /// Runs the requests of a file; answers how many.
    async fn execute(&self, name: &str) -> anyhow::Result<usize> {
        let path = self.path.join(name);
        let size = std::fs::metadata(&path)?.len();
        anyhow::ensure!(size <= MAX_BYTES, "{size} bytes are more than {MAX_BYTES}");
        let file: CommandFile = serde_json::from_slice(&std::fs::read(&path)?).context("no command file")?;
        for (at, command) in file.commands.iter().enumerate() {
            let body = match &command.data {
                Value::Null => String::new(),
                data => data.to_string(),
            };
            let method = command.method.to_ascii_uppercase();
            let Command { url, description, .. } = command;
            let known = ["GET", "POST", "PUT", "DELETE"].contains(&method.as_str());
            anyhow::ensure!(known, "command {at} ({description}): method {method:?} must be get, post, put or delete");
            let (status, answer) = self.handle.request(&method, url, body).await;
            let good = (200..300).contains(&status);
            anyhow::ensure!(good, "command {at} ({description}): {method} {url}: {status} {}", answer.trim());
            tracing::info!(file = name, description, method, url, answer = answer.trim(), "command executed");
        }
        Ok(file.commands.len())
    }

    fn save(&self) -> std::io::Result<()> {
        let entry = |(name, time): (&String, &u64)| Loaded { name: name.clone(), load_time: *time };
        let text = serde_json::to_vec(&self.loaded.iter().map(entry).collect::<Vec<_>>())?;
        let written = replace(&self.path.join(HISTORY), &text);
        written.or_else(|_| replace(&self.fallback, &text))
    }
}

/// Writes a file so that either the old or the new content is there after a crash.
fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::File::open(&new)?.sync_all()?;
    std::fs::rename(&new, path)
}
