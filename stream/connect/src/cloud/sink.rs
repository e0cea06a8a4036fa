//! Hands rows to the outbox. The rule is not held up by the disk: records wait in a bounded queue that one task empties in
//! batches, and the tokens of the messages behind them wait with them.

use std::sync::Arc;
use std::time::Duration;

use edgeward_engine::json::Printer;
use edgeward_engine::{Ack, Emission, OutRow, Sink, SinkError, Value};
use edgeward_service::{Backoff, Counter, Tasks};
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::config::Config;
use crate::sink::{Encoder, Payloads};
use crate::{CloudOutbox, CloudRecord, ConnectError, MAX_APPEND_BYTES, MAX_RECORD_BYTES, SinkOptions};

/// Emissions between the rule and the disk.
const QUEUE: usize = 1_024;
/// Longest identity that is sent as it is; longer ones are hashed.
const MAX_IDENTITY: usize = 32;
/// What a record needs beside name and payload, generously.
const RECORD_OVERHEAD: usize = 128;

static APPENDED: Counter = Counter::new("edgeward_connect_cloud_records_total", "records of cloud sinks on disk");
static RETRIES: Counter =
    Counter::new("edgeward_connect_cloud_retries_total", "appends to the outbox that failed and are tried again");

pub(super) struct CloudSink {
    config: Config,
    encoder: Encoder,
    payloads: Payloads,
    queue: Option<mpsc::Sender<Waiting>>,
    /// Resolves when the queue has been emptied.
    emptied: Option<oneshot::Receiver<()>>,
}

/// The records of one emission and the tokens behind it.
struct Waiting {
    records: Vec<CloudRecord>,
    acks: Vec<Ack>,
}

impl CloudSink {
    pub(super) fn new(
        config: Config,
        options: SinkOptions,
        outbox: Arc<dyn CloudOutbox>,
        tasks: &Tasks,
    ) -> Result<CloudSink, ConnectError> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (done, emptied) = oneshot::channel();
        tasks.spawn("cloud-sink", write(waiting, outbox, tasks.clone(), done));
        let (queue, emptied) = (Some(queue), Some(emptied));
        Ok(CloudSink { config, encoder: Encoder::single(options), payloads: Payloads::default(), queue, emptied })
    }

    fn records(&mut self, emission: &Emission) -> Result<Vec<CloudRecord>, SinkError> {
        self.encoder.encode(emission, &mut self.payloads)?;
        if let Some(payload) = self.payloads.iter().find(|payload| payload.len() > MAX_RECORD_BYTES) {
            let size = payload.len();
            return Err(SinkError::Rejected(format!(
                "a row of {size} bytes is too large for the cloud, the limit is {MAX_RECORD_BYTES}"
            )));
        }
        let (config, payloads) = (&self.config, self.payloads.iter());
        let record = |(row, payload): (&OutRow, &[u8])| CloudRecord {
            stream: config.stream.clone(),
            at: config.timestamp_field.as_deref().and_then(|field| time(row.get(field))).unwrap_or(emission.at),
            identity: identity(row, &config.identity),
            payload: payload.to_vec(),
        };
        Ok(emission.rows.iter().zip(payloads).map(record).collect())
    }
}

impl Sink for CloudSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            let waiting = Waiting { records: self.records(emission)?, acks: emission.acks.clone() };
            let stopped = || SinkError::Recoverable("the cloud sink was stopped".into());
            let queue = self.queue.as_ref().ok_or_else(stopped)?;
            queue.send(waiting).await.map_err(|_| stopped())
        })
    }

    fn close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.queue = None;
            if let Some(emptied) = self.emptied.take() {
                // An error means that the writer is gone already.
                let _ = emptied.await;
            }
        })
    }
}

/// Appends what waits, everything at once, until the sink is closed.
async fn write(
    mut waiting: mpsc::Receiver<Waiting>,
    outbox: Arc<dyn CloudOutbox>,
    tasks: Tasks,
    done: oneshot::Sender<()>,
) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, QUEUE).await > 0 {
        let (records, acks): (Vec<_>, Vec<_>) = batch.drain(..).map(|waiting| (waiting.records, waiting.acks)).unzip();
        let records: Vec<CloudRecord> = records.into_iter().flatten().collect();
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            let (group, after) = rest.split_at(group_length(rest));
            if !append(&*outbox, group, &tasks).await {
                acks.iter().flatten().for_each(Ack::fail);
                break;
            }
            rest = after;
        }
    }
    // Nobody may be waiting for the end.
    let _ = done.send(());
}

/// How many records from the front may be appended together; at least one.
fn group_length(records: &[CloudRecord]) -> usize {
    let mut bytes = 0;
    let fits = |record: &&CloudRecord| {
        bytes += record.payload.len() + record.stream.len() + RECORD_OVERHEAD;
        bytes <= MAX_APPEND_BYTES
    };
    records.iter().take_while(fits).count().max(1)
}

/// Appends records, trying again until the rule is stopped. Returns whether they are on disk.
async fn append(outbox: &dyn CloudOutbox, records: &[CloudRecord], tasks: &Tasks) -> bool {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    loop {
        match outbox.append(records).await {
            Ok(()) => {
                APPENDED.add(records.len() as u64);
                return true;
            }
            Err(error) => {
                RETRIES.inc();
                tracing::warn!(error, "cannot append to the outbox; trying again");
                if tasks.is_cancelled() {
                    return false;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_delay()) => {}
            () = tasks.cancelled() => {}
        }
    }
}

fn time(value: &Value) -> Option<i64> {
    match value {
        Value::Int(ms) => Some(*ms),
        Value::Float(ms) => Some(*ms as i64),
        Value::Time(time) => Some(time.as_millisecond()),
        _ => None,
    }
}

/// The identity's columns as JSON, or their hash when that is long.
fn identity(row: &OutRow, fields: &[String]) -> Vec<u8> {
    let mut text = Vec::new();
    let printer = Printer::default();
    for field in fields {
        // A value that cannot be printed was refused when the row was encoded.
        let _ = printer.write(row.get(field), &mut text);
        text.push(b' ');
    }
    text.pop();
    if text.len() > MAX_IDENTITY { Sha256::digest(&text).to_vec() } else { text }
}
