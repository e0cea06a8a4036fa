//! The one thread that writes. It takes all writes that wait, makes one transaction of them, and answers after the commit: so
//! a hundred concurrent writers share one sync of the disk, and a lone writer waits for nothing but its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use edgeward_service::Counter;
use parking_lot::Mutex;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::database::translate;
use crate::feed::Feed;
use crate::history::History;
use crate::log;
use crate::{Change, Entry, Key, Options, Revision, StoreError, Write};

/// Free pages kept for the next writes, or an eighth of the file if that is more; returning and taking them again would be
/// wasted work.
const SPARE_PAGES: u64 = 64;
/// Free pages returned between two commits.
const VACUUM_PAGES: u64 = 256;

static COMMITS: Counter =
    Counter::new("edgeward_store_commits_total", "Transactions committed, each one sync of the disk");
static WRITES: Counter = Counter::new("edgeward_store_writes_total", "Changes committed");
static FAILURES: Counter =
    Counter::new("edgeward_store_failed_commits_total", "Transactions the disk or SQLite refused");
static COMPACTED: Counter = Counter::new("edgeward_store_compacted_total", "Revisions whose history was forgotten");

/// One write on its way to the disk.
pub(crate) struct Request {
    pub(crate) write: Write,
    pub(crate) answer: oneshot::Sender<Result<Arc<Entry>, StoreError>>,
    /// Its place in the queue, free again once answered.
    pub(crate) _place: OwnedSemaphorePermit,
}

pub(crate) struct Writer {
    pub(crate) path: PathBuf,
    pub(crate) connection: Arc<Mutex<Connection>>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) queue: Receiver<Request>,
    pub(crate) history: History,
    pub(crate) options: Options,
}

impl Writer {
    /// Runs until every sender of the queue is gone and the queue is empty.
    pub(crate) fn run(mut self) {
        let mut idle = false;
        loop {
            let batch = match self.wait(idle) {
                Ok(first) => self.collect(first),
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if !batch.is_empty() {
                self.commit(batch);
            }
            idle = self.tidy().unwrap_or_else(|error| {
                let error = translate(&self.path, &error);
                tracing::warn!(%error, "datastore could not be compacted");
                true // try again with the next write, not at once
            });
        }
        self.feed.close();
    }

    /// The next write. Busy tidying up waits for none; idle waits until history grows too old, or without end.
    fn wait(&self, idle: bool) -> Result<Request, RecvTimeoutError> {
        let patience = if idle { self.history.expires_in() } else { Some(Duration::ZERO) };
        match patience {
            None => self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(Duration::ZERO) => self.queue.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            }),
            Some(patience) => self.queue.recv_timeout(patience),
        }
    }

    fn collect(&self, first: Request) -> Vec<Request> {
        let rest = self.options.batch.saturating_sub(1);
        std::iter::once(first).chain(self.queue.try_iter().take(rest)).collect()
    }

    fn commit(&mut self, batch: Vec<Request>) {
        match self.transact(&batch) {
            Ok((changes, results)) => {
                COMMITS.inc();
                WRITES.add(changes.len() as u64);
                self.history.grew(&changes);
                self.feed.publish(&changes);
                for (request, result) in batch.into_iter().zip(results) {
                    // A caller that no longer waits has nothing to be told.
                    let _ = request.answer.send(result);
                }
            }
            Err(error) => {
                FAILURES.inc();
                let error = translate(&self.path, &error);
                tracing::error!(%error, writes = batch.len(), "datastore could not commit");
                if matches!(error, StoreError::Full) {
                    self.history.give_up(self.feed.revision());
                }
                self.recover();
                for request in batch {
                    let _ = request.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Applies a batch in one transaction. Writes whose precondition fails change nothing and fail alone; they too are
    /// answered only after the commit, for they may have failed because of a write of the same batch.
    #[allow(clippy::type_complexity, reason = "two results of one private step")]
    fn transact(&self, batch: &[Request]) -> rusqlite::Result<(Vec<Change>, Vec<Result<Arc<Entry>, StoreError>>)> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let full = log::used_bytes(&transaction)? > self.options.max_file_bytes;
        let mut revision = self.feed.revision();
        let mut changes = Vec::with_capacity(batch.len());
        let mut results = Vec::with_capacity(batch.len());
        for request in batch {
            let outcome = match request.write {
                Write::Create { .. } | Write::Update { .. } if full => {
                    Err(StoreError::Quota { limit: self.options.max_file_bytes })
                }
                _ => apply(&transaction, &request.write, revision + 1)?,
            };
            results.push(outcome.map(|outcome| match outcome {
                Outcome::Same(entry) => entry,
                Outcome::Changed(change) => {
                    revision += 1;
                    let entry = change.entry().clone();
                    changes.push(change);
                    entry
                }
            }));
        }
        if changes.is_empty() {
            transaction.rollback()?
        } else {
            transaction.commit()?
        }
        Ok((changes, results))
    }

    /// After a failed commit nobody knows what reached the disk: believe the disk, and let watches read it.
    fn recover(&self) {
        match log::revision(&self.connection.lock()) {
            Ok(revision) => self.feed.reset(revision.max(self.feed.revision())),
            Err(error) => tracing::error!(%error, "datastore cannot be read after a failed commit"),
        }
    }

    /// One bounded step of compaction, or of shrinking the file. True when there is nothing left to do.
    fn tidy(&mut self) -> rusqlite::Result<bool> {
        let (from, newest) = (self.feed.compacted(), self.feed.revision());
        // The newest row stays: it carries the revision over a restart.
        if let Some(to) = self.history.compact_to(from, newest.saturating_sub(1)) {
            let mut connection = self.connection.lock();
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let bytes = log::compact(&transaction, from, to)?;
            transaction.commit()?;
            self.feed.set_compacted(to);
            self.history.shrank(bytes);
            COMPACTED.add(to - from);
            return Ok(false);
        }
        if !self.history.vacuum_due() {
            return Ok(true);
        }
        let connection = self.connection.lock();
        let (free, total) = log::pages(&connection)?;
        let spare = SPARE_PAGES.max(total / 8);
        if free > spare {
            log::vacuum(&connection, VACUUM_PAGES.min(free - spare))?;
            return Ok(false);
        }
        // Only a checkpoint makes the file itself smaller.
        log::checkpoint(&connection)?;
        self.history.vacuumed();
        Ok(true)
    }
}

enum Outcome {
    Changed(Change),
    /// An update to the very same bytes: no new revision, no write, nothing for watches.
    Same(Arc<Entry>),
}

/// Applies one write as revision `revision`. The outer error is the disk's, the inner one the precondition's.
fn apply(connection: &Connection, write: &Write, revision: Revision) -> rusqlite::Result<Result<Outcome, StoreError>> {
    let (key, expected) = match write {
        Write::Create { key, .. } => (key, None),
        Write::Update { key, expected, .. } => (key, Some(*expected)),
        Write::Delete { key, expected, .. } => (key, *expected),
    };
    let current = match check(write, key, expected, log::get(connection, key)?) {
        Ok(current) => current,
        Err(error) => return Ok(Err(error)),
    };
    let entry =
        |value: &bytes::Bytes, created| Arc::new(Entry { key: key.clone(), value: value.clone(), created, revision });
    let change = match (write, current) {
        (Write::Update { value, .. }, Some(previous)) if previous.value == *value => {
            return Ok(Ok(Outcome::Same(previous)));
        }
        (Write::Delete { last, .. }, Some(previous)) => {
            let entry = entry(last.as_ref().unwrap_or(&previous.value), previous.created);
            log::delete(connection, &entry, &previous)?;
            Change::Deleted { entry, previous }
        }
        (Write::Create { value, .. } | Write::Update { value, .. }, previous) => {
            let entry = entry(value, previous.as_ref().map_or(revision, |previous| previous.created));
            log::put(connection, &entry, previous.as_deref())?;
            Change::Put { entry, previous }
        }
        (Write::Delete { key, .. }, None) => return Ok(Err(StoreError::NotFound(key.clone()))),
    };
    Ok(Ok(Outcome::Changed(change)))
}

/// The precondition of a write. Returns the entry it changes.
fn check(
    write: &Write,
    key: &Key,
    expected: Option<Revision>,
    current: Option<Arc<Entry>>,
) -> Result<Option<Arc<Entry>>, StoreError> {
    match (write, &current) {
        (Write::Create { .. }, Some(_)) => Err(StoreError::Exists(key.clone())),
        (Write::Create { .. }, None) => Ok(None),
        (_, None) => Err(StoreError::NotFound(key.clone())),
        (_, Some(entry)) => match expected {
            Some(expected) if expected != entry.revision => {
                Err(StoreError::Conflict { key: key.clone(), expected, actual: entry.revision })
            }
            _ => Ok(current),
        },
    }
}
