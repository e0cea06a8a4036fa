//! What an edge node may touch: itself, the pods bound to it, and what those pods need. Nothing else, so that a stolen node
//! key opens one node and not the cluster.

use std::sync::Arc;

use edgeward_objects::{GroupResource, Object};
use edgeward_store::{Key, Scope};
use serde_json::Value;

use super::Attributes;
use crate::server::Server;

/// The namespace of node leases.
const LEASES: &str = "kube-node-lease";

/// Whether node `node` may do this.
pub(super) async fn allowed(server: &Arc<Server>, node: &str, asked: &Attributes) -> bool {
    let verb = asked.verb.as_str();
    let reads = matches!(verb, "get" | "list" | "watch");
    let own = asked.target() == Some(node);
    match (asked.group.as_str(), asked.resource.as_str(), asked.subresource.as_str()) {
        // The name of what is created is in the body only: `check_created` looks at it.
        ("", "nodes", "") => own && (reads || matches!(verb, "update" | "patch")) || verb == "create",
        ("", "nodes", "status") => own && matches!(verb, "get" | "update" | "patch"),
        ("coordination.k8s.io", "leases", "") => {
            asked.namespace == LEASES && (own && matches!(verb, "get" | "update" | "patch") || verb == "create")
        }
        ("", "pods", "") if matches!(verb, "list" | "watch") => asked.selected_node.as_deref() == Some(node),
        ("", "pods", "" | "status") => match verb {
            "get" => is_bound(server, node, asked).await,
            "update" | "patch" => asked.subresource == "status" && is_bound(server, node, asked).await,
            "delete" => asked.subresource.is_empty() && is_bound(server, node, asked).await,
            _ => false,
        },
        ("", "configmaps" | "secrets" | "serviceaccounts", "") => {
            verb == "get" && is_referenced(server, node, asked).await
        }
        ("", "events", "") | ("events.k8s.io", "events", "") => matches!(verb, "create" | "patch"),
        ("devices.kubeedge.io", "devices", "") => verb == "get" && is_own_device(server, node, asked).await,
        ("devices.kubeedge.io", "devicemodels", "") => verb == "get",
        ("", "services", "") | ("discovery.k8s.io", "endpointslices", "") => reads,
        _ => false,
    }
}

async fn read(server: &Server, resource: GroupResource, asked: &Attributes) -> Option<Object> {
    let key = Key::new(resource, Some(&asked.namespace), &asked.name);
    let entry = server.store.get(key).await.ok()??;
    Object::from_bytes(&entry.value).ok()
}

async fn is_bound(server: &Server, node: &str, asked: &Attributes) -> bool {
    let pod = read(server, GroupResource::new("", "pods"), asked).await;
    // A pod that is gone may be asked for: the answer is 404 and tells nothing.
    pod.is_none_or(|pod| pod.get_str(&["spec", "nodeName"]) == Some(node))
}

async fn is_own_device(server: &Server, node: &str, asked: &Attributes) -> bool {
    let device = read(server, GroupResource::new("devices.kubeedge.io", "devices"), asked).await;
    device.is_some_and(|device| {
        device.get_str(&["spec", "nodeName"]) == Some(node) || device.get_str(&["status", "nodeName"]) == Some(node)
    })
}

/// Whether a pod bound to the node names the object.
async fn is_referenced(server: &Server, node: &str, asked: &Attributes) -> bool {
    if asked.name.is_empty() || asked.namespace.is_empty() {
        return false;
    }
    let scope = Scope::new(GroupResource::new("", "pods"), Some(&asked.namespace));
    let Ok(pods) = server.list_all(scope).await else { return false };
    pods.iter()
        .filter_map(|entry| Object::from_bytes(&entry.value).ok())
        .any(|pod| pod.get_str(&["spec", "nodeName"]) == Some(node) && references(&pod, &asked.resource, &asked.name))
}

/// Whether a pod mounts, reads or runs as the object of that name.
fn references(pod: &Object, resource: &str, name: &str) -> bool {
    let spec = pod.get(&["spec"]).unwrap_or(&Value::Null);
    let at = |value: &Value, pointers: &[&str]| {
        pointers.iter().any(|pointer| value.pointer(pointer).and_then(Value::as_str) == Some(name))
    };
    let each = |list: Option<&Value>, check: &dyn Fn(&Value) -> bool| {
        list.and_then(Value::as_array).is_some_and(|list| list.iter().any(check))
    };
    if resource == "serviceaccounts" {
        return at(spec, &["/serviceAccountName"]) || (name == "default" && spec.get("serviceAccountName").is_none());
    }
    let secret = resource == "secrets";
    let volume: &[&str] =
        if secret { &["/secret/secretName", "/csi/nodePublishSecretRef/name"] } else { &["/configMap/name"] };
    let source: &[&str] = if secret { &["/secret/name"] } else { &["/configMap/name"] };
    let from: &[&str] = if secret { &["/secretRef/name"] } else { &["/configMapRef/name"] };
    let key: &[&str] = if secret { &["/valueFrom/secretKeyRef/name"] } else { &["/valueFrom/configMapKeyRef/name"] };
    let in_container = |container: &Value| {
        each(container.get("envFrom"), &|item| at(item, from)) || each(container.get("env"), &|item| at(item, key))
    };
    let in_volume =
        |item: &Value| at(item, volume) || each(item.pointer("/projected/sources"), &|item| at(item, source));
    each(spec.get("volumes"), &in_volume)
        || ["containers", "initContainers", "ephemeralContainers"]
            .iter()
            .any(|list| each(spec.get(list), &in_container))
        || (secret && each(spec.get("imagePullSecrets"), &|item| at(item, &["/name"])))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_of_naming_an_object_counts() {
        let pod = Object::from_value(json!({"spec": {
            "imagePullSecrets": [{"name": "pull"}],
            "volumes": [
                {"configMap": {"name": "mounted"}},
                {"projected": {"sources": [{"secret": {"name": "projected"}}]}},
                {"secret": {"secretName": "volume"}},
            ],
            "containers": [{"envFrom": [{"configMapRef": {"name": "all"}}], "env": [{"valueFrom": {"secretKeyRef": {"name": "one"}}}]}],
        }})).unwrap();
        let cases = [
            ("secrets", "pull", true),
            ("secrets", "projected", true),
            ("secrets", "volume", true),
            ("secrets", "one", true),
            ("secrets", "mounted", false),
            ("configmaps", "mounted", true),
            ("configmaps", "all", true),
            ("configmaps", "one", false),
            ("serviceaccounts", "default", true),
            ("serviceaccounts", "other", false),
        ];
        for (resource, name, expected) in cases {
            assert_eq!(references(&pod, resource, name), expected, "{resource} {name}");
        }
    }
}
