//! The scheduler: binds each pod that has no node to the node that fits it best.
//!
//! Pods are taken one at a time, so that each decision sees the one before it: at this size a decision costs
//! microseconds, and the binding itself runs beside the next decision.

mod affinity;
mod fit;
mod resources;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use parking_lot::Mutex;
use serde_json::json;

use crate::controllers::Context;
use crate::pods;
use edgeward_control::Level;
use edgeward_control::{Error, Key};

pub(crate) const SCHEDULER_NAME: &str = "default-scheduler";

/// Nodes decided on but not yet seen in the cache.
#[derive(Default)]
pub(crate) struct Assumed {
    by_pod: Mutex<HashMap<Key, String>>,
}

impl Assumed {
    /// The node a pod is on, or was just decided to go to.
    fn node_of(&self, pod: &Pod) -> Option<String> {
        pods::node_name(pod).map(str::to_owned).or_else(|| self.by_pod.lock().get(&Key::of(pod)).cloned())
    }

    /// The cache has caught up with a binding, or the pod is gone.
    pub(crate) fn settle(&self, pod: &Key) {
        self.by_pod.lock().remove(pod);
    }
}

/// Whether this pod is ours to place.
pub(crate) fn wants_node(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    pods::node_name(pod).is_none()
        && pods::is_active(pod)
        && spec.scheduler_name.as_deref().unwrap_or(SCHEDULER_NAME) == SCHEDULER_NAME
        && spec.scheduling_gates.as_deref().unwrap_or_default().is_empty()
}

pub(crate) async fn reconcile(context: Arc<Context>, key: Key) -> Result<Option<Duration>, Error> {
    let pod = context.pods.get(&key).filter(|pod| wants_node(pod) && context.assumed.node_of(pod).is_none());
    let Some(pod) = pod else { return Ok(None) };
    if !context.nodes.is_listed() {
        return Ok(Some(Duration::from_millis(50)));
    }
    let chosen = {
        // Decision and assumption are one step: two pods must not take the same last place.
        let mut assumed = context.assumed.by_pod.lock();
        let picture = Picture::take(&context, &assumed);
        let chosen = picture.choose(&pod);
        if let Ok(node) = &chosen {
            assumed.insert(key.clone(), node.clone());
        }
        chosen
    };
    match chosen {
        Ok(node) => bind(&context, &pod, &node).await.inspect_err(|_| context.assumed.settle(&key)).map(|()| None),
        Err(refusals) => refuse(&context, &pod, &refusals).await.map(|()| None),
    }
}

/// The cluster at the moment of a decision.
struct Picture {
    nodes: Vec<(Arc<Node>, Vec<Arc<Pod>>)>,
}

impl Picture {
    fn take(context: &Context, assumed: &HashMap<Key, String>) -> Self {
        let mut by_node: HashMap<String, Vec<Arc<Pod>>> = HashMap::new();
        for pod in context.pods.all() {
            let node = pods::node_name(&pod).map(str::to_owned).or_else(|| assumed.get(&Key::of(&*pod)).cloned());
            if let Some(node) = node.filter(|_| !pods::is_finished(&pod)) {
                by_node.entry(node).or_default().push(pod);
            }
        }
        let mut nodes: Vec<_> = context
            .nodes
            .all()
            .into_iter()
            .map(|node| {
                let name = node.metadata.name.clone().unwrap_or_default();
                (node, by_node.remove(&name).unwrap_or_default())
            })
            .collect();
        nodes.sort_by(|a, b| a.0.metadata.name.cmp(&b.0.metadata.name));
        Self { nodes }
    }

    /// The best node, or why each node was refused.
    fn choose(&self, pod: &Pod) -> Result<String, Vec<String>> {
        let mut refusals = Vec::new();
        let mut best: Option<(i64, &str)> = None;
        for (node, there) in &self.nodes {
            let refused = fit::refuses(pod, node, there).or_else(|| affinity::refuses(pod, node, &self.nodes));
            if let Some(reason) = refused {
                refusals.push(reason);
                continue;
            }
            let score = fit::score(pod, node, there) + affinity::score(pod, node, &self.nodes);
            if best.is_none_or(|(highest, _)| score > highest) {
                best = Some((score, node.metadata.name.as_deref().unwrap_or_default()));
            }
        }
        best.map(|(_, node)| node.to_owned()).ok_or(refusals)
    }
}

async fn bind(context: &Context, pod: &Pod, node: &str) -> Result<(), Error> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let binding = Binding {
        metadata: ObjectMeta {
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            ..ObjectReference::default()
        },
    };
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let _: serde_json::Value = api.create_subresource("binding", name, &PostParams::default(), &binding).await?;
    let message = format!("Successfully assigned {namespace}/{name} to {node}");
    context.events.record(pod, Level::Normal, "Scheduled", message).await;
    Ok(())
}

/// Says on the pod why it waits. It is looked at again when a node or another pod changes.
async fn refuse(context: &Context, pod: &Pod, refusals: &[String]) -> Result<(), Error> {
    let message = explain(refusals);
    let held = pods::condition(pod, "PodScheduled");
    if held.is_some_and(|held| held.status == "False" && held.message.as_deref() == Some(message.as_str())) {
        return Ok(());
    }
    context.events.record(pod, Level::Warning, "FailedScheduling", message.clone()).await;
    let now = Time(Timestamp::now());
    let patch = json!({"status": {"conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message, "lastTransitionTime": now},
    ]}});
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    match api.patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await {
        Ok(stored) => drop(context.pods.put(stored)),
        Err(error) if Error::from_api(&error, 404) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s).`
fn explain(refusals: &[String]) -> String {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for reason in refusals {
        *counts.entry(reason).or_default() += 1;
    }
    let mut reasons: Vec<_> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    reasons.sort();
    if reasons.is_empty() {
        return "no nodes available to schedule pods".to_owned();
    }
    format!("0/{} nodes are available: {}.", refusals.len(), reasons.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn picture(nodes: Value) -> Picture {
        let nodes: Vec<(Node, Vec<Pod>)> = serde_json::from_value(nodes).expect("nodes with pods");
        let nodes = nodes.into_iter().map(|(node, pods)| (Arc::new(node), pods.into_iter().map(Arc::new).collect()));
        Picture { nodes: nodes.collect() }
    }

    fn node(name: &str, labels: Value, cpu: &str) -> Value {
        json!({"metadata": {"name": name, "labels": labels},
               "status": {"allocatable": {"cpu": cpu, "memory": "1Gi", "pods": "10"}}})
    }

    fn pod(spec: Value) -> Value {
        let mut pod = json!({"metadata": {"namespace": "d", "labels": {"app": "a"}}, "spec": {"containers": []}});
        if let (Some(target), Value::Object(fields)) = (pod["spec"].as_object_mut(), spec) {
            target.extend(fields);
        }
        pod
    }

    fn cpu(amount: &str) -> Value {
        json!([{"name": "c", "resources": {"requests": {"cpu": amount}}}])
    }

    fn check(nodes: Value, spec: Value, expected: Result<&str, &str>) {
        let wanted: Pod = serde_json::from_value(pod(spec)).expect("a pod");
        let chosen = picture(nodes).choose(&wanted).map_err(|refusals| explain(&refusals));
        assert_eq!(chosen.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn the_node_that_fits_best_is_chosen() {
        let busy = pod(json!({"containers": cpu("900m")}));
        let two = || json!([[node("n1", json!({"z": "1"}), "1"), [busy]], [node("n2", json!({"z": "2"}), "1"), []]]);
        check(json!([]), json!({}), Err("no nodes available to schedule pods"));
        check(two(), json!({"containers": cpu("100m")}), Ok("n2"));
        check(two(), json!({"containers": cpu("100m"), "nodeSelector": {"z": "1"}}), Ok("n1"));
        check(
            two(),
            json!({"containers": cpu("200m"), "nodeSelector": {"z": "1"}}),
            Err("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector."),
        );
        check(two(), json!({"containers": cpu("2")}), Err("0/2 nodes are available: 2 Insufficient cpu."));
    }

    #[test]
    fn pods_that_repel_each_other_are_spread() {
        let other = pod(json!({}));
        let nodes = json!([[node("n1", json!({"z": "1"}), "1"), [other]], [node("n2", json!({"z": "2"}), "1"), []]]);
        let term = json!([{"labelSelector": {"matchLabels": {"app": "a"}}, "topologyKey": "z"}]);
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        check(nodes.clone(), json!({"affinity": {"podAntiAffinity": {required: term}}}), Ok("n2"));
        check(nodes, json!({"affinity": {"podAffinity": {required: term}}}), Ok("n1"));
    }

    #[test]
    fn host_ports_and_cordons_are_respected() {
        let port = json!([{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]);
        let nodes = json!([[node("n1", json!({}), "1"), [pod(json!({"containers": port}))]]]);
        check(
            nodes,
            json!({"containers": port}),
            Err("0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."),
        );
        let mut cordoned = node("n1", json!({}), "1");
        cordoned["spec"] = json!({"unschedulable": true});
        check(json!([[cordoned, []]]), json!({}), Err("0/1 nodes are available: 1 node(s) were unschedulable."));
    }
}
