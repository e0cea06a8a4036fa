//! Files a request names by URL.

use std::path::Path;

use edgeward_plugins::PluginError;

use crate::Handle;
use crate::error::{Code, Result, RulesError};

/// Largest file of this machine that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

impl Handle {
    /// Whether requests may name files of this machine.
    pub(crate) fn allows_files(&self) -> bool {
        self.registry.world.plugins.as_ref().is_none_or(|plugins| plugins.allows_files())
    }

    /// The content of `file://…`, a plain path, or a URL of http(s), the last through whoever fetches plugins.
    pub(crate) async fn fetch(&self, url: &str) -> Result<Vec<u8>> {
        let local = url.strip_prefix("file://").or_else(|| (!url.contains("://")).then_some(url));
        match (local, &self.registry.world.plugins) {
            (Some(path), None) => read(path).await,
            (Some(path), Some(plugins)) if plugins.allows_files() => read(path).await,
            (Some(_), Some(_)) => Err(refused(format!(
                "invalid file {url}: files of this machine are not allowed (allowExternalFileAccess)"
            ))),
            (None, Some(plugins)) => {
                let fetched = plugins.fetch(url).await;
                fetched.map(Into::into).map_err(|error: PluginError| refused(error.to_string()))
            }
            (None, None) => Err(refused(format!("invalid file {url}: no HTTP here; use a file:// URL"))),
        }
    }
}

fn refused(message: String) -> RulesError {
    RulesError::refused(Code::Undefined, message)
}

async fn read(path: &str) -> Result<Vec<u8>> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let failed =
            |error: std::io::Error| RulesError::refused(Code::Io, format!("fail to read file {path}: {error}"));
        let size = std::fs::metadata(Path::new(&path)).map_err(failed)?.len();
        if size > MAX_FILE {
            return Err(refused(format!("{path} has {size} bytes, more than {MAX_FILE}")));
        }
        std::fs::read(&path).map_err(failed)
    });
    read.await.unwrap_or_else(|_| Err(refused("the program is stopping".into())))
}
