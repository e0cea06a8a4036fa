//! A SQLite file. Its work is done outside the threads that serve everything else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edgeward_engine::{Map, Value};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode};

use super::database::{MAX_ANSWER, Rows};
use crate::wire::Failure;

/// How long to wait for others who write the file.
const BUSY: Duration = Duration::from_secs(5);

pub(super) struct Sqlite(Option<Connection>);

impl Sqlite {
    /// Opens a file, making it if there is none.
    pub(super) async fn open(path: PathBuf) -> Result<Sqlite, Failure> {
        let open = move || {
            let failed = |error| Failure::Passing(format!("cannot open {}: {error}", path.display()));
            let connection = Connection::open(&path).map_err(failed)?;
            connection.busy_timeout(BUSY).map_err(failed)?;
            Ok(connection)
        };
        aside(open).await.map(|connection| Sqlite(Some(connection)))
    }

    /// Carries out statements, all or none, and gives the rows of the last one.
    pub(super) async fn work(&mut self, statements: Vec<String>) -> Result<Rows, Failure> {
        let Some(mut connection) = self.0.take() else { return Err(Failure::Passing("the file is closed".into())) };
        let (connection, done) = aside(move || {
            let done = transact(&mut connection, &statements);
            Ok((connection, done))
        })
        .await?;
        self.0 = Some(connection);
        done
    }
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::Passing(error.to_string())))
}

fn transact(connection: &mut Connection, statements: &[String]) -> Result<Rows, Failure> {
    let mut rows = Rows::new();
    if let [only] = statements {
        return run(connection, only);
    }
    let transaction = connection.transaction().map_err(|error| failure(&error))?;
    for statement in statements {
        rows = run(&transaction, statement)?;
    }
    transaction.commit().map_err(|error| failure(&error))?;
    Ok(rows)
}

fn run(connection: &Connection, sql: &str) -> Result<Rows, Failure> {
    let mut statement = connection.prepare(sql).map_err(|error| failure(&error))?;
    let names: Vec<Arc<str>> = statement.column_names().map(Arc::from).collect();
    let mut found = statement.query([]).map_err(|error| failure(&error))?;
    let (mut rows, mut size) = (Rows::new(), 0);
    while let Some(row) = found.next().map_err(|error| failure(&error))? {
        let mut map = Map::new();
        for (index, name) in names.iter().enumerate() {
            let value = row.get_ref(index).map_err(|error| failure(&error))?;
            size += 64 + value.as_bytes_or_null().ok().flatten().map_or(0, <[u8]>::len);
            map.insert(name.clone(), read(value));
        }
        if size > MAX_ANSWER {
            return Err(Failure::Refused(format!("the answer is larger than {MAX_ANSWER} bytes; use a LIMIT")));
        }
        rows.push(Arc::new(map));
    }
    Ok(rows)
}

fn read(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Nil,
        ValueRef::Integer(int) => Value::Int(int),
        ValueRef::Real(float) => Value::Float(float),
        ValueRef::Text(text) => Value::str(String::from_utf8_lossy(text).as_ref()),
        ValueRef::Blob(bytes) => Value::bytes(bytes.to_vec()),
    }
}

/// A file that others hold or a disk that is full may be better the next time.
fn failure(error: &rusqlite::Error) -> Failure {
    use ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, SystemIoFailure};
    let text = format!("sqlite: {error}");
    match error.sqlite_error_code() {
        Some(DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure | CannotOpen) => Failure::Passing(text),
        _ => Failure::Refused(text),
    }
}
