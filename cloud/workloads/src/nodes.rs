//! Node lifecycle: a node whose Lease is no longer renewed is lost, and taints say so.
//!
//! A lost node gets Ready=Unknown, the taints Kubernetes knows (`not-ready` or `unreachable`) and additionally
//! `node.kubernetes.io/not-ready:NoSchedule` in both cases, because people who taint a node so by hand before it joins
//! (the lab does) expect that very taint to come and go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use crate::controllers::Context;
use crate::pods::node_term;
use crate::{eviction, pods};
use edgeward_control::Level;
use edgeward_control::{Error, Key};

pub(crate) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(crate) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
pub(crate) const LEASES: &str = "kube-node-lease";
/// Conditions that only the node itself can know.
const UNKNOWN_WHEN_LOST: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// When each node was last heard of, by our own monotonic clock: the node's clock may be wrong, and so may ours jump.
#[derive(Default)]
pub(crate) struct Heartbeats {
    heard: Mutex<HashMap<String, (Pulse, Instant)>>,
}

/// What changes while a node lives: its Lease, and the heartbeat in its own status. Either is a sign of life, and after
/// an outage either may come first.
#[derive(Clone, Default, PartialEq)]
struct Pulse {
    renewed: Option<MicroTime>,
    reported: Option<Time>,
}

impl Heartbeats {
    /// How long ago the node's pulse was last seen to change.
    fn silence(&self, node: &str, pulse: Pulse) -> Duration {
        let mut heard = self.heard.lock();
        let now = Instant::now();
        let entry = heard.entry(node.to_owned()).or_insert_with(|| (pulse.clone(), now));
        if entry.0 != pulse {
            *entry = (pulse, now);
        }
        now - entry.1
    }

    pub(crate) fn forget(&self, node: &str) {
        self.heard.lock().remove(node);
    }
}

pub(crate) async fn reconcile(context: Arc<Context>, key: Key) -> Result<Option<Duration>, Error> {
    let Some(node) = context.nodes.get(&key) else {
        context.heartbeats.forget(&key.name);
        return Ok(None);
    };
    let lease = context.leases.get(&Key::new(LEASES, &key.name));
    let pulse = Pulse {
        renewed: lease.and_then(|lease| lease.spec.as_ref()?.renew_time.clone()),
        reported: condition(&node, "Ready").and_then(|ready| ready.last_heartbeat_time.clone()),
    };
    let silence = context.heartbeats.silence(&key.name, pulse);
    let left = context.options.node_grace.saturating_sub(silence);
    let mut node = node;
    if left.is_zero() && ready_status(&node) != Some("Unknown") {
        node = Arc::new(mark_lost(&context, &node).await?);
    }
    keep_taints(&context, &node).await?;
    context.evictions.add_all(context.pods.find(&node_term(&key.name)).iter().map(|pod| Key::of(&**pod)));
    // A node that renews its Lease again is on its way back, and what it says of its pods counts.
    if left.is_zero() {
        doubt_pods(&context, &node).await?;
    }
    Ok(if left.is_zero() { None } else { Some(left) })
}

fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// `True`, `False` or `Unknown`; `None` for a node that was created by hand and has never reported.
pub(crate) fn ready_status(node: &Node) -> Option<&str> {
    condition(node, "Ready").map(|ready| ready.status.as_str())
}

async fn mark_lost(context: &Context, node: &Node) -> Result<Node, Error> {
    let mut changed = node.clone();
    let now = Time(Timestamp::now());
    let never = condition(node, "Ready").is_none();
    let (reason, message) = if never {
        ("NodeStatusNeverUpdated", "Kubelet never posted node status.")
    } else {
        ("NodeStatusUnknown", "Kubelet stopped posting node status.")
    };
    let conditions = changed.status.get_or_insert_default().conditions.get_or_insert_default();
    for kind in UNKNOWN_WHEN_LOST {
        if !conditions.iter().any(|condition| condition.type_ == kind) {
            conditions.push(NodeCondition { type_: kind.to_owned(), ..NodeCondition::default() });
        }
    }
    for condition in conditions.iter_mut().filter(|condition| UNKNOWN_WHEN_LOST.contains(&condition.type_.as_str())) {
        condition.status = "Unknown".to_owned();
        condition.reason = Some(reason.to_owned());
        condition.message = Some(message.to_owned());
        condition.last_transition_time = Some(now.clone());
    }
    let api: Api<Node> = Api::all(context.client.clone());
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let stored = api.replace_status(name, &PostParams::default(), &changed).await?;
    context.nodes.put(stored.clone());
    let message = format!("Node {name} status is now: NodeNotReady");
    context.events.record(node, Level::Normal, "NodeNotReady", message).await;
    Ok(stored)
}

/// The lifecycle taints that a node in this state should have.
fn lifecycle_taints(ready: Option<&str>) -> Vec<(&'static str, &'static str)> {
    match ready {
        Some("True") => vec![],
        Some("False") => vec![(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")],
        Some(_) => vec![(NOT_READY, "NoSchedule"), (UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")],
        None => vec![(NOT_READY, "NoSchedule")],
    }
}

/// The node's taints as they should be, or `None` when they already are.
fn wanted_taints(node: &Node) -> Option<Vec<Taint>> {
    let held = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let wanted = lifecycle_taints(ready_status(node));
    let ours = |taint: &Taint| matches!(taint.key.as_str(), NOT_READY | UNREACHABLE);
    let is_wanted = |taint: &Taint| wanted.contains(&(taint.key.as_str(), taint.effect.as_str()));
    let mut taints: Vec<Taint> = held.iter().filter(|taint| !ours(taint) || is_wanted(taint)).cloned().collect();
    for (key, effect) in wanted {
        if !taints.iter().any(|taint| taint.key == key && taint.effect == effect) {
            let time_added = (effect == "NoExecute").then(|| Time(Timestamp::now()));
            taints.push(Taint { key: key.to_owned(), effect: effect.to_owned(), value: None, time_added });
        }
    }
    (taints != held).then_some(taints)
}

async fn keep_taints(context: &Context, node: &Node) -> Result<(), Error> {
    let Some(taints) = wanted_taints(node) else { return Ok(()) };
    let api: Api<Node> = Api::all(context.client.clone());
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let patch = json!({
        "metadata": {"resourceVersion": node.metadata.resource_version},
        "spec": {"taints": if taints.is_empty() { None } else { Some(&taints) }},
    });
    context.nodes.put(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?);
    Ok(())
}

/// The pods of a lost node are no longer known to be ready, except those that are meant to go on alone.
async fn doubt_pods(context: &Context, node: &Node) -> Result<(), Error> {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    for pod in context.pods.find(&node_term(name)) {
        if !pods::is_ready(&pod) || eviction::is_autonomous(context, &pod, node) {
            continue;
        }
        let now = Time(Timestamp::now());
        let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": now},
        ]}});
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
        let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
        match api.patch_status(pod_name, &PatchParams::default(), &Patch::Strategic(patch)).await {
            Ok(stored) => drop(context.pods.put(stored)),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn check(ready: Option<&str>, held: Value, expected: Option<&[&str]>) {
        let conditions = ready.map(|status| json!([{"type": "Ready", "status": status}]));
        let node: Node =
            serde_json::from_value(json!({"spec": {"taints": held}, "status": {"conditions": conditions}}))
                .expect("a node");
        let taints = wanted_taints(&node).map(|taints| -> Vec<String> {
            let short = |key: &str| key.rsplit('/').next().unwrap_or(key).to_owned();
            taints.iter().map(|taint| format!("{}:{}", short(&taint.key), taint.effect)).collect()
        });
        assert_eq!(taints.as_deref().map(|t| t.iter().map(String::as_str).collect::<Vec<_>>()).as_deref(), expected);
    }

    #[test]
    fn taints_come_and_go_with_readiness() {
        let lab = json!([{"key": NOT_READY, "effect": "NoSchedule"}]);
        let mine = json!([{"key": "mine", "effect": "NoExecute"}]);
        check(None, lab.clone(), None);
        check(Some("True"), lab.clone(), Some(&[]));
        check(Some("True"), mine.clone(), None);
        check(Some("False"), mine, Some(&["mine:NoExecute", "not-ready:NoSchedule", "not-ready:NoExecute"]));
        check(Some("Unknown"), lab, Some(&["not-ready:NoSchedule", "unreachable:NoSchedule", "unreachable:NoExecute"]));
        check(None, json!([]), Some(&["not-ready:NoSchedule"]));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_measured_by_our_own_clock() {
        let heartbeats = Heartbeats::default();
        let renewed =
            |text: &str| Pulse { renewed: Some(MicroTime(text.parse().expect("a time"))), ..Pulse::default() };
        let future = renewed("2099-01-01T00:00:00Z");
        assert_eq!(heartbeats.silence("n", future.clone()), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(heartbeats.silence("n", future), Duration::from_secs(30));
        let past = renewed("1999-01-01T00:00:00Z");
        assert_eq!(heartbeats.silence("n", past.clone()), Duration::ZERO, "a renewal with a wrong clock is a renewal");
        tokio::time::advance(Duration::from_secs(30)).await;
        let reported = Some(Time("2026-01-01T00:00:00Z".parse().expect("a time")));
        assert_eq!(heartbeats.silence("n", Pulse { reported, ..past }), Duration::ZERO, "so is a report");
    }
}
