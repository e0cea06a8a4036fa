//! What the lookup tables of all connectors share.

use edgeward_engine::{Connection, LookupQuery, LookupSource, Map, Value};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{ConnectError, Hosts, Props};

/// What a table asks of a lookup connector.
#[derive(Debug, Clone)]
pub struct LookupRequest {
    /// Name of the table.
    pub table: String,
    /// The table's DATASOURCE.
    pub datasource: String,
    /// The table's KEY, if it has one.
    pub key: Option<String>,
    /// Properties: configuration section overlaid with EXTRA.
    pub props: Props,
}

/// How a connector makes its table. Nothing is opened before the first question.
pub(crate) type MakeLookup = fn(&LookupRequest, &Hosts) -> Result<Box<dyn LookupSource>, ConnectError>;

/// Questions asked of one table at a time; others wait.
const AT_A_TIME: usize = 4;

/// Connections of a table: as many as there are questions at a time, up to [`AT_A_TIME`].
pub(crate) struct Pool<C> {
    make: Box<dyn Fn() -> C + Send + Sync>,
    idle: Mutex<Vec<C>>,
    permits: Semaphore,
    state: Mutex<Connection>,
}

/// A connection taken from its pool. It is closed unless it is put back, so that a question that was given up leaves no
/// answer to the next one.
pub(crate) struct Taken<'a, C> {
    pub(crate) client: C,
    _permit: Option<SemaphorePermit<'a>>,
}

impl<C> Pool<C> {
    /// A pool without connections; `make` makes one that connects when it is first used.
    pub(crate) fn new(make: impl Fn() -> C + Send + Sync + 'static) -> Pool<C> {
        Pool {
            make: Box::new(make),
            idle: Mutex::default(),
            permits: Semaphore::new(AT_A_TIME),
            state: Mutex::new(Connection::Connecting),
        }
    }

    /// A connection nobody uses.
    pub(crate) async fn take(&self) -> Taken<'_, C> {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.ok();
        let idle = self.idle.lock().pop();
        Taken { client: idle.unwrap_or_else(|| (self.make)()), _permit: permit }
    }

    /// Gives a connection back with its state.
    pub(crate) fn put(&self, taken: Taken<'_, C>, state: Connection) {
        *self.state.lock() = state;
        self.idle.lock().push(taken.client);
    }

    /// State of the connection used last.
    pub(crate) fn state(&self) -> Connection {
        self.state.lock().clone()
    }
}

/// Whether a row has the values asked for; numbers are equal as SQL sees them.
pub(crate) fn matches(row: &Map, query: LookupQuery<'_>) -> bool {
    let same = |known: &Value, wanted: &Value| match (known.as_f64(), wanted.as_f64()) {
        (Some(known), Some(wanted)) => known == wanted,
        _ => known == wanted,
    };
    query.keys.iter().zip(query.values).all(|(key, wanted)| row.get(key).is_some_and(|known| same(known, wanted)))
}

#[cfg(test)]
mod tests {
    use edgeward_engine::{LookupOptions, Stream, StreamDef, Value};
    use edgeward_sql::ast::Statement;
    use serde_json::json;

    use crate::testing::{look, props, start_rule};
    use crate::{Hosts, LookupRequest, registry};

    /// Rows of a SQLite file beside those of a stream, as a user writes it.
    async fn joined(select: &str, options: LookupOptions) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let database = rusqlite::Connection::open(&file).unwrap();
        database
            .execute_batch(
                "CREATE TABLE t (id INT, name TEXT, x INT); INSERT INTO t VALUES (1, 'a', 5), (2, 'b', 6), (2, 'c', 7)",
            )
            .unwrap();
        let create = r#"CREATE TABLE t (id BIGINT, name STRING) WITH (DATASOURCE="t", TYPE="sql", KIND="lookup")"#;
        let Ok(Statement::Create(create)) = edgeward_sql::parse(create) else { panic!("a table") };
        let props = props(&json!({"url": format!("sqlite://{}", file.display())}));
        let request = LookupRequest { table: "t".into(), datasource: "t".into(), key: None, props };
        let source = registry::lookup("sql", &request, &Hosts::default()).unwrap();
        let table = Stream::of_lookup(StreamDef::new(&create), source, options);
        let data = json!({"data": [{"id": 1}, {"id": 2}, {"id": 3}, {"id": 1}], "interval": 1, "loop": false});
        let stream = ("simulator", r#"CREATE STREAM s () WITH (DATASOURCE="")"#, &data);
        let (rows, ended) = start_rule(select, stream, &[table], &Hosts::default()).unwrap().all().await;
        ended.unwrap();
        rows
    }

    #[tokio::test]
    async fn tables_use_named_connections() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let database = rusqlite::Connection::open(&file).unwrap();
        database.execute_batch("CREATE TABLE t (id INT); INSERT INTO t VALUES (1)").unwrap();
        let hosts = Hosts::default();
        let connection = json!({"url": format!("sqlite://{}", file.display())});
        hosts.connections.create("plant", "sql", props(&connection)).unwrap();
        let props = props(&json!({"connectionSelector": "plant"}));
        let request = LookupRequest { table: "names".into(), datasource: "t".into(), key: None, props };
        let table = registry::lookup("sql", &request, &hosts).unwrap();
        assert_eq!(look(&*table, &[Value::Int(1)]).await.as_deref(), Ok(r#"[{"id":1}]"#));
        let refused = hosts.connections.delete("plant").unwrap_err().to_string();
        assert!(refused.contains("names"), "{refused}");
        drop(table);
        hosts.connections.delete("plant").unwrap();
    }

    #[tokio::test]
    async fn rules_join_tables() {
        let (a, b) = (r#"{"id":1,"name":"a"}"#, [r#"{"id":2,"name":"b"}"#, r#"{"id":2,"name":"c"}"#]);
        let kept = LookupOptions { cache: true, cache_missing_key: true, ..LookupOptions::default() };
        for options in [LookupOptions::default(), kept] {
            let select = "SELECT s.id, t.name FROM s INNER JOIN t ON s.id = t.id";
            assert_eq!(joined(select, options.clone()).await, [a, b[0], b[1], a]);
            let select = "SELECT s.id, t.name FROM s LEFT JOIN t ON s.id = t.id";
            assert_eq!(joined(select, options.clone()).await, [a, b[0], b[1], r#"{"id":3}"#, a]);
            let select = "SELECT s.id, t.name FROM s INNER JOIN t ON s.id = t.id AND t.name = \"c\"";
            assert_eq!(joined(select, options).await, [b[1]]);
        }
    }
}
