//! The workload a set makes for one of its pools.

use edgeward_control::Error;
use edgeward_merge as merge;
use edgeward_objects::{GroupVersionKind, Object};
use serde_json::{Map, Value, json};

use crate::kinds::{APPLIED, AUTONOMY, PATCH, POOL_LABEL, POOL_NAME, REF_POOL, REF_SET, REVISION};
use crate::plan::{Plan, Pool};

/// The parts of a set that its children repeat.
pub(crate) struct Parent<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    pub owner: Value,
    /// The set's own wish for autonomy, handed down.
    pub autonomy: Option<&'a str>,
}

/// The child for `pool` as a JSON document with `generateName`.
pub(crate) fn build(parent: &Parent<'_>, plan: &Plan, pool: &Pool) -> Result<Value, Error> {
    let revision = hash(&json!([plan.template, plan.selector, pool.patch, pool.tweaks]));
    let mut child = skeleton(parent, plan, pool, &revision);
    bind(&mut child, pool)?;
    for tweak in &pool.tweaks {
        apply_tweak(&mut child, tweak, &pool.name)?;
    }
    if let Some(patch) = &pool.patch {
        child = strategic(plan.kind, child, patch)?;
    }
    let applied = hash(&child);
    at(&mut child, &["metadata", "annotations"])?.insert(APPLIED.to_owned(), applied.into());
    Ok(child)
}

fn text(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn skeleton(parent: &Parent<'_>, plan: &Plan, pool: &Pool, revision: &str) -> Value {
    let set_labels = text(plan.selector.get("matchLabels"));
    let mut marks = set_labels.clone();
    marks.insert(POOL_NAME.to_owned(), pool.name.as_str().into());
    let mut labels = text(plan.template.pointer("/metadata/labels"));
    labels.extend(marks.clone());
    labels.insert(REVISION.to_owned(), revision.into());
    let mut annotations = text(plan.template.pointer("/metadata/annotations"));
    if plan.is_beta {
        labels.insert(REF_SET.to_owned(), parent.name.into());
        annotations.insert(REF_POOL.to_owned(), pool.name.as_str().into());
    } else {
        let patch = pool.patch.as_ref().map(Value::to_string).unwrap_or_default();
        annotations.insert(PATCH.to_owned(), patch.into());
    }
    if let Some(autonomy) = parent.autonomy {
        annotations.insert(AUTONOMY.to_owned(), autonomy.into());
    }
    let mut spec = text(plan.template.get("spec"));
    let replicas = pool.replicas.map(Value::from).or_else(|| spec.get("replicas").cloned());
    spec.insert("replicas".to_owned(), replicas.unwrap_or_else(|| 1.into()));
    let mut selector = text(spec.get("selector"));
    let mut match_labels = text(selector.get("matchLabels"));
    match_labels.extend(marks.clone());
    selector.insert("matchLabels".to_owned(), match_labels.clone().into());
    spec.insert("selector".to_owned(), selector.into());
    let mut pod_template = text(spec.get("template"));
    let mut pod_meta = text(pod_template.get("metadata"));
    let mut pod_labels = text(pod_meta.get("labels"));
    pod_labels.extend(match_labels);
    pod_labels.insert(REVISION.to_owned(), revision.into());
    pod_meta.insert("labels".to_owned(), pod_labels.into());
    pod_template.insert("metadata".to_owned(), pod_meta.into());
    spec.insert("template".to_owned(), pod_template.into());
    json!({
        "apiVersion": "apps/v1",
        "kind": plan.kind,
        "metadata": {
            "generateName": format!("{}-{}-", parent.name, pool.name),
            "namespace": parent.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [parent.owner],
        },
        "spec": spec,
    })
}

/// The object at `path`, made where it is missing.
fn at<'a>(document: &'a mut Value, path: &[&str]) -> Result<&'a mut Map<String, Value>, Error> {
    let mut place = document;
    for step in path {
        let fields = place.as_object_mut().ok_or_else(|| not_an_object(step))?;
        let next = fields.entry(*step).or_insert_with(|| json!({}));
        if next.is_null() {
            *next = json!({});
        }
        place = next;
    }
    place.as_object_mut().ok_or_else(|| not_an_object(path.last().unwrap_or(&"")))
}

fn not_an_object(step: &str) -> Error {
    Error::Object(format!("workloadTemplate: {step} must be an object"))
}

/// Binds the pods to the pool's nodes: by its term, or by the NodePool's label.
fn bind(child: &mut Value, pool: &Pool) -> Result<(), Error> {
    let pod_spec = at(child, &["spec", "template", "spec"])?;
    if !pool.tolerations.is_empty() {
        let tolerations = pod_spec.entry("tolerations").or_insert_with(|| json!([]));
        if let Some(list) = tolerations.as_array_mut() {
            list.extend(pool.tolerations.iter().cloned());
        }
    }
    let Some(term) = &pool.node_selector_term else {
        at(child, &["spec", "template", "spec", "nodeSelector"])?
            .insert(POOL_LABEL.to_owned(), pool.name.as_str().into());
        return Ok(());
    };
    let affinity = at(child, &["spec", "template", "spec", "affinity", "nodeAffinity"])?;
    let required = affinity
        .entry("requiredDuringSchedulingIgnoredDuringExecution")
        .or_insert_with(|| json!({"nodeSelectorTerms": []}));
    let terms = required.get_mut("nodeSelectorTerms").and_then(Value::as_array_mut);
    let terms = terms.ok_or_else(|| not_an_object("nodeSelectorTerms"))?;
    if terms.is_empty() {
        terms.push(json!({}));
    }
    for existing in terms {
        for part in ["matchExpressions", "matchFields"] {
            let Some(wanted) = term.get(part).and_then(Value::as_array).filter(|wanted| !wanted.is_empty()) else {
                continue;
            };
            let Some(fields) = existing.as_object_mut() else { continue };
            if let Some(list) = fields.entry(part).or_insert_with(|| json!([])).as_array_mut() {
                list.extend(wanted.iter().cloned());
            }
        }
    }
    Ok(())
}

/// One entry of v1beta1's `workloadTweaks`: replicas, then images, then JSON patches.
fn apply_tweak(child: &mut Value, tweak: &Value, pool: &str) -> Result<(), Error> {
    if let Some(replicas) = tweak.get("replicas").filter(|replicas| !replicas.is_null()) {
        at(child, &["spec"])?.insert("replicas".to_owned(), replicas.clone());
    }
    for image in tweak.get("containerImages").and_then(Value::as_array).into_iter().flatten() {
        let pod_spec = at(child, &["spec", "template", "spec"])?;
        for list in ["containers", "initContainers"] {
            let containers = pod_spec.get_mut(list).and_then(Value::as_array_mut);
            for container in
                containers.into_iter().flatten().filter(|container| container.get("name") == image.get("name"))
            {
                container["image"] = image.get("targetImage").cloned().unwrap_or_default();
            }
        }
    }
    let patches = tweak.get("patches").and_then(Value::as_array).filter(|patches| !patches.is_empty());
    if let Some(patches) = patches {
        let operations: Vec<Value> = patches.iter().map(|patch| json_operation(patch, pool)).collect();
        *child = patched(child.take(), |object| merge::json_patch(object, &operations.into()))
            .map_err(|error| Error::Object(format!("workloadTweaks for pool {pool}: {error}")))?;
    }
    Ok(())
}

fn json_operation(patch: &Value, pool: &str) -> Value {
    let named = |value: &Value| match value {
        Value::String(text) => Value::String(text.replace("{{nodepool-name}}", pool)),
        other => other.clone(),
    };
    json!({
        "op": patch.get("operation"),
        "path": patch.get("path"),
        "value": patch.get("value").map(named),
    })
}

fn strategic(kind: &str, child: Value, patch: &Value) -> Result<Value, Error> {
    let kind = GroupVersionKind::new("apps", "v1", kind);
    patched(child, |object| merge::strategic_merge(&kind, object, patch))
        .map_err(|error| Error::Object(format!("pool patch: {error}")))
}

fn patched<F>(child: Value, patch: F) -> Result<Value, Error>
where
    F: FnOnce(&Object) -> Result<Object, merge::PatchError>,
{
    let object = Object::from_value(child).map_err(|error| Error::Object(error.to_string()))?;
    let object = patch(&object).map_err(|error| Error::Object(error.to_string()))?;
    Ok(object.into_value())
}

/// A short text that changes when the document does (FNV-1a, 64 bits).
fn hash(document: &Value) -> String {
    let bytes = document.to_string();
    let digest = bytes
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{digest:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;

    fn parent() -> Parent<'static> {
        Parent { name: "set", namespace: "ns", owner: json!({"uid": "u"}), autonomy: None }
    }

    fn only_child(spec: Value, pools: &[(String, Value)]) -> Value {
        let plan = plan::read(&spec, pools).expect("a plan");
        build(&parent(), &plan, &plan.pools[0]).expect("a child")
    }

    #[test]
    fn a_pool_of_the_lab_becomes_a_bound_deployment() {
        let child = only_child(
            json!({
                "selector": {"matchLabels": {"app": "cloud-sync"}},
                "workloadTemplate": {"deploymentTemplate": {
                    "metadata": {"labels": {"app": "cloud-sync"}},
                    "spec": {"replicas": 1, "template": {"metadata": {"labels": {"app": "cloud-sync"}}, "spec": {"containers": []}}},
                }},
                "topology": {"pools": [{"name": "factory-1", "replicas": 2, "nodeSelectorTerm": {"matchExpressions": [
                    {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["factory-1"]}]}}]},
            }),
            &[],
        );
        assert_eq!(child["metadata"]["generateName"], "set-factory-1-");
        assert_eq!(child["spec"]["replicas"], 2);
        assert_eq!(child["spec"]["selector"]["matchLabels"], json!({"app": "cloud-sync", POOL_NAME: "factory-1"}));
        let labels = &child["spec"]["template"]["metadata"]["labels"];
        assert_eq!((&labels["app"], &labels[POOL_NAME]), (&json!("cloud-sync"), &json!("factory-1")));
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        let terms = &child["spec"]["template"]["spec"]["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"];
        assert_eq!(terms[0]["matchExpressions"][0]["key"], "topology.kubernetes.io/zone");
    }

    #[test]
    fn tweaks_apply_in_order_and_name_the_pool() {
        let child = only_child(
            json!({
                "workload": {
                    "workloadTemplate": {"deploymentTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "a"}]}}}}},
                    "workloadTweaks": [
                        {"pools": ["f1"], "tweaks": {"replicas": 3, "containerImages": [{"name": "c", "targetImage": "b"}]}},
                        {"pools": ["f1"], "tweaks": {"patches": [
                            {"path": "/metadata/labels/where", "operation": "add", "value": "at-{{nodepool-name}}"}]}},
                    ],
                },
                "pools": ["f1"],
            }),
            &[("f1".to_owned(), json!({}))],
        );
        assert_eq!(child["spec"]["replicas"], 3);
        assert_eq!(child["spec"]["template"]["spec"]["containers"][0]["image"], "b");
        assert_eq!(child["metadata"]["labels"]["where"], "at-f1");
        assert_eq!(child["spec"]["template"]["spec"]["nodeSelector"], json!({POOL_LABEL: "f1"}));
    }

    #[test]
    fn a_pool_patch_merges_containers_by_name() {
        let child = only_child(
            json!({
                "selector": {"matchLabels": {"a": "b"}},
                "workloadTemplate": {"deploymentTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "a", "env": []}]}}}}},
                "topology": {"pools": [{"name": "p", "patch": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "z"}]}}}}}]},
            }),
            &[],
        );
        assert_eq!(child["spec"]["template"]["spec"]["containers"], json!([{"name": "c", "image": "z", "env": []}]));
    }
}
