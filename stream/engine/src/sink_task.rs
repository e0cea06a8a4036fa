//! One task for each sink, so that a slow one delays only itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use edgeward_service::{Tasks, clock};
use parking_lot::Mutex;

use crate::Connection;
use crate::emission::Emission;
use crate::metrics::{ConnectionTimes, NodeMetrics};
use crate::queue::{Abandon, Queue, settle};
use crate::sink::{Sink, SinkError, SinkInput};

/// How long a sink may go on after its rule was stopped; then what waits is given up, so that a hanging peer holds nothing back.
const GRACE: Duration = Duration::from_secs(4);

/// The queue and counters of a sink.
pub(crate) struct SinkTask {
    index: usize,
    kind: Box<str>,
    omit_if_empty: bool,
    queue: Queue<Arc<Emission>>,
    ended: AtomicBool,
    received: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    exception: String,
    exception_time: i64,
    invocation: i64,
    /// State of its connection and when it came and went; most sinks have none.
    connection: Option<Box<(Connection, ConnectionTimes)>>,
    latency_us: u64,
}

impl SinkTask {
    /// Starts the task of a sink. With `discard` a full queue loses its oldest message, else the rule waits.
    pub(crate) fn start(index: usize, input: SinkInput, discard: bool, tasks: &Tasks) -> Arc<SinkTask> {
        let task = Arc::new(SinkTask {
            index,
            kind: input.kind.into(),
            omit_if_empty: input.omit_if_empty,
            queue: Queue::new(input.buffer_length, discard),
            ended: AtomicBool::new(false),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last: Mutex::default(),
        });
        tasks.spawn("sink", task.clone().run(input.sink, tasks.clone()));
        task
    }

    /// Queues a message. True: the rule should wait for space before the next one.
    pub(crate) fn push(&self, emission: Arc<Emission>) -> bool {
        if emission.rows.is_empty() && self.omit_if_empty {
            return false;
        }
        self.received.fetch_add(1, Ordering::Relaxed);
        self.queue.push(emission, false)
    }

    /// Waits until there is room in the queue.
    pub(crate) async fn wait_for_space(&self) {
        self.queue.wait_for_space().await;
    }

    /// No more messages will come: the task sends what waits and ends.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.queue.wake();
    }

    /// Lives until the rule's runner ends it, also when the rule is stopped: what was handed over is sent.
    async fn run(self: Arc<Self>, mut sink: Box<dyn Sink>, tasks: Tasks) {
        sink.open();
        let expired = async {
            tasks.cancelled().await;
            // Boxed: it is needed once in the life of a sink, and there may be very many.
            Box::pin(tokio::time::sleep(GRACE)).await;
        };
        tokio::select! {
            () = self.pump(&mut *sink) => sink.close().await,
            () = expired => tracing::warn!(sink = self.name(), waiting = self.queue.len(), "sink did not finish in time, its messages are given up"),
        }
        self.queue.clear();
    }

    async fn pump(&self, sink: &mut dyn Sink) {
        let mut batch = Batch::default();
        loop {
            let ended = self.ended.load(Ordering::Acquire);
            self.queue.drain(&mut batch.0);
            if batch.0.is_empty() {
                if ended {
                    return;
                }
                self.queue.ready().await;
                continue;
            }
            let mut laps = Laps::new();
            while let Some(emission) = batch.0.front().cloned() {
                self.send(sink, &emission, &mut laps).await;
                batch.0.pop_front();
            }
            settle(&mut batch.0);
        }
    }

    async fn send(&self, sink: &mut dyn Sink, emission: &Emission, laps: &mut Laps) {
        let outcome = sink.send(emission).await;
        let mut last = self.last.lock();
        (last.invocation, last.latency_us) = laps.next();
        if let Some(state) = sink.connection() {
            last.connected(state);
        }
        match outcome {
            Ok(()) => drop(self.sent.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                // A message that is bad stays bad however often it comes: only one that may succeed later is asked for again.
                if matches!(error, SinkError::Recoverable(_)) {
                    emission.fail();
                }
                self.failed.fetch_add(1, Ordering::Relaxed);
                last.exception = error.to_string();
                last.exception_time = last.invocation;
            }
        }
    }

    /// The name of its node.
    fn name(&self) -> String {
        format!("sink_{}_{}_0", self.kind, self.index)
    }

    /// The action's type.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    pub(crate) fn metrics(&self) -> NodeMetrics {
        let last = self.last.lock();
        let sent = self.sent.load(Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        NodeMetrics {
            name: self.name(),
            records_in: self.received.load(Ordering::Relaxed),
            records_out: sent,
            processed: sent + failed,
            buffer_length: self.queue.len() as u64,
            last_invocation: last.invocation,
            exceptions: failed + self.queue.dropped(),
            last_exception: last.exception.clone(),
            last_exception_time: last.exception_time,
            connection: last.connection.as_ref().map(|known| known.0.clone()),
            connection_times: last.connection.as_ref().map(|known| known.1.clone()).unwrap_or_default(),
            latency_us: last.latency_us,
            ..NodeMetrics::default()
        }
    }
}

/// The times of the messages of a batch; each costs one look at a clock, which a fast sink would feel.
struct Laps {
    /// When the batch began, in ms since 1970.
    began_ms: i64,
    began: Instant,
    last: Instant,
}

impl Laps {
    fn new() -> Laps {
        let began = Instant::now();
        Laps { began_ms: clock::now_ms(), began, last: began }
    }

    /// The time now in ms since 1970, and the µs since the last call.
    fn next(&mut self) -> (i64, u64) {
        let now = Instant::now();
        let (since, lap) = (now - self.began, now - self.last);
        self.last = now;
        let ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        (self.began_ms.saturating_add(ms), u64::try_from(lap.as_micros()).unwrap_or(u64::MAX))
    }
}

impl Last {
    fn connected(&mut self, state: Connection) {
        let now = self.invocation;
        match &mut self.connection {
            Some(known) if known.0 == state => {}
            Some(known) => {
                known.1.note(&state, now);
                known.0 = state;
            }
            None => {
                let mut times = ConnectionTimes::default();
                times.note(&state, now);
                self.connection = Some(Box::new((state, times)));
            }
        }
    }
}

impl Abandon for Arc<Emission> {
    fn abandon(&self) {
        self.fail();
    }
}

/// Messages taken from the queue and not yet sent; those left when the sink is given up are not acknowledged.
#[derive(Default)]
struct Batch(VecDeque<Arc<Emission>>);

impl Drop for Batch {
    fn drop(&mut self) {
        self.0.iter().for_each(Abandon::abandon);
    }
}
