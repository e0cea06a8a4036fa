//! Fields of built-in kinds that are fixed when the object is created.

use edgeward_objects::{Cause, Object};
use serde_json::Value;

/// Group, resource, fixed paths.
const FIXED: [(&str, &str, &[&str]); 10] = [
    ("apps", "deployments", &["spec.selector"]),
    ("apps", "replicasets", &["spec.selector"]),
    ("apps", "daemonsets", &["spec.selector"]),
    ("apps", "statefulsets", &["spec.selector", "spec.serviceName", "spec.podManagementPolicy"]),
    ("batch", "jobs", &["spec.selector", "spec.template"]),
    ("", "secrets", &["type"]),
    ("storage.k8s.io", "storageclasses", &["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"]),
    ("scheduling.k8s.io", "priorityclasses", &["value", "preemptionPolicy"]),
    ("rbac.authorization.k8s.io", "rolebindings", &["roleRef"]),
    ("rbac.authorization.k8s.io", "clusterrolebindings", &["roleRef"]),
];

/// The fixed fields a change touches.
pub(super) fn faults(group: &str, plural: &str, old: &Object, new: &Object) -> Vec<Cause> {
    let row = FIXED.iter().find(|row| row.0 == group && row.1 == plural);
    let mut causes: Vec<Cause> = row
        .into_iter()
        .flat_map(|row| row.2)
        .filter_map(|path| {
            let keys: Vec<&str> = path.split('.').collect();
            let (before, after) = (old.get(&keys), new.get(&keys));
            (before != after).then(|| Cause::invalid(*path, after.unwrap_or(&Value::Null), "field is immutable"))
        })
        .collect();
    if matches!((group, plural), ("", "secrets" | "configmaps")) && old.get_bool(&["immutable"]) == Some(true) {
        if new.get_bool(&["immutable"]) != Some(true) {
            causes.push(Cause::forbidden("immutable", "field is immutable when `immutable` is set"));
        }
        for key in ["data", "binaryData"] {
            if old.get(&[key]) != new.get(&[key]) {
                causes.push(Cause::forbidden(key, "field is immutable when `immutable` is set"));
            }
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fixed_fields_are_found() {
        let of = |value: Value| Object::from_value(value).unwrap();
        let cases = [
            (
                "apps",
                "deployments",
                json!({"spec": {"selector": 1, "replicas": 1}}),
                json!({"spec": {"selector": 1, "replicas": 2}}),
                "",
            ),
            (
                "apps",
                "deployments",
                json!({"spec": {"selector": 1}}),
                json!({"spec": {"selector": 2}}),
                "spec.selector",
            ),
            ("", "secrets", json!({"type": "a"}), json!({"type": "b"}), "type"),
            ("", "configmaps", json!({"data": 1}), json!({"data": 2}), ""),
            ("", "configmaps", json!({"immutable": true, "data": 1}), json!({"immutable": true, "data": 2}), "data"),
            ("", "configmaps", json!({"immutable": true}), json!({}), "immutable"),
        ];
        for (group, plural, old, new, expected) in cases {
            let found: Vec<String> =
                faults(group, plural, &of(old), &of(new)).into_iter().map(|cause| cause.field).collect();
            assert_eq!(found.join(","), expected);
        }
    }
}
