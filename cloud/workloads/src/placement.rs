//! Where a pod may run: selectors, node affinity, taints and tolerations. Shared by the scheduler, the DaemonSet
//! controller and eviction; pure functions.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Taint, Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::pods;

/// Whether a label selector matches. An absent selector matches nothing; an empty one matches everything.
pub(crate) fn selects(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector else { return false };
    let equal = selector.match_labels.iter().flatten().all(|(name, value)| labels.get(name) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|requirement| {
            let values = requirement.values.as_deref().unwrap_or_default();
            matches_set(&requirement.operator, labels.get(&requirement.key).map(String::as_str), values)
        })
}

/// The operators that label selectors and node selectors share.
fn matches_set(operator: &str, actual: Option<&str>, values: &[String]) -> bool {
    let among = |actual: &str| values.iter().any(|value| value == actual);
    match operator {
        "In" => actual.is_some_and(among),
        "NotIn" => !actual.is_some_and(among),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        _ => false,
    }
}

/// `spec.nodeSelector` and the required part of `spec.affinity.nodeAffinity`.
pub(crate) fn node_matches(spec: &PodSpec, node: &Node) -> bool {
    let labels = pods::labels(node);
    let selected = spec.node_selector.iter().flatten().all(|(name, value)| labels.get(name) == Some(value));
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    selected && required.is_none_or(|required| node_selector_matches(required, node))
}

/// Terms are alternatives.
fn node_selector_matches(selector: &NodeSelector, node: &Node) -> bool {
    selector.node_selector_terms.iter().any(|term| term_matches(term, node))
}

/// Requirements of a term must all hold; a term without any matches no node.
pub(crate) fn term_matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let (expressions, fields) = (term.match_expressions.as_deref(), term.match_fields.as_deref());
    let (expressions, fields) = (expressions.unwrap_or_default(), fields.unwrap_or_default());
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let labels = pods::labels(node);
    let field = |key: &str| if key == "metadata.name" { node.metadata.name.as_deref() } else { None };
    expressions.iter().all(|wanted| requirement_holds(wanted, labels.get(&wanted.key).map(String::as_str)))
        && fields.iter().all(|wanted| requirement_holds(wanted, field(&wanted.key)))
}

fn requirement_holds(wanted: &NodeSelectorRequirement, actual: Option<&str>) -> bool {
    let values = wanted.values.as_deref().unwrap_or_default();
    let numbers = || Some((actual?.parse::<i64>().ok()?, values.first()?.parse::<i64>().ok()?));
    match wanted.operator.as_str() {
        "Gt" => numbers().is_some_and(|(actual, bound)| actual > bound),
        "Lt" => numbers().is_some_and(|(actual, bound)| actual < bound),
        operator => matches_set(operator, actual, values),
    }
}

/// The first toleration that puts up with `taint`.
pub(crate) fn tolerating<'a>(tolerations: &'a [Toleration], taint: &Taint) -> Option<&'a Toleration> {
    tolerations.iter().find(|toleration| tolerates(toleration, taint))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let said = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
    let effect = said(&toleration.effect).is_none_or(|effect| effect == taint.effect);
    let key = said(&toleration.key);
    let exists = toleration.operator.as_deref() == Some("Exists");
    let key_fits = match &key {
        Some(key) => *key == taint.key,
        None => exists,
    };
    let value_fits = exists || toleration.value.as_deref().unwrap_or("") == taint.value.as_deref().unwrap_or("");
    effect && key_fits && value_fits
}

/// The first taint with one of `effects` that the pod does not tolerate.
pub(crate) fn untolerated<'a>(pod: &Pod, node: &'a Node, effects: &[&str]) -> Option<&'a Taint> {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    taints.iter().find(|taint| effects.contains(&taint.effect.as_str()) && tolerating(tolerations, taint).is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).expect("valid")
    }

    #[test]
    fn label_selectors() {
        let labels = BTreeMap::from([("app".to_owned(), "a".to_owned()), ("tier".to_owned(), "x".to_owned())]);
        let cases = [
            (json!({}), true),
            (json!({"matchLabels": {"app": "a"}}), true),
            (json!({"matchLabels": {"app": "b"}}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["b", "a"]}]}), true),
            (json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}), false),
            (json!({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["a"]}]}), true),
            (json!({"matchExpressions": [{"key": "none", "operator": "DoesNotExist"}]}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "Gt", "values": ["1"]}]}), false),
        ];
        for (selector, expected) in cases {
            assert_eq!(selects(Some(&from(selector.clone())), &labels), expected, "{selector}");
        }
        assert!(!selects(None, &labels));
    }

    #[test]
    fn node_terms() {
        let node: Node = from(json!({"metadata": {"name": "n1", "labels": {"zone": "f1", "cores": "8"}}}));
        let term = |expressions: Value, fields: Value| json!({"matchExpressions": expressions, "matchFields": fields});
        let one =
            |key: &str, operator: &str, values: Value| json!([{"key": key, "operator": operator, "values": values}]);
        let cases = [
            (term(json!([]), json!([])), false),
            (term(one("zone", "In", json!(["f1"])), json!([])), true),
            (term(one("cores", "Gt", json!(["4"])), json!([])), true),
            (term(one("cores", "Lt", json!(["4"])), json!([])), false),
            (term(one("cores", "Gt", json!(["many"])), json!([])), false),
            (term(json!([]), one("metadata.name", "In", json!(["n1"]))), true),
            (term(one("zone", "In", json!(["f1"])), one("metadata.name", "In", json!(["n2"]))), false),
        ];
        for (term, expected) in cases {
            assert_eq!(term_matches(&from(term.clone()), &node), expected, "{term}");
        }
    }

    #[test]
    fn tolerations() {
        let taint: Taint = from(json!({"key": "a", "value": "v", "effect": "NoExecute"}));
        let cases = [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "a", "operator": "Exists"}), true),
            (json!({"key": "a", "operator": "Exists", "effect": "NoSchedule"}), false),
            (json!({"key": "a", "value": "v"}), true),
            (json!({"key": "a", "operator": "Equal", "value": "w"}), false),
            (json!({"key": "b", "operator": "Exists"}), false),
            (json!({"value": "v"}), false),
        ];
        for (toleration, expected) in cases {
            assert_eq!(tolerates(&from(toleration.clone()), &taint), expected, "{toleration}");
        }
    }
}
