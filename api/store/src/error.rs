use std::path::PathBuf;

use thiserror::Error;

use crate::{Key, Revision};

/// Why the store refused. Preconditions come first, then history, then the disk.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// Create of a key that is taken.
    #[error("{0} already exists; update it instead")]
    Exists(Key),
    /// Update or delete of a key that is not there.
    #[error("{0} does not exist; create it first")]
    NotFound(Key),
    /// The entry moved on since the writer read it.
    #[error("{key} is at revision {actual}, not {expected}; read it again and repeat the change")]
    Conflict {
        /// Which entry.
        key: Key,
        /// What the writer had read.
        expected: Revision,
        /// What is stored.
        actual: Revision,
    },
    /// The revision asked for is no longer kept.
    #[error("revision {requested} is compacted, history starts at {compacted}; list again from the present")]
    Compacted {
        /// What was asked for.
        requested: Revision,
        /// The oldest revision that can be asked for.
        compacted: Revision,
    },
    /// The revision asked for has not happened.
    #[error("revision {requested} is in the future, the store is at {current}; retry later")]
    Future {
        /// What was asked for.
        requested: Revision,
        /// The newest revision.
        current: Revision,
    },
    /// The value is larger than the store accepts.
    #[error("{key} has {size} bytes, more than the limit of {limit}; make the object smaller")]
    TooLarge {
        /// Which entry.
        key: Key,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The datastore has reached its own limit. Deletions still pass.
    #[error("datastore has reached its limit of {limit} bytes; delete objects or raise the limit")]
    Quota {
        /// The limit in bytes.
        limit: u64,
    },
    /// Another process has the datastore open.
    #[error("datastore {} is in use by another process; stop that one first", .0.display())]
    Locked(PathBuf),
    /// A newer program wrote the datastore.
    #[error("datastore {} has schema {found}, this program knows up to {known}; use the newer program", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Version of this program.
        known: i64,
    },
    /// The file is no datastore of ours or is damaged.
    #[error("datastore is damaged or not an edgeward datastore ({0}); restore a snapshot")]
    Corrupt(String),
    /// The disk or quota is full. Reads go on; writes may be repeated when there is space.
    #[error("datastore disk is full; free some space, then repeat the write")]
    Full,
    /// The file or folder cannot be opened or written.
    #[error("datastore {} is not writable ({reason}); check its owner, mode and mount", .path.display())]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Any other failure of the disk or of SQLite.
    #[error("datastore failed: {0}; check the disk and the log")]
    Failed(String),
    /// The store was shut down.
    #[error("datastore is closed; the program is shutting down")]
    Closed,
}
