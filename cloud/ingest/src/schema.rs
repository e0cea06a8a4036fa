//! The file: tables, version, and how it is opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::Error;

const VERSION: i64 = 1;
/// "EWTM"; tells our file from anybody else's SQLite file.
const APPLICATION_ID: i64 = 0x4557_544d;

/// `readings.identity`: what makes a reading the one it is, where its source says so; sent again, it is not stored again,
/// and its number is taken by a row of stream 0, which belongs to no stream.
///
/// `sources`: one row per life of a node's outbox. `through` is its highest contiguous counter, -1 before the first.
/// `batches`: what arrived together, in order of arrival; retention deletes by it. `gaps`: announced losses that are not
/// reached yet.
const TABLES: &str = "
CREATE TABLE sources (
  id INTEGER PRIMARY KEY, node TEXT NOT NULL, epoch INTEGER NOT NULL, through INTEGER NOT NULL DEFAULT -1,
  stored INTEGER NOT NULL DEFAULT 0, lost INTEGER NOT NULL DEFAULT 0, duplicates INTEGER NOT NULL DEFAULT 0,
  UNIQUE (node, epoch)
) STRICT;
CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE readings (
  source INTEGER NOT NULL, seq INTEGER NOT NULL, stream INTEGER NOT NULL, time_ms INTEGER NOT NULL, payload BLOB NOT NULL,
  identity BLOB, PRIMARY KEY (source, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX identities ON readings (source, stream, identity) WHERE identity IS NOT NULL;
CREATE TABLE counts (
  source INTEGER NOT NULL, stream INTEGER NOT NULL, readings INTEGER NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (source, stream)
) STRICT, WITHOUT ROWID;
CREATE TABLE batches (
  id INTEGER PRIMARY KEY, source INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  received_ms INTEGER NOT NULL, bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE gaps (
  source INTEGER NOT NULL, last INTEGER NOT NULL, first INTEGER NOT NULL, PRIMARY KEY (source, last)
) STRICT, WITHOUT ROWID;
";

/// Opens the file for writing and makes its tables when it is new.
pub(crate) fn open(path: &Path, busy: Duration) -> Result<Connection, Error> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|error| Error::Io { path: path.to_owned(), reason: error.to_string() })?;
    }
    let fail = |error: rusqlite::Error| Error::sqlite(path, &error);
    let mut connection = Connection::open(path).map_err(fail)?;
    connection.busy_timeout(busy).map_err(fail)?;
    // A file with tables keeps its vacuum mode; on a new one this lets retention give space back.
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL").map_err(fail)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -4096;
             PRAGMA journal_size_limit = 16777216; PRAGMA temp_store = MEMORY;",
        )
        .map_err(fail)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens an existing file for queries.
pub(crate) fn open_read_only(path: &Path, busy: Duration) -> Result<Connection, Error> {
    let fail = |error: rusqlite::Error| Error::sqlite(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(fail)?;
    connection.busy_timeout(busy).map_err(fail)?;
    check(&connection, path)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let fail = |error: rusqlite::Error| Error::sqlite(path, &error);
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(fail)?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(fail)?;
    if tables == 0 {
        transaction.execute_batch(TABLES).map_err(fail)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(fail)?;
        transaction.pragma_update(None, "user_version", VERSION).map_err(fail)?;
    }
    check(&transaction, path)?;
    transaction.commit().map_err(fail)
}

fn check(connection: &Connection, path: &Path) -> Result<(), Error> {
    let pragma = |name: &str| -> Result<i64, Error> {
        connection.pragma_query_value(None, name, |row| row.get(0)).map_err(|error| Error::sqlite(path, &error))
    };
    if pragma("application_id")? != APPLICATION_ID {
        let reason = "it is an SQLite file of another program".to_owned();
        return Err(Error::Corrupt { path: path.to_owned(), reason });
    }
    match pragma("user_version")? {
        VERSION => Ok(()),
        found => Err(Error::Newer { path: path.to_owned(), found, known: VERSION }),
    }
}
