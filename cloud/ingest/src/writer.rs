//! The one thread that writes: it commits what is waiting in one transaction and answers after the commit.

use std::sync::Arc;
use std::time::Duration;

use edgeward_service::{Tasks, clock};
use edgeward_wire::Telemetry;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot};

use crate::batch::{self, Outcome};
use crate::query::Reader;
use crate::{AHEAD, DUPLICATES, Error, HELD_BYTES, LOST, Options, STORED, WAITS, retention, schema};

/// A semaphore permit stands for this many bytes, so that any bound fits a permit count.
const PERMIT_BYTES: usize = 4096;
/// Most batches of one transaction.
const GROUP: usize = 256;
/// How often readings are checked for age while nothing arrives.
const TIDY_EVERY: Duration = Duration::from_secs(3600);

/// Starts the store.
#[derive(Debug)]
pub struct Ingest;

/// Stores batches; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    jobs: mpsc::Sender<Job>,
    bytes: Arc<Semaphore>,
    permits: u32,
    options: Arc<Options>,
}

#[derive(Debug)]
enum Job {
    Store(Store),
    Tidy,
    Stop,
}

#[derive(Debug)]
struct Store {
    node: String,
    batch: Telemetry,
    answer: oneshot::Sender<Result<u64, Error>>,
    _bytes: OwnedSemaphorePermit,
}

impl Ingest {
    /// Opens the file (making it when it is new) and starts the writer under `tasks`.
    pub fn start(options: Options, tasks: &Tasks) -> Result<Handle, Error> {
        let connection = schema::open(&options.path, options.busy_timeout)?;
        let held = retention::held_bytes(&connection).map_err(|error| Error::sqlite(&options.path, &error))?;
        HELD_BYTES.set(held as i64);
        let options = Arc::new(options);
        let permits = u32::try_from(options.queue_bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX).max(1);
        let (jobs, queue) = mpsc::channel(options.queue_batches.max(1));
        let bytes = Arc::new(Semaphore::new(permits as usize));
        let writer = Writer { connection, held, options: options.clone() };
        tasks.spawn("writer", async move {
            if let Err(error) = tokio::task::spawn_blocking(move || writer.run(queue)).await {
                tracing::error!(%error, "telemetry writer ended early");
            }
        });
        tasks.spawn("clock", tick(jobs.clone(), tasks.clone()));
        Ok(Handle { jobs, bytes, permits, options })
    }
}

impl Handle {
    /// Stores what is new of a node's batch and returns, once that is on disk, the highest sequence number up to which
    /// everything of the batch's epoch is stored (one below the epoch's first when nothing is). An empty batch only asks.
    /// Waits while the queue is full.
    pub async fn store(&self, node: &str, batch: Telemetry) -> Result<u64, Error> {
        batch::check(node, &batch)?;
        let cost = u32::try_from(batch.byte_len().div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX).clamp(1, self.permits);
        let bytes = match self.bytes.clone().try_acquire_many_owned(cost) {
            Err(TryAcquireError::NoPermits) => {
                WAITS.inc();
                self.bytes.clone().acquire_many_owned(cost).await.map_err(|_| Error::Stopped)?
            }
            permit => permit.map_err(|_| Error::Stopped)?,
        };
        let (answer, answered) = oneshot::channel();
        let job = Store { node: node.to_owned(), batch, answer, _bytes: bytes };
        self.jobs.send(Job::Store(job)).await.map_err(|_| Error::Stopped)?;
        answered.await.map_err(|_| Error::Stopped)?
    }

    /// A reader of the same file, for queries; each reader has its own connection.
    pub fn reader(&self) -> Result<Reader, Error> {
        Reader::open(&self.options.path)
    }
}

/// Wakes the writer for retention by age, and once more to end.
async fn tick(jobs: mpsc::Sender<Job>, tasks: Tasks) {
    while tokio::time::timeout(TIDY_EVERY, tasks.cancelled()).await.is_err() {
        if jobs.send(Job::Tidy).await.is_err() {
            return;
        }
    }
    // The writer may be gone already; then there is nothing to end.
    let _ = jobs.send(Job::Stop).await;
}

struct Writer {
    connection: Connection,
    held: u64,
    options: Arc<Options>,
}

impl Writer {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut group = Vec::with_capacity(GROUP);
        while queue.blocking_recv_many(&mut group, GROUP) > 0 {
            let stop = group.iter().any(|job| matches!(job, Job::Stop));
            let tidy = group.iter().any(|job| matches!(job, Job::Tidy));
            let stores = group.drain(..).filter_map(|job| match job {
                Job::Store(store) => Some(store),
                Job::Tidy | Job::Stop => None,
            });
            self.commit_and_answer(stores.collect());
            self.tidy(tidy);
            if stop {
                // What is still queued is answered as stopped when the queue is dropped.
                break;
            }
        }
    }

    fn commit_and_answer(&mut self, stores: Vec<Store>) {
        if stores.is_empty() {
            return;
        }
        match self.commit(&stores) {
            Ok(outcomes) => {
                for (store, outcome) in stores.into_iter().zip(outcomes) {
                    count(&outcome);
                    self.held += outcome.bytes;
                    // The session may have ended while it waited; the node will send again.
                    let _ = store.answer.send(Ok(outcome.through_seq));
                }
                HELD_BYTES.set(self.held as i64);
            }
            Err(error) => {
                let error = Error::sqlite(&self.options.path, &error);
                tracing::error!(%error, batches = stores.len(), "telemetry was not stored");
                for store in stores {
                    let _ = store.answer.send(Err(error.clone()));
                }
            }
        }
    }

    fn commit(&mut self, stores: &[Store]) -> rusqlite::Result<Vec<Outcome>> {
        let now_ms = clock::now_ms();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut outcomes = Vec::with_capacity(stores.len());
        for store in stores {
            outcomes.push(batch::store(&transaction, &store.node, &store.batch, now_ms, self.options.max_ahead)?);
        }
        transaction.commit()?;
        Ok(outcomes)
    }

    fn tidy(&mut self, by_age: bool) {
        if !by_age && self.held <= self.options.retention_bytes {
            return;
        }
        let age_ms = i64::try_from(self.options.retention_age.as_millis()).unwrap_or(i64::MAX);
        let oldest_ms = clock::now_ms().saturating_sub(age_ms);
        match retention::enforce(&mut self.connection, self.held, self.options.retention_bytes, oldest_ms) {
            Ok(held) => self.held = held,
            Err(error) => {
                let error = Error::sqlite(&self.options.path, &error);
                tracing::error!(%error, "telemetry retention failed");
            }
        }
    }
}

fn count(outcome: &Outcome) {
    for (counter, n) in
        [(&STORED, outcome.stored), (&DUPLICATES, outcome.duplicates), (&LOST, outcome.lost), (&AHEAD, outcome.ahead)]
    {
        if n > 0 {
            counter.add(n);
        }
    }
}
