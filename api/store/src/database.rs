//! Opening the file: lock, settings, schema, and SQLite's errors in our words.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use crate::StoreError;

/// `user_version` of the schema below.
const SCHEMA: i64 = 1;
/// `application_id`: the letters `Edge`.
const APPLICATION: i64 = 0x4564_6765;

/// A change is a row. A row is *live* until another change of its key ends it; deletions are born ended. `previous` is the
/// revision of the row this one ended, 0 for none, so that compaction and watches need no further index. Values lie apart, so
/// that ending a row does not rewrite them.
const TABLES: &str = "
    CREATE TABLE log (
        revision  INTEGER PRIMARY KEY,
        resource  TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name      TEXT NOT NULL,
        created   INTEGER NOT NULL,
        previous  INTEGER NOT NULL,
        ended     INTEGER,
        deleted   INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX live ON log (resource, namespace, name, created) WHERE ended IS NULL;
    CREATE INDEX past ON log (resource, namespace, name, revision, ended) WHERE ended IS NOT NULL;
    CREATE TABLE content (revision INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
    CREATE TABLE state (compacted INTEGER NOT NULL) STRICT;
    INSERT INTO state VALUES (1);
";

/// An open file that no other process can open.
pub(crate) struct Database {
    path: PathBuf,
    /// Held, never read: the lock ends with it.
    _lock: File,
}

impl Database {
    /// Opens or creates the file and brings its schema up to date. Returns the connection that writes.
    pub(crate) fn open(path: &Path) -> Result<(Self, Connection), StoreError> {
        let lock = lock(path)?;
        let connection = Connection::open(path).map_err(|error| translate(path, &error))?;
        prepare(&connection).map_err(|fault| fault.at(path))?;
        Ok((Self { path: path.to_owned(), _lock: lock }, connection))
    }

    /// One more connection, for reading only.
    pub(crate) fn reader(&self) -> Result<Connection, StoreError> {
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(&self.path)?;
            connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -512;")?;
            Ok(connection)
        };
        open().map_err(|error| translate(&self.path, &error))
    }
}

/// A store without a file: one connection, for tests.
pub(crate) fn in_memory() -> Result<Connection, StoreError> {
    let path = Path::new(":memory:");
    let connection = Connection::open_in_memory().map_err(|error| translate(path, &error))?;
    prepare(&connection).map_err(|fault| fault.at(path))?;
    Ok(connection)
}

/// SQLite's error in our words; `path` names the datastore in them.
pub(crate) fn translate(path: &Path, error: &rusqlite::Error) -> StoreError {
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt(format!("{}: {reason}", path.display()))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked(path.to_owned()),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StoreError::NotWritable { path: path.to_owned(), reason }
        }
        _ => StoreError::Failed(reason),
    }
}

enum Fault {
    Sqlite(rusqlite::Error),
    Newer(i64),
    Foreign,
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Fault {
    fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Sqlite(error) => translate(path, &error),
            Self::Newer(found) => StoreError::Newer { path: path.to_owned(), found, known: SCHEMA },
            Self::Foreign => StoreError::Corrupt(format!("{} holds another program's tables", path.display())),
        }
    }
}

fn prepare(connection: &Connection) -> Result<(), Fault> {
    let number = |pragma: &str| connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version) {
        (APPLICATION, SCHEMA) => {}
        (APPLICATION, newer) if newer > SCHEMA => return Err(Fault::Newer(newer)),
        _ if tables > 0 => return Err(Fault::Foreign),
        _ => create(connection)?,
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA cache_size = -2048;
         PRAGMA wal_autocheckpoint = 1000;
         PRAGMA journal_size_limit = 8388608;",
    )?;
    Ok(())
}

/// Makes the tables in one transaction, so that a crash leaves an empty file or a whole schema.
fn create(connection: &Connection) -> Result<(), Fault> {
    // Takes effect only before the first table, and never inside a transaction.
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL;")?;
    connection.execute_batch(&format!(
        "BEGIN; {TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {SCHEMA}; COMMIT;"
    ))?;
    Ok(())
}

/// SQLite's own locks would let two processes take turns; two servers on one datastore must not even start.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = OsString::from(path);
    name.push(".lock");
    let not_writable =
        |error: std::io::Error| StoreError::NotWritable { path: path.to_owned(), reason: error.to_string() };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(name).map_err(not_writable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(not_writable(error)),
    }
}
