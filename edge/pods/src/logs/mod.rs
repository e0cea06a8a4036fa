//! Container logs: where they are, how they are read, followed and rotated. The runtime writes them.

mod find;
mod line;
mod read;
mod rotate;

use std::path::PathBuf;

use bytes::Bytes;
use futures::stream::BoxStream;

pub(crate) use find::find;
pub(crate) use line::text_of_line;
use read::read;
pub(crate) use rotate::rotate;

use crate::{Error, Options, PodKey};

/// Which part of a log is wanted, as in `kubectl logs`.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Go on with what is written from now on, until the container ends.
    pub follow: bool,
    /// Only this many lines from the end.
    pub tail: Option<usize>,
    /// Only lines written at or after this time, nanoseconds since 1970 UTC.
    pub since: Option<i64>,
    /// Put the time before each line.
    pub timestamps: bool,
    /// The log of the container's previous instance.
    pub previous: bool,
    /// End after this many bytes.
    pub limit_bytes: Option<usize>,
}

/// The text of a log in pieces of whole lines.
pub type LogStream = BoxStream<'static, Result<Bytes, Error>>;

/// `<log_dir>/<namespace>_<name>_<uid>`.
pub(crate) fn pod_dir(options: &Options, key: &PodKey) -> PathBuf {
    options.log_dir.join(format!("{}_{}_{}", key.namespace, key.name, key.uid))
}

/// The log of one container instance.
pub(crate) fn instance_path(options: &Options, key: &PodKey, container: &str, restart_count: u32) -> PathBuf {
    pod_dir(options, key).join(container).join(format!("{restart_count}.log"))
}

/// Removes the log of an instance that is gone, rotated files included.
pub(crate) fn remove_instance(options: &Options, key: &PodKey, container: &str, restart_count: u32) {
    let path = instance_path(options, key, container, restart_count);
    for rotated in rotated_files(&path) {
        let _ = std::fs::remove_file(rotated);
    }
    let _ = std::fs::remove_file(path);
}

/// Earlier parts of a log, oldest first: `0.log.<time>`, whose names sort by time.
pub(crate) fn rotated_files(path: &std::path::Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let prefix = format!("{name}.");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}
