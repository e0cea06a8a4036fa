//! Whether and how well a pod fits a node, looking at that node alone.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use super::resources::{allocatable, requested, sum};
use crate::placement::{node_matches, term_matches, tolerating, untolerated};

/// The reason why the pod cannot go there, in the words kubectl users know.
pub(super) fn refuses(pod: &Pod, node: &Node, there: &[Arc<Pod>]) -> Option<String> {
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) && !tolerates_cordon(pod) {
        return Some("node(s) were unschedulable".to_owned());
    }
    if let Some(taint) = untolerated(pod, node, &["NoSchedule", "NoExecute"]) {
        let value = taint.value.as_deref().unwrap_or("");
        return Some(format!("node(s) had untolerated taint {{{}: {value}}}", taint.key));
    }
    if !pod.spec.as_ref().is_some_and(|spec| node_matches(spec, node)) {
        return Some("node(s) didn't match Pod's node affinity/selector".to_owned());
    }
    if host_ports(pod).any(|wanted| there.iter().any(|other| host_ports(other).any(|held| held == wanted))) {
        return Some("node(s) didn't have free ports for the requested pod ports".to_owned());
    }
    lacks(pod, node, there).map(|resource| match resource.as_str() {
        "pods" => "Too many pods".to_owned(),
        _ => format!("Insufficient {resource}"),
    })
}

fn tolerates_cordon(pod: &Pod) -> bool {
    let cordon = k8s_openapi::api::core::v1::Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Default::default()
    };
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    tolerating(tolerations, &cordon).is_some()
}

fn host_ports(pod: &Pod) -> impl Iterator<Item = (i32, &str)> {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let ports = containers.iter().flat_map(|container| container.ports.iter().flatten());
    ports.filter_map(|port| Some((port.host_port.filter(|port| *port > 0)?, port.protocol.as_deref().unwrap_or("TCP"))))
}

/// The first resource the node has too little of.
fn lacks(pod: &Pod, node: &Node, there: &[Arc<Pod>]) -> Option<String> {
    let (available, used) = (allocatable(node), sum(there.iter().map(|pod| &**pod)));
    let wanted = requested(pod);
    let short = wanted.into_iter().find(|(name, amount)| {
        *amount > 0 && used.get(name).copied().unwrap_or(0) + amount > available.get(name).copied().unwrap_or(0)
    });
    short.map(|(name, _)| name)
}

/// 0 to 100 for what stays free after the pod is there, plus the weights of preferences the node meets, minus 10 for
/// each taint that asks to be avoided.
pub(super) fn score(pod: &Pod, node: &Node, there: &[Arc<Pod>]) -> i64 {
    let (available, mut used) = (allocatable(node), sum(there.iter().map(|pod| &**pod)));
    for (name, amount) in requested(pod) {
        *used.entry(name).or_default() += amount;
    }
    let free = ["cpu", "memory", "pods"].iter().filter_map(|name| {
        let total = available.get(*name).copied().filter(|total| *total > 0)?;
        let left = (total - used.get(*name).copied().unwrap_or(0)).max(0);
        Some(left.saturating_mul(100) / total)
    });
    let free: Vec<i64> = free.collect();
    let balance = free.iter().sum::<i64>() / i64::try_from(free.len().max(1)).unwrap_or(1);
    balance + preferred(pod, node) - 10 * avoided(pod, node)
}

fn preferred(pod: &Pod, node: &Node) -> i64 {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref()).and_then(|a| a.node_affinity.as_ref());
    let terms = affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_deref());
    let met = terms.unwrap_or_default().iter().filter(|term| term_matches(&term.preference, node));
    met.map(|term| i64::from(term.weight)).sum()
}

fn avoided(pod: &Pod, node: &Node) -> i64 {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let count =
        taints.iter().filter(|t| t.effect == "PreferNoSchedule" && tolerating(tolerations, t).is_none()).count();
    i64::try_from(count).unwrap_or(i64::MAX / 100)
}
