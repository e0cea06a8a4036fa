//! What can go wrong with the store.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why a batch was not stored or the store not opened. Nothing of a failed batch is kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A folder or file could not be made.
    #[error("telemetry store {path}: {reason}; check that the folder exists and is writable")]
    Io {
        /// The store.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// No space left.
    #[error(
        "telemetry store {path}: the disk is full; free space or lower the retention, nodes keep their readings meanwhile"
    )]
    DiskFull {
        /// The store.
        path: PathBuf,
    },
    /// Another process holds the file.
    #[error("telemetry store {path} is locked by another process; stop it or choose another path")]
    Locked {
        /// The store.
        path: PathBuf,
    },
    /// Not SQLite, not ours, or damaged.
    #[error(
        "telemetry store {path} is not usable: {reason}; restore a backup or move the file away to begin a new one"
    )]
    Corrupt {
        /// The store.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Written by a newer program.
    #[error("telemetry store {path} has version {found}, this program knows up to {known}; use a newer edgeward")]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Any other answer of SQLite.
    #[error("telemetry store {path}: {reason}")]
    Sqlite {
        /// The store.
        path: PathBuf,
        /// SQLite's words.
        reason: String,
    },
    /// The node's name or the batch breaks the rules of the numbering.
    #[error("telemetry batch of node {node} refused: {reason}")]
    Invalid {
        /// The node.
        node: String,
        /// The rule.
        reason: &'static str,
    },
    /// The writer has ended.
    #[error("telemetry store is shutting down")]
    Stopped,
}

impl Error {
    /// Sorts SQLite's error codes into the cases an operator can act on.
    pub(crate) fn sqlite(path: &std::path::Path, error: &rusqlite::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt { path, reason },
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                Self::Io { path, reason }
            }
            _ => Self::Sqlite { path, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_told_from_other_failures() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (x); PRAGMA max_page_count = 2").unwrap();
        let full = connection.execute("INSERT INTO t VALUES (zeroblob(100000))", []).unwrap_err();
        let text = Error::sqlite("a.db".as_ref(), &full).to_string();
        assert!(text.contains("a.db: the disk is full"), "{text}");
        let other = connection.execute("INSERT INTO missing VALUES (1)", []).unwrap_err();
        assert!(matches!(Error::sqlite("a.db".as_ref(), &other), Error::Sqlite { .. }));
    }
}
