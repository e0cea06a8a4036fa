//! NoExecute taints: which pods leave a node that is lost or not ready, and when.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use k8s_openapi::jiff::Timestamp;

use crate::controllers::Context;
use crate::nodes::{NOT_READY, UNREACHABLE};
use crate::placement::tolerating;
use crate::pods;
use crate::replicasets::delete_pod;
use edgeward_control::Level;
use edgeward_control::{Error, Key, controller_of};

/// OpenYurt's wish on a node: none of its pods is evicted.
const NODE_AUTONOMY: [&str; 2] = ["node.beta.openyurt.io/autonomy", "apps.openyurt.io/binding"];

pub(crate) async fn reconcile(context: Arc<Context>, key: Key) -> Result<Option<Duration>, Error> {
    let Some(pod) = context.pods.get(&key) else { return Ok(None) };
    let Some(node_name) = pods::node_name(&pod).filter(|_| pods::is_active(&pod)) else { return Ok(None) };
    let Some(node) = context.nodes.get(&Key::new("", node_name)) else {
        return collect_orphan(&context, &pod).await;
    };
    if is_autonomous(&context, &pod, &node) {
        return Ok(None);
    }
    match stay(&pod, &node, context.options.default_toleration, Timestamp::now()) {
        Stay::Forever => Ok(None),
        Stay::For(left) => Ok(Some(left)),
        Stay::No(taint) => {
            let message = format!("Marking for deletion Pod {}/{}", key.namespace, key.name);
            context.events.record(&*pod, Level::Normal, "TaintManagerEviction", message).await;
            tracing::info!(namespace = key.namespace, pod = key.name, taint = taint.key, "pod evicted");
            delete_pod(&context, &pod).await?;
            Ok(None)
        }
    }
}

/// The pod of a node that no longer exists has nobody to end it.
async fn collect_orphan(context: &Context, pod: &Pod) -> Result<Option<Duration>, Error> {
    if context.nodes.is_listed() {
        let api: kube::Api<Pod> =
            kube::Api::namespaced(context.client.clone(), pod.metadata.namespace.as_deref().unwrap_or_default());
        let params = kube::api::DeleteParams::default().grace_period(0);
        match api.delete(pod.metadata.name.as_deref().unwrap_or_default(), &params).await {
            Ok(_) => context.pods.remove(pod),
            Err(kube::Error::Api(status)) if status.code == 404 => context.pods.remove(pod),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Whether the pod is to stay while its node is cut off: asked for on the pod, on what made it (a Deployment hands its
/// annotations to its ReplicaSets), or for the whole node.
pub(crate) fn is_autonomous(context: &Context, pod: &Pod, node: &Node) -> bool {
    if pods::wants_autonomy(pod) || NODE_AUTONOMY.iter().any(|name| pods::annotation(node, name) == Some("true")) {
        return true;
    }
    let Some(owner) = controller_of(pod) else { return false };
    let key = Key::new(pod.metadata.namespace.clone().unwrap_or_default(), &owner.name);
    match owner.kind.as_str() {
        "ReplicaSet" => context.replica_sets.get(&key).is_some_and(|set| pods::wants_autonomy(&*set)),
        "DaemonSet" => context.daemon_sets.get(&key).is_some_and(|set| pods::wants_autonomy(&*set)),
        _ => false,
    }
}

#[derive(Debug, PartialEq)]
enum Stay<'a> {
    Forever,
    For(Duration),
    No(&'a Taint),
}

fn stay<'a>(pod: &Pod, node: &'a Node, default: Duration, now: Timestamp) -> Stay<'a> {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let mut shortest: Option<Duration> = None;
    for taint in taints.iter().filter(|taint| taint.effect == "NoExecute") {
        let limit = match tolerating(tolerations, taint) {
            Some(toleration) => match toleration.toleration_seconds {
                None => continue,
                Some(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
            },
            // Kubernetes' admission adds these two tolerations to every pod; we act as if it had.
            None if matches!(taint.key.as_str(), NOT_READY | UNREACHABLE) => default,
            None => return Stay::No(taint),
        };
        let since = taint.time_added.as_ref().map_or(0, |added| now.as_second() - added.0.as_second());
        let left = limit.saturating_sub(Duration::from_secs(u64::try_from(since).unwrap_or(0)));
        if left.is_zero() {
            return Stay::No(taint);
        }
        shortest = Some(shortest.unwrap_or(left).min(left));
    }
    shortest.map_or(Stay::Forever, Stay::For)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(tolerations: Value, taints: Value, expected: &str) {
        let pod: Pod =
            serde_json::from_value(json!({"spec": {"containers": [], "tolerations": tolerations}})).expect("a pod");
        let node: Node = serde_json::from_value(json!({"spec": {"taints": taints}})).expect("a node");
        let now = "2026-01-01T00:01:00Z".parse().expect("a time");
        let text = match stay(&pod, &node, Duration::from_secs(300), now) {
            Stay::Forever => "forever".to_owned(),
            Stay::For(left) => left.as_secs().to_string(),
            Stay::No(taint) => format!("no: {}", taint.key),
        };
        assert_eq!(text, expected, "{tolerations} {taints}");
    }

    #[test]
    fn a_pod_stays_as_long_as_it_tolerates() {
        let lost = json!([{"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}]);
        check(json!([]), json!([]), "forever");
        check(json!([]), json!([{"key": "x", "effect": "NoSchedule"}]), "forever");
        check(json!([]), lost.clone(), "240");
        check(json!([{"operator": "Exists"}]), lost.clone(), "forever");
        check(json!([{"key": UNREACHABLE, "operator": "Exists", "tolerationSeconds": 90}]), lost.clone(), "30");
        check(
            json!([{"key": UNREACHABLE, "operator": "Exists", "tolerationSeconds": 60}]),
            lost.clone(),
            &format!("no: {UNREACHABLE}"),
        );
        check(json!([{"operator": "Exists", "tolerationSeconds": -5}]), lost, &format!("no: {UNREACHABLE}"));
        check(json!([]), json!([{"key": "mine", "effect": "NoExecute"}]), "no: mine");
    }
}
