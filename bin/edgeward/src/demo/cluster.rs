//! The cluster as the stages see it: through kubectl, and through a client like any other program's.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::world::World;

/// A client as any program would make it, from the administrator's file.
pub(super) async fn client(world: &World) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(world.cloud_dir().join("admin.kubeconfig"))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Writes a manifest beside the logs and applies it, so that a user finds what was applied.
pub(super) async fn apply_text(world: &World, name: &str, text: &str) -> anyhow::Result<String> {
    let folder = world.dir.join("manifests");
    std::fs::create_dir_all(&folder)?;
    let path: PathBuf = folder.join(name);
    std::fs::write(&path, text)?;
    world.kubectl()?.run(&["apply", "-f", &path.display().to_string()]).await
}

pub(super) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

pub(super) fn is_running(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let ready = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    status.and_then(|status| status.phase.as_deref()) == Some("Running")
        && ready.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        && pod.metadata.deletion_timestamp.is_none()
}
