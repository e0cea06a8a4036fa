//! Spans on their way to a collector: OTLP over HTTP, in its JSON form (`POST /v1/traces`).
//!
//! Nobody waits for a collector: spans that find the queue full, and those it does not take, are lost and counted.

use std::sync::Arc;

use edgeward_connect::JsonPost;
use edgeward_service::{Counter, Tasks};
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Trace;

/// Traces that may wait for the collector.
const WAITING: usize = 2_048;
/// Traces of one request.
const BATCH: usize = 256;
/// `kind` of a span that is neither a call nor a message: SPAN_KIND_INTERNAL.
const INTERNAL: u8 = 1;
/// `status.code` of a span that failed: STATUS_CODE_ERROR.
const FAILED: u8 = 2;

static SENT: Counter = Counter::new("edgeward_rules_traces_exported_total", "Traces the collector has taken");
static LOST: Counter =
    Counter::new("edgeward_rules_traces_lost_total", "Traces the collector did not take, or that waited too long");

/// A collector, and under which name it knows this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// `service.name` of the resource.
    pub(crate) service: String,
    /// The whole URL.
    pub(crate) url: String,
}

impl Target {
    /// A collector at `host:port` or a URL; without a path it is OTLP's own.
    pub(crate) fn new(service: &str, collector: &str) -> Target {
        let with_scheme = if collector.contains("://") { collector.to_owned() } else { format!("http://{collector}") };
        let bare = with_scheme.trim_end_matches('/');
        let rest = bare.split_once("://").map_or(bare, |(_, rest)| rest);
        let path = if rest.contains('/') { "" } else { "/v1/traces" };
        Target { service: service.to_owned(), url: format!("{bare}{path}") }
    }
}

/// The way to the collector, while there is one. Clones are the same way.
#[derive(Clone)]
pub(super) struct Exporter {
    target: Arc<RwLock<Option<Target>>>,
    queue: mpsc::Sender<Arc<Trace>>,
}

impl Exporter {
    /// Starts the task that sends.
    pub(super) fn start(target: Option<Target>, tasks: &Tasks) -> Exporter {
        let target = Arc::new(RwLock::new(target));
        let (queue, waiting) = mpsc::channel(WAITING);
        tasks.spawn_until_cancelled("traces", send_all(waiting, target.clone()));
        Exporter { target, queue }
    }

    /// Sends there from now on, or nowhere.
    pub(super) fn set(&self, target: Option<Target>) {
        *self.target.write() = target;
    }

    pub(super) fn take(&self, trace: &Arc<Trace>) {
        if self.target.read().is_some() && self.queue.try_send(trace.clone()).is_err() {
            LOST.inc();
        }
    }
}

async fn send_all(mut waiting: mpsc::Receiver<Arc<Trace>>, target: Arc<RwLock<Option<Target>>>) {
    let post = match JsonPost::new() {
        Ok(post) => post,
        Err(error) => {
            tracing::error!(%error, "no traces are sent to a collector");
            return;
        }
    };
    let mut batch = Vec::new();
    let mut taken = true;
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let wanted = target.read().clone();
        if let Some(Target { service, url }) = wanted {
            let sent = post.send(&url, request(&service, &batch).to_string()).await;
            match &sent {
                Ok(()) => SENT.add(batch.len() as u64),
                Err(_) => LOST.add(batch.len() as u64),
            }
            if let (Err(error), true) = (&sent, taken) {
                tracing::warn!(url, error, "the collector does not take traces; they are lost until it does");
            }
            taken = sent.is_ok();
        }
        batch.clear();
    }
}

/// An `ExportTraceServiceRequest`.
fn request(service: &str, traces: &[Arc<Trace>]) -> Value {
    let spans: Vec<Value> = traces.iter().flat_map(|trace| spans(trace)).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", service)]},
        "scopeSpans": [{"scope": {"name": "edgeward"}, "spans": spans}],
    }]})
}

/// The rule's span and that of its sink. Whole numbers of 64 bits are texts in OTLP's JSON.
fn spans(trace: &Trace) -> [Value; 2] {
    let span = |name: &str, id: u64, times: (u64, u64), attributes: Vec<Value>| {
        json!({
            "traceId": format!("{:032x}", trace.id),
            "spanId": format!("{id:016x}"),
            "name": name,
            "kind": INTERNAL,
            "startTimeUnixNano": times.0.to_string(),
            "endTimeUnixNano": times.1.to_string(),
            "attributes": attributes,
        })
    };
    let rule = span(&trace.rule, trace.span, (trace.made, trace.ended), vec![text("rule", &trace.rule)]);
    let mut sink = span(&trace.sink, trace.sink_span(), (trace.begun, trace.ended), vec![text("data", &trace.data)]);
    sink["parentSpanId"] = format!("{:016x}", trace.span).into();
    if let Some(error) = &trace.error {
        sink["status"] = json!({"code": FAILED, "message": error});
    }
    [rule, sink]
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_are_named_by_address_or_url() {
        for (collector, url) in [
            ("localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://c:4318/", "http://c:4318/v1/traces"),
            ("https://c/otlp/v1/traces", "https://c/otlp/v1/traces"),
        ] {
            assert_eq!(Target::new("s", collector).url, url);
        }
    }

    #[test]
    fn spans_have_the_shape_of_otlp() {
        let trace = Trace {
            rule: "r".into(),
            sink: "sink_nop_0".into(),
            id: 0xab,
            span: 2,
            made: 1,
            begun: 2,
            ended: 3,
            data: "[]".into(),
            error: Some("no".into()),
        };
        let expect = json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "s"}}]},
            "scopeSpans": [{"scope": {"name": "edgeward"}, "spans": [
                {"traceId": "000000000000000000000000000000ab", "spanId": "0000000000000002", "name": "r", "kind": 1,
                 "startTimeUnixNano": "1", "endTimeUnixNano": "3",
                 "attributes": [{"key": "rule", "value": {"stringValue": "r"}}]},
                {"traceId": "000000000000000000000000000000ab", "spanId": "0000000000000003", "name": "sink_nop_0",
                 "kind": 1, "startTimeUnixNano": "2", "endTimeUnixNano": "3",
                 "attributes": [{"key": "data", "value": {"stringValue": "[]"}}],
                 "parentSpanId": "0000000000000002", "status": {"code": 2, "message": "no"}},
            ]}],
        }]});
        assert_eq!(request("s", &[Arc::new(trace)]), expect);
    }
}
