//! Rows per second of the engine beside parsing the same payloads into `serde_json::Value`, in one process.
//!
//! `cargo run --release -p edgeward-engine --example throughput [seconds per figure]`. Payloads are handed over in-process and the
//! sink throws everything away; figures are CPU time of the feeding thread, so quote the ratios.
#![allow(clippy::print_stdout, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use edgeward_engine::trial::Trial;
use edgeward_engine::{
    Emission, Emitter, Message, Plan, RuleHandle, RuleOptions, RuleTask, Sink, SinkError, SinkInput, Stream, StreamDef,
};
use edgeward_service::Tasks;
use futures::future::BoxFuture;

struct Nop;

impl Sink for Nop {
    fn send<'a>(&'a mut self, _: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async { Ok(()) })
    }
}

/// The reference payloads: nine of ten have a temperature of at most 50.
fn payloads() -> Vec<Bytes> {
    (0..1024u32)
        .map(|index| {
            let temperature = if index % 10 == 0 { 50.5 + f64::from(index % 40) } else { f64::from(index % 100) / 2.0 };
            Bytes::from(format!(
                r#"{{"temperature":{temperature:.1},"humidity":{},"deviceid":"dev-{}","ts":{}}}"#,
                index % 100,
                index % 50,
                1_700_000_000_000u64 + u64::from(index)
            ))
        })
        .collect()
}

fn definition() -> StreamDef {
    StreamDef {
        name: "demo".into(),
        fields: Vec::new(),
        strict: false,
        timestamp: None,
        timestamp_format: None,
        numbers: Default::default(),
        timezone: jiff::tz::TimeZone::UTC,
        decoded: true,
        table: None,
    }
}

fn plan(sql: &str) -> Outcome<Plan> {
    let select = edgeward_sql::parse_select(sql)?;
    Ok(Plan::new(&select, &RuleOptions::default(), &|_| Some(definition()))?)
}

/// Rows per second of CPU time of `work`, which handles one batch of 1,024 payloads; the machine may be busy with other things.
fn measure(span: Duration, mut work: impl FnMut()) -> f64 {
    work();
    let (start, cpu, mut batches) = (Instant::now(), cpu_seconds(), 0u32);
    while start.elapsed() < span {
        work();
        batches += 1;
    }
    f64::from(batches) * 1024.0 / (cpu_seconds() - cpu)
}

/// CPU time of this thread by the scheduler's count, or wall time where there is none.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split_whitespace().next().and_then(|text| text.parse::<f64>().ok());
    nanos.map_or_else(|| std::time::UNIX_EPOCH.elapsed().map_or(0.0, |wall| wall.as_secs_f64()), |nanos| nanos / 1e9)
}

fn show(name: &str, rate: f64, baseline: f64) {
    println!("{name:<52} {:>9.2} M rows/s   {:>5.1} x serde_json::Value", rate / 1e6, rate / baseline);
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(2.0), |text| text.parse())?;
    let span = Duration::from_secs_f64(seconds);
    let payloads = payloads();
    let baseline = measure(span, || {
        for payload in &payloads {
            std::hint::black_box(serde_json::from_slice::<serde_json::Value>(payload).ok());
        }
    });
    show("parse into serde_json::Value (baseline)", baseline, baseline);
    core(&payloads, span, baseline)?;
    tasks(&payloads, span, baseline)
}

/// The synchronous core: decode, filter, window, project.
fn core(payloads: &[Bytes], span: Duration, baseline: f64) -> Outcome<()> {
    for (name, sql) in [
        ("filter, SELECT * (1 of 10 kept)", "SELECT * FROM demo WHERE temperature > 50"),
        ("filter, two columns", "SELECT temperature, humidity FROM demo WHERE temperature > 50"),
        (
            "average per device, tumbling 1 s",
            "SELECT deviceid, avg(temperature) AS a FROM demo GROUP BY deviceid, TUMBLINGWINDOW(ss, 1)",
        ),
    ] {
        let mut trial = Trial::start("bench", plan(sql)?, 0)?;
        let mut now = 0;
        let rate = measure(span, || {
            for payload in payloads {
                now += 1;
                trial.push("demo", Message::payload(payload.clone()), now / 1000);
            }
            std::hint::black_box(trial.take());
        });
        show(name, rate, baseline);
    }
    Ok(())
}

/// Real tasks and queues on one worker thread, so that its CPU time holds source, rules and sinks together.
fn tasks(payloads: &[Bytes], span: Duration, baseline: f64) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for (rules, threshold) in [(1u32, 50), (300, 80), (300, 1000), (8000, 1000)] {
        let stream = Stream::new(definition(), None);
        let tasks = Tasks::root("bench");
        let before = resident_bytes();
        let guard = runtime.enter();
        let started: Outcome<Vec<RuleHandle>> =
            (0..rules).map(|index| start(index, threshold, &stream, &tasks)).collect();
        let started = started?;
        drop(guard);
        let per_rule = (resident_bytes() - before) / f64::from(rules);
        let (feed, emitter) = (payloads.to_vec(), Emitter::new(stream));
        let rate = runtime.block_on(runtime.spawn(async move {
            let (start, cpu, mut batches) = (Instant::now(), cpu_seconds(), 0u32);
            while start.elapsed() < span {
                feed.iter().for_each(|payload| emitter.emit_now(Message::payload(payload.clone())));
                batches += 1;
                tokio::task::yield_now().await;
            }
            f64::from(batches) * 1024.0 / (cpu_seconds() - cpu)
        }))?;
        show(&format!("{rules} rules on one shared stream, WHERE > {threshold}.."), rate, baseline);
        println!("{:<52} {:>9.1} KB a rule", "", per_rule / 1024.0);
        runtime.block_on(async {
            for rule in started {
                rule.stop().await;
            }
        });
    }
    Ok(())
}

fn start(index: u32, threshold: u32, stream: &Arc<Stream>, tasks: &Tasks) -> Outcome<RuleHandle> {
    let plan = plan(&format!("SELECT temperature FROM demo WHERE temperature > {}", threshold + index % 7))?;
    let sink = SinkInput { kind: "nop".into(), sink: Box::new(Nop), buffer_length: 1024, omit_if_empty: false };
    Ok(RuleTask::start(&format!("r{index}"), &plan, vec![stream.clone()], vec![sink], None, tasks)?)
}

/// Resident memory of the process; 0 where /proc is absent.
fn resident_bytes() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    stat.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4096.0
}
