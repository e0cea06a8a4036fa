//! Defaults and rules of pods, and of the templates of everything that makes pods.

use std::collections::HashSet;

use edgeward_objects::{Cause, Object, Quantity, names};
use serde_json::{Map, Value, json};

use super::defaults::{child, each, fill_map};

/// Lists of containers in a pod spec.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// A pod itself: its template's defaults and those only a pod gets.
pub(super) fn default_pod(object: &mut Object) {
    let spec = object.map_mut(&["spec"]);
    for list in CONTAINERS {
        each(spec, list).for_each(requests_from_limits);
    }
    fill_map(spec, json!({"enableServiceLinks": true}));
    default_spec(spec);
    fill_map(object.map_mut(&["status"]), json!({"phase": "Pending"}));
}

/// The spec of a pod or of a template.
pub(super) fn default_spec(spec: &mut Map<String, Value>) {
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in CONTAINERS {
        each(spec, list).for_each(|container| default_container(container, host_network));
    }
    each(spec, "volumes").for_each(default_volume);
    fill_map(
        spec,
        json!({
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "securityContext": {}, "schedulerName": "default-scheduler",
        }),
    );
    // The old and the new name of one field say the same.
    if let Some(account) = spec.get("serviceAccountName").or_else(|| spec.get("serviceAccount")).cloned() {
        spec.insert("serviceAccountName".into(), account.clone());
        spec.insert("serviceAccount".into(), account);
    }
}

fn default_container(container: &mut Map<String, Value>, host_network: bool) {
    for port in each(container, "ports") {
        fill_map(port, json!({"protocol": "TCP"}));
        if host_network && let Some(number) = port.get("containerPort").cloned() {
            port.entry("hostPort").or_insert(number);
        }
    }
    for variable in each(container, "env") {
        if let Some(field) = child(variable, "valueFrom").and_then(|source| child(source, "fieldRef")) {
            fill_map(field, json!({"apiVersion": "v1"}));
        }
    }
    for name in PROBES {
        if let Some(probe) = child(container, name) {
            fill_map(
                probe,
                json!({"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}),
            );
            default_handler(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(hook) = child(container, "lifecycle").and_then(|lifecycle| child(lifecycle, hook)) {
            default_handler(hook);
        }
    }
    let policy = pull_policy(container.get("image").and_then(Value::as_str).unwrap_or_default());
    fill_map(
        container,
        json!({
            "resources": {}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "imagePullPolicy": policy,
        }),
    );
}

fn default_handler(handler: &mut Map<String, Value>) {
    if let Some(http) = child(handler, "httpGet") {
        fill_map(http, json!({"path": "/", "scheme": "HTTP"}));
    }
    if let Some(grpc) = child(handler, "grpc") {
        fill_map(grpc, json!({"service": ""}));
    }
}

/// `Always` for the tag `latest`, said or implied; a digest never changes.
fn pull_policy(image: &str) -> &'static str {
    if image.contains('@') {
        return "IfNotPresent";
    }
    let name = image.rsplit('/').next().unwrap_or_default();
    match name.split_once(':') {
        None | Some((_, "latest" | "")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

/// What is limited but not requested is requested in full.
fn requests_from_limits(container: &mut Map<String, Value>) {
    let Some(resources) = child(container, "resources") else { return };
    if let Some(limits) = resources.get("limits").filter(|limits| limits.is_object()).cloned() {
        fill_map(resources, json!({"requests": {}}));
        if let Some(requests) = child(resources, "requests") {
            fill_map(requests, limits);
        }
    }
}

fn default_volume(volume: &mut Map<String, Value>) {
    let sources = volume.keys().filter(|key| *key != "name").count();
    if sources == 0 {
        volume.insert("emptyDir".into(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = child(volume, source) {
            fill_map(source, json!({"defaultMode": 420}));
        }
    }
    if let Some(path) = child(volume, "hostPath") {
        fill_map(path, json!({"type": ""}));
    }
    if let Some(downward) = child(volume, "downwardAPI") {
        default_downward(downward);
    }
    if let Some(projected) = child(volume, "projected") {
        for source in each(projected, "sources") {
            if let Some(token) = child(source, "serviceAccountToken") {
                fill_map(token, json!({"expirationSeconds": 3600}));
            }
            if let Some(downward) = child(source, "downwardAPI") {
                default_downward(downward);
            }
        }
    }
}

fn default_downward(source: &mut Map<String, Value>) {
    for item in each(source, "items") {
        if let Some(field) = child(item, "fieldRef") {
            fill_map(field, json!({"apiVersion": "v1"}));
        }
    }
}

/// What is wrong with a pod spec at `path`.
pub(super) fn check_spec(spec: Option<&Value>, path: &str, causes: &mut Vec<Cause>) {
    let list =
        |name: &str| spec.and_then(|spec| spec.get(name)).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let volumes: HashSet<&str> = list("volumes").iter().filter_map(|volume| volume.get("name")?.as_str()).collect();
    if list("containers").is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut seen = HashSet::new();
    for kind in CONTAINERS {
        for (at, container) in list(kind).iter().enumerate() {
            let path = format!("{path}.{kind}[{at}]");
            check_container(container, &path, &volumes, &mut seen, causes);
        }
    }
    let mut seen = HashSet::new();
    for (at, volume) in list("volumes").iter().enumerate() {
        check_name(volume, &format!("{path}.volumes[{at}].name"), &mut seen, causes);
    }
    choice(spec, "restartPolicy", path, &["Always", "OnFailure", "Never"], causes);
    choice(spec, "dnsPolicy", path, &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], causes);
}

fn check_container<'a>(
    container: &'a Value,
    path: &str,
    volumes: &HashSet<&str>,
    seen: &mut HashSet<&'a str>,
    causes: &mut Vec<Cause>,
) {
    check_name(container, &format!("{path}.name"), seen, causes);
    if container.get("image").and_then(Value::as_str).unwrap_or_default().is_empty() {
        causes.push(Cause::required(format!("{path}.image"), ""));
    }
    choice(Some(container), "imagePullPolicy", path, &["Always", "IfNotPresent", "Never"], causes);
    let list = |name: &str| container.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (at, port) in list("ports").iter().enumerate() {
        let path = format!("{path}.ports[{at}]");
        check_port(port, "containerPort", &path, causes);
        choice(Some(port), "protocol", &path, &["SCTP", "TCP", "UDP"], causes);
    }
    for (at, variable) in list("env").iter().enumerate() {
        if variable.get("name").and_then(Value::as_str).unwrap_or_default().is_empty() {
            causes.push(Cause::required(format!("{path}.env[{at}].name"), ""));
        }
    }
    for (at, mount) in list("volumeMounts").iter().enumerate() {
        let path = format!("{path}.volumeMounts[{at}]");
        match mount.get("name").and_then(Value::as_str).unwrap_or_default() {
            "" => causes.push(Cause::required(format!("{path}.name"), "")),
            name if !volumes.contains(name) => causes.push(Cause::not_found(format!("{path}.name"), &name.into())),
            _ => {}
        }
        if mount.get("mountPath").and_then(Value::as_str).unwrap_or_default().is_empty() {
            causes.push(Cause::required(format!("{path}.mountPath"), ""));
        }
    }
    check_resources(container.get("resources"), &format!("{path}.resources"), causes);
}

/// A DNS label that no other element of the list has.
fn check_name<'a>(element: &'a Value, path: &str, seen: &mut HashSet<&'a str>, causes: &mut Vec<Cause>) {
    let name = element.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return causes.push(Cause::required(path, ""));
    }
    causes.extend(names::dns1123_label(name).into_iter().map(|fault| Cause::invalid(path, &name.into(), &fault)));
    if !seen.insert(name) {
        causes.push(Cause::duplicate(path, &name.into()));
    }
}

fn check_resources(resources: Option<&Value>, path: &str, causes: &mut Vec<Cause>) {
    let amount =
        |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned).parse::<Quantity>().ok();
    let amounts = |key: &str| resources.and_then(|resources| resources.get(key)).and_then(Value::as_object);
    for (name, request) in amounts("requests").into_iter().flatten() {
        let limit = amounts("limits").and_then(|limits| limits.get(name));
        if let Some((wanted, limit)) = amount(request).zip(limit.and_then(amount))
            && wanted > limit
        {
            let why = format!("must be less than or equal to {name} limit of {limit}");
            causes.push(Cause::invalid(format!("{path}.requests"), &wanted.to_string().into(), &why));
        }
    }
}

/// A port number, required.
pub(super) fn check_port(element: &Value, field: &str, path: &str, causes: &mut Vec<Cause>) {
    match element.get(field).and_then(Value::as_i64) {
        None => causes.push(Cause::required(format!("{path}.{field}"), "")),
        Some(1..=65535) => {}
        Some(number) => {
            let why = "must be between 1 and 65535, inclusive";
            causes.push(Cause::invalid(format!("{path}.{field}"), &number.into(), why));
        }
    }
}

/// One of a few texts, if present.
pub(super) fn choice(map: Option<&Value>, field: &str, path: &str, choices: &[&str], causes: &mut Vec<Cause>) {
    if let Some(value) = map.and_then(|map| map.get(field))
        && !value.as_str().is_some_and(|text| choices.contains(&text))
    {
        causes.push(Cause::unsupported(format!("{path}.{field}"), value, choices.iter().copied()));
    }
}
