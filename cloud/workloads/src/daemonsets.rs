//! DaemonSet: one pod on every node it fits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Affinity, Node, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration,
};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource as _};
use serde_json::json;

use crate::controllers::Context;
use crate::deployments::absolute;
use crate::placement::{node_matches, untolerated};
use crate::replicasets::{delete_pod, unnamed};
use crate::{pods, template};
use edgeward_control::Level;
use edgeward_control::{Error, Key};

const HASH_LABEL: &str = "controller-revision-hash";

/// What every daemon puts up with, besides what its template says: a daemon is often what cures its node.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

pub(crate) async fn reconcile(context: Arc<Context>, key: Key) -> Result<Option<Duration>, Error> {
    let Some(set) = context.daemon_sets.get(&key) else { return Ok(None) };
    if !context.pods.is_listed() || !context.nodes.is_listed() {
        return Ok(Some(Duration::from_millis(50)));
    }
    let hash = template::hash(&set.spec.template, 0)?;
    if set.metadata.deletion_timestamp.is_none() {
        place(&context, &set, &hash).await?;
        replace_outdated(&context, &set, &hash).await?;
    }
    update_status(&context, &set, &hash).await
}

/// The set's pods by the node each is meant for.
fn pods_by_node(context: &Context, set: &DaemonSet) -> HashMap<String, Vec<Arc<Pod>>> {
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let mut by_node: HashMap<String, Vec<Arc<Pod>>> = HashMap::new();
    for pod in context.pods.find(uid) {
        if let Some(node) = pods::node_name(&pod).map(str::to_owned).or_else(|| intended_node(&pod)) {
            by_node.entry(node).or_default().push(pod);
        }
    }
    by_node
}

/// The node a daemon's affinity names before the scheduler has bound it.
fn intended_node(pod: &Pod) -> Option<String> {
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let field = required.node_selector_terms.first()?.match_fields.as_ref()?.first()?;
    field.values.as_ref()?.first().cloned()
}

/// Whether a daemon should be started on the node, and whether one that runs there may stay.
fn fits(set: &DaemonSet, node: &Node) -> (bool, bool) {
    let pod = daemon(set, node.metadata.name.as_deref().unwrap_or_default(), "");
    let matches = pod.spec.as_ref().is_some_and(|spec| node_matches(spec, node));
    let start = untolerated(&pod, node, &["NoSchedule", "NoExecute"]).is_none();
    let stay = untolerated(&pod, node, &["NoExecute"]).is_none();
    (matches && start, matches && stay)
}

async fn place(context: &Context, set: &DaemonSet, hash: &str) -> Result<(), Error> {
    let mut by_node = pods_by_node(context, set);
    for node in context.nodes.all() {
        let name = node.metadata.name.clone().unwrap_or_default();
        let mut here = by_node.remove(&name).unwrap_or_default();
        let (start, stay) = fits(set, &node);
        let active = here.iter().filter(|pod| pods::is_active(pod)).count();
        // A daemon that ended is replaced, a duplicate goes, and so does one whose node it no longer fits.
        here.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        here.sort_by_key(|pod| (pods::is_finished(pod), std::cmp::Reverse(pods::is_ready(pod))));
        let keep = usize::from(stay && active > 0);
        for pod in here.iter().skip(keep) {
            delete_pod(context, pod).await?;
        }
        if start && here.is_empty() && active == 0 && !is_ending(context, set, &name) {
            create(context, set, &name, hash).await?;
        }
    }
    // Pods of nodes that no longer exist.
    for pod in by_node.into_values().flatten().filter(|pod| pods::is_active(pod)) {
        delete_pod(context, &pod).await?;
    }
    Ok(())
}

/// Whether the node is still ending an earlier daemon, which may hold a host port or a lock that the next one needs.
fn is_ending(context: &Context, set: &DaemonSet, node: &str) -> bool {
    let by_node = pods_by_node(context, set);
    by_node.get(node).is_some_and(|pods| pods.iter().any(|pod| pod.metadata.deletion_timestamp.is_some()))
}

async fn create(context: &Context, set: &DaemonSet, node: &str, hash: &str) -> Result<(), Error> {
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let mut pod = daemon(set, node, hash);
    pod.metadata.owner_references = Some(vec![set.controller_owner_ref(&()).ok_or_else(|| unnamed("DaemonSet"))?]);
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    match api.create(&PostParams::default(), &pod).await {
        Ok(created) => {
            let name = created.metadata.name.clone().unwrap_or_default();
            context.pods.put(created);
            context.events.record(set, Level::Normal, "SuccessfulCreate", format!("Created pod: {name}")).await;
            Ok(())
        }
        Err(error) => {
            context.events.record(set, Level::Warning, "FailedCreate", format!("Error creating: {error}")).await;
            Err(error.into())
        }
    }
}

/// The pod for one node, without its owner.
fn daemon(set: &DaemonSet, node: &str, hash: &str) -> Pod {
    let owner = set.controller_owner_ref(&()).unwrap_or_default();
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let mut pod = pods::from_template(&set.spec.template, namespace, owner);
    pod.metadata.labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.to_owned());
    let spec = pod.spec.get_or_insert_default();
    bind_to(spec, node);
    let tolerations = spec.tolerations.get_or_insert_default();
    for (key, effect) in TOLERATED {
        let toleration = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    pod
}

/// Adds the node to every required term, so that the scheduler alone decides when it goes there.
fn bind_to(spec: &mut PodSpec, node: &str) {
    let requirement = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let affinity: &mut NodeAffinity =
        spec.affinity.get_or_insert_with(Affinity::default).node_affinity.get_or_insert_with(NodeAffinity::default);
    let required =
        affinity.required_during_scheduling_ignored_during_execution.get_or_insert_with(NodeSelector::default);
    if required.node_selector_terms.is_empty() {
        required.node_selector_terms.push(NodeSelectorTerm::default());
    }
    for term in &mut required.node_selector_terms {
        term.match_fields = Some(vec![requirement.clone()]);
    }
}

/// Rolling update: deletes pods of an older template, `maxUnavailable` at a time.
async fn replace_outdated(context: &Context, set: &DaemonSet, hash: &str) -> Result<(), Error> {
    let strategy = set.spec.update_strategy.as_ref();
    if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
        return Ok(());
    }
    let by_node = pods_by_node(context, set);
    let total = i32::try_from(by_node.len()).unwrap_or(i32::MAX);
    let limit = strategy.and_then(|strategy| strategy.rolling_update.as_ref()).and_then(|r| r.max_unavailable.as_ref());
    let limit = limit.map_or(1, |limit| absolute(limit, total, true)).max(1);
    let active: Vec<_> = by_node.into_values().flatten().filter(|pod| pods::is_active(pod)).collect();
    let unavailable = active.iter().filter(|pod| !pods::is_ready(pod)).count();
    let mut budget = limit - i32::try_from(unavailable).unwrap_or(i32::MAX);
    for pod in active.iter().filter(|pod| pods::labels(&***pod).get(HASH_LABEL).is_none_or(|of| of != hash)) {
        let ready = pods::is_ready(pod);
        if ready && budget <= 0 {
            continue;
        }
        delete_pod(context, pod).await?;
        budget -= i32::from(ready);
    }
    Ok(())
}

#[derive(Default, PartialEq)]
struct Counts {
    desired: i32,
    current: i32,
    misscheduled: i32,
    ready: i32,
    available: i32,
    updated: i32,
}

async fn update_status(context: &Context, set: &DaemonSet, hash: &str) -> Result<Option<Duration>, Error> {
    let (counts, wait) = count(context, set, hash);
    let held = set.status.as_ref();
    let shown = held.map(|status| Counts {
        desired: status.desired_number_scheduled,
        current: status.current_number_scheduled,
        misscheduled: status.number_misscheduled,
        ready: status.number_ready,
        available: status.number_available.unwrap_or(0),
        updated: status.updated_number_scheduled.unwrap_or(0),
    });
    let observed = held.and_then(|status| status.observed_generation) == set.metadata.generation;
    if shown.as_ref() != Some(&counts) || !observed {
        let positive = crate::replicasets::some_if_positive;
        let patch = json!({"status": {
            "observedGeneration": set.metadata.generation,
            "desiredNumberScheduled": counts.desired, "currentNumberScheduled": counts.current,
            "numberMisscheduled": counts.misscheduled, "numberReady": counts.ready,
            "numberAvailable": positive(counts.available),
            "numberUnavailable": positive(counts.desired - counts.available),
            "updatedNumberScheduled": positive(counts.updated),
        }});
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<DaemonSet> = Api::namespaced(context.client.clone(), namespace);
        let name = set.metadata.name.as_deref().unwrap_or_default();
        context.daemon_sets.put(api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await?);
    }
    Ok(wait)
}

fn count(context: &Context, set: &DaemonSet, hash: &str) -> (Counts, Option<Duration>) {
    let min_ready = set.spec.min_ready_seconds.unwrap_or(0);
    let by_node = pods_by_node(context, set);
    let (now, mut wait, mut counts) = (Timestamp::now(), None::<Duration>, Counts::default());
    for node in context.nodes.all() {
        let here = by_node.get(node.metadata.name.as_deref().unwrap_or_default());
        let pod = here.into_iter().flatten().find(|pod| pods::is_active(pod));
        // What runs on a node whose taint came later still belongs there.
        let (start, stay) = fits(set, &node);
        let wanted = start || stay && pod.is_some();
        counts.desired += i32::from(wanted);
        let Some(pod) = pod else { continue };
        if !wanted {
            counts.misscheduled += 1;
            continue;
        }
        counts.current += 1;
        counts.ready += i32::from(pods::is_ready(pod));
        counts.updated += i32::from(pods::labels(&**pod).get(HASH_LABEL).is_some_and(|of| of == hash));
        match pods::is_available(pod, min_ready, now) {
            Ok(available) => counts.available += i32::from(available),
            Err(seconds) => wait = Some(wait.unwrap_or(Duration::MAX).min(Duration::from_secs(seconds))),
        }
    }
    (counts, wait)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(taints: Value, labels: Value, expected: (bool, bool)) {
        let set: DaemonSet = serde_json::from_value(json!({
            "metadata": {"name": "d", "namespace": "n", "uid": "u"},
            "spec": {"selector": {}, "template": {"spec": {"nodeSelector": {"edge": "true"}, "containers": []}}},
        }))
        .expect("a DaemonSet");
        let node: Node =
            serde_json::from_value(json!({"metadata": {"name": "n1", "labels": labels}, "spec": {"taints": taints}}))
                .expect("a Node");
        assert_eq!(fits(&set, &node), expected, "{taints} {labels}");
    }

    #[test]
    fn a_daemon_goes_where_it_fits_and_stays_through_a_lost_link() {
        let edge = json!({"edge": "true"});
        check(json!([]), edge.clone(), (true, true));
        check(json!([]), json!({}), (false, false));
        let not_ready = |effect: &str| json!([{"key": "node.kubernetes.io/not-ready", "effect": effect}]);
        check(not_ready("NoSchedule"), edge.clone(), (false, true));
        check(not_ready("NoExecute"), edge.clone(), (true, true));
        check(json!([{"key": "mine", "effect": "NoExecute"}]), edge, (false, false));
    }

    #[test]
    fn every_term_of_an_affinity_is_bound_to_the_node() {
        let mut spec: PodSpec = serde_json::from_value(json!({"containers": [], "affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
            {"matchExpressions": [{"key": "b", "operator": "Exists"}]},
        ]}}}}))
        .expect("a spec");
        bind_to(&mut spec, "n1");
        let node = |name: &str, label: &str| {
            serde_json::from_value::<Node>(json!({"metadata": {"name": name, "labels": {label: ""}}})).expect("a node")
        };
        assert!(node_matches(&spec, &node("n1", "b")));
        assert!(!node_matches(&spec, &node("n1", "c")) && !node_matches(&spec, &node("n2", "a")));
    }
}
