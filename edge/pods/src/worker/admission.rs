//! What a node refuses to run. The scheduler has looked already; this catches what it could not know, and pods that
//! name a node themselves.

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::status::Failure;
use crate::{pod, resources};

/// Why the pod may not run on this node. Pods of no known node are admitted: the node's object may come later.
pub(super) fn refuse(pod: &Pod, node: Option<&Node>) -> Option<Failure> {
    let node = node?;
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let selector = pod::spec(pod).node_selector.iter().flatten();
    if selector.into_iter().any(|(key, value)| labels.get(key) != Some(value)) {
        return Some(Failure {
            reason: "NodeAffinity".to_owned(),
            message:
                "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
                    .to_owned(),
        });
    }
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref())?;
    let requests = resources::pod_requests(pod);
    let wanted =
        [("cpu", i128::from(requests.cpu_millis) * 1_000_000), ("memory", i128::from(requests.memory) * 1_000_000_000)];
    let too_much = wanted.into_iter().find(|(name, wanted)| {
        allocatable.get(*name).and_then(|quantity| resources::nanos(&quantity.0)).is_some_and(|all| *wanted > all)
    })?;
    let all = &allocatable.get(too_much.0)?.0;
    Some(Failure {
        reason: format!("OutOf{}", too_much.0),
        message: format!(
            "Pod was rejected: Node didn't have enough resource: {}, the pod asks for more than all of {all}",
            too_much.0
        ),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_that_cannot_run_here_are_refused() {
        let node = json!({ "metadata": { "labels": { "zone": "a" } }, "status": { "allocatable": { "cpu": "2", "memory": "1Gi" } } });
        let node: Node = serde_json::from_value(node).unwrap();
        let cases = [
            (json!({ "containers": [] }), None),
            (json!({ "containers": [], "nodeSelector": { "zone": "a" } }), None),
            (json!({ "containers": [], "nodeSelector": { "zone": "b" } }), Some("NodeAffinity")),
            (json!({ "containers": [{ "name": "c", "resources": { "requests": { "cpu": "2" } } }] }), None),
            (
                json!({ "containers": [{ "name": "c", "resources": { "requests": { "cpu": "2001m" } } }] }),
                Some("OutOfcpu"),
            ),
            (
                json!({ "containers": [{ "name": "c", "resources": { "limits": { "memory": "2Gi" } } }] }),
                Some("OutOfmemory"),
            ),
        ];
        for (spec, expected) in cases {
            let pod: Pod = serde_json::from_value(json!({ "spec": spec })).unwrap();
            let refused = refuse(&pod, Some(&node)).map(|failure| failure.reason);
            assert_eq!(refused.as_deref(), expected, "{spec}");
            assert_eq!(refuse(&pod, None), None);
        }
    }
}
