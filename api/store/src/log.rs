//! The statements over the log. Every function runs on one connection, inside whatever transaction its caller opened.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_objects::GroupResource;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::{Change, Entry, Key, ListQuery, Page, Revision, Scope};

/// The newest revision: that of the last row, which compaction always leaves.
pub(crate) fn revision(connection: &Connection) -> Result<Revision> {
    let sql = "SELECT coalesce(max(revision), 1) FROM log";
    connection.prepare_cached(sql)?.query_row([], |row| Ok(unsigned(row.get(0)?)))
}

/// The revision history starts at.
pub(crate) fn compacted(connection: &Connection) -> Result<Revision> {
    let sql = "SELECT compacted FROM state";
    connection.prepare_cached(sql)?.query_row([], |row| Ok(unsigned(row.get(0)?)))
}

/// Bytes of all values that are no longer live.
pub(crate) fn history_bytes(connection: &Connection) -> Result<u64> {
    let sql = "SELECT coalesce(sum(length(value)), 0) FROM log CROSS JOIN content USING (revision)
               WHERE ended IS NOT NULL";
    connection.query_row(sql, [], |row| Ok(unsigned(row.get(0)?)))
}

/// The live row of a key.
pub(crate) fn get(connection: &Connection, key: &Key) -> Result<Option<Arc<Entry>>> {
    let sql = "SELECT created, revision, value FROM log INDEXED BY live CROSS JOIN content USING (revision)
               WHERE ended IS NULL AND resource = ?1 AND namespace = ?2 AND name = ?3";
    let (namespace, name) = place(key);
    connection
        .prepare_cached(sql)?
        .query_row(params![key.resource.to_string(), namespace, name], |row| {
            Ok(Arc::new(Entry {
                key: key.clone(),
                value: bytes(row, 2)?,
                created: unsigned(row.get(0)?),
                revision: unsigned(row.get(1)?),
            }))
        })
        .optional()
}

/// Writes a new live row, ending the one before.
pub(crate) fn put(connection: &Connection, entry: &Entry, previous: Option<&Entry>) -> Result<()> {
    insert(connection, entry, previous, false)
}

/// Writes a deletion, ending the live row. A final state equal to the last value is stored as the empty value, so that
/// deleting needs next to no space: it is what people do when the disk is full.
pub(crate) fn delete(connection: &Connection, entry: &Entry, previous: &Entry) -> Result<()> {
    insert(connection, entry, Some(previous), true)
}

fn insert(connection: &Connection, entry: &Entry, previous: Option<&Entry>, deleted: bool) -> Result<()> {
    let revision = signed(entry.revision);
    if let Some(previous) = previous {
        let sql = "UPDATE log SET ended = ?1 WHERE revision = ?2";
        connection.prepare_cached(sql)?.execute([revision, signed(previous.revision)])?;
    }
    let sql = "INSERT INTO log (revision, resource, namespace, name, created, previous, ended, deleted)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let (namespace, name) = place(&entry.key);
    connection.prepare_cached(sql)?.execute(params![
        revision,
        entry.key.resource.to_string(),
        namespace,
        name,
        signed(entry.created),
        previous.map_or(0, |previous| signed(previous.revision)),
        deleted.then_some(revision),
        deleted,
    ])?;
    let value: &[u8] = match previous {
        Some(previous) if deleted && previous.value == entry.value => &[],
        _ => &entry.value,
    };
    let sql = "INSERT INTO content (revision, value) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![revision, value])?;
    Ok(())
}

/// One page, as of `at`. `present` tells that `at` is the newest revision, so no ended row can belong to it.
pub(crate) fn list(connection: &Connection, query: &ListQuery, at: Revision, present: bool) -> Result<Page> {
    let limit = if query.limit == 0 { -1 } else { i64::try_from(query.limit).unwrap_or(i64::MAX) };
    let start = query.after.as_ref();
    let rows = source(&query.scope, present);
    let value = "SELECT value FROM content WHERE content.revision = page.revision";
    let sql = format!("SELECT *, ({value}) FROM ({rows}) AS page ORDER BY 1, 2 LIMIT ?5");
    let (namespace, name) = cursor(&query.scope, start);
    let resource = query.scope.resource.to_string();
    let entries: Vec<Arc<Entry>> = connection
        .prepare_cached(&sql)?
        .query_map(params![resource, namespace, name, signed(at), limit], |row| entry(row, &query.scope.resource))?
        .collect::<Result<_>>()?;
    let full = query.limit > 0 && entries.len() == query.limit;
    let remaining = match entries.last() {
        Some(last) if full => {
            let sql = format!("SELECT count(*) FROM ({rows})");
            let (namespace, name) = cursor(&query.scope, Some(&last.key));
            let values = params![resource, namespace, name, signed(at)];
            connection.prepare_cached(&sql)?.query_row(values, |row| Ok(unsigned(row.get(0)?)))?
        }
        _ => 0,
    };
    Ok(Page { entries, revision: at, remaining })
}

/// The rows of a scope behind a key (?2, ?3) as of revision ?4.
fn source(scope: &Scope, present: bool) -> String {
    let place = match scope.namespace {
        Some(_) => "resource = ?1 AND namespace = ?2 AND name > ?3",
        None => "resource = ?1 AND (namespace, name) > (?2, ?3)",
    };
    let columns = "SELECT namespace, name, created, revision FROM log";
    let live = format!("{columns} INDEXED BY live WHERE ended IS NULL AND {place} AND revision <= ?4");
    if present {
        return live;
    }
    let past =
        format!("{columns} INDEXED BY past WHERE ended IS NOT NULL AND {place} AND revision <= ?4 AND ended > ?4");
    format!("{live} UNION ALL {past}")
}

/// Where a list continues. Names are never empty, so `("", "")` is before everything.
fn cursor<'a>(scope: &'a Scope, after: Option<&'a Key>) -> (&'a str, &'a str) {
    match after {
        Some(key) => place(key),
        None => (scope.namespace.as_deref().unwrap_or_default(), ""),
    }
}

/// Changes of a scope above a revision, oldest first, at most `limit`, and the revision up to which they are complete.
pub(crate) fn changes(
    connection: &Connection,
    scope: &Scope,
    above: Revision,
    limit: usize,
) -> Result<(Vec<Change>, Revision)> {
    let newest = revision(connection)?;
    let sql = "SELECT new.namespace, new.name, new.created, new.revision, now.value, new.deleted,
                      old.created, old.revision, before.value
               FROM log AS new CROSS JOIN content AS now USING (revision)
                    LEFT JOIN log AS old ON old.revision = new.previous
                    LEFT JOIN content AS before ON before.revision = new.previous
               WHERE new.revision > ?1 AND new.resource = ?2 AND (?3 IS NULL OR new.namespace = ?3)
               ORDER BY new.revision LIMIT ?4";
    let limit_sql = i64::try_from(limit).unwrap_or(i64::MAX);
    let changes: Vec<Change> = connection
        .prepare_cached(sql)?
        .query_map(params![signed(above), scope.resource.to_string(), scope.namespace.as_deref(), limit_sql], |row| {
            change(row, &scope.resource)
        })?
        .collect::<Result<_>>()?;
    let complete = match changes.last() {
        Some(last) if changes.len() == limit => last.revision(),
        _ => newest.max(above),
    };
    Ok((changes, complete))
}

fn change(row: &Row<'_>, resource: &GroupResource) -> Result<Change> {
    let entry = entry(row, resource)?;
    let previous = match row.get::<_, Option<i64>>(7)? {
        Some(revision) => Some(Arc::new(Entry {
            key: entry.key.clone(),
            value: bytes(row, 8)?,
            created: unsigned(row.get(6)?),
            revision: unsigned(revision),
        })),
        None => None,
    };
    Ok(match (row.get::<_, bool>(5)?, previous) {
        (true, Some(previous)) if entry.value.is_empty() => {
            let entry = Entry { value: previous.value.clone(), ..Entry::clone(&entry) };
            Change::Deleted { entry: Arc::new(entry), previous }
        }
        (true, previous) => Change::Deleted { previous: previous.unwrap_or_else(|| entry.clone()), entry },
        (false, previous) => Change::Put { entry, previous },
    })
}

/// Forgets what was replaced or deleted up to `to`. Returns the bytes of the values forgotten.
pub(crate) fn compact(connection: &Connection, from: Revision, to: Revision) -> Result<u64> {
    let (from, to) = (signed(from), signed(to));
    let gone = "SELECT previous FROM log WHERE revision > ?1 AND revision <= ?2 AND previous > 0
                UNION ALL
                SELECT revision FROM log WHERE revision > ?1 AND revision <= ?2 AND deleted = 1";
    let sum = format!("SELECT coalesce(sum(length(value)), 0) FROM content WHERE revision IN ({gone})");
    let bytes = connection.prepare_cached(&sum)?.query_row([from, to], |row| Ok(unsigned(row.get(0)?)))?;
    for table in ["content", "log"] {
        let delete = format!("DELETE FROM {table} WHERE revision IN ({gone})");
        connection.prepare_cached(&delete)?.execute([from, to])?;
    }
    connection.prepare_cached("UPDATE state SET compacted = ?1")?.execute([to])?;
    Ok(bytes)
}

/// Free pages and all pages of the file.
pub(crate) fn pages(connection: &Connection) -> Result<(u64, u64)> {
    let count = |pragma| connection.query_row(pragma, [], |row| Ok(unsigned(row.get(0)?)));
    Ok((count("PRAGMA freelist_count")?, count("PRAGMA page_count")?))
}

/// Bytes of the pages in use.
pub(crate) fn used_bytes(connection: &Connection) -> Result<u64> {
    let sql = "SELECT (page_count - freelist_count) * page_size
               FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    connection.prepare_cached(sql)?.query_row([], |row| Ok(unsigned(row.get(0)?)))
}

/// Gives up to that many free pages back.
pub(crate) fn vacuum(connection: &Connection, pages: u64) -> Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Moves the write-ahead log into the file, as far as readers allow now.
pub(crate) fn checkpoint(connection: &Connection) -> Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Writes a compact copy of the whole store into a new file.
pub(crate) fn copy(connection: &Connection, to: &str) -> Result<()> {
    // The copy counts as a write to this connection, which otherwise only reads.
    connection.execute_batch("PRAGMA query_only = OFF")?;
    let copied = connection.execute("VACUUM INTO ?1", [to]).map(|_| ());
    connection.execute_batch("PRAGMA query_only = ON")?;
    copied
}

fn entry(row: &Row<'_>, resource: &GroupResource) -> Result<Arc<Entry>> {
    let namespace = row.get_ref(0)?.as_str()?;
    let namespace = (!namespace.is_empty()).then_some(namespace);
    let key = Key::new(resource.clone(), namespace, row.get_ref(1)?.as_str()?);
    let (created, revision) = (unsigned(row.get(2)?), unsigned(row.get(3)?));
    Ok(Arc::new(Entry { key, value: bytes(row, 4)?, created, revision }))
}

fn bytes(row: &Row<'_>, column: usize) -> Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

fn place(key: &Key) -> (&str, &str) {
    (key.namespace.as_deref().unwrap_or_default(), &key.name)
}

/// SQLite integers are signed; revisions start at 1 and will not reach 2^63.
fn signed(revision: Revision) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
