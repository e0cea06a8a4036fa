//! Questions that all controllers ask of a pod, and making one from a template.

use std::collections::BTreeMap;

use edgeward_control::controller_of;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::api::ObjectMeta;

/// Annotation by which a user keeps a workload's pods where they are while their node is cut off. OpenYurt reads such a
/// wish only from nodes; the lab puts it on the workload (docs/differences.md).
pub(crate) const AUTONOMY: &str = "openyurt.io/autonomy";

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// Counts towards its owner's replicas.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && pod.metadata.deletion_timestamp.is_none()
}

pub(crate) fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub(crate) fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty())
}

pub(crate) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Ready for at least `min_ready_seconds`. `Err` tells in how many seconds it will be.
pub(crate) fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> Result<bool, u64> {
    let Some(ready) = condition(pod, "Ready").filter(|ready| ready.status == "True") else { return Ok(false) };
    if min_ready_seconds <= 0 {
        return Ok(true);
    }
    let since = ready.last_transition_time.as_ref().map_or(0, |time| now.as_second() - time.0.as_second());
    let missing = i64::from(min_ready_seconds) - since;
    if missing <= 0 { Ok(true) } else { Err(u64::try_from(missing).unwrap_or(1)) }
}

pub(crate) fn labels<K: Resource>(object: &K) -> &BTreeMap<String, String> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    object.meta().labels.as_ref().unwrap_or(&NONE)
}

pub(crate) fn annotation<'a, K: Resource>(object: &'a K, name: &str) -> Option<&'a str> {
    object.meta().annotations.as_ref()?.get(name).map(String::as_str)
}

pub(crate) fn wants_autonomy<K: Resource>(object: &K) -> bool {
    annotation(object, AUTONOMY) == Some("true")
}

/// A pod to be created from `template` for `owner`; the server completes the name.
pub(crate) fn from_template(template: &PodTemplateSpec, namespace: &str, owner: OwnerReference) -> Pod {
    let meta = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", owner.name)),
            namespace: Some(namespace.to_owned()),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// The order in which surplus pods go: those that cost least to lose first (unplaced, pending, not ready, youngest).
pub(crate) fn deletion_rank(pod: &Pod) -> (bool, u8, bool, std::cmp::Reverse<i64>) {
    let phase_rank = match phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let created = pod.metadata.creation_timestamp.as_ref().map_or(i64::MAX, |time| time.0.as_second());
    (node_name(pod).is_some(), phase_rank, is_ready(pod), std::cmp::Reverse(created))
}

/// Index terms of a pod in its cache: its controller's uid and its node.
pub(crate) fn index(pod: &Pod) -> Vec<String> {
    let mut terms = Vec::with_capacity(2);
    if let Some(owner) = controller_of(pod) {
        terms.push(owner.uid.clone());
    }
    if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
        terms.push(node_term(node));
    }
    terms
}

/// The index term under which the pods of a node are found.
pub(crate) fn node_term(node: &str) -> String {
    format!("node/{node}")
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn pod(value: Value) -> Pod {
        serde_json::from_value(value).expect("a pod")
    }

    #[test]
    fn surplus_pods_go_cheapest_first() {
        let with = |name: &str, node: &str, phase: &str, ready: &str, created: &str| {
            pod(json!({
                "metadata": {"name": name, "creationTimestamp": created},
                "spec": {"nodeName": node, "containers": []},
                "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
            }))
        };
        let mut pods = [
            with("old", "n", "Running", "True", "2026-01-01T00:00:00Z"),
            with("young", "n", "Running", "True", "2026-02-01T00:00:00Z"),
            with("unready", "n", "Running", "False", "2026-01-01T00:00:00Z"),
            with("pending", "n", "Pending", "False", "2026-01-01T00:00:00Z"),
            with("unplaced", "", "Pending", "False", "2026-01-01T00:00:00Z"),
        ];
        pods.sort_by_key(deletion_rank);
        let names: Vec<_> = pods.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
        assert_eq!(names, ["unplaced", "pending", "unready", "young", "old"]);
    }

    #[test]
    fn availability_waits_for_the_minimum() {
        let now = "2026-01-01T00:01:00Z".parse().expect("a time");
        let since = |at: &str| {
            pod(json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at}]}}))
        };
        assert_eq!(is_available(&since("2026-01-01T00:00:00Z"), 60, now), Ok(true));
        assert_eq!(is_available(&since("2026-01-01T00:00:50Z"), 60, now), Err(50));
        assert_eq!(is_available(&since("2026-01-01T00:01:00Z"), 0, now), Ok(true));
        assert_eq!(is_available(&pod(json!({})), 0, now), Ok(false));
    }
}
