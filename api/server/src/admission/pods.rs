//! Pods: what a new one starts with and what may change in one that exists.

use edgeward_objects::{ApiError, Cause, Object, Quantity};
use serde_json::{Value, json};

use crate::call::Call;

/// A new pod is pending, has priority 0 and its service class.
pub(super) fn begin(object: &mut Object) {
    if object.get(&["spec", "priority"]).is_none() {
        object.set(&["spec", "priority"], 0);
        object.set(&["spec", "preemptionPolicy"], "PreemptLowerPriority");
    }
    let class = service_class(object);
    object.set(&["status", "phase"], "Pending");
    object.set(&["status", "qosClass"], class);
}

/// `Guaranteed`, `Burstable` or `BestEffort` by Kubernetes' rules: no request or limit at all is best effort; cpu and memory
/// limits in every container, equal to the requests, is guaranteed.
fn service_class(object: &Object) -> &'static str {
    let lists = [object.get_list(&["spec", "containers"]), object.get_list(&["spec", "initContainers"])];
    let containers: Vec<&Value> = lists.into_iter().flatten().collect();
    let amount = |container: &Value, kind: &str, name: &str| -> Option<Quantity> {
        let value = container.pointer(&format!("/resources/{kind}/{name}"))?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.parse().ok().filter(|quantity: &Quantity| !quantity.is_zero())
    };
    let names = ["cpu", "memory"];
    let any = |container: &&Value| {
        names.iter().any(|name| amount(container, "limits", name).or(amount(container, "requests", name)).is_some())
    };
    if !containers.iter().any(any) {
        return "BestEffort";
    }
    let full = |container: &&Value| {
        names.iter().all(|name| {
            let limit = amount(container, "limits", name);
            limit.is_some() && amount(container, "requests", name).is_none_or(|request| Some(request) == limit)
        })
    };
    if containers.iter().all(full) { "Guaranteed" } else { "Burstable" }
}

const MUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
    `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` \
    (allow it to be set to 1 if it was previously negative)";

/// Images, deadline and tolerations may change; everything else in the spec of a pod is fixed.
pub(super) fn check_change(call: &Call, old: &Object, new: &Object) -> Result<(), ApiError> {
    let comparable = |object: &Object| {
        let mut spec = object.get(&["spec"]).cloned().unwrap_or(json!({}));
        for list in ["containers", "initContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                container.as_object_mut().map(|container| container.shift_remove("image"));
            }
        }
        for key in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"] {
            spec.as_object_mut().map(|spec| spec.shift_remove(key));
        }
        spec
    };
    if comparable(old) == comparable(new) {
        return Ok(());
    }
    Err(call.invalid(old.name(), vec![Cause::forbidden("spec", MUTABLE)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_classes() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        let cases = [
            (json!([{}]), "BestEffort"),
            (json!([{"resources": {"limits": both}}]), "Guaranteed"),
            (json!([{"resources": {"limits": both, "requests": {"cpu": "1000m", "memory": "1024Mi"}}}]), "Guaranteed"),
            (json!([{"resources": {"limits": both, "requests": {"cpu": "500m", "memory": "1Gi"}}}]), "Burstable"),
            (json!([{"resources": {"limits": both}}, {}]), "Burstable"),
            (json!([{"resources": {"requests": {"cpu": "0"}}}]), "BestEffort"),
        ];
        for (containers, expected) in cases {
            let pod = Object::from_value(json!({"spec": {"containers": containers}})).unwrap();
            assert_eq!(service_class(&pod), expected, "{containers}");
        }
    }
}
