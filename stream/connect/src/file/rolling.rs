//! When a new file begins, and what it is called.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::{Pattern, SinkConfig};

/// How full the open file is.
#[derive(Debug, Default)]
pub(super) struct Fill {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// The next message follows another one.
    pub(super) follows: bool,
    /// When it was opened, ms since 1970.
    pub(super) since: i64,
}

impl SinkConfig {
    /// Whether a file this full is closed before another message.
    pub(super) fn is_full(&self, fill: &Fill) -> bool {
        fill.messages >= self.rolling_count || self.rolling_size.is_some_and(|size| fill.bytes >= size)
    }

    /// Whether a file is so old that it is closed.
    pub(super) fn is_old(&self, fill: &Fill, now: i64) -> bool {
        let age = Duration::from_millis(u64::try_from(now - fill.since).unwrap_or(0));
        self.rolling_interval.is_some_and(|interval| age >= interval)
    }

    /// Name of a file for `path` opened at `now`.
    pub(super) fn path_at(&self, path: &Path, now: i64) -> PathBuf {
        let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let (stem, extension) = (part(path.file_stem()), part(path.extension()));
        let dot = if extension.is_empty() { "" } else { "." };
        match self.pattern {
            Pattern::None => path.to_owned(),
            Pattern::Prefix => path.with_file_name(format!("{now}-{stem}{dot}{extension}")),
            Pattern::Suffix => path.with_file_name(format!("{stem}-{now}{dot}{extension}")),
        }
    }
}
