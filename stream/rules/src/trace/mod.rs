//! Spans of the messages rules send, kept in memory and sent to a collector if there is one: which rule made a message, and
//! how long each sink took for it.
//!
//! A rule that is not traced pays one relaxed load for a message. Times are nanoseconds since 1970, ids are those of W3C
//! trace context.

mod export;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use edgeward_engine::json::Printer;
use edgeward_engine::{Connection, Emission, Sink, SinkError, SinkInput};
use edgeward_service::{Counter, Tasks};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};

use export::Exporter;
pub(crate) use export::Target;

/// Longest text of a message that is kept with its span, in bytes.
const MAX_DATA: usize = 1_024;
/// Of so many messages one is traced with the strategy `head`.
const HEAD: u64 = 10;

static FORGOTTEN: Counter = Counter::new("edgeward_rules_traces_forgotten_total", "Traces dropped for newer ones");

/// What is traced of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    Off = 0,
    /// Every message.
    Always = 1,
    /// A sample.
    Head = 2,
}

/// A rule's switch; its sinks hold it.
#[derive(Default)]
struct Switch {
    strategy: AtomicU8,
    seen: AtomicU64,
}

impl Switch {
    fn wants(&self) -> bool {
        match self.strategy.load(Ordering::Relaxed) {
            0 => false,
            1 => true,
            _ => self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(HEAD),
        }
    }
}

/// One message of a rule through one sink.
struct Trace {
    rule: String,
    sink: String,
    id: u128,
    /// Of the rule's span; the sink's is the next.
    span: u64,
    made: u64,
    begun: u64,
    ended: u64,
    data: String,
    error: Option<String>,
}

/// The traces. Clones are the same.
#[derive(Clone)]
pub(crate) struct Traces(Arc<Shared>);

struct Shared {
    switches: Mutex<BTreeMap<String, Arc<Switch>>>,
    kept: Mutex<VecDeque<Arc<Trace>>>,
    /// Most traces kept.
    capacity: usize,
    exporter: Exporter,
    /// Ids are a hash of this and the time of the first: unique, not secret.
    next: AtomicU64,
}

impl Traces {
    /// Keeps so many traces, and sends them to a collector if there is one.
    pub(crate) fn start(capacity: usize, target: Option<Target>, tasks: &Tasks) -> Traces {
        Traces(Arc::new(Shared {
            switches: Mutex::default(),
            kept: Mutex::default(),
            capacity: capacity.max(1),
            exporter: Exporter::start(target, tasks),
            next: AtomicU64::default(),
        }))
    }

    /// Sends to this collector from now on, or to none.
    pub(crate) fn export_to(&self, target: Option<Target>) {
        self.0.exporter.set(target);
    }

    /// What is traced of a rule from now on.
    pub(crate) fn set(&self, rule: &str, strategy: Strategy) {
        self.switch(rule).strategy.store(strategy as u8, Ordering::Relaxed);
    }

    /// Whether a rule is traced.
    pub(crate) fn is_on(&self, rule: &str) -> bool {
        let found = self.0.switches.lock().get(rule).cloned();
        found.is_some_and(|switch| switch.strategy.load(Ordering::Relaxed) != Strategy::Off as u8)
    }

    /// Forgets a rule's switch: the rule is gone.
    pub(crate) fn forget(&self, rule: &str) {
        if let Some(switch) = self.0.switches.lock().remove(rule) {
            switch.strategy.store(Strategy::Off as u8, Ordering::Relaxed);
        }
    }

    fn switch(&self, rule: &str) -> Arc<Switch> {
        self.0.switches.lock().entry(rule.to_owned()).or_default().clone()
    }

    /// Ids of a rule's traces, oldest first.
    pub(crate) fn of_rule(&self, rule: &str) -> Value {
        let kept = self.0.kept.lock();
        kept.iter().filter(|trace| trace.rule == rule).map(|trace| Value::from(format!("{:032x}", trace.id))).collect()
    }

    /// A trace as the tree of its spans.
    pub(crate) fn show(&self, id: &str) -> Option<Value> {
        let id = u128::from_str_radix(id, 16).ok()?;
        self.0.kept.lock().iter().find(|trace| trace.id == id).map(|trace| trace.shown())
    }

    /// The same sinks, watched.
    pub(crate) fn watch_all(&self, rule: &str, sinks: Vec<SinkInput>) -> Vec<SinkInput> {
        let watched = |(index, input): (usize, SinkInput)| {
            let name = format!("sink_{}_{index}", input.kind);
            SinkInput { sink: self.watch(rule, name, input.sink), ..input }
        };
        sinks.into_iter().enumerate().map(watched).collect()
    }

    /// The same sink, with a span for each message while its rule is traced.
    fn watch(&self, rule: &str, name: String, sink: Box<dyn Sink>) -> Box<dyn Sink> {
        let (rule, name, switch) = (rule.into(), name.into(), self.switch(rule));
        Box::new(Watched { rule, name, switch, traces: self.clone(), sink })
    }

    fn ids(&self) -> (u128, u64) {
        let number = self.0.next.fetch_add(2, Ordering::Relaxed);
        let mixed = |salt: u64| {
            let value = (number ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
            value.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ nanoseconds()
        };
        ((u128::from(mixed(1)) << 64) | u128::from(number), mixed(2) | 2)
    }

    fn keep(&self, trace: Trace) {
        let trace = Arc::new(trace);
        self.0.exporter.take(&trace);
        let mut kept = self.0.kept.lock();
        while kept.len() >= self.0.capacity {
            kept.pop_front();
            FORGOTTEN.inc();
        }
        kept.push_back(trace);
    }
}

impl Trace {
    fn sink_span(&self) -> u64 {
        self.span ^ 1
    }

    fn shown(&self) -> Value {
        let span = |name: &str, id: u64, parent: u64, attribute: Value, times: (u64, u64), children: Value| {
            json!({
                "Name": name,
                "TraceID": format!("{:032x}", self.id),
                "SpanID": format!("{id:016x}"),
                "ParentSpanID": if parent == 0 { String::new() } else { format!("{parent:016x}") },
                "Attribute": attribute,
                "Links": null,
                "StartTime": rfc3339(times.0),
                "EndTime": rfc3339(times.1),
                "ChildSpan": children,
            })
        };
        let mut attribute = json!({"data": self.data});
        if let Some(error) = &self.error {
            attribute["error"] = error.clone().into();
        }
        let sent = (self.begun, self.ended);
        let sink = span(&self.sink, self.sink_span(), self.span, attribute, sent, json!([]));
        span(&self.rule, self.span, 0, json!({"rule": self.rule}), (self.made, self.ended), json!([sink]))
    }
}

fn nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn rfc3339(nanoseconds: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds));
    time.map(|time| time.to_string()).unwrap_or_default()
}

/// A sink whose messages may be traced.
struct Watched {
    rule: Box<str>,
    /// Of its node, e.g. `sink_mqtt_0`.
    name: Box<str>,
    switch: Arc<Switch>,
    traces: Traces,
    sink: Box<dyn Sink>,
}

impl Watched {
    async fn traced(&mut self, emission: &Emission) -> Result<(), SinkError> {
        let begun = nanoseconds();
        let sent = self.sink.send(emission).await;
        let mut data = Vec::new();
        // What cannot be printed is left out of the span.
        let _ = emission.write_json(&Printer::default(), &mut data);
        data.truncate(MAX_DATA);
        let (id, span) = self.traces.ids();
        let made = u64::try_from(emission.at).unwrap_or(0).saturating_mul(1_000_000);
        self.traces.keep(Trace {
            rule: self.rule.to_string(),
            sink: self.name.to_string(),
            id,
            span,
            made: made.min(begun),
            begun,
            ended: nanoseconds(),
            data: String::from_utf8_lossy(&data).into_owned(),
            error: sent.as_ref().err().map(ToString::to_string),
        });
        sent
    }
}

impl Sink for Watched {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        if self.switch.wants() { Box::pin(self.traced(emission)) } else { self.sink.send(emission) }
    }

    fn open(&mut self) {
        self.sink.open();
    }

    fn close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        self.sink.close()
    }

    fn connection(&self) -> Option<Connection> {
        self.sink.connection()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Sink for Nowhere {
        fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
            Box::pin(async { if emission.is_error { Err(SinkError::Rejected("no".into())) } else { Ok(()) } })
        }
    }

    #[tokio::test]
    async fn messages_of_a_traced_rule_have_spans() {
        const CAPACITY: usize = 100;
        let tasks = Tasks::root("test");
        let traces = Traces::start(CAPACITY, None, &tasks);
        let mut sink = traces.watch("r", "sink_nop_0".into(), Box::new(Nowhere));
        let message = Emission::of_error(5, "bad");
        assert!(sink.send(&message).await.is_err());
        assert_eq!(traces.of_rule("r"), json!([]));
        traces.set("r", Strategy::Always);
        assert!(traces.is_on("r") && sink.send(&message).await.is_err());
        let id = traces.of_rule("r")[0].as_str().unwrap().to_owned();
        let shown = traces.show(&id).unwrap();
        assert_eq!((&shown["Name"], &shown["TraceID"], &shown["ParentSpanID"]), (&json!("r"), &json!(id), &json!("")));
        let child = &shown["ChildSpan"][0];
        assert_eq!((&child["Name"], &child["ParentSpanID"]), (&json!("sink_nop_0"), &shown["SpanID"]));
        assert_eq!(child["Attribute"], json!({"data": "[{\"error\":\"bad\"}]", "error": "no"}));
        assert_ne!(child["SpanID"], shown["SpanID"]);
        assert_eq!(traces.show("zz"), None);
        traces.set("r", Strategy::Head);
        for _ in 0..CAPACITY * 10 + 50 {
            assert!(sink.send(&Emission::of_rows(0, Vec::new())).await.is_ok());
        }
        assert_eq!(traces.of_rule("r").as_array().unwrap().len(), CAPACITY);
        assert_eq!(traces.show(&id), None);
        traces.forget("r");
        assert!(!traces.is_on("r"));
    }
}
