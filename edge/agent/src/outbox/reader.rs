//! The reading side: batches for the link, in order.

use std::sync::Arc;

use edgeward_wire::{Limits, Telemetry, TelemetryBuilder};

use super::segment::{Next, Scan, Segment};
use super::{DAMAGED, Shared, WHAT};
use crate::Error;

/// Bytes a record costs in a batch besides its name and payload.
const RECORD_COST: usize = 32;

/// Reads the log from a number on, and waits at its end. Readers do not disturb each other or the writer.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    next: u64,
    /// An open segment positioned at `next`; only a shortcut.
    scan: Option<(u64, Scan)>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, next: u64) -> Self {
        Self { shared, next, scan: None }
    }

    /// Number of the next record to be read. If that one is gone, reading goes on with the next one that is there.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Goes on with this number.
    pub fn seek(&mut self, seq: u64) {
        self.next = seq;
        self.scan = None;
    }

    /// The next batch; waits until there is a record. The records of a batch are numbered without gaps; a jump between two
    /// batches means that what lies between was dropped or is damaged. Cancelling it loses nothing.
    pub async fn next_batch(&mut self) -> Result<Telemetry, Error> {
        let mut committed = self.shared.committed.subscribe();
        loop {
            let next = self.next;
            // The sender lives in `shared`, which this reader holds.
            let end = *committed.wait_for(|end| *end > next).await.map_err(|_| Error::Stopped(WHAT))?;
            let mut worker = Self { shared: self.shared.clone(), next, scan: self.scan.take() };
            let done = tokio::task::spawn_blocking(move || {
                let batch = worker.read(end);
                (worker, batch)
            });
            let (worker, batch) = done.await.map_err(|_| Error::Stopped(WHAT))?;
            (self.next, self.scan) = (worker.next, worker.scan);
            let batch = batch?;
            if !batch.is_empty() {
                return Ok(batch);
            }
        }
    }

    /// Reads what is there below `end`; empty when the place moved without a record. Blocks.
    fn read(&mut self, end: u64) -> Result<Telemetry, Error> {
        let Some((segment, after)) = self.locate() else {
            self.next = end;
            return Ok(self.builder().build());
        };
        if self.next < segment.first {
            self.next = segment.first;
        }
        let mut builder = self.builder();
        match self.fill(&segment, &mut builder, end) {
            Ok(true) => {}
            // Nothing more of this segment can be read: the next one, or what will be written next.
            Ok(false) => self.next = after.unwrap_or(end),
            // Dropped while it was being opened.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.scan = None,
            Err(error) => return Err(Error::io(WHAT, &segment.path(&self.shared.options.folder), &error)),
        }
        Ok(builder.build())
    }

    /// The segment that holds the next record, or the first one after it, and the number after that segment.
    fn locate(&self) -> Option<(Segment, Option<u64>)> {
        let state = self.shared.state.lock();
        let index = state.segments.partition_point(|segment| segment.first <= self.next).saturating_sub(1);
        let after = state.segments.get(index + 1).map(|segment| segment.first);
        state.segments.get(index).cloned().map(|segment| (segment, after))
    }

    /// Adds records until the batch is full or `end` is reached (`true`), or the segment is used up or damaged (`false`).
    fn fill(&mut self, segment: &Segment, builder: &mut TelemetryBuilder, end: u64) -> std::io::Result<bool> {
        let options = &self.shared.options;
        let mut scan = match self.scan.take() {
            Some((first, scan)) if first == segment.first && scan.seq == self.next => scan,
            _ => Scan::open(&segment.path(&options.folder), segment.first, Limits::default().body_bytes)?,
        };
        let (mut bytes, mut records) = (0, 0);
        let more = loop {
            if scan.seq >= end || bytes >= options.batch_bytes || records >= options.batch_records {
                break true;
            }
            let wanted = scan.seq >= self.next;
            match scan.next()? {
                Next::Record(record) if wanted => {
                    if !builder.push(record) {
                        // `append` checked that each record fits a batch, so only a batch with others in it is full.
                        self.scan = None;
                        return Ok(true);
                    }
                    bytes += record.id.len() + record.payload.len() + RECORD_COST;
                    records += 1;
                    self.next += 1;
                }
                Next::Record(_) => {}
                Next::End => break false,
                Next::Bad => {
                    DAMAGED.inc();
                    let path = segment.path(&options.folder);
                    tracing::error!(path = %path.display(), offset = scan.offset, "outbox: rest of a segment is damaged");
                    break false;
                }
            }
        };
        if more {
            self.scan = Some((segment.first, scan));
        }
        Ok(more)
    }

    fn builder(&self) -> TelemetryBuilder {
        TelemetryBuilder::new(self.next, Limits::default())
    }
}
