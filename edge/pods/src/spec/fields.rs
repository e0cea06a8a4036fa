//! `fieldRef` and `resourceFieldRef`, for environments and downward API files.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};

use crate::{pod, resources};

/// What is known of a pod besides its document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) node_name: String,
    pub(crate) pod_ips: Vec<String>,
    pub(crate) host_ips: Vec<String>,
}

/// The value of a field path as the kubelet formats it.
pub(crate) fn field(pod: &Pod, facts: &Facts, path: &str) -> Result<String, String> {
    let (meta, spec) = (&pod.metadata, pod::spec(pod));
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return Err(unsupported(path)),
        };
        return Ok(map.and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "metadata.labels" => lines(meta.labels.as_ref()),
        "metadata.annotations" => lines(meta.annotations.as_ref()),
        "spec.nodeName" => spec.node_name.clone().unwrap_or_else(|| facts.node_name.clone()),
        "spec.serviceAccountName" => spec.service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => facts.host_ips.first().cloned().unwrap_or_default(),
        "status.hostIPs" => facts.host_ips.join(","),
        "status.podIP" => facts.pod_ips.first().cloned().unwrap_or_default(),
        "status.podIPs" => facts.pod_ips.join(","),
        _ => return Err(unsupported(path)),
    })
}

/// The value of a container's request or limit; an absent limit is the machine's capacity.
pub(crate) fn resource_field(pod: &Pod, own: &str, selector: &ResourceFieldSelector) -> Result<String, String> {
    let name = selector.container_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(own);
    let container = pod::all_containers(pod).find(|container| container.name == name);
    let container = container.ok_or_else(|| format!("container {name} not found"))?;
    let value = value_of(container, &selector.resource)
        .ok_or_else(|| format!("unsupported container resource : {}", selector.resource))?;
    let divided = resources::divided(value, selector.divisor.as_ref());
    divided.map(|value| value.to_string()).ok_or_else(|| format!("{} does not fit", selector.resource))
}

/// In thousandths of the resource's unit.
fn value_of(container: &Container, resource: &str) -> Option<i128> {
    let (limits, requests) = (resources::limits(container), resources::requests(container));
    let cpu = |millis: i64| i128::from(millis);
    let memory = |bytes: i64| i128::from(bytes) * 1000;
    let or_all = |value: i64, all: i64| if value > 0 { value } else { all };
    Some(match resource {
        "limits.cpu" => cpu(or_all(limits.cpu_millis, all_cpus())),
        "limits.memory" => memory(or_all(limits.memory, resources::memory_capacity())),
        "requests.cpu" => cpu(requests.cpu_millis),
        "requests.memory" => memory(requests.memory),
        _ => return None,
    })
}

fn all_cpus() -> i64 {
    std::thread::available_parallelism().map_or(1000, |count| i64::try_from(count.get()).unwrap_or(1) * 1000)
}

/// `metadata.labels['key']` → map and key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

fn unsupported(path: &str) -> String {
    format!("unsupported fieldPath: {path}")
}

/// `key="escaped value"`, one each line, sorted: the format of downward API files.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}"));
    lines.collect::<Vec<_>>().join("\n")
}
