//! The nodes of a rule as its status and topology show them: fused operators under the names a plan of eKuiper's would have.

use serde_json::{Map, Value, json};

use crate::core::Core;
use crate::metrics::{ConnectionTimes, DECODER, Failures, NodeMetrics};
use crate::{Connection, Stream, StreamDef};

/// What is known of one input.
pub(crate) struct Input<'a> {
    pub(crate) definition: &'a StreamDef,
    pub(crate) received: u64,
    pub(crate) failed: u64,
    pub(crate) connection: Option<Connection>,
    pub(crate) times: ConnectionTimes,
}

impl<'a> Input<'a> {
    /// A stream that gave the rule so many rows.
    pub(crate) fn of(stream: &'a Stream, received: u64) -> Input<'a> {
        Input {
            definition: stream.definition(),
            received,
            failed: stream.failed(),
            connection: stream.connection(),
            times: stream.connection_times(),
        }
    }
}

/// What is known of the rule's queue and thread.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    pub(crate) queued: u64,
    pub(crate) dropped: u64,
    pub(crate) latency_us: u64,
}

/// Name, records in and records out, and when it worked last.
type Step = (&'static str, u64, u64, i64);

/// The nodes from the sources to the projection, numbered along the plan.
pub(crate) fn of(core: &Core, inputs: &[Input<'_>], load: Load) -> Vec<NodeMetrics> {
    let (mut nodes, mut heads, mut index) = (Vec::new(), Vec::new(), 0);
    // A source hands its rows to the operators at once: both worked last at the same time.
    let invoked = |input: &Input<'_>| if input.received > 0 { core.metrics.last_invocation } else { 0 };
    for input in inputs.iter().filter(|input| !input.definition.is_lookup()) {
        index += 1;
        nodes.push(NodeMetrics {
            name: format!("source_{}_0", input.definition.name),
            connection: input.connection.clone(),
            connection_times: input.times.clone(),
            last_invocation: invoked(input),
            ..counted(input.received, input.received)
        });
        if input.definition.decoded {
            index += 1;
            let name = format!("op_{index}_decoder_0");
            feed(&mut nodes, &[], &name);
            let out = input.received.saturating_sub(input.failed);
            nodes.push(NodeMetrics { name, last_invocation: invoked(input), ..counted(input.received, out) });
        }
        // Rows that could not be read are the decoder's, or else the source's own.
        if let Some(node) = nodes.last_mut().filter(|_| input.failed > 0) {
            failed(node, core.metrics.failures.iter().find(|failures| failures.step == DECODER));
            node.exceptions = input.failed;
        }
        heads.push(nodes.len() - 1);
    }
    let first = nodes.len();
    let received = inputs.iter().map(|input| input.received).sum();
    for (step, records_in, records_out, last_invocation) in steps(core, received) {
        index += 1;
        let name = format!("op_{index}_{step}_0");
        let before = std::mem::take(&mut heads);
        feed(&mut nodes, &before, &name);
        heads.push(nodes.len());
        nodes.push(NodeMetrics { name, last_invocation, ..counted(records_in, records_out) });
    }
    for failures in core.metrics.failures.iter().filter(|failures| failures.step != DECODER) {
        let of_step = |node: &NodeMetrics| plain(&node.name).ends_with(&format!("_{}", failures.step));
        let position = nodes[first..].iter().position(of_step).map_or(nodes.len() - 1, |position| first + position);
        failed(&mut nodes[position], Some(failures));
    }
    // The rule has one queue; it is shown at its first operator.
    if let Some(node) = nodes.get_mut(first) {
        node.buffer_length = load.queued;
        node.exceptions += load.dropped;
    }
    if let Some(node) = nodes.last_mut() {
        node.latency_us = load.latency_us;
    }
    nodes
}

/// Adds what went wrong to a node.
fn failed(node: &mut NodeMetrics, failures: Option<&Failures>) {
    let Some(failures) = failures else { return };
    node.exceptions += failures.count;
    node.last_exception.clone_from(&failures.last);
    node.last_exception_time = failures.at;
}

/// When the projection worked last.
pub(crate) fn last_output(core: &Core) -> i64 {
    if core.window.is_some() { core.metrics.last_window } else { core.metrics.last_invocation }
}

fn counted(records_in: u64, records_out: u64) -> NodeMetrics {
    NodeMetrics { records_in, records_out, processed: records_in, ..NodeMetrics::default() }
}

/// Leads the nodes at these positions, or else the last one, to the node of this name.
fn feed(nodes: &mut [NodeMetrics], from: &[usize], name: &str) {
    let last = nodes.len().checked_sub(1);
    let from: Vec<usize> = if from.is_empty() { last.into_iter().collect() } else { from.to_vec() };
    for position in from {
        nodes[position].feeds.push(plain(name).to_string());
    }
}

/// The operators of the plan in their order.
fn steps(core: &Core, received: u64) -> Vec<Step> {
    let (program, metrics) = (&core.program, &core.metrics);
    let filtered = program.filter.is_some() || program.late_filter.is_some();
    let early = filtered && program.joins.is_empty() && program.late_filter.is_none();
    let scans = (0..program.inputs).any(|input| program.is_scan(input));
    let lookups = (1..program.inputs).filter(|input| program.is_lookup(*input)).count();
    let joins = program.joins.len() - lookups;
    let incremental = program.aggregates.iter().any(|call| call.incremental);
    // What each step hands on, which is what the next takes in.
    let opened = if core.window.is_some() { metrics.windows } else { metrics.rows_kept };
    let joined = if program.joins.is_empty() { opened } else { metrics.joined };
    let kept = if filtered && !early { metrics.filtered } else { joined };
    let held = if program.having.is_some() { metrics.held } else { kept };
    let all = [
        ("watermark", core.watermark.is_some(), received, metrics.rows_in),
        ("analytic", !program.analytic.is_empty(), metrics.rows_in, metrics.rows_in),
        ("filter", early, received, metrics.rows_kept),
        ("window", core.window.is_some() && !incremental, metrics.rows_kept, opened),
        ("inc_agg_window", incremental, metrics.rows_kept, opened),
        ("join_aligner", scans, opened, opened),
        ("join", joins > 0, opened, joined),
        ("lookup", lookups > 0, if joins > 0 { joined } else { opened }, joined),
        ("filter", filtered && !early, joined, kept),
        ("aggregate", !program.group_by.is_empty() && !incremental, kept, kept),
        ("having", program.having.is_some(), kept, held),
        ("windowFunc", !program.numberings.is_empty(), held, held),
        ("order", !program.order_by.is_empty(), held, held),
        ("project", true, held, metrics.emitted),
        ("projectset", program.projection.has_srf(), metrics.emitted, metrics.emitted),
    ];
    // What follows the window works when it closes, the rest at each row.
    let mut last = metrics.last_invocation;
    let mut steps = Vec::new();
    for (name, _, into, out) in all.into_iter().filter(|(_, there, ..)| *there) {
        steps.push((name, into, out, last));
        if name.ends_with("window") {
            last = metrics.last_window;
        }
    }
    steps
}

/// Sinks that take rows; the others take bytes, so that an encoder stands before them.
const ROW_SINKS: [&str; 9] = ["memory", "nop", "sql", "influx", "influx2", "redis", "neuron", "tdengine3", "edgex"];

/// Adds a sink with the steps before it.
pub(crate) fn add_sink(nodes: &mut Vec<NodeMetrics>, kind: &str, index: usize, sink: NodeMetrics) {
    let of_sink = |node: &NodeMetrics| {
        node.name.starts_with("sink_") || node.name.ends_with("_transform_0") || node.name.ends_with("_encode_0")
    };
    let Some(last) = nodes.iter().rposition(|node| !of_sink(node)) else { return };
    let mut steps = vec![format!("op_{kind}_{index}_0_transform_0")];
    if !ROW_SINKS.contains(&kind) {
        steps.push(format!("op_{kind}_{index}_1_encode_0"));
    }
    nodes[last].feeds.push(plain(&steps[0]).to_string());
    let at = nodes.iter().position(|node| node.name.starts_with("sink_")).unwrap_or(nodes.len());
    let ends = steps.iter().skip(1).cloned().chain([sink.name.clone()]);
    let made = steps.iter().zip(ends).map(|(name, next)| NodeMetrics {
        name: name.clone(),
        feeds: vec![plain(&next).to_string()],
        last_invocation: sink.last_invocation,
        ..counted(sink.records_in, sink.records_in)
    });
    let made: Vec<NodeMetrics> = made.collect();
    nodes.splice(at..at, made);
    nodes.push(sink);
}

/// A node's name without its instance.
fn plain(name: &str) -> &str {
    name.strip_suffix("_0").unwrap_or(name)
}

/// `{sources: [node], edges: {node: [node]}}`, as `GET /rules/{id}/topo` answers.
pub fn topology(nodes: &[NodeMetrics]) -> Value {
    let sources: Vec<&str> =
        nodes.iter().map(|node| plain(&node.name)).filter(|name| name.starts_with("source_")).collect();
    let edges: Map<String, Value> = nodes
        .iter()
        .filter(|node| !node.feeds.is_empty())
        .map(|node| (plain(&node.name).to_string(), json!(node.feeds)))
        .collect();
    json!({"sources": sources, "edges": edges})
}

/// The counters of a node under the names of section 4.3, in its order.
pub fn describe(node: &NodeMetrics) -> Vec<(String, Value)> {
    let mut metrics = vec![
        ("records_in_total", json!(node.records_in)),
        ("records_out_total", json!(node.records_out)),
        ("messages_processed_total", json!(node.processed)),
        ("process_latency_us", json!(node.latency_us)),
        ("buffer_length", json!(node.buffer_length)),
        ("last_invocation", json!(node.last_invocation)),
        ("exceptions_total", json!(node.exceptions)),
        ("last_exception", json!(node.last_exception)),
        ("last_exception_time", json!(node.last_exception_time)),
    ];
    if let Some(connection) = &node.connection {
        let times = &node.connection_times;
        let status = match connection {
            Connection::Connected => 1,
            Connection::Connecting => 0,
            Connection::Disconnected(_) => -1,
        };
        metrics.extend([
            ("connection_status", json!(status)),
            ("connection_last_connected_time", json!(times.connected)),
            ("connection_last_disconnected_time", json!(times.disconnected)),
            ("connection_last_disconnected_message", json!(times.reason)),
            ("connection_last_try_time", json!(times.tried)),
        ]);
    }
    metrics.into_iter().map(|(metric, value)| (format!("{}_{metric}", node.name), value)).collect()
}
