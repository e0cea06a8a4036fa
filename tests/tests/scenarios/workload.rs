//! A small workload for scenarios with containers.

use std::path::PathBuf;

use edgeward_tests::api::{condition, text};
use edgeward_tests::{Api, Node, PATIENCE, Site, eventually, images};
use serde_json::{Value, json};

pub(crate) const IMAGE: &str = "edgeward.dev/tests/worker:1";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";

/// Writes the workload's image where an agent with the flag it returns finds it.
pub(crate) fn images_flag(site: &Site) -> anyhow::Result<String> {
    let folder: PathBuf = site.dir().join("images");
    images::write(&folder, &[IMAGE])?;
    Ok(format!("--images={}", folder.display()))
}

/// A Deployment of workers that stay on their node while it is cut off.
pub(crate) async fn deploy(api: &Api, name: &str, replicas: u32) -> anyhow::Result<()> {
    let labels = json!({"app": name});
    let container = json!({
        "name": "worker", "image": IMAGE,
        "env": [{"name": "EDGE_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "resources": {"limits": {"memory": "32Mi"}},
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/settings"}],
    });
    let volumes = json!([{"name": "settings", "configMap": {"name": "settings", "optional": true}}]);
    let spec = json!({"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": volumes});
    let metadata = json!({"labels": labels, "annotations": {"openyurt.io/autonomy": "true"}});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                 "template": {"metadata": metadata, "spec": spec}},
    });
    api.create(DEPLOYMENTS, &deployment).await?;
    Ok(())
}

/// Waits until `count` pods of the workload are ready, and none more is there.
pub(crate) async fn running(api: &Api, node: &mut Node, name: &str, count: usize) -> anyhow::Result<Vec<Value>> {
    eventually(&format!("{count} ready pods of {name}"), PATIENCE, async || {
        node.process()?.check()?;
        let pods = api.list(&format!("{PODS}?labelSelector=app%3D{name}")).await?;
        Ok((pods.len() == count && pods.iter().all(|pod| condition(pod, "Ready"))).then_some(pods))
    })
    .await
}

/// The id of a pod's only container.
pub(crate) fn container(pod: &Value) -> String {
    text(pod, "/status/containerStatuses/0/containerID").to_owned()
}
