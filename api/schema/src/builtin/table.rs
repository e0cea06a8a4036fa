use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use edgeward_objects::{GroupVersionKind, ResourceType};

use crate::node::{Kind, Node};

/// The node of a built-in kind.
pub(crate) fn root(kind: &GroupVersionKind) -> Option<Arc<Node>> {
    let known = |resource: &ResourceType| {
        let own = *resource.group == *kind.group && *resource.version == *kind.version && resource.kind == kind.kind;
        own || resource.subresources.iter().any(|sub| sub.kind == *kind)
    };
    edgeward_objects::builtin().iter().find(|resource| known(resource))?;
    let full = format!("{}/{}", kind.api_version(), kind.kind);
    TABLE.nodes.get(TABLE.names.get(&*full).copied().unwrap_or(&kind.kind)).cloned()
}

/// The node of `metadata`, which custom resources share.
pub(crate) fn metadata() -> Arc<Node> {
    TABLE.nodes.get("ObjectMeta").cloned().unwrap_or_default()
}

struct Table {
    nodes: HashMap<&'static str, Arc<Node>>,
    /// Kinds whose type is not named like them.
    names: HashMap<&'static str, &'static str>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let lines = include_str!("types.txt").lines().filter(|line| !line.starts_with('#'));
    let (mut fields, mut names) = (HashMap::new(), HashMap::new());
    for line in lines {
        match line.split_once(" = ") {
            Some((kind, name)) => drop(names.insert(kind, name)),
            None => drop(line.split_once(' ').map(|(name, list)| fields.insert(name, list))),
        }
    }
    let mut nodes = HashMap::new();
    for name in fields.keys() {
        build(name, &fields, &mut nodes);
    }
    Table { nodes, names }
});

type Fields = HashMap<&'static str, &'static str>;
type Nodes = HashMap<&'static str, Arc<Node>>;

/// The node of a type, built once. The table has no type that contains itself.
fn build(name: &'static str, fields: &Fields, nodes: &mut Nodes) -> Arc<Node> {
    if let Some(node) = nodes.get(name) {
        return node.clone();
    }
    let mut node = Node { kind: Kind::Object, drops_null: true, ..Node::default() };
    for field in fields.get(name).copied().unwrap_or_default().split_whitespace() {
        let (field, kind) = field.split_once(':').unwrap_or((field, "string"));
        node.properties.insert(field.into(), value(kind, fields, nodes));
        if kind == "ObjectMeta" {
            for field in ["apiVersion", "kind"] {
                node.properties.insert(field.into(), value("string", fields, nodes));
            }
        }
    }
    let node = Arc::new(node);
    nodes.insert(name, node.clone());
    node
}

fn value(kind: &'static str, fields: &Fields, nodes: &mut Nodes) -> Arc<Node> {
    let scalar = match kind {
        "string" | "bytes" => Kind::String,
        "int" => Kind::Integer,
        "number" => Kind::Number,
        "bool" => Kind::Boolean,
        "time" => Kind::Time,
        "quantity" => Kind::Quantity,
        "intOrString" => Kind::IntOrString,
        "any" => Kind::Any,
        _ => return compound(kind, fields, nodes),
    };
    // One node per scalar kind serves all its fields.
    nodes.entry(kind).or_insert_with(|| Arc::new(Node { kind: scalar, ..Node::default() })).clone()
}

fn compound(kind: &'static str, fields: &Fields, nodes: &mut Nodes) -> Arc<Node> {
    if let Some(element) = kind.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let items = Some(value(element, fields, nodes));
        return Arc::new(Node { kind: Kind::Array, items, ..Node::default() });
    }
    if let Some(values) = kind.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let additional = Some(value(values, fields, nodes));
        return Arc::new(Node { kind: Kind::Object, drops_null: true, additional, ..Node::default() });
    }
    build(kind, fields, nodes)
}
