//! What can go wrong on a node.

use std::path::{Path, PathBuf};

/// Why a part of the agent could not start or do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of the agent cannot be used.
    #[error("{what} {path}: {reason}; check that the folder exists, is writable and not damaged")]
    Io {
        /// What the file is for.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// No space left.
    #[error("{what} {path}: the disk is full; free space, nothing accepted so far is lost")]
    DiskFull {
        /// What the file is for.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
    },
    /// Another process uses the same files.
    #[error("{what} {path} is in use by another process; stop the other agent or give this one its own data folder")]
    InUse {
        /// What the file is for.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
    },
    /// A reading that cannot be kept.
    #[error("reading refused: {reason}")]
    Reading {
        /// The rule it breaks.
        reason: String,
    },
    /// The part that would do it has ended.
    #[error("{0} is shutting down")]
    Stopped(&'static str),
}

impl Error {
    /// Sorts the system's errors into the cases an operator can act on.
    pub(crate) fn io(what: &'static str, path: &Path, error: &std::io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull { what, path },
            _ => Self::Io { what, path, reason: error.to_string() },
        }
    }
}
