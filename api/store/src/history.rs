//! When to forget: counts, bytes and age of what was replaced.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::{Change, Options, Revision};

/// Revisions compacted in one step, between two commits.
const STEP: Revision = 1000;
/// Marks of age kept at most; each then stands for this fraction of the age limit.
const MARKS: u32 = 64;
/// History may exceed its count by this fraction, and gives up this fraction when it exceeds its bytes.
const SLACK: u64 = 8;

/// What is known of the history on disk. Nothing here is stored: after a restart the history counts as new.
pub(crate) struct History {
    revisions: u64,
    byte_limit: u64,
    age: Duration,
    bytes: u64,
    /// Revisions and when they were the newest, oldest first.
    marks: VecDeque<(Revision, Instant)>,
    /// Newest revision that is too old.
    expired: Revision,
    vacuum: bool,
}

impl History {
    pub(crate) fn new(options: &Options, newest: Revision, bytes: u64) -> Self {
        Self {
            revisions: options.history_revisions,
            byte_limit: options.history_bytes,
            age: options.history_age,
            bytes,
            marks: VecDeque::from([(newest, Instant::now())]),
            expired: 0,
            vacuum: true,
        }
    }

    /// Counts committed changes.
    pub(crate) fn grew(&mut self, changes: &[Change]) {
        for change in changes {
            self.bytes += match change {
                Change::Put { previous, .. } => previous.as_ref().map_or(0, |entry| entry.value.len() as u64),
                Change::Deleted { entry, previous } => (entry.value.len() + previous.value.len()) as u64,
            };
        }
        let (Some(last), now) = (changes.last(), Instant::now()) else { return };
        match self.marks.back_mut() {
            // The newest mark moves on for a while, so that marks stay few.
            Some((revision, since)) if now.duration_since(*since) < self.age / MARKS => *revision = last.revision(),
            _ => self.marks.push_back((last.revision(), now)),
        }
    }

    /// How long until the oldest mark is too old; `None` if nothing can grow old.
    pub(crate) fn expires_in(&self) -> Option<Duration> {
        let (_, since) = self.marks.front()?;
        // Never zero, which would mean not to wait at all.
        Some(self.patience().saturating_sub(since.elapsed()).max(Duration::from_millis(1)))
    }

    /// Where the next step of compaction ends, if one is due; never beyond `last`.
    pub(crate) fn compact_to(&mut self, from: Revision, last: Revision) -> Option<Revision> {
        while let Some((revision, _)) = self.marks.front().filter(|(_, since)| since.elapsed() >= self.patience()) {
            self.expired = self.expired.max(*revision);
            self.marks.pop_front();
        }
        let kept = last.saturating_sub(from);
        let mut target = self.expired;
        // Some slack, or a full history would cost every commit a second one.
        if kept > self.revisions + self.revisions / SLACK {
            target = target.max(last - self.revisions);
        }
        if self.bytes > self.byte_limit {
            target = target.max(from + kept / SLACK + 1);
        }
        let to = target.min(last).min(from.saturating_add(STEP));
        (to > from).then_some(to)
    }

    /// A mark may stand for revisions this much younger than itself.
    fn patience(&self) -> Duration {
        self.age + self.age / MARKS
    }

    /// Makes all history due to be forgotten: the disk is full, and the present is worth more than the past.
    pub(crate) fn give_up(&mut self, newest: Revision) {
        self.expired = newest;
    }

    /// Counts what compaction forgot.
    pub(crate) fn shrank(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.vacuum = true;
    }

    /// Whether the file may have pages to give back.
    pub(crate) fn vacuum_due(&self) -> bool {
        self.vacuum
    }

    /// The file was shrunk as far as it should be.
    pub(crate) fn vacuumed(&mut self) {
        self.vacuum = false;
    }
}
