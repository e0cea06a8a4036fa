//! Graph rules (section 4.7 of eKuiper's rules): a rule drawn as nodes becomes one statement for each way to a sink.

mod check;
mod node;

use std::cell::Cell;
use std::collections::HashMap;

use edgeward_functions::format::GoText;
use edgeward_functions::json::{Numbers, parse};
use edgeward_sql::ast::{Expr, Select, SelectField, Source};
use edgeward_sql::{parse_expr, parse_select};
use serde_json::Value as Json;

use crate::EngineError;
use node::Query;

/// Longest way from a sink to its sources; a longer one is a circle or a mistake.
const LONGEST: usize = 64;

/// Most steps on all ways together: ways that part and meet again multiply.
const MOST_STEPS: usize = 100_000;

/// A rule drawn as a graph, as statements.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// One for each operator that feeds sinks.
    pub branches: Vec<Branch>,
    /// Sources defined in the graph itself, by the name statements read them by: a CREATE STREAM statement each.
    pub sources: Vec<(String, String)>,
}

/// A statement and where its messages go.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// What the nodes before the sinks do.
    pub select: Select,
    /// Type and properties of each sink.
    pub sinks: Vec<(String, Json)>,
}

/// Text of a member; empty when there is none.
fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json.get(key).and_then(Json::as_str).unwrap_or_default()
}

fn list<'a>(json: &'a Json, key: &str) -> &'a [Json] {
    json.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, EngineError> {
    Err(EngineError::Plan(reason.into()))
}

/// An edge: from a node, and of which case of a switch.
type Edge<'a> = (&'a str, Option<usize>);

/// The graph while it is read.
struct Reader<'a> {
    nodes: &'a serde_json::Map<String, Json>,
    /// Edges by where they lead, in the order written.
    incoming: HashMap<&'a str, Vec<Edge<'a>>>,
    steps: Cell<usize>,
}

impl Graph {
    /// Reads a rule's `graph`.
    ///
    /// # Errors
    /// A node is not understood, or no sink can be reached; the text names it.
    pub fn read(graph: &Json) -> Result<Graph, EngineError> {
        let Some(nodes) = graph.get("nodes").and_then(Json::as_object) else { return refuse("graph has no nodes") };
        let topo = graph.get("topo").unwrap_or(&Json::Null);
        check::check(nodes, topo)?;
        let reader = Reader { nodes, incoming: incoming(nodes, topo)?, steps: Cell::new(0) };
        let mut branches: Vec<(Edge<'_>, Branch)> = Vec::new();
        for (id, node) in nodes.iter().filter(|(_, node)| text(node, "type") == "sink") {
            let edges = reader.incoming.get(id.as_str()).map(Vec::as_slice).unwrap_or_default();
            if edges.is_empty() {
                return refuse(format!("sink {id} has no input"));
            }
            let sink = (text(node, "nodeType").to_string(), node.get("props").cloned().unwrap_or_default());
            for edge in edges {
                match branches.iter_mut().find(|(known, _)| known == edge) {
                    Some((_, branch)) => branch.sinks.push(sink.clone()),
                    None => {
                        let select = reader.query(*edge, 0)?.select()?;
                        branches.push((*edge, Branch { select, sinks: vec![sink.clone()] }));
                    }
                }
            }
        }
        if branches.is_empty() {
            return refuse("graph has no sink");
        }
        let inline = nodes.iter().filter(|(_, node)| text(node, "type") == "source");
        let sources = inline.filter_map(|(id, node)| Some((id.clone(), node::definition(id, node)?))).collect();
        Ok(Graph { branches: branches.into_iter().map(|(_, branch)| branch).collect(), sources })
    }
}

/// The edges by their ends; `topo.edges` holds ids, or for a switch one list of ids for each case.
fn incoming<'a>(
    nodes: &serde_json::Map<String, Json>,
    topo: &'a Json,
) -> Result<HashMap<&'a str, Vec<Edge<'a>>>, EngineError> {
    let mut incoming: HashMap<&str, Vec<Edge<'_>>> = HashMap::new();
    for (from, ends) in topo.get("edges").and_then(Json::as_object).into_iter().flatten() {
        for (case, end) in ends.as_array().into_iter().flatten().enumerate() {
            let (case, ends) = match end {
                Json::Array(ends) => (Some(case), ends.as_slice()),
                end => (None, std::slice::from_ref(end)),
            };
            for end in ends {
                let Some(to) = end.as_str() else { return refuse(format!("edge of {from} is no node name: {end}")) };
                incoming.entry(to).or_default().push((from, case));
            }
        }
    }
    let mut ends = incoming.iter().flat_map(|(to, edges)| edges.iter().map(|(from, _)| *from).chain([*to]));
    match ends.find(|id| !nodes.contains_key(*id)) {
        Some(id) => refuse(format!("node {id} is not defined")),
        None => Ok(incoming),
    }
}

impl<'a> Reader<'a> {
    /// What comes over an edge, as a query.
    fn query(&self, (id, case): Edge<'_>, depth: usize) -> Result<Query, EngineError> {
        self.steps.set(self.steps.get() + 1);
        let ends = depth < LONGEST && self.steps.get() < MOST_STEPS;
        let Some(node) = self.nodes.get(id).filter(|_| ends) else {
            return refuse(format!("the nodes before {id} go in a circle"));
        };
        let props = node.get("props").unwrap_or(&Json::Null);
        match text(node, "type") {
            "source" => return Ok(Query::of_source(node::source_name(id, props))),
            "operator" => {}
            other => return refuse(format!("node {id} of type {other} cannot have an output")),
        }
        let edges = self.incoming.get(id).map(Vec::as_slice).unwrap_or_default();
        let mut inputs = edges.iter().map(|edge| self.query(*edge, depth + 1));
        let Some(first) = inputs.next() else { return refuse(format!("operator {id} has no input")) };
        let mut query = first?;
        for input in inputs {
            query.merge(input?);
        }
        let kind = text(node, "nodeType");
        let applied = query.apply(kind, props, case);
        let told = |error| EngineError::Plan(format!("parse {kind} {id} with {} error: {error}", go_text(props)));
        applied.map_err(told)?;
        Ok(query)
    }
}

/// Properties as Go prints them.
fn go_text(props: &Json) -> String {
    let value = parse(props.to_string().as_bytes(), Numbers::WholeAsInt).unwrap_or_default();
    GoText(&value).to_string()
}

/// An expression of a property.
fn expression(json: &Json) -> Result<Expr, EngineError> {
    let Some(text) = json.as_str().filter(|text| !text.is_empty()) else { return refuse("an expression is missing") };
    Ok(parse_expr(text)?)
}

/// The fields of a select list.
fn fields(list: &str) -> Result<Vec<SelectField>, EngineError> {
    Ok(parse_select(&format!("SELECT {list} FROM s"))?.fields)
}

fn empty(source: &str) -> Select {
    Select {
        fields: Vec::new(),
        from: Source { name: source.into(), alias: None },
        joins: Vec::new(),
        condition: None,
        group_by: Vec::new(),
        window: None,
        having: None,
        order_by: Vec::new(),
        limit: None,
    }
}
