//! What the API server fills in for each built-in kind, beyond pods.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use edgeward_objects::Object;
use serde_json::{Map, Value, json};

use super::pods;

/// Completes an object as Kubernetes 1.36 does when it reads it.
pub(crate) fn default(object: &mut Object) {
    let kind = object.kind().to_owned();
    match kind.as_str() {
        "Pod" => pods::default_pod(object),
        "PodTemplate" => template(object.map_mut(&[])),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "ReplicationController" => workload(object, &kind),
        "Job" => job(object),
        "CronJob" => cron_job(object),
        "Service" => service(object),
        "Endpoints" => endpoints(object),
        "EndpointSlice" => endpoint_slice(object),
        "Namespace" => namespace(object),
        "PersistentVolume" => volume(object),
        "PersistentVolumeClaim" => claim(object.map_mut(&[])),
        "HorizontalPodAutoscaler" => fill(object, &["spec"], json!({"minReplicas": 1})),
        "NetworkPolicy" => network_policy(object),
        "Role" | "ClusterRole" => {}
        "RoleBinding" | "ClusterRoleBinding" => role_binding(object),
        "StorageClass" => {
            fill(object, &[], json!({"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}));
        }
        "CSIDriver" => csi_driver(object),
        "PriorityClass" => fill(object, &[], json!({"preemptionPolicy": "PreemptLowerPriority"})),
        "Secret" => secret(object),
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => webhooks(object, &kind),
        "CustomResourceDefinition" => custom_resource_definition(object),
        _ => {}
    }
}

/// Sets the fields of `defaults` that are absent.
pub(super) fn fill_map(map: &mut Map<String, Value>, defaults: Value) {
    if let Value::Object(defaults) = defaults {
        for (key, value) in defaults {
            map.entry(key).or_insert(value);
        }
    }
}

fn fill(object: &mut Object, path: &[&str], defaults: Value) {
    fill_map(object.map_mut(path), defaults);
}

/// The maps in the list of that name.
pub(super) fn each<'a>(
    map: &'a mut Map<String, Value>,
    list: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The map of that name, if there is one.
pub(super) fn child<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    map.get_mut(key).and_then(Value::as_object_mut)
}

fn template(map: &mut Map<String, Value>) {
    if let Some(spec) = child(map, "template").and_then(|template| child(template, "spec")) {
        pods::default_spec(spec);
    }
}

fn workload(object: &mut Object, kind: &str) {
    let labels = object.get(&["spec", "template", "metadata", "labels"]).cloned();
    let spec = object.map_mut(&["spec"]);
    template(spec);
    match kind {
        "Deployment" => {
            fill_map(
                spec,
                json!({"replicas": 1, "strategy": {}, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}),
            );
            strategy(spec, "strategy", json!({"maxUnavailable": "25%", "maxSurge": "25%"}));
        }
        "DaemonSet" => {
            fill_map(spec, json!({"updateStrategy": {}, "revisionHistoryLimit": 10}));
            strategy(spec, "updateStrategy", json!({"maxUnavailable": 1, "maxSurge": 0}));
        }
        "StatefulSet" => stateful_set(spec),
        "ReplicationController" => {
            fill_map(spec, json!({"replicas": 1}));
            if let Some(labels) = labels {
                spec.entry("selector").or_insert(labels);
            }
        }
        _ => fill_map(spec, json!({"replicas": 1})),
    }
}

fn strategy(spec: &mut Map<String, Value>, name: &str, rolling: Value) {
    let Some(strategy) = child(spec, name) else { return };
    fill_map(strategy, json!({"type": "RollingUpdate"}));
    if strategy.get("type") == Some(&json!("RollingUpdate")) {
        fill_map(strategy, json!({"rollingUpdate": {}}));
        if let Some(update) = child(strategy, "rollingUpdate") {
            fill_map(update, rolling);
        }
    }
}

fn stateful_set(spec: &mut Map<String, Value>) {
    let retention = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
    fill_map(
        spec,
        json!({
            "podManagementPolicy": "OrderedReady", "updateStrategy": {}, "replicas": 1, "revisionHistoryLimit": 10,
            "persistentVolumeClaimRetentionPolicy": {},
        }),
    );
    if let Some(policy) = child(spec, "persistentVolumeClaimRetentionPolicy") {
        fill_map(policy, retention);
    }
    strategy(spec, "updateStrategy", json!({"partition": 0}));
    for claim_template in each(spec, "volumeClaimTemplates") {
        fill_map(claim_template, json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim"}));
        claim(claim_template);
    }
}

fn job(object: &mut Object) {
    let spec = object.map_mut(&["spec"]);
    template(spec);
    if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
        fill_map(spec, json!({"completions": 1}));
    }
    let replacement = if spec.contains_key("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    let retries = if spec.contains_key("backoffLimitPerIndex") { i32::MAX } else { 6 };
    fill_map(
        spec,
        json!({
            "parallelism": 1, "backoffLimit": retries, "completionMode": "NonIndexed", "suspend": false,
            "podReplacementPolicy": replacement,
        }),
    );
}

fn cron_job(object: &mut Object) {
    let spec = object.map_mut(&["spec"]);
    fill_map(
        spec,
        json!({
            "concurrencyPolicy": "Allow", "suspend": false, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
        }),
    );
    if let Some(job) = child(spec, "jobTemplate").and_then(|job| child(job, "spec")) {
        template(job);
    }
}

fn service(object: &mut Object) {
    let spec = object.map_mut(&["spec"]);
    fill_map(spec, json!({"sessionAffinity": "None", "type": "ClusterIP"}));
    if spec.get("sessionAffinity") == Some(&json!("ClientIP")) {
        fill_map(spec, json!({"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}}));
    }
    for port in each(spec, "ports") {
        let target = port.get("port").cloned().unwrap_or_default();
        fill_map(port, json!({"protocol": "TCP"}));
        // An empty target means the same port, as does 0 or the empty name.
        if port.get("targetPort").is_none_or(|given| *given == json!(0) || *given == json!("")) {
            port.insert("targetPort".into(), target);
        }
    }
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        fill_map(spec, json!({"internalTrafficPolicy": "Cluster"}));
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        fill_map(spec, json!({"externalTrafficPolicy": "Cluster"}));
    }
    if kind == "LoadBalancer" {
        fill_map(spec, json!({"allocateLoadBalancerNodePorts": true}));
    }
    fill(object, &["status"], json!({"loadBalancer": {}}));
}

fn endpoints(object: &mut Object) {
    for subset in each(object.as_map_mut(), "subsets") {
        each(subset, "ports").for_each(|port| fill_map(port, json!({"protocol": "TCP"})));
    }
}

fn endpoint_slice(object: &mut Object) {
    each(object.as_map_mut(), "ports").for_each(|port| fill_map(port, json!({"name": "", "protocol": "TCP"})));
}

fn namespace(object: &mut Object) {
    let name = object.name().to_owned();
    if !name.is_empty() {
        object.set(&["metadata", "labels", "kubernetes.io/metadata.name"], name);
    }
    fill(object, &["spec"], json!({"finalizers": ["kubernetes"]}));
    fill(object, &["status"], json!({"phase": "Active"}));
}

fn volume(object: &mut Object) {
    let spec = object.map_mut(&["spec"]);
    fill_map(spec, json!({"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}));
    if let Some(path) = child(spec, "hostPath") {
        fill_map(path, json!({"type": ""}));
    }
    fill(object, &["status"], json!({"phase": "Pending"}));
}

/// A claim, alone or as a template of a StatefulSet.
fn claim(map: &mut Map<String, Value>) {
    if let Some(spec) = child(map, "spec") {
        fill_map(spec, json!({"volumeMode": "Filesystem"}));
    }
    fill_map(map, json!({"status": {}}));
    if let Some(status) = child(map, "status") {
        fill_map(status, json!({"phase": "Pending"}));
    }
}

fn network_policy(object: &mut Object) {
    let spec = object.map_mut(&["spec"]);
    for direction in ["ingress", "egress"] {
        for rule in each(spec, direction) {
            each(rule, "ports").for_each(|port| fill_map(port, json!({"protocol": "TCP"})));
        }
    }
    let outwards = spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
    let directions = if outwards { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    fill_map(spec, json!({ "policyTypes": directions }));
}

fn role_binding(object: &mut Object) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    fill(object, &["roleRef"], json!({ "apiGroup": GROUP }));
    for subject in each(object.as_map_mut(), "subjects") {
        if matches!(subject.get("kind").and_then(Value::as_str), Some("User" | "Group")) {
            fill_map(subject, json!({ "apiGroup": GROUP }));
        }
    }
}

fn csi_driver(object: &mut Object) {
    fill(
        object,
        &["spec"],
        json!({
            "attachRequired": true, "podInfoOnMount": false, "storageCapacity": false, "requiresRepublish": false,
            "fsGroupPolicy": "ReadWriteOnceWithFSType", "seLinuxMount": false, "volumeLifecycleModes": ["Persistent"],
        }),
    );
}

/// `stringData` is for writing only: it becomes `data`, over what is there.
fn secret(object: &mut Object) {
    fill(object, &[], json!({"type": "Opaque"}));
    if let Some(Value::Object(texts)) = object.remove(&["stringData"]) {
        let data = object.map_mut(&["data"]);
        for (key, text) in texts {
            data.insert(key, BASE64.encode(text.as_str().unwrap_or_default()).into());
        }
    }
}

fn webhooks(object: &mut Object, kind: &str) {
    for webhook in each(object.as_map_mut(), "webhooks") {
        fill_map(
            webhook,
            json!({
                "failurePolicy": "Fail", "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
                "timeoutSeconds": 10,
            }),
        );
        if kind == "MutatingWebhookConfiguration" {
            fill_map(webhook, json!({"reinvocationPolicy": "Never"}));
        }
        each(webhook, "rules").for_each(|rule| fill_map(rule, json!({"scope": "*"})));
        if let Some(service) = child(webhook, "clientConfig").and_then(|config| child(config, "service")) {
            fill_map(service, json!({"port": 443}));
        }
    }
}

fn custom_resource_definition(object: &mut Object) {
    let spec = object.map_mut(&["spec"]);
    fill_map(spec, json!({"conversion": {"strategy": "None"}}));
    if let Some(names) = child(spec, "names") {
        let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !kind.is_empty() {
            fill_map(names, json!({"singular": kind.to_lowercase(), "listKind": format!("{kind}List")}));
        }
    }
}
