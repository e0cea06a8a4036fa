//! Streams and rules in this process, driven on one thread whose processor time is what a row costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use edgeward_engine::{
    Emission, Emitter, Message, Plan, RuleHandle, RuleOptions, RuleTask, Sink, SinkError, SinkInput, Stream, StreamDef,
};
use edgeward_service::Tasks;
use edgeward_sql::ast::Statement;
use futures::future::BoxFuture;
use tokio::runtime::Runtime;

use crate::figure::median;

/// Messages a source has at hand at a time: what the bus gives at most.
const BATCH: usize = 256;
const PAYLOADS: usize = 1_024;
/// Rounds a figure is the median of, and how often each goes through the payloads.
const ROUNDS: usize = 15;
const LAPS: usize = 100;

/// One worker thread for sources, rules and sinks together, so that its processor time is all there is.
pub(super) struct Lab {
    runtime: Runtime,
    payloads: Arc<[Bytes]>,
}

/// Rows a sink was given.
#[derive(Clone, Default)]
pub(super) struct Count(Arc<AtomicU64>);

impl Count {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A sink that throws everything away.
struct Nop(Count);

impl Sink for Nop {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        self.0.0.fetch_add(emission.rows.len() as u64, Ordering::Relaxed);
        Box::pin(async { Ok(()) })
    }
}

/// A sink that never answers.
pub(super) struct Stalled;

impl Sink for Stalled {
    fn send<'a>(&'a mut self, _: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(std::future::pending())
    }
}

/// The reference payloads: one of ten has a temperature above 50.
pub(super) fn payload(index: usize) -> String {
    let temperature = if index.is_multiple_of(10) { 50.5 + (index % 40) as f64 } else { (index % 100) as f64 / 2.0 };
    let (humidity, device, time) = (index % 100, index % 50, 1_700_000_000_000_u64 + index as u64);
    format!(r#"{{"temperature":{temperature:.1},"humidity":{humidity},"deviceid":"dev-{device}","ts":{time}}}"#)
}

/// A schemaless stream.
pub(super) fn stream() -> anyhow::Result<Arc<Stream>> {
    Ok(Stream::new(definition()?, None))
}

fn definition() -> anyhow::Result<StreamDef> {
    match edgeward_sql::parse(r#"CREATE STREAM demo () WITH (DATASOURCE="demo", SHARED="true")"#)? {
        Statement::Create(create) => Ok(StreamDef::new(&create)),
        _ => anyhow::bail!("the statement defines no stream"),
    }
}

impl Lab {
    pub(super) fn new() -> anyhow::Result<Lab> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Lab { runtime, payloads: (0..PAYLOADS).map(|index| Bytes::from(payload(index))).collect() })
    }

    /// Processor time of reading a payload into `serde_json::Value`, in ns.
    pub(super) fn baseline(&self) -> anyhow::Result<f64> {
        self.rounds(|payloads| async move {
            for payload in payloads.iter() {
                std::hint::black_box(serde_json::from_slice::<serde_json::Value>(payload).ok());
            }
        })
    }

    /// Processor time of a row through all rules of a stream, in ns.
    pub(super) fn row(&self, stream: &Arc<Stream>) -> anyhow::Result<f64> {
        let emitter = Emitter::new(stream.clone());
        self.rounds(move |payloads| {
            let emitter = emitter.clone();
            async move {
                for batch in payloads.chunks(BATCH) {
                    emitter.emit_all(batch.iter().cloned().map(Message::payload)).await;
                    tokio::task::yield_now().await;
                }
            }
        })
    }

    /// How many payloads [`Lab::row`] sends.
    pub(super) fn sent() -> usize {
        ROUNDS * LAPS * PAYLOADS
    }

    fn rounds<F: Future<Output = ()> + Send>(
        &self,
        lap: impl Fn(Arc<[Bytes]>) -> F + Send + 'static,
    ) -> anyhow::Result<f64> {
        let payloads = self.payloads.clone();
        let measured = self.runtime.spawn(async move {
            let mut nanos = Vec::with_capacity(ROUNDS);
            for _ in 0..ROUNDS {
                let begun = thread_nanos();
                for _ in 0..LAPS {
                    lap(payloads.clone()).await;
                }
                nanos.push((thread_nanos() - begun) / (LAPS * payloads.len()) as f64);
            }
            nanos
        });
        Ok(median(&mut self.runtime.block_on(measured)?))
    }

    /// Starts a rule on a stream; its rows are counted.
    pub(super) fn rule(&self, id: &str, sql: &str, stream: &Arc<Stream>) -> anyhow::Result<(RuleHandle, Count)> {
        let count = Count::default();
        Ok((self.start(id, sql, stream, Box::new(Nop(count.clone())))?, count))
    }

    /// Starts a rule with a sink.
    pub(super) fn start(
        &self,
        id: &str,
        sql: &str,
        stream: &Arc<Stream>,
        sink: Box<dyn Sink>,
    ) -> anyhow::Result<RuleHandle> {
        let _inside = self.runtime.enter();
        let select = edgeward_sql::parse_select(sql)?;
        let definition = stream.definition();
        let plan = Plan::new(&select, &RuleOptions::default(), &|_| Some(definition.clone()))?;
        let sink = SinkInput { kind: "nop".into(), sink, buffer_length: 1_024, omit_if_empty: false };
        Ok(RuleTask::start(id, &plan, vec![stream.clone()], vec![sink], None, &Tasks::root("bench"))?)
    }

    /// Stops rules.
    pub(super) fn stop(&self, rules: impl IntoIterator<Item = RuleHandle>) {
        self.runtime.block_on(async {
            for rule in rules {
                rule.stop().await;
            }
        });
    }

    /// Waits until `done` is true.
    pub(super) fn wait(&self, what: &str, done: impl Fn() -> bool) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !done() {
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

/// Processor time of this thread, in ns.
pub(super) fn thread_nanos() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(f64::NAN)
}

/// Memory of this process in use, in bytes.
pub(super) fn resident_bytes() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    stat.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(f64::NAN) * 4_096.0
}
