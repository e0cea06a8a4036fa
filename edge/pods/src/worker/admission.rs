//! What a node refuses to run. The scheduler has looked already; this catches what it could not know, and pods that
//! name a node themselves.

use std::collections::HashMap;
use std::fmt::Display;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parking_lot::Mutex;

use crate::pod;
use crate::resources::{self, Amounts};
use crate::status::Failure;

/// What admitted pods have asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) pods: usize,
    pub(crate) amounts: Amounts,
}

/// Admitted pods of the node and their requests, by uid.
#[derive(Debug, Default)]
pub(crate) struct Admitted(Mutex<HashMap<String, Amounts>>);

impl Admitted {
    pub(crate) fn insert(&self, uid: &str, requests: Amounts) {
        self.0.lock().insert(uid.to_owned(), requests);
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.0.lock().remove(uid);
    }

    /// All pods but this one.
    pub(super) fn others(&self, uid: &str) -> Taken {
        let admitted = self.0.lock();
        let mut taken = Taken::default();
        for (_, one) in admitted.iter().filter(|(other, _)| other.as_str() != uid) {
            taken.pods += 1;
            taken.amounts.cpu_millis = taken.amounts.cpu_millis.saturating_add(one.cpu_millis);
            taken.amounts.memory = taken.amounts.memory.saturating_add(one.memory);
        }
        taken
    }
}

/// Why the pod may not run on this node. Of a node that is not known yet only the number of pods counts: its object may
/// come later.
pub(super) fn refuse(pod: &Pod, node: Option<&Node>, taken: Taken, max_pods: usize) -> Option<Failure> {
    if taken.pods >= max_pods {
        return Some(too_little("pods", 1, taken.pods, max_pods));
    }
    let node = node?;
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let selector = pod::spec(pod).node_selector.iter().flatten();
    if selector.into_iter().any(|(key, value)| labels.get(key) != Some(value)) {
        let message =
            "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
        return Some(Failure { reason: "NodeAffinity".to_owned(), message: message.to_owned() });
    }
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref())?;
    let requests = resources::pod_requests(pod);
    let wanted = [
        ("cpu", requests.cpu_millis, taken.amounts.cpu_millis, resources::millis as fn(&Quantity) -> Option<i64>),
        ("memory", requests.memory, taken.amounts.memory, resources::bytes),
    ];
    wanted.into_iter().find_map(|(name, wanted, used, read)| {
        let all = allocatable.get(name).and_then(read)?;
        (wanted > 0 && used.saturating_add(wanted) > all).then(|| too_little(name, wanted, used, all))
    })
}

fn too_little(what: &str, wanted: impl Display, used: impl Display, all: impl Display) -> Failure {
    Failure {
        reason: format!("OutOf{what}"),
        message: format!(
            "Pod was rejected: Node didn't have enough resource: {what}, requested: {wanted}, used: {used}, capacity: {all}"
        ),
    }
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
            let refused = refuse(&pod, Some(&node), Taken::default(), 1).map(|failure| failure.reason);
            assert_eq!(refused.as_deref(), expected, "{spec}");
            assert_eq!(refuse(&pod, None, Taken::default(), 1), None);
        }
        // What others have counts.
        let spec =
            json!({ "containers": [{ "name": "c", "resources": { "requests": { "cpu": "1", "memory": "1" } } }] });
        let pod: Pod = serde_json::from_value(json!({ "spec": spec })).unwrap();
        let admitted = Admitted::default();
        let check = |expected: Option<&str>| {
            let refused = refuse(&pod, Some(&node), admitted.others("me"), 2).map(|failure| failure.reason);
            assert_eq!(refused.as_deref(), expected);
        };
        admitted.insert("me", Amounts { cpu_millis: 2000, memory: 1 << 30 });
        check(None);
        admitted.insert("a", Amounts { cpu_millis: 1000, memory: 0 });
        check(None);
        admitted.insert("a", Amounts { cpu_millis: 1001, memory: 0 });
        check(Some("OutOfcpu"));
        admitted.insert("a", Amounts { cpu_millis: 0, memory: 1 << 30 });
        check(Some("OutOfmemory"));
        admitted.insert("a", Amounts::default());
        admitted.insert("b", Amounts::default());
        check(Some("OutOfpods"));
        admitted.remove("b");
        check(None);
    }
}
