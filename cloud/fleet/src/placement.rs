//! Which node a device belongs to.

use edgeward_objects::NodeSelector;
use k8s_openapi::api::core::v1::Node;
use kube::api::DynamicObject;

use crate::Context;
use crate::document;

/// What became of a device's wish for a node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// It is on this node.
    On(String),
    /// It is on no node, for this reason and in these words.
    Nowhere(&'static str, String),
}

/// Places a device: by name, else by selector; a node that still matches is kept.
pub(crate) fn place(context: &Context, device: &DynamicObject) -> Placement {
    let exists = |name: &str| context.nodes.get(&edgeward_control::Key::new("", name)).is_some();
    if let Some(node) = document::node_name(device) {
        return if exists(node) {
            Placement::On(node.to_owned())
        } else {
            Placement::Nowhere("NodeNotFound", format!("node {node:?} does not exist; it waits for the node to join"))
        };
    }
    let Some(selector) = document::selector(device) else {
        return Placement::Nowhere("NoNode", "set spec.nodeName (v1beta1) or spec.nodeSelector (v1alpha2)".to_owned());
    };
    let selector = match NodeSelector::from_value(selector) {
        Ok(selector) => selector,
        Err(error) => return Placement::Nowhere("BadSelector", format!("spec.nodeSelector: {error}")),
    };
    let load = |name: &str| context.devices.find(&document::node_term(name)).len();
    let nodes = context.nodes.all();
    match choose(nodes.iter().map(AsRef::as_ref), &selector, document::annotated(device), load) {
        Some(node) => Placement::On(node.to_owned()),
        None => Placement::Nowhere("NoNodeMatches", "no node matches spec.nodeSelector; label a node".to_owned()),
    }
}

/// The present node if it matches; else a matching node: ready ones first, then the one with the fewest devices.
fn choose<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    selector: &NodeSelector,
    current: Option<&str>,
    load: impl Fn(&str) -> usize,
) -> Option<&'a str> {
    let name = |node: &'a Node| node.metadata.name.as_deref().unwrap_or_default();
    let fits = |node: &Node| {
        let labels = node.metadata.labels.as_ref();
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
        node.metadata.deletion_timestamp.is_none()
            && selector.matches(node.metadata.name.as_deref().unwrap_or_default(), label)
    };
    let fitting: Vec<&Node> = nodes.filter(|node| fits(node)).collect();
    let kept = fitting.iter().find(|node| current == Some(name(node)));
    let best = || fitting.iter().min_by_key(|node| (!is_ready(node), load(name(node)), name(node)));
    kept.or_else(best).map(|node| name(node))
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, zone: &str, ready: bool) -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"zone": zone}},
            "status": {"conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}
        }))
        .unwrap()
    }

    #[test]
    fn a_node_is_chosen_and_kept() {
        let nodes = [node("a", "1", false), node("b", "1", true), node("c", "1", true), node("d", "2", true)];
        let check = |values: &[&str], current: Option<&str>, busy: &str, expect: Option<&str>| {
            let selector = json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": values}]}]});
            let selector = NodeSelector::from_value(&selector).unwrap();
            let load = |name: &str| usize::from(name == busy);
            assert_eq!(choose(nodes.iter(), &selector, current, load), expect, "{values:?} {current:?} {busy}");
        };
        check(&["1"], None, "", Some("b"));
        check(&["1"], None, "b", Some("c"));
        check(&["1"], Some("c"), "c", Some("c"));
        check(&["1"], Some("a"), "", Some("a"));
        check(&["2"], Some("a"), "", Some("d"));
        check(&["3"], Some("a"), "", None);
    }
}
