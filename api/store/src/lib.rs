//! A revisioned object store with watch, and its one implementation: a log of changes in SQLite.
//!
//! One counter numbers every change of the whole store; a write that was answered is on disk; a watch delivers each revision
//! of its scope exactly once and in order, or ends with an error that says why. Values are opaque bytes here: this room knows
//! nothing of Kubernetes but the shape of a key.

mod database;
mod error;
mod feed;
mod history;
mod key;
mod log;
mod options;
mod readers;
mod sqlite;
mod types;
mod watch;
mod writer;

pub use error::StoreError;
pub use key::{Key, Scope};
pub use options::Options;
pub use sqlite::SqliteStore;
pub use types::{Change, Entry, ListQuery, Page, Revision, Store, Watch, Write};
