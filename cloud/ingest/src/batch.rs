//! One batch into the tables, inside the writer's transaction.

use std::collections::HashMap;

use edgeward_wire::{Record, Telemetry};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{COUNTER_BITS, Error, GAP, split};

/// Stream of a row that only marks a number as used.
const REPEATED: i64 = 0;
/// Longest node name: that of a Kubernetes object.
const MAX_NODE: usize = 253;

/// What storing a batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Highest contiguous sequence number, as on the wire; one below the epoch's first when there is none.
    pub(crate) through_seq: u64,
    pub(crate) stored: u64,
    pub(crate) duplicates: u64,
    pub(crate) lost: u64,
    pub(crate) ahead: u64,
    pub(crate) bytes: u64,
}

/// One life of a node's outbox.
struct Source {
    id: i64,
    /// Highest contiguous counter, -1 before the first.
    through: i64,
}

/// Checks what needs no database, so that a bad batch fails alone and not its whole group.
pub(crate) fn check(node: &str, batch: &Telemetry) -> Result<(), Error> {
    let refuse = |reason| Err(Error::Invalid { node: node.chars().take(MAX_NODE).collect(), reason });
    if node.is_empty() || node.len() > MAX_NODE {
        return refuse("the node name must have 1 to 253 bytes");
    }
    let (epoch, _) = split(batch.first_seq());
    if epoch >= 1 << (63 - COUNTER_BITS) {
        return refuse("the epoch must be below 2^23");
    }
    if !batch.is_empty() && split(batch.last_seq()).0 != epoch {
        return refuse("all sequence numbers of a batch must be of one epoch");
    }
    Ok(())
}

/// Stores what is new of a checked batch. An empty batch only asks how far the store is.
pub(crate) fn store(
    connection: &Connection,
    node: &str,
    batch: &Telemetry,
    now_ms: i64,
    max_ahead: u64,
) -> rusqlite::Result<Outcome> {
    let (epoch, _) = split(batch.first_seq());
    let mut source = source(connection, node, epoch as i64)?;
    let mut outcome = Outcome::default();
    let before = source.through;
    let mut tally = Tally::default();
    for (seq, record) in batch.records() {
        let counter = split(seq).1 as i64;
        if counter <= source.through {
            outcome.duplicates += 1;
        } else if counter.saturating_sub(source.through) as u64 > max_ahead && record.id != GAP {
            outcome.ahead += 1;
        } else if record.id == GAP {
            announce_gap(connection, source.id, record, epoch, counter)?;
            advance(connection, &mut source, &mut outcome)?;
        } else if insert(connection, &source, counter, record, &mut tally)? {
            outcome.stored += 1;
            source.through += i64::from(counter == source.through + 1);
        } else {
            outcome.duplicates += 1;
        }
    }
    advance(connection, &mut source, &mut outcome)?;
    outcome.bytes = tally.write(connection, source.id, now_ms)?;
    if outcome.stored + outcome.duplicates + outcome.lost > 0 || source.through != before {
        connection
            .prepare_cached(
                "UPDATE sources SET through = ?2, stored = stored + ?3, lost = lost + ?4, duplicates = duplicates + ?5 WHERE id = ?1",
            )?
            .execute(params![
                source.id,
                source.through,
                outcome.stored as i64,
                outcome.lost as i64,
                outcome.duplicates as i64
            ])?;
    }
    outcome.through_seq = (epoch << COUNTER_BITS).wrapping_add_signed(source.through);
    Ok(outcome)
}

fn source(connection: &Connection, node: &str, epoch: i64) -> rusqlite::Result<Source> {
    let found = connection
        .prepare_cached("SELECT id, through FROM sources WHERE node = ?1 AND epoch = ?2")?
        .query_row(params![node, epoch], |row| Ok(Source { id: row.get(0)?, through: row.get(1)? }))
        .optional()?;
    if let Some(source) = found {
        return Ok(source);
    }
    connection.prepare_cached("INSERT INTO sources (node, epoch) VALUES (?1, ?2)")?.execute(params![node, epoch])?;
    Ok(Source { id: connection.last_insert_rowid(), through: -1 })
}

/// Whether the reading was new.
fn insert<'a>(
    connection: &Connection,
    source: &Source,
    counter: i64,
    record: Record<'a>,
    tally: &mut Tally<'a>,
) -> rusqlite::Result<bool> {
    let stream = tally.stream(connection, record.id)?;
    let identity = Some(record.identity).filter(|identity| !identity.is_empty());
    let mut statement = connection.prepare_cached(
        "INSERT OR IGNORE INTO readings (source, seq, stream, time_ms, payload, identity) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let row = params![source.id, counter, stream.id, record.timestamp_ms, record.payload, identity];
    if statement.execute(row)? == 0 {
        // Either the number is taken, or the reading came before under another number. In the second case the number must
        // still be seen as used, or everything after it would wait for it.
        statement.execute(params![source.id, counter, REPEATED, record.timestamp_ms, [0_u8; 0], None::<&[u8]>])?;
        return Ok(false);
    }
    stream.readings += 1;
    stream.bytes += (record.payload.len() + record.id.len()) as u64;
    tally.first = Some(tally.first.map_or(counter, |first| first.min(counter)));
    tally.last = tally.last.max(counter);
    Ok(true)
}

fn announce_gap(
    connection: &Connection,
    source: i64,
    record: Record<'_>,
    epoch: u64,
    last: i64,
) -> rusqlite::Result<()> {
    // A marker that makes no sense stands for the one number it occupies.
    let first = <[u8; 8]>::try_from(record.payload).map(u64::from_le_bytes).map(split);
    let first = match first {
        Ok((of, first)) if of == epoch && first as i64 <= last => first as i64,
        _ => last,
    };
    connection
        .prepare_cached("INSERT OR REPLACE INTO gaps (source, last, first) VALUES (?1, ?2, ?3)")?
        .execute(params![source, last, first])?;
    Ok(())
}

/// Moves `through` over everything that follows it without a hole: readings that came early and announced losses.
fn advance(connection: &Connection, source: &mut Source, outcome: &mut Outcome) -> rusqlite::Result<()> {
    loop {
        let mut next =
            connection.prepare_cached("SELECT seq FROM readings WHERE source = ?1 AND seq > ?2 ORDER BY seq")?;
        let mut rows = next.query(params![source.id, source.through])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(0)? != source.through + 1 {
                break;
            }
            source.through += 1;
        }
        let gap: Option<i64> = connection
            .prepare_cached("SELECT max(last) FROM gaps WHERE source = ?1 AND first <= ?2 + 1 AND last > ?2")?
            .query_row(params![source.id, source.through], |row| row.get(0))?;
        let Some(last) = gap else { break };
        // Of what the node dropped, some may have arrived with an acknowledgement that got lost.
        let arrived: i64 = connection
            .prepare_cached("SELECT count(*) FROM readings WHERE source = ?1 AND seq > ?2 AND seq <= ?3")?
            .query_row(params![source.id, source.through, last], |row| row.get(0))?;
        outcome.lost += (last - source.through - arrived) as u64;
        source.through = last;
    }
    connection
        .prepare_cached("DELETE FROM gaps WHERE source = ?1 AND last <= ?2")?
        .execute(params![source.id, source.through])?;
    Ok(())
}

/// What a batch added, per stream; written once per batch.
#[derive(Default)]
struct Tally<'a> {
    streams: HashMap<&'a str, StreamTally>,
    first: Option<i64>,
    last: i64,
}

struct StreamTally {
    id: i64,
    readings: u64,
    bytes: u64,
}

impl<'a> Tally<'a> {
    fn stream(&mut self, connection: &Connection, name: &'a str) -> rusqlite::Result<&mut StreamTally> {
        use std::collections::hash_map::Entry;
        match self.streams.entry(name) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let id = stream_id(connection, name)?;
                Ok(entry.insert(StreamTally { id, readings: 0, bytes: 0 }))
            }
        }
    }

    /// Returns the bytes of the whole batch.
    fn write(&self, connection: &Connection, source: i64, now_ms: i64) -> rusqlite::Result<u64> {
        let Some(first) = self.first else { return Ok(0) };
        let mut upsert = connection.prepare_cached(
            "INSERT INTO counts (source, stream, readings, bytes) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET readings = readings + excluded.readings, bytes = bytes + excluded.bytes",
        )?;
        let mut bytes = 0;
        for stream in self.streams.values().filter(|stream| stream.readings > 0) {
            upsert.execute(params![source, stream.id, stream.readings as i64, stream.bytes as i64])?;
            bytes += stream.bytes;
        }
        connection
            .prepare_cached(
                "INSERT INTO batches (source, first, last, received_ms, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![source, first, self.last, now_ms, bytes as i64])?;
        Ok(bytes)
    }
}

fn stream_id(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    let found = connection
        .prepare_cached("SELECT id FROM streams WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    connection.prepare_cached("INSERT INTO streams (name) VALUES (?1)")?.execute([name])?;
    Ok(connection.last_insert_rowid())
}
