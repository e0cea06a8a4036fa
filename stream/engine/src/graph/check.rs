//! What eKuiper refuses of a graph before it is planned: nodes without edges, and nodes whose input is of another kind than what
//! comes over their edges.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::{LONGEST, list, refuse, text};
use crate::EngineError;

/// What flows over an edge: rows one by one, or the rows of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Row,
    Collection,
}

impl Flow {
    fn name(self) -> &'static str {
        match self {
            Flow::Row => "row",
            Flow::Collection => "collection",
        }
    }
}

type Nodes = serde_json::Map<String, Json>;

/// Checks the nodes and edges of a graph.
///
/// # Errors
/// In eKuiper's words.
pub(super) fn check(nodes: &Nodes, topo: &Json) -> Result<(), EngineError> {
    let edges = |id: &str| topo.get("edges").and_then(|edges| edges.get(id)).and_then(Json::as_array);
    for source in list(topo, "sources").iter().filter_map(Json::as_str) {
        match nodes.get(source) {
            None => return refuse(format!("source node {source} not defined")),
            Some(node) if text(node, "type") != "source" => {
                return refuse(format!("node {source} is not a source"));
            }
            Some(_) if edges(source).is_none() => {
                return refuse(format!("no edge defined for source node {source}"));
            }
            Some(_) => {}
        }
    }
    for (id, node) in nodes {
        match text(node, "type") {
            "source" => {}
            "sink" if edges(id).is_some() => return refuse(format!("sink {id} has edge")),
            "sink" => {}
            "operator" if edges(id).is_none() => return refuse(format!("no edge defined for operator node {id}")),
            "operator" => known(text(node, "nodeType"))?,
            other => return refuse(format!("unknown node type {other}")),
        }
    }
    flows(nodes, topo)
}

fn known(kind: &str) -> Result<(), EngineError> {
    const KINDS: [&str; 11] = [
        "function",
        "aggfunc",
        "filter",
        "pick",
        "watermark",
        "window",
        "join",
        "groupby",
        "orderby",
        "switch",
        "script",
    ];
    if KINDS.contains(&kind.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    refuse(format!("unknown operator type {kind}"))
}

/// Follows the edges from the sources and compares what flows with what the next node takes.
fn flows(nodes: &Nodes, topo: &Json) -> Result<(), EngineError> {
    let mut known: HashMap<&str, Flow> = HashMap::new();
    let sources = nodes.iter().filter(|(_, node)| text(node, "type") == "source");
    let mut pending: Vec<(&str, Flow, usize)> = sources.map(|(id, _)| (id.as_str(), Flow::Row, 0)).collect();
    while let Some((id, flow, depth)) = pending.pop() {
        // A way that was followed with this flow needs not be followed again; circles are told elsewhere.
        if known.insert(id, flow) == Some(flow) || depth > LONGEST {
            continue;
        }
        let ends = topo.get("edges").and_then(|edges| edges.get(id)).and_then(Json::as_array).into_iter().flatten();
        let ends = ends.flat_map(|end| match end {
            Json::Array(ends) => ends.as_slice(),
            end => std::slice::from_ref(end),
        });
        for to in ends.filter_map(Json::as_str) {
            let Some(node) = nodes.get(to) else { return refuse(format!("node {to} is not defined")) };
            pending.push((to, through(node, flow, (id, to))?, depth + 1));
        }
    }
    Ok(())
}

/// What comes out of a node that gets `flow`.
fn through(node: &Json, flow: Flow, (from, to): (&str, &str)) -> Result<Flow, EngineError> {
    let props = node.get("props").unwrap_or(&Json::Null);
    let aggregates = props.get("isAgg").and_then(Json::as_bool).unwrap_or(false);
    let kind = text(node, "nodeType").to_ascii_lowercase();
    let needs = match kind.as_str() {
        _ if text(node, "type") != "operator" => return Ok(flow),
        "window" | "watermark" => Flow::Row,
        "aggfunc" | "groupby" | "orderby" => Flow::Collection,
        // Rows can be joined with tables outside of windows.
        "pick" | "script" if aggregates => Flow::Collection,
        _ => flow,
    };
    if needs != flow {
        let (needs, flow) = (needs.name(), flow.name());
        return refuse(format!(
            "node {from} output does not match node {to} input: input type mismatch, expect {needs}, got {flow}"
        ));
    }
    Ok(match kind.as_str() {
        "window" => Flow::Collection,
        "script" if aggregates => Flow::Row,
        _ => flow,
    })
}
