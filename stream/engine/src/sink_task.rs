//! One task for each sink, so that a slow one delays only itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use edgeward_service::{Tasks, clock};
use parking_lot::Mutex;

use crate::Connection;
use crate::emission::Emission;
use crate::metrics::NodeMetrics;
use crate::queue::{Queue, settle};
use crate::sink::{Sink, SinkInput};

/// How long a sink may go on after its rule was stopped; then what waits is given up, so that a hanging peer holds nothing back.
const GRACE: Duration = Duration::from_secs(4);

/// The queue and counters of a sink.
pub(crate) struct SinkTask {
    name: String,
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
    connection: Option<Connection>,
}

impl SinkTask {
    /// Starts the task of a sink.
    pub(crate) fn start(index: usize, input: SinkInput, tasks: &Tasks) -> Arc<SinkTask> {
        let task = Arc::new(SinkTask {
            name: format!("sink_{}_{index}_0", input.kind),
            omit_if_empty: input.omit_if_empty,
            queue: Queue::new(input.buffer_length, true),
            ended: AtomicBool::new(false),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last: Mutex::default(),
        });
        tasks.spawn("sink", task.clone().run(input.sink, tasks.clone()));
        task
    }

    /// Queues a message.
    pub(crate) fn push(&self, emission: Arc<Emission>) {
        if emission.rows.is_empty() && self.omit_if_empty {
            return;
        }
        self.received.fetch_add(1, Ordering::Relaxed);
        self.queue.push(emission);
    }

    /// No more messages will come: the task sends what waits and ends.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.queue.wake();
    }

    /// Lives until the rule's runner ends it, also when the rule is stopped: what was handed over is sent.
    async fn run(self: Arc<Self>, mut sink: Box<dyn Sink>, tasks: Tasks) {
        let expired = async {
            tasks.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            () = self.pump(&mut *sink) => sink.close().await,
            () = expired => tracing::warn!(sink = self.name, waiting = self.queue.len(), "sink did not finish in time, its messages are given up"),
        }
    }

    async fn pump(&self, sink: &mut dyn Sink) {
        let mut batch = VecDeque::new();
        loop {
            let ended = self.ended.load(Ordering::Acquire);
            self.queue.drain(&mut batch);
            if batch.is_empty() {
                if ended {
                    return;
                }
                self.queue.ready().await;
                continue;
            }
            while let Some(emission) = batch.pop_front() {
                self.send(sink, &emission).await;
            }
            settle(&mut batch);
        }
    }

    async fn send(&self, sink: &mut dyn Sink, emission: &Emission) {
        let outcome = sink.send(emission).await;
        let mut last = self.last.lock();
        last.invocation = clock::now_ms();
        last.connection = sink.connection();
        match outcome {
            Ok(()) => drop(self.sent.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                emission.fail();
                self.failed.fetch_add(1, Ordering::Relaxed);
                last.exception = error.to_string();
                last.exception_time = last.invocation;
            }
        }
    }

    pub(crate) fn metrics(&self) -> NodeMetrics {
        let last = self.last.lock();
        let sent = self.sent.load(Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        NodeMetrics {
            name: self.name.clone(),
            records_in: self.received.load(Ordering::Relaxed),
            records_out: sent,
            processed: sent + failed,
            buffer_length: self.queue.len() as u64,
            last_invocation: last.invocation,
            exceptions: failed + self.queue.dropped(),
            last_exception: last.exception.clone(),
            last_exception_time: last.exception_time,
            connection: last.connection.clone(),
            ..NodeMetrics::default()
        }
    }
}
