//! Figures of all rules: CPU time, and counters as Prometheus reads them under eKuiper's names.

use std::fmt::Write as _;

use edgeward_engine::{Connection, NodeMetrics};
use serde_json::{Map, Value};

use crate::life::State;
use crate::registry::Registry;

/// A figure of a node: name, kind, help, value.
type Figure = (&'static str, &'static str, &'static str, fn(&NodeMetrics) -> Option<i64>);

const FIGURES: [Figure; 7] = [
    ("records_in_total", "counter", "Messages received", |node| Some(signed(node.records_in))),
    ("records_out_total", "counter", "Messages sent", |node| Some(signed(node.records_out))),
    ("messages_processed_total", "counter", "Messages worked on", |node| Some(signed(node.processed))),
    ("process_latency_us", "gauge", "Latency of the last message in microseconds", |node| {
        Some(signed(node.latency_us))
    }),
    ("buffer_length", "gauge", "Messages waiting", |node| Some(signed(node.buffer_length))),
    ("exceptions_total", "counter", "Messages that failed", |node| Some(signed(node.exceptions))),
    ("connection_status", "gauge", "1 connected, 0 connecting, -1 disconnected", |node| {
        node.connection.as_ref().map(|connection| match connection {
            Connection::Connected => 1,
            Connection::Connecting => 0,
            Connection::Disconnected(_) => -1,
        })
    }),
];

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// One rule as the figures need it.
struct Figures {
    id: String,
    state: State,
    cpu_seconds: f64,
    nodes: Vec<NodeMetrics>,
}

impl Registry {
    /// `GET /rules/usage/cpu`: milliseconds of work in the last 30 s by rule.
    pub(crate) fn cpu_usage(&self) -> Value {
        let rules: Vec<_> = self.rules.read().iter().map(|(id, rule)| (id.clone(), rule.clone())).collect();
        let ms = rules.into_iter().map(|(id, rule)| {
            let run = rule.life.lock().run.clone();
            let lately = run.map(|run| run.handle.busy().1).unwrap_or_default();
            (id, u64::try_from(lately.as_millis()).unwrap_or(u64::MAX).into())
        });
        ms.collect::<Map<_, _>>().into()
    }

    /// `GET /metrics`.
    pub(crate) fn prometheus(&self) -> String {
        let rules: Vec<_> = self.rules.read().iter().map(|(id, rule)| (id.clone(), rule.clone())).collect();
        let figures = rules.into_iter().map(|(id, rule)| {
            let (state, run) = {
                let life = rule.life.lock();
                (life.state, life.run.clone())
            };
            let cpu_seconds = run.as_ref().map_or(0.0, |run| run.handle.busy().0.as_secs_f64());
            let running = run.filter(|_| state == State::Running);
            Figures { id, state, cpu_seconds, nodes: running.map(|run| run.handle.metrics()).unwrap_or_default() }
        });
        let mut text = render(&figures.collect::<Vec<_>>());
        text.push_str(&edgeward_service::metrics::render());
        text
    }
}

fn render(rules: &[Figures]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let head = |out: &mut String, name: &str, kind: &str, help: &str| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    };
    for category in ["source", "op", "sink"] {
        let of_category = |node: &NodeMetrics| node.name.split('_').next() == Some(category);
        for (figure, kind, help, read) in FIGURES {
            let name = format!("kuiper_{category}_{figure}");
            let mut headed = false;
            for rule in rules {
                for node in rule.nodes.iter().filter(|node| of_category(node)) {
                    let Some(value) = read(node) else { continue };
                    if !std::mem::replace(&mut headed, true) {
                        head(&mut out, &name, kind, help);
                    }
                    let (op, instance) = node.name.rsplit_once('_').unwrap_or((&node.name, "0"));
                    let _ = writeln!(
                        out,
                        "{name}{{rule=\"{}\",type=\"{category}\",op=\"{}\",op_instance=\"{instance}\"}} {value}",
                        rule.id,
                        escaped(op)
                    );
                }
            }
        }
    }
    head(&mut out, "kuiper_rule_count", "gauge", "Rules by state");
    let running = rules.iter().filter(|rule| rule.state == State::Running).count();
    let _ = writeln!(out, "kuiper_rule_count{{status=\"running\"}} {running}");
    let _ = writeln!(out, "kuiper_rule_count{{status=\"stop\"}} {}", rules.len() - running);
    head(&mut out, "kuiper_rule_status", "gauge", "1 running, 0 stopped, -1 stopped by error");
    for rule in rules {
        let status = match rule.state {
            State::Running => 1,
            State::StoppedByError => -1,
            _ => 0,
        };
        let _ = writeln!(out, "kuiper_rule_status{{rule=\"{}\"}} {status}", rule.id);
    }
    head(&mut out, "kuiper_rule_cpu_time_seconds_total", "counter", "Time a rule has worked");
    for rule in rules {
        let _ = writeln!(out, "kuiper_rule_cpu_time_seconds_total{{rule=\"{}\"}} {:.6}", rule.id, rule.cpu_seconds);
    }
    out
}

/// A label's value. Ids of rules need none of it; topics in stream names may.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped_by_name() {
        let node = |name: &str, count| NodeMetrics { name: name.into(), records_in: count, ..NodeMetrics::default() };
        let rule = |id: &str, state| Figures {
            id: id.into(),
            state,
            cpu_seconds: 0.5,
            nodes: vec![node("source_a\"b_0", 3), node("op_2_filter_0", 4)],
        };
        let text = render(&[rule("r1", State::Running), rule("r2", State::StoppedByError)]);
        for line in [
            "# TYPE kuiper_source_records_in_total counter\n\
             kuiper_source_records_in_total{rule=\"r1\",type=\"source\",op=\"source_a\\\"b\",op_instance=\"0\"} 3\n\
             kuiper_source_records_in_total{rule=\"r2\"",
            "kuiper_op_records_in_total{rule=\"r1\",type=\"op\",op=\"op_2_filter\",op_instance=\"0\"} 4\n",
            "kuiper_rule_count{status=\"running\"} 1\nkuiper_rule_count{status=\"stop\"} 1\n",
            "kuiper_rule_status{rule=\"r1\"} 1\nkuiper_rule_status{rule=\"r2\"} -1\n",
            "kuiper_rule_cpu_time_seconds_total{rule=\"r1\"} 0.500000\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("kuiper_sink_") && !text.contains("connection_status"), "{text}");
    }
}
