//! Telemetry into SQLite, exactly once.
//!
//! Nodes send numbered readings at least once; this room stores each number once and answers up to where the store is
//! complete, which lets the node forget what it sent. It knows the batches of `base/wire` and nothing of the hub, the API
//! or the link: `bin` adapts [`Handle::store`] to the hub.
//!
//! Invariant: (node, epoch, sequence) is stored at most once, and acknowledged only when its transaction is on disk.
//!
//! # Numbering
//! A sequence number on the wire is `epoch << 40 | counter` ([`split`]). The epoch is a random number the node's outbox
//! took when it was created, so a node whose disk was wiped, and which counts from zero again, never collides with what
//! it sent in its former life. Within an epoch the counter has no gaps, except where the node's outbox had to drop
//! readings (it is bounded). The node then sends one record of stream [`GAP`], numbered as the last dropped reading, with
//! the number of the first dropped one as payload (8 bytes, little-endian). So for each epoch: highest contiguous
//! counter + 1 = stored + lost + readings that came before under another number.
//!
//! The last are readings with an identity: a device sends again what it got no acknowledgement for, the node numbers it
//! anew, and it is stored once all the same.

mod batch;
mod error;
mod query;
mod retention;
mod schema;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

use edgeward_service::{Counter, Gauge};

pub use error::Error;
pub use query::{Reader, Reading, SourceTotals, StreamCount};
pub use writer::{Handle, Ingest};

/// Bits of a sequence number that count; the bits above are the epoch.
pub const COUNTER_BITS: u32 = 40;
/// Stream name of the records that stand for readings the node had to drop.
pub const GAP: &str = "$gap";

/// How the store is opened and bounded.
#[derive(Clone, Debug)]
pub struct Options {
    /// The SQLite file; it and its folder are created when missing.
    pub path: PathBuf,
    /// Batches waiting for the writer; the next `store` waits.
    pub queue_batches: usize,
    /// Bytes of all waiting batches; the next `store` waits.
    pub queue_bytes: usize,
    /// Oldest readings are deleted when the readings held exceed this many bytes (payloads and stream names).
    pub retention_bytes: u64,
    /// Readings are deleted this long after they arrived.
    pub retention_age: Duration,
    /// How far beyond its highest contiguous number a node may store; what lies further ahead is refused (the node sends
    /// it again once the hole is filled).
    pub max_ahead: u64,
    /// How long a commit waits for another process that holds the file.
    pub busy_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            path: PathBuf::from("telemetry.db"),
            queue_batches: 1024,
            queue_bytes: 16 << 20,
            retention_bytes: 8 << 30,
            retention_age: Duration::from_secs(30 * 24 * 3600),
            max_ahead: 1 << 20,
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// Splits a sequence number into epoch and counter.
pub fn split(seq: u64) -> (u64, u64) {
    (seq >> COUNTER_BITS, seq & ((1 << COUNTER_BITS) - 1))
}

static STORED: Counter = Counter::new("edgeward_ingest_stored_total", "readings stored");
static DUPLICATES: Counter =
    Counter::new("edgeward_ingest_duplicates_total", "readings received again and not stored again");
static LOST: Counter = Counter::new("edgeward_ingest_lost_total", "readings that nodes reported as dropped");
static AHEAD: Counter =
    Counter::new("edgeward_ingest_ahead_total", "readings refused because they are too far beyond a hole");
static EXPIRED: Counter = Counter::new("edgeward_ingest_expired_total", "readings deleted by retention");
static HELD_BYTES: Gauge = Gauge::new("edgeward_ingest_held_bytes", "bytes of the readings held");
static WAITS: Counter =
    Counter::new("edgeward_ingest_queue_waits_total", "batches that had to wait because the queue was full");
