//! The catalogue's SQLite file. Each call is one transaction that is on disk when it returns.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, params};

use crate::error::{Result, RulesError};

/// Format of the file.
const FORMAT: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS definition (kind TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS rule_state (rule TEXT, generation INTEGER, state BLOB NOT NULL, PRIMARY KEY (rule, generation)) WITHOUT ROWID;
    DROP TABLE IF EXISTS checkpoint;";

/// Checkpoints kept of a rule: should the newest be unreadable, the one before is used.
const GENERATIONS: i64 = 3;

/// What a definition defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A CREATE STREAM or CREATE TABLE statement.
    Source,
    /// A rule's JSON.
    Rule,
    /// A configuration key's properties as JSON, under `scope.type.key`.
    Conf,
    /// What was done once.
    Mark,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::Rule => "rule",
            Kind::Conf => "conf",
            Kind::Mark => "mark",
        }
    }
}

/// The file. Clones are the same file.
#[derive(Clone)]
pub(crate) struct Store {
    connection: Arc<Mutex<Connection>>,
    path: Arc<PathBuf>,
}

impl Store {
    pub(crate) fn open(path: &Path) -> Result<Store> {
        let failed = |source| RulesError::Store { path: path.to_owned(), source };
        let connection = Connection::open(path).map_err(failed)?;
        let found = prepare(&connection).map_err(failed)?;
        if found > FORMAT {
            return Err(RulesError::NewerStore { path: path.to_owned(), found, supported: FORMAT });
        }
        connection.execute_batch(SCHEMA).map_err(failed)?;
        connection.pragma_update(None, "user_version", FORMAT).map_err(failed)?;
        Ok(Store { connection: Arc::new(Mutex::new(connection)), path: Arc::new(path.to_owned()) })
    }

    /// All definitions of a kind: name and body.
    pub(crate) fn load(&self, kind: Kind) -> Result<Vec<(String, String)>> {
        self.with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT name, body FROM definition WHERE kind = ?1 ORDER BY name")?;
            let rows = statement.query_map([kind.name()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    pub(crate) async fn put(&self, kind: Kind, name: &str, body: &str) -> Result<()> {
        let (name, body) = (name.to_owned(), body.to_owned());
        self.change(move |connection| {
            connection
                .execute("INSERT OR REPLACE INTO definition VALUES (?1, ?2, ?3)", params![kind.name(), name, body])?;
            Ok(())
        })
        .await
    }

    /// Puts many definitions in one transaction.
    pub(crate) async fn put_many(&self, kind: Kind, all: Vec<(String, String)>) -> Result<()> {
        self.change(move |connection| {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO definition VALUES (?1, ?2, ?3)")?;
                for (name, body) in all {
                    insert.execute(params![kind.name(), name, body])?;
                }
            }
            transaction.commit()
        })
        .await
    }

    /// Removes all definitions of a kind, and the rules' saved states with them.
    pub(crate) async fn delete_all(&self, kind: Kind) -> Result<()> {
        self.change(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM definition WHERE kind = ?1", params![kind.name()])?;
            if kind == Kind::Rule {
                transaction.execute("DELETE FROM rule_state", [])?;
            }
            transaction.commit()
        })
        .await
    }

    /// Removes a definition, and a rule's saved state with it.
    pub(crate) async fn delete(&self, kind: Kind, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.change(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM definition WHERE kind = ?1 AND name = ?2", params![kind.name(), name])?;
            if kind == Kind::Rule {
                transaction.execute("DELETE FROM rule_state WHERE rule = ?1", [name])?;
            }
            transaction.commit()
        })
        .await
    }

    /// Keeps a checkpoint as the newest of its rule.
    pub(crate) async fn save_state(&self, rule: &str, state: Vec<u8>) -> Result<()> {
        let rule = rule.to_owned();
        self.change(move |connection| {
            let transaction = connection.transaction()?;
            let sql = "SELECT coalesce(max(generation), 0) + 1 FROM rule_state WHERE rule = ?1";
            let generation: i64 = transaction.query_row(sql, [&rule], |row| row.get(0))?;
            transaction.execute("INSERT INTO rule_state VALUES (?1, ?2, ?3)", params![rule, generation, state])?;
            let sql = "DELETE FROM rule_state WHERE rule = ?1 AND generation <= ?2";
            transaction.execute(sql, params![rule, generation - GENERATIONS])?;
            transaction.commit()
        })
        .await
    }

    pub(crate) async fn forget_state(&self, rule: &str) -> Result<()> {
        let rule = rule.to_owned();
        self.change(move |connection| connection.execute("DELETE FROM rule_state WHERE rule = ?1", [rule]).map(drop))
            .await
    }

    /// The checkpoints of a rule, the newest first.
    pub(crate) fn states(&self, rule: &str) -> Result<Vec<Vec<u8>>> {
        self.with(|connection| {
            let sql = "SELECT state FROM rule_state WHERE rule = ?1 ORDER BY generation DESC";
            connection.prepare_cached(sql)?.query_map([rule], |row| row.get(0))?.collect()
        })
    }

    async fn change(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<()> + Send + 'static) -> Result<()> {
        let store = self.clone();
        let done = tokio::task::spawn_blocking(move || store.with(work)).await;
        done.unwrap_or_else(|_| Err(RulesError::refused(crate::Code::Undefined, "the program is stopping")))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&mut self.connection.lock()).map_err(|source| RulesError::Store { path: self.path.to_path_buf(), source })
    }
}

/// Sets the journal up and returns the file's format, 0 for a new file.
fn prepare(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}
