//! Readings on their way up: a log of numbered records in segment files.
//!
//! [`Outbox::append`] answers when the record is on disk. The link reads batches from the oldest record on and tells the
//! outbox how far the cloud has stored them ([`Outbox::ack`]), which lets it delete whole segments. The log is bounded by
//! bytes and age; what the bound forces out is counted, and shows as a jump in the numbers the link reads.
//!
//! A sequence number is `epoch << 40 | counter`. The epoch is drawn when the log is created: a node whose disk was wiped
//! counts from zero in an epoch of its own and is never taken for its former self. Numbers grow without gaps, and a number
//! that was ever readable is never used again.

mod reader;
mod segment;
mod writer;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::{Counter, Gauge, Tasks};
use edgeward_wire::{Limits, MAX_IDENTITY_BYTES, Record, TelemetryBuilder};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

pub use reader::Reader;

use crate::Error;
use segment::Segment;
use writer::{Append, Writer};

/// Bits of a sequence number that count; the bits above are the epoch.
pub const COUNTER_BITS: u32 = 40;
/// Epochs are below this, so that a sequence number fits 63 bits.
const EPOCHS: u64 = 1 << (63 - COUNTER_BITS);
/// Stream name that the link uses to announce dropped readings.
pub const GAP: &str = "$gap";

pub(crate) const WHAT: &str = "outbox";
/// A semaphore permit stands for this many bytes.
const PERMIT_BYTES: usize = 1024;
/// Longest stream name.
const MAX_STREAM: usize = 1024;

/// How the log is kept and bounded.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the segment files; made when missing.
    pub folder: PathBuf,
    /// A segment is closed when it holds this many bytes.
    pub segment_bytes: u64,
    /// Oldest segments are dropped when all together hold more than this many bytes.
    pub max_bytes: u64,
    /// Segments are dropped when their newest record is older than this.
    pub max_age: Duration,
    /// Least time between two flushes to disk: what arrives in between shares one. A longer interval spares flash memory
    /// and makes the answer to `append` slower.
    pub flush_interval: Duration,
    /// Largest record: payload and stream name.
    pub record_bytes: usize,
    /// Bytes waiting to be written; the next `append` waits.
    pub queue_bytes: usize,
    /// A batch for the link is closed when it holds this many bytes.
    pub batch_bytes: usize,
    /// Most records of a batch.
    pub batch_records: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("outbox"),
            segment_bytes: 4 << 20,
            max_bytes: 256 << 20,
            max_age: Duration::from_secs(7 * 24 * 3600),
            flush_interval: Duration::from_millis(10),
            record_bytes: 1 << 20,
            queue_bytes: 4 << 20,
            batch_bytes: 256 << 10,
            batch_records: 4096,
        }
    }
}

/// The log; cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    appends: mpsc::Sender<Append>,
    queue: Arc<Semaphore>,
    shared: Arc<Shared>,
}

/// How full the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Oldest record still held; equal to `next` when there is none.
    pub first: u64,
    /// First record the cloud has not confirmed.
    pub unconfirmed: u64,
    /// The number the next record will get.
    pub next: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Records that the bounds forced out before the cloud confirmed them, since this process started.
    pub dropped: u64,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    state: Mutex<State>,
    /// The number after the last record on disk: what is below may be read.
    committed: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// Oldest first; the last one is being written.
    segments: VecDeque<Segment>,
    unconfirmed: u64,
    dropped: u64,
}

impl Outbox {
    /// Opens the log, repairs a torn end, and starts its writer under `tasks`.
    pub fn open(options: Options, tasks: &Tasks) -> Result<Self, Error> {
        let options = options.sane();
        let (writer, segments, next) = Writer::open(&options)?;
        let first = segments.front().map_or(next, |segment| segment.first);
        let state = State { segments, unconfirmed: first, dropped: 0 };
        let queue = Arc::new(Semaphore::new(options.queue_bytes / PERMIT_BYTES));
        let committed = watch::Sender::new(next);
        let shared = Arc::new(Shared { options, state: Mutex::new(state), committed });
        shared.measure();
        let (appends, received) = mpsc::channel(1024);
        tasks.spawn("outbox", writer::run(writer, shared.clone(), received, tasks.clone()));
        Ok(Self { appends, queue, shared })
    }

    /// Keeps one reading and returns its number once it is on disk. Waits while the queue is full.
    pub async fn append(&self, stream: &str, timestamp_ms: i64, payload: &[u8]) -> Result<u64, Error> {
        self.append_all([Record { id: stream, timestamp_ms, identity: &[], payload }]).await
    }

    /// Keeps several readings, in order and side by side, and returns the number of the last one once all are on disk.
    /// Either all are kept or none; together they must fit the queue.
    pub async fn append_all(&self, records: impl IntoIterator<Item = Record<'_>>) -> Result<u64, Error> {
        let mut bodies = Vec::new();
        for record in records {
            self.shared.options.check(&record)?;
            segment::put_body(&mut bodies, &record);
        }
        let permits = bodies.len().div_ceil(PERMIT_BYTES);
        if bodies.is_empty() || permits > self.shared.options.queue_bytes / PERMIT_BYTES {
            let limit = self.shared.options.queue_bytes;
            return Err(Error::Reading {
                reason: format!("a group must hold 1 to {limit} bytes, it holds {}", bodies.len()),
            });
        }
        // The check above bounds the number by a usize divided by 1024.
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        let room = self.queue.clone().acquire_many_owned(permits).await.map_err(|_| Error::Stopped(WHAT))?;
        let (answer, answered) = oneshot::channel();
        let append = Append { bodies, answer, _room: room };
        self.appends.send(append).await.map_err(|_| Error::Stopped(WHAT))?;
        answered.await.map_err(|_| Error::Stopped(WHAT))?
    }

    /// A reader that begins at the oldest record the cloud has not confirmed.
    pub fn reader(&self) -> Reader {
        let unconfirmed = self.shared.state.lock().unconfirmed;
        Reader::new(self.shared.clone(), unconfirmed)
    }

    /// The cloud has stored everything up to and including this number: segments below it are deleted. A number that was
    /// never given out is ignored.
    pub fn ack(&self, through_seq: u64) {
        if through_seq >= *self.shared.committed.borrow() {
            return;
        }
        let mut gone = Vec::new();
        {
            let mut state = self.shared.state.lock();
            state.unconfirmed = state.unconfirmed.max(through_seq + 1);
            while state.segments.len() > 1 && state.segments[1].first <= state.unconfirmed {
                gone.extend(state.segments.pop_front());
            }
        }
        for segment in gone {
            segment.delete(&self.shared.options.folder);
        }
        self.shared.measure();
    }

    /// How full the log is.
    pub fn status(&self) -> Status {
        let next = *self.shared.committed.borrow();
        let state = self.shared.state.lock();
        Status {
            first: state.segments.front().map_or(next, |segment| segment.first),
            unconfirmed: state.unconfirmed,
            next,
            bytes: state.segments.iter().map(|segment| segment.bytes).sum(),
            dropped: state.dropped,
        }
    }
}

impl Options {
    /// Bounds that contradict each other are made to fit.
    fn sane(mut self) -> Self {
        let wire = Limits::default();
        self.record_bytes = self.record_bytes.clamp(1, wire.body_bytes.min(wire.frame_bytes) / 2);
        self.queue_bytes = self.queue_bytes.max(2 * (self.record_bytes + PERMIT_BYTES));
        self.segment_bytes = self.segment_bytes.clamp(1, (self.max_bytes / 4).max(1));
        self.batch_records = self.batch_records.clamp(1, wire.items);
        self
    }

    fn check(&self, record: &Record<'_>) -> Result<(), Error> {
        let size = record.id.len() + record.payload.len();
        let identity = record.identity.len();
        let reason = if record.id.is_empty() || record.id.len() > MAX_STREAM {
            format!("the stream name must have 1 to {MAX_STREAM} bytes, it has {}", record.id.len())
        } else if identity > MAX_IDENTITY_BYTES {
            format!("its identity has {identity} bytes, the limit is {MAX_IDENTITY_BYTES}")
        } else if record.id == GAP {
            format!("the stream name {GAP} is reserved")
        } else if size > self.record_bytes || !TelemetryBuilder::fits(0, *record, &Limits::default()) {
            format!("it has {size} bytes, the limit is {}", self.record_bytes)
        } else {
            return Ok(());
        };
        REFUSED.inc();
        Err(Error::Reading { reason })
    }
}

impl Shared {
    fn measure(&self) {
        let bytes: u64 = self.state.lock().segments.iter().map(|segment| segment.bytes).sum();
        BYTES.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

static APPENDED: Counter = Counter::new("edgeward_outbox_appended_total", "readings kept in the outbox");
static REFUSED: Counter = Counter::new("edgeward_outbox_refused_total", "readings refused: too large or badly named");
static FAILED: Counter = Counter::new("edgeward_outbox_failed_total", "groups of readings that could not be written");
static DROPPED: Counter =
    Counter::new("edgeward_outbox_dropped_total", "readings forced out by size or age before the cloud confirmed them");
static DAMAGED: Counter = Counter::new("edgeward_outbox_damaged_total", "segments with records that cannot be read");
static BYTES: Gauge = Gauge::new("edgeward_outbox_bytes", "bytes of the outbox on disk");
