//! Reading the store, for the command line, the demo and tests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, params};

use crate::{Error, schema};

/// A read-only view of a store, also of one another process writes. Its calls block.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

/// One life of a node's outbox: `through + 1 = stored + lost`, unless readings wait beyond a hole or came again under
/// other numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTotals {
    /// Node name.
    pub node: String,
    /// Epoch of its outbox.
    pub epoch: u64,
    /// Highest contiguous counter; -1 before the first.
    pub through: i64,
    /// Readings ever stored, those since deleted by retention included.
    pub stored: u64,
    /// Readings the node said it had to drop.
    pub lost: u64,
    /// Readings received again.
    pub duplicates: u64,
}

/// What is held of one stream of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamCount {
    /// Node name.
    pub node: String,
    /// Stream or topic.
    pub stream: String,
    /// Readings held.
    pub readings: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One stored reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Node name.
    pub node: String,
    /// Stream or topic.
    pub stream: String,
    /// Epoch of the node's outbox.
    pub epoch: u64,
    /// Counter within the epoch.
    pub seq: u64,
    /// Milliseconds since 1970, as the node saw it.
    pub timestamp_ms: i64,
    /// The reading itself.
    pub payload: Vec<u8>,
}

impl Reader {
    /// Opens an existing store.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = schema::open_read_only(path, Duration::from_secs(5))?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Totals of every source, by node and age.
    pub fn totals(&self) -> Result<Vec<SourceTotals>, Error> {
        let sql = "SELECT node, epoch, through, stored, lost, duplicates FROM sources ORDER BY node, id";
        self.query(sql, params![], |row| {
            Ok(SourceTotals {
                node: row.get(0)?,
                epoch: row.get::<_, i64>(1)? as u64,
                through: row.get(2)?,
                stored: row.get::<_, i64>(3)? as u64,
                lost: row.get::<_, i64>(4)? as u64,
                duplicates: row.get::<_, i64>(5)? as u64,
            })
        })
    }

    /// What is held, per node and stream.
    pub fn counts(&self) -> Result<Vec<StreamCount>, Error> {
        let sql = "SELECT s.node, t.name, sum(c.readings), sum(c.bytes) FROM counts c JOIN sources s ON s.id = c.source
                   JOIN streams t ON t.id = c.stream GROUP BY s.node, t.name ORDER BY s.node, t.name";
        self.query(sql, params![], |row| {
            Ok(StreamCount {
                node: row.get(0)?,
                stream: row.get(1)?,
                readings: row.get::<_, i64>(2)? as u64,
                bytes: row.get::<_, i64>(3)? as u64,
            })
        })
    }

    /// The last `limit` readings of a node, oldest first; of one stream only if `stream` is given.
    pub fn last(&self, node: &str, stream: Option<&str>, limit: usize) -> Result<Vec<Reading>, Error> {
        let sql = "SELECT s.node, t.name, s.epoch, r.seq, r.time_ms, r.payload FROM sources s
                   JOIN readings r ON r.source = s.id JOIN streams t ON t.id = r.stream
                   WHERE s.node = ?1 AND (?2 IS NULL OR t.name = ?2) ORDER BY s.id DESC, r.seq DESC LIMIT ?3";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut readings = self.query(sql, params![node, stream, limit], |row| {
            Ok(Reading {
                node: row.get(0)?,
                stream: row.get(1)?,
                epoch: row.get::<_, i64>(2)? as u64,
                seq: row.get::<_, i64>(3)? as u64,
                timestamp_ms: row.get(4)?,
                payload: row.get(5)?,
            })
        })?;
        readings.reverse();
        Ok(readings)
    }

    fn query<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        map: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let run = || self.connection.prepare_cached(sql)?.query_map(params, map)?.collect::<rusqlite::Result<_>>();
        run().map_err(|error| Error::sqlite(&self.path, &error))
    }
}
