//! The faults people make most, in the words of Kubernetes. Not everything Kubernetes refuses: what would only fail later, and
//! says so then, is left to whoever uses the field.

use edgeward_objects::{Cause, LabelSelector, Object};
use serde_json::Value;

use super::pods::{check_port, check_spec, choice};

/// Everything wrong with a built-in object whose fields have the right types.
pub(crate) fn check(object: &Object) -> Vec<Cause> {
    let mut causes = Vec::new();
    match object.kind() {
        "Pod" => check_spec(object.get(&["spec"]), "spec", &mut causes),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => workload(object, &mut causes),
        "Job" => job(object.get(&["spec"]), "spec", &mut causes),
        "CronJob" => cron_job(object, &mut causes),
        "Service" => service(object, &mut causes),
        "RoleBinding" | "ClusterRoleBinding" => role_binding(object, &mut causes),
        "CustomResourceDefinition" => custom_resource_definition(object, &mut causes),
        "PersistentVolumeClaim" => claim(object, &mut causes),
        "NetworkPolicy" => drop(selector(object.get(&["spec", "podSelector"]), "spec.podSelector", &mut causes)),
        _ => {}
    }
    causes
}

/// A selector that parses. Returns it, if there is one.
fn selector(value: Option<&Value>, path: &str, causes: &mut Vec<Cause>) -> Option<LabelSelector> {
    let value = value?;
    match LabelSelector::from_value(Some(value)) {
        Ok(selector) => Some(selector),
        Err(error) => {
            causes.push(Cause::invalid(path, value, &error.to_string()));
            None
        }
    }
}

fn workload(object: &Object, causes: &mut Vec<Cause>) {
    let labels = object
        .get(&["spec", "template", "metadata", "labels"])
        .cloned()
        .unwrap_or_else(|| Value::Object(Default::default()));
    match object.get(&["spec", "selector"]) {
        None => causes.push(Cause::required("spec.selector", "")),
        given => {
            let selector = selector(given, "spec.selector", causes);
            if selector.as_ref().is_some_and(LabelSelector::is_everything) {
                let value = given.cloned().unwrap_or_default();
                let why = format!("empty selector is invalid for {}", object.kind().to_lowercase());
                causes.push(Cause::invalid("spec.selector", &value, &why));
            } else if selector.is_some_and(|wanted| !wanted.matches(|key| labels.get(key)?.as_str())) {
                let why = "`selector` does not match template `labels`";
                causes.push(Cause::invalid("spec.template.metadata.labels", &labels, why));
            }
        }
    }
    if let Some(replicas) = object.get_i64(&["spec", "replicas"]).filter(|replicas| *replicas < 0) {
        causes.push(Cause::invalid("spec.replicas", &replicas.into(), "must be greater than or equal to 0"));
    }
    let spec = object.get(&["spec", "template", "spec"]);
    check_spec(spec, "spec.template.spec", causes);
    choice(spec, "restartPolicy", "spec.template.spec", &["Always"], causes);
    causes.dedup();
}

fn job(spec: Option<&Value>, path: &str, causes: &mut Vec<Cause>) {
    let template = spec.and_then(|spec| spec.get("template")).and_then(|template| template.get("spec"));
    let template_path = format!("{path}.template.spec");
    check_spec(template, &template_path, causes);
    if template.and_then(|template| template.get("restartPolicy")) == Some(&"Always".into()) {
        let why = "valid values: \"OnFailure\", \"Never\"";
        causes.push(Cause::required(format!("{template_path}.restartPolicy"), why));
    }
    for field in ["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"] {
        if let Some(number) =
            spec.and_then(|spec| spec.get(field)).filter(|number| number.as_i64().is_some_and(|n| n < 0))
        {
            causes.push(Cause::invalid(format!("{path}.{field}"), number, "must be greater than or equal to 0"));
        }
    }
}

fn cron_job(object: &Object, causes: &mut Vec<Cause>) {
    if object.get_str(&["spec", "schedule"]).unwrap_or_default().is_empty() {
        causes.push(Cause::required("spec.schedule", ""));
    }
    choice(object.get(&["spec"]), "concurrencyPolicy", "spec", &["Allow", "Forbid", "Replace"], causes);
    job(object.get(&["spec", "jobTemplate", "spec"]), "spec.jobTemplate.spec", causes);
}

fn service(object: &Object, causes: &mut Vec<Cause>) {
    let spec = object.get(&["spec"]);
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    choice(spec, "type", "spec", &kinds, causes);
    choice(spec, "sessionAffinity", "spec", &["ClientIP", "None"], causes);
    let ports = object.get_list(&["spec", "ports"]);
    let headless = object.get_str(&["spec", "clusterIP"]) == Some("None");
    let external = object.get_str(&["spec", "type"]) == Some("ExternalName");
    if ports.is_empty() && !headless && !external {
        causes.push(Cause::required("spec.ports", ""));
    }
    if external && object.get_str(&["spec", "externalName"]).unwrap_or_default().is_empty() {
        causes.push(Cause::required("spec.externalName", ""));
    }
    let mut names = std::collections::HashSet::new();
    for (at, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{at}]");
        match port.get("name").and_then(Value::as_str).unwrap_or_default() {
            "" if ports.len() > 1 => causes.push(Cause::required(format!("{path}.name"), "")),
            name if !name.is_empty() && !names.insert(name) => {
                causes.push(Cause::duplicate(format!("{path}.name"), &name.into()));
            }
            _ => {}
        }
        check_port(port, "port", &path, causes);
        choice(Some(port), "protocol", &path, &["SCTP", "TCP", "UDP"], causes);
    }
}

fn role_binding(object: &Object, causes: &mut Vec<Cause>) {
    if object.get_str(&["roleRef", "name"]).unwrap_or_default().is_empty() {
        causes.push(Cause::required("roleRef.name", ""));
    }
    let kinds: &[&str] = if object.kind() == "RoleBinding" { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    choice(object.get(&["roleRef"]), "kind", "roleRef", kinds, causes);
    for (at, subject) in object.get_list(&["subjects"]).iter().enumerate() {
        let path = format!("subjects[{at}]");
        let missing = |field: &str| subject.get(field).and_then(Value::as_str).unwrap_or_default().is_empty();
        if missing("name") {
            causes.push(Cause::required(format!("{path}.name"), ""));
        }
        choice(Some(subject), "kind", &path, &["Group", "ServiceAccount", "User"], causes);
        if missing("namespace") && subject.get("kind").is_some_and(|kind| kind == "ServiceAccount") {
            causes.push(Cause::required(format!("{path}.namespace"), ""));
        }
    }
}

fn custom_resource_definition(object: &Object, causes: &mut Vec<Cause>) {
    let text = |path: &[&str]| object.get_str(path).unwrap_or_default();
    for path in [&["spec", "group"][..], &["spec", "names", "plural"], &["spec", "names", "kind"], &["spec", "scope"]] {
        if text(path).is_empty() {
            causes.push(Cause::required(path.join("."), ""));
        }
    }
    let expected = format!("{}.{}", text(&["spec", "names", "plural"]), text(&["spec", "group"]));
    if object.name() != expected {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &object.name().into(), why));
    }
    choice(object.get(&["spec"]), "scope", "spec", &["Cluster", "Namespaced"], causes);
    let versions = object.get_list(&["spec", "versions"]);
    let stored = |version: &&Value| version.get("storage") == Some(&Value::Bool(true));
    if versions.iter().filter(stored).count() != 1 {
        let value = Value::Array(versions.to_vec());
        causes.push(Cause::invalid("spec.versions", &value, "must have exactly one version marked as storage version"));
    }
    for (at, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{at}].schema.openAPIV3Schema");
        match version.get("schema").and_then(|schema| schema.get("openAPIV3Schema")) {
            None => causes.push(Cause::required(path, "schemas are required")),
            Some(schema) => causes.extend(crate::compile::root(schema, &path).err().unwrap_or_default()),
        }
    }
}

fn claim(object: &Object, causes: &mut Vec<Cause>) {
    if object.get_list(&["spec", "accessModes"]).is_empty() {
        causes.push(Cause::required("spec.accessModes", "at least 1 access mode is required"));
    }
    if object.get(&["spec", "resources", "requests", "storage"]).is_none() {
        causes.push(Cause::required("spec.resources[storage]", ""));
    }
}
