//! Status and topology of a rule in eKuiper's flat form.

use edgeward_engine::{Connection, NodeMetrics, timestamp_ms};
use serde_json::{Map, Value, json};

use crate::error::{Code, Result, RulesError};
use crate::registry::{Rule, State};

/// `GET /rules/{id}/status`: state and counters, keys in eKuiper's order.
pub(crate) fn of(rule: &Rule) -> Value {
    let life = rule.life.lock();
    let mut status = Map::new();
    status.insert("status".into(), life.state.text().into());
    status.insert("message".into(), life.message.clone().into());
    status.insert("lastStartTimestamp".into(), life.last_start.into());
    status.insert("lastStopTimestamp".into(), life.last_stop.into());
    status.insert("nextStartTimestamp".into(), life.next_start.into());
    let run = life.run.clone().filter(|_| life.state == State::Running);
    drop(life);
    for node in run.iter().flat_map(|run| run.handle.metrics()) {
        describe(&node, &mut status);
    }
    status.into()
}

/// `GET /v2/rules/{id}/status`: the same, with the metrics of each node in an object of its own.
pub(crate) fn structured(rule: &Rule) -> Value {
    let Value::Object(flat) = of(rule) else { return Value::Null };
    let (mut status, mut nodes) = (Map::new(), Map::new());
    let run = rule.life.lock().run.clone();
    let names: Vec<String> =
        run.iter().flat_map(|run| run.handle.metrics()).map(|node| format!("{}_", node.name)).collect();
    for (key, value) in flat {
        match names.iter().find_map(|name| Some((name, key.strip_prefix(name.as_str())?))) {
            None => drop(status.insert(key, value)),
            Some((name, metric)) => {
                let node = nodes.entry(name.trim_end_matches('_')).or_insert_with(|| json!({}));
                node[metric] = value;
            }
        }
    }
    status.insert("metrics".into(), nodes.into());
    status.into()
}

fn describe(node: &NodeMetrics, status: &mut Map<String, Value>) {
    let mut put = |metric: &str, value: Value| drop(status.insert(format!("{}_{metric}", node.name), value));
    put("records_in_total", node.records_in.into());
    put("records_out_total", node.records_out.into());
    put("messages_processed_total", node.processed.into());
    put("process_latency_us", node.latency_us.into());
    put("buffer_length", node.buffer_length.into());
    put("last_invocation", invocation(node.last_invocation));
    put("exceptions_total", node.exceptions.into());
    put("last_exception", node.last_exception.clone().into());
    put("last_exception_time", node.last_exception_time.into());
    if let Some(connection) = &node.connection {
        let (state, message) = match connection {
            Connection::Connected => (1, ""),
            Connection::Connecting => (0, ""),
            Connection::Disconnected(reason) => (-1, reason.as_str()),
        };
        put("connection_status", state.into());
        put("connection_last_disconnected_message", message.into());
    }
}

fn invocation(at: i64) -> Value {
    match at {
        0 => 0.into(),
        at => timestamp_ms(at).strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string().into(),
    }
}

/// `GET /rules/{id}/topo`: `{sources:[…], edges:{node:[…]}}`.
pub(crate) fn topo(rule: &Rule) -> Result<Value> {
    let run = rule.life.lock().run.clone();
    let never = || RulesError::refused(Code::Rule, "Fail to get rule topo, make sure the rule has been started before");
    let names: Vec<String> =
        run.ok_or_else(never)?.handle.metrics().into_iter().map(|node| node_name(&node.name)).collect();
    let of = |prefix: &str| -> Vec<String> { names.iter().filter(|name| name.starts_with(prefix)).cloned().collect() };
    let (sources, operators, sinks) = (of("source_"), of("op_"), of("sink_"));
    let mut edges = Map::new();
    let first = operators.first().map_or_else(|| sinks.clone(), |first| vec![first.clone()]);
    for source in &sources {
        edges.insert(source.clone(), first.clone().into());
    }
    for pair in operators.windows(2) {
        edges.insert(pair[0].clone(), vec![pair[1].clone()].into());
    }
    if let Some(last) = operators.last() {
        edges.insert(last.clone(), sinks.into());
    }
    Ok(json!({"sources": sources, "edges": edges}))
}

/// A node's name without its instance.
fn node_name(instance: &str) -> String {
    instance.strip_suffix("_0").unwrap_or(instance).to_owned()
}
