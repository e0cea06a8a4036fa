//! The SQLite file.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use edgeward_mqtt::{Filter, QoS, Text, check_topic};
use rusqlite::{Connection, Row, Transaction, params};

use super::{Op, Saved, SavedSession};
use crate::{BrokerError, Message};

/// Format of the file.
const FORMAT: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS retained (topic BLOB PRIMARY KEY, payload BLOB NOT NULL, qos INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS session (client BLOB PRIMARY KEY, last_seen INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS subscription (
        client BLOB, filter BLOB, qos INTEGER NOT NULL, PRIMARY KEY (client, filter)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS queued (
        client BLOB, sequence INTEGER, topic BLOB NOT NULL, payload BLOB NOT NULL, qos INTEGER NOT NULL,
        PRIMARY KEY (client, sequence)) WITHOUT ROWID;";

/// The open file.
pub(super) struct File {
    connection: Connection,
}

impl File {
    /// Opens or creates the file and reads all of it.
    pub(super) fn open(path: &Path) -> Result<(File, Saved), BrokerError> {
        let failed = |source| BrokerError::Store { path: path.to_owned(), source };
        let connection = Connection::open(path).map_err(failed)?;
        let found = prepare(&connection).map_err(failed)?;
        if found > FORMAT {
            return Err(BrokerError::NewerStore { path: path.to_owned(), found, supported: FORMAT });
        }
        connection.execute_batch(SCHEMA).map_err(failed)?;
        connection.pragma_update(None, "user_version", FORMAT).map_err(failed)?;
        let saved = load(&connection).map_err(failed)?;
        Ok((File { connection }, saved))
    }

    /// Applies changes in one transaction that is on disk when this returns.
    pub(super) fn apply<'a>(&mut self, ops: impl Iterator<Item = &'a Op>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for op in ops {
            apply(&transaction, op)?;
        }
        transaction.commit()
    }
}

/// Sets the journal up and returns the file's format, 0 for a new file.
fn prepare(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn apply(transaction: &Transaction<'_>, op: &Op) -> rusqlite::Result<()> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| transaction.prepare_cached(sql)?.execute(values).map(drop);
    match op {
        Op::Remember { client_id, last_seen } => {
            run("INSERT OR REPLACE INTO session VALUES (?1, ?2)", params![client_id.as_bytes(), last_seen])
        }
        Op::Forget { client_id } => {
            let client = params![client_id.as_bytes()];
            run("DELETE FROM session WHERE client = ?1", client)?;
            run("DELETE FROM subscription WHERE client = ?1", client)?;
            run("DELETE FROM queued WHERE client = ?1", client)
        }
        Op::Subscribe { client_id, filter, qos } => run(
            "INSERT OR REPLACE INTO subscription VALUES (?1, ?2, ?3)",
            params![client_id.as_bytes(), filter.as_bytes(), *qos as u8],
        ),
        Op::Unsubscribe { client_id, filter } => run(
            "DELETE FROM subscription WHERE client = ?1 AND filter = ?2",
            params![client_id.as_bytes(), filter.as_bytes()],
        ),
        Op::Queue { client_id, sequence, message: Message { topic, payload, qos, .. } } => run(
            "INSERT OR REPLACE INTO queued VALUES (?1, ?2, ?3, ?4, ?5)",
            params![client_id.as_bytes(), *sequence as i64, topic.as_bytes(), &payload[..], *qos as u8],
        ),
        Op::Unqueue { client_id, sequence } => run(
            "DELETE FROM queued WHERE client = ?1 AND sequence = ?2",
            params![client_id.as_bytes(), *sequence as i64],
        ),
        Op::Retain(Message { topic, payload, .. }) if payload.is_empty() => {
            run("DELETE FROM retained WHERE topic = ?1", params![topic.as_bytes()])
        }
        Op::Retain(Message { topic, payload, qos, .. }) => run(
            "INSERT OR REPLACE INTO retained VALUES (?1, ?2, ?3)",
            params![topic.as_bytes(), &payload[..], *qos as u8],
        ),
    }
}

fn load(connection: &Connection) -> rusqlite::Result<Saved> {
    let mut retained = Vec::new();
    let mut statement = connection.prepare("SELECT topic, payload, qos FROM retained")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        retained.push(Message { retain: true, ..message(row, 0)? });
    }
    let mut sessions = Vec::new();
    let mut statement = connection.prepare("SELECT client, last_seen FROM session")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let client_id = text(row, 0)?;
        let subscriptions = load_subscriptions(connection, &client_id)?;
        let queued = load_queue(connection, &client_id)?;
        sessions.push(SavedSession { client_id, last_seen: row.get(1)?, subscriptions, queued });
    }
    Ok(Saved { retained, sessions })
}

fn load_subscriptions(connection: &Connection, client_id: &Text) -> rusqlite::Result<HashMap<Filter, QoS>> {
    let mut statement = connection.prepare_cached("SELECT filter, qos FROM subscription WHERE client = ?1")?;
    let mut rows = statement.query([client_id.as_bytes()])?;
    let mut subscriptions = HashMap::new();
    while let Some(row) = rows.next()? {
        let filter = Filter::new(text(row, 0)?).map_err(|error| corrupt(0, error))?;
        subscriptions.insert(filter, qos(row, 1)?);
    }
    Ok(subscriptions)
}

fn load_queue(connection: &Connection, client_id: &Text) -> rusqlite::Result<Vec<(u64, Message)>> {
    let sql = "SELECT sequence, topic, payload, qos FROM queued WHERE client = ?1 ORDER BY sequence";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([client_id.as_bytes()])?;
    let mut queued = Vec::new();
    while let Some(row) = rows.next()? {
        queued.push((row.get::<_, i64>(0)?.cast_unsigned(), message(row, 1)?));
    }
    Ok(queued)
}

/// Topic, payload and quality of service in three columns from `first`.
fn message(row: &Row<'_>, first: usize) -> rusqlite::Result<Message> {
    let topic = text(row, first)?;
    check_topic(topic.as_bytes()).map_err(|error| corrupt(first, error))?;
    let payload = Bytes::from(row.get::<_, Vec<u8>>(first + 1)?);
    Ok(Message { topic, payload, qos: qos(row, first + 2)?, retain: false })
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Text> {
    let bytes: Vec<u8> = row.get(column)?;
    Text::from_bytes(bytes.into(), "stored text").map_err(|error| corrupt(column, error))
}

fn qos(row: &Row<'_>, column: usize) -> rusqlite::Result<QoS> {
    QoS::try_from(row.get::<_, u8>(column)?).map_err(|error| corrupt(column, error))
}

fn corrupt(column: usize, error: edgeward_mqtt::MqttError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, Box::new(error))
}
