//! Deletes the oldest readings beyond the bounds of bytes and age.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::{EXPIRED, HELD_BYTES};

/// Batches deleted in one transaction, so that stores are not held up for long.
const BATCHES_AT_ONCE: usize = 64;
/// Free pages given back to the file system after each of them.
const PAGES_AT_ONCE: u32 = 2048;

struct Oldest {
    id: i64,
    source: i64,
    first: i64,
    last: i64,
    bytes: i64,
}

/// Bytes of all readings held.
pub(crate) fn held_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .query_row("SELECT coalesce(sum(bytes), 0) FROM batches", [], |row| row.get::<_, i64>(0))
        .map(|n| n as u64)
}

/// Deletes batches until at most `max_bytes` are held and none arrived before `oldest_ms`. Returns the bytes held.
///
/// Readings beyond a hole stay: their node could send them again, and they would be stored twice.
pub(crate) fn enforce(
    connection: &mut Connection,
    mut held: u64,
    max_bytes: u64,
    oldest_ms: i64,
) -> rusqlite::Result<u64> {
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut deleted = 0;
        for _ in 0..BATCHES_AT_ONCE {
            let limit = if held > max_bytes { i64::MAX } else { oldest_ms };
            let Some(batch) = oldest(&transaction, limit)? else { break };
            deleted += delete(&transaction, &batch)?;
            held = held.saturating_sub(batch.bytes as u64);
        }
        transaction.commit()?;
        HELD_BYTES.set(held as i64);
        if deleted == 0 {
            return Ok(held);
        }
        EXPIRED.add(deleted);
        connection.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})"))?;
    }
}

fn oldest(connection: &Connection, before_ms: i64) -> rusqlite::Result<Option<Oldest>> {
    connection
        .prepare_cached(
            "SELECT b.id, b.source, b.first, b.last, b.bytes FROM batches b JOIN sources s ON s.id = b.source
             WHERE b.received_ms < ?1 AND b.last <= s.through ORDER BY b.id LIMIT 1",
        )?
        .query_row([before_ms], |row| {
            let (id, source, first, last, bytes) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
            Ok(Oldest { id, source, first, last, bytes })
        })
        .optional()
}

/// Returns how many readings went. The counts say what is held, the totals of the source what was ever stored.
fn delete(connection: &Connection, batch: &Oldest) -> rusqlite::Result<u64> {
    let range = params![batch.source, batch.first, batch.last];
    connection
        .prepare_cached(
            "UPDATE counts SET readings = readings - gone.n, bytes = bytes - gone.b FROM
               (SELECT r.stream, count(*) n, sum(length(r.payload) + length(CAST(t.name AS BLOB))) b
                FROM readings r JOIN streams t ON t.id = r.stream
                WHERE r.source = ?1 AND r.seq BETWEEN ?2 AND ?3 GROUP BY r.stream) gone
             WHERE counts.source = ?1 AND counts.stream = gone.stream",
        )?
        .execute(range)?;
    let gone = connection
        .prepare_cached("DELETE FROM readings WHERE source = ?1 AND seq BETWEEN ?2 AND ?3")?
        .execute(range)?;
    connection.prepare_cached("DELETE FROM batches WHERE id = ?1")?.execute([batch.id])?;
    Ok(gone as u64)
}
