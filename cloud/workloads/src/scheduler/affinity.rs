//! Affinity between pods, and spreading: whether and how well a pod fits a node, looking at all nodes.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, PodAffinityTerm};

use crate::placement::selects;
use crate::pods;
use edgeward_control::controller_of;

type Nodes = [(Arc<Node>, Vec<Arc<Pod>>)];

pub(super) fn refuses(pod: &Pod, node: &Node, nodes: &Nodes) -> Option<String> {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
    let near = affinity.and_then(|affinity| affinity.pod_affinity.as_ref());
    let near = near.and_then(|terms| terms.required_during_scheduling_ignored_during_execution.as_deref());
    for term in near.unwrap_or_default() {
        // The first of a group that wants to be together has nobody to join yet.
        let first = term_selects(term, pod, pod)
            && !nodes.iter().flat_map(|(_, pods)| pods).any(|other| term_selects(term, pod, other));
        if !first && !neighbours(node, term, nodes).any(|other| term_selects(term, pod, other)) {
            return Some("node(s) didn't match pod affinity rules".to_owned());
        }
    }
    let apart = repelling(pod);
    if apart.iter().any(|term| neighbours(node, term, nodes).any(|other| term_selects(term, pod, other))) {
        return Some("node(s) didn't match pod anti-affinity rules".to_owned());
    }
    // Those who are there already may not want this one.
    let everyone = nodes.iter().flat_map(|(there, pods)| pods.iter().map(move |other| (there, other)));
    for (there, other) in everyone {
        let rejects =
            |term: &&PodAffinityTerm| same_domain(node, there, &term.topology_key) && term_selects(term, other, pod);
        if repelling(other).iter().any(|term| rejects(&term)) {
            return Some("node(s) didn't satisfy existing pods anti-affinity rules".to_owned());
        }
    }
    None
}

fn repelling(pod: &Pod) -> &[PodAffinityTerm] {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
    let apart = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
    apart.and_then(|terms| terms.required_during_scheduling_ignored_during_execution.as_deref()).unwrap_or_default()
}

/// Whether `other` is one of those that `term`, written on `owner`, speaks of.
fn term_selects(term: &PodAffinityTerm, owner: &Pod, other: &Pod) -> bool {
    let namespaces = term.namespaces.as_deref().unwrap_or_default();
    let namespace = other.metadata.namespace.as_deref().unwrap_or_default();
    let here = if namespaces.is_empty() && term.namespace_selector.is_none() {
        owner.metadata.namespace.as_deref().unwrap_or_default() == namespace
    } else {
        // Namespace labels are not looked at: an empty selector means all namespaces, as most people write it.
        namespaces.iter().any(|name| name == namespace) || term.namespace_selector.is_some()
    };
    here && selects(term.label_selector.as_ref(), pods::labels(other))
}

fn same_domain(one: &Node, other: &Node, topology_key: &str) -> bool {
    let value = |node: &Node| pods::labels(node).get(topology_key).cloned();
    value(one).is_some_and(|one| value(other) == Some(one))
}

/// The pods in the same topology domain as `node`.
fn neighbours<'a>(node: &'a Node, term: &'a PodAffinityTerm, nodes: &'a Nodes) -> impl Iterator<Item = &'a Pod> {
    let near = nodes.iter().filter(|(other, _)| same_domain(node, other, &term.topology_key));
    near.flat_map(|(_, pods)| pods.iter().map(|pod| &**pod))
}

/// Siblings spread over the nodes; preferred affinities count with their weights.
pub(super) fn score(pod: &Pod, node: &Node, nodes: &Nodes) -> i64 {
    let owner = controller_of(pod).map(|owner| &owner.uid);
    let here = nodes.iter().filter(|(other, _)| other.metadata.name == node.metadata.name).flat_map(|(_, pods)| pods);
    let siblings = here.filter(|other| owner.is_some() && controller_of(&***other).map(|owner| &owner.uid) == owner);
    let siblings = i64::try_from(siblings.count()).unwrap_or(0);
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
    let near = affinity
        .and_then(|a| a.pod_affinity.as_ref())
        .and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_deref());
    let apart = affinity
        .and_then(|a| a.pod_anti_affinity.as_ref())
        .and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_deref());
    let weigh = |terms: &[k8s_openapi::api::core::v1::WeightedPodAffinityTerm]| -> i64 {
        let met = terms.iter().filter(|term| {
            neighbours(node, &term.pod_affinity_term, nodes)
                .any(|other| term_selects(&term.pod_affinity_term, pod, other))
        });
        met.map(|term| i64::from(term.weight)).sum()
    };
    weigh(near.unwrap_or_default()) - weigh(apart.unwrap_or_default()) - 20 * siblings
}
