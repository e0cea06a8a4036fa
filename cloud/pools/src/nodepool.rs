//! NodePool: who belongs to it, what its members get from it, and how many of them are ready.
//!
//! A node belongs to the pool its label `apps.openyurt.io/nodepool` names. OpenYurt's v1alpha1 also had
//! `spec.selector`, which its later versions ignore; here a node that the selector matches and that no pool has yet is
//! given the label, which is what people who wrote a selector meant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edgeward_control::{Error, Key};
use edgeward_objects::LabelSelector;
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Map, Value, json};

use crate::Context;
use crate::kinds::{POOL_LABEL, POOL_TYPE, PREVIOUS, node_pools};

/// Whether a change of a node can change a pool.
pub(crate) fn differs(before: &Node, now: &Node) -> bool {
    before.metadata.labels != now.metadata.labels || is_ready(before) != is_ready(now)
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

pub(crate) async fn reconcile(context: Arc<Context>, key: Key) -> Result<Option<Duration>, Error> {
    let Some(pool) = context.pools.get(&key) else { return Ok(None) };
    if !context.nodes.is_listed() {
        return Ok(Some(Duration::from_millis(50)));
    }
    if pool.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    complete(&context, &pool).await?;
    adopt(&context, &pool).await?;
    let mut members: Vec<Arc<Node>> = context.nodes.all();
    members.retain(|node| pool_of(node) == Some(&key.name));
    members.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    for node in &members {
        hand_down(&context, &pool, node).await?;
    }
    show(&context, &pool, &members).await?;
    Ok(None)
}

fn pool_of(node: &Node) -> Option<&String> {
    node.metadata.labels.as_ref()?.get(POOL_LABEL)
}

/// What OpenYurt's webhook would have added: the type, and the label that repeats it.
async fn complete(context: &Context, pool: &DynamicObject) -> Result<(), Error> {
    let kind = pool.data.pointer("/spec/type").and_then(Value::as_str).filter(|text| !text.is_empty());
    let wanted = kind.unwrap_or("Edge");
    let labelled = pool.metadata.labels.as_ref().and_then(|labels| labels.get(POOL_TYPE));
    if kind.is_some() && labelled.is_some_and(|label| *label == wanted.to_lowercase()) {
        return Ok(());
    }
    let patch = json!({
        "metadata": {"labels": {POOL_TYPE: wanted.to_lowercase()}},
        "spec": {"type": wanted},
    });
    let name = pool.metadata.name.as_deref().unwrap_or_default();
    let stored = node_pools(&context.client).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    context.pools.put(stored);
    Ok(())
}

async fn adopt(context: &Context, pool: &DynamicObject) -> Result<(), Error> {
    let Some(selector) = pool.data.pointer("/spec/selector").filter(|selector| !is_empty(selector)) else {
        return Ok(());
    };
    let name = pool.metadata.name.as_deref().unwrap_or_default();
    let selector = LabelSelector::from_value(Some(selector))
        .map_err(|error| Error::Object(format!("NodePool {name}: spec.selector: {error}")))?;
    let none = BTreeMap::new();
    for node in context.nodes.all() {
        let labels = node.metadata.labels.as_ref().unwrap_or(&none);
        let matches = selector.matches(|key| labels.get(key).map(String::as_str));
        if !matches || pool_of(&node).is_some() {
            continue;
        }
        let patch = json!({"metadata": {"labels": {POOL_LABEL: name}}});
        let api: Api<Node> = Api::all(context.client.clone());
        let node_name = node.metadata.name.as_deref().unwrap_or_default();
        context.nodes.put(api.patch(node_name, &PatchParams::default(), &Patch::Merge(patch)).await?);
    }
    Ok(())
}

fn is_empty(selector: &Value) -> bool {
    let part = |name: &str| selector.get(name).is_some_and(|part| part != &json!({}) && part != &json!([]));
    !part("matchLabels") && !part("matchExpressions")
}

/// What a pool gives to each of its members, in the form in which it is remembered on the node.
fn attributes(pool: &DynamicObject) -> Map<String, Value> {
    let spec = pool.data.get("spec");
    let mut attributes = Map::new();
    for name in ["labels", "annotations", "taints"] {
        let part = spec.and_then(|spec| spec.get(name));
        if let Some(part) = part.filter(|part| !part.is_null() && **part != json!({}) && **part != json!([])) {
            attributes.insert(name.to_owned(), part.clone());
        }
    }
    attributes
}

async fn hand_down(context: &Context, pool: &DynamicObject, node: &Node) -> Result<(), Error> {
    let wanted = attributes(pool);
    let remembered = node.metadata.annotations.as_ref().and_then(|annotations| annotations.get(PREVIOUS));
    let before: Map<String, Value> = remembered.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    if before == wanted {
        return Ok(());
    }
    let taints = merged_taints(node, before.get("taints"), wanted.get("taints"));
    let mut annotations = overlay(before.get("annotations"), wanted.get("annotations"));
    let memory = if wanted.is_empty() { Value::Null } else { Value::String(serde_json::to_string(&wanted)?) };
    annotations.insert(PREVIOUS.to_owned(), memory);
    let patch = json!({
        "metadata": {
            "resourceVersion": node.metadata.resource_version,
            "labels": overlay(before.get("labels"), wanted.get("labels")),
            "annotations": annotations,
        },
        "spec": {"taints": if taints.is_empty() { Value::Null } else { json!(taints) }},
    });
    let api: Api<Node> = Api::all(context.client.clone());
    let name = node.metadata.name.as_deref().unwrap_or_default();
    context.nodes.put(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?);
    Ok(())
}

/// A merge patch that sets what is wanted and removes what only was.
fn overlay(before: Option<&Value>, wanted: Option<&Value>) -> Map<String, Value> {
    let keys = before.and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let mut patch: Map<String, Value> = keys.map(|key| (key.clone(), Value::Null)).collect();
    patch.extend(wanted.and_then(Value::as_object).cloned().unwrap_or_default());
    patch
}

/// A taint is known by key and effect.
fn merged_taints(node: &Node, before: Option<&Value>, wanted: Option<&Value>) -> Vec<Taint> {
    let read = |value: Option<&Value>| -> Vec<Taint> {
        value.and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default()
    };
    let (before, wanted) = (read(before), read(wanted));
    let same = |a: &Taint, b: &Taint| a.key == b.key && a.effect == b.effect;
    let held = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let mut taints: Vec<Taint> = held;
    taints.retain(|taint| !before.iter().chain(&wanted).any(|other| same(taint, other)));
    taints.extend(wanted);
    taints
}

async fn show(context: &Context, pool: &DynamicObject, members: &[Arc<Node>]) -> Result<(), Error> {
    let ready = members.iter().filter(|node| is_ready(node)).count();
    let names: Vec<_> = members.iter().filter_map(|node| node.metadata.name.as_deref()).collect();
    let wanted = json!({"readyNodeNum": ready, "unreadyNodeNum": members.len() - ready, "nodes": names});
    let held = |field: &str| pool.data.pointer(&format!("/status/{field}"));
    if ["readyNodeNum", "unreadyNodeNum", "nodes"].iter().all(|field| held(field) == wanted.get(field)) {
        return Ok(());
    }
    let name = pool.metadata.name.as_deref().unwrap_or_default();
    let patch = Patch::Merge(json!({"status": wanted}));
    context.pools.put(node_pools(&context.client).patch_status(name, &PatchParams::default(), &patch).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pool_no_longer_gives_is_taken_back() {
        let patch = overlay(Some(&json!({"a": "1", "b": "2"})), Some(&json!({"b": "3", "c": "4"})));
        assert_eq!(Value::Object(patch), json!({"a": null, "b": "3", "c": "4"}));
    }

    #[test]
    fn taints_are_known_by_key_and_effect() {
        let node: Node = serde_json::from_value(json!({"spec": {"taints": [
            {"key": "mine", "effect": "NoSchedule"},
            {"key": "old", "effect": "NoSchedule"},
            {"key": "kept", "effect": "NoSchedule", "value": "1"},
        ]}}))
        .expect("a node");
        let before =
            json!([{"key": "old", "effect": "NoSchedule"}, {"key": "kept", "effect": "NoSchedule", "value": "1"}]);
        let wanted = json!([{"key": "kept", "effect": "NoSchedule", "value": "2"}]);
        let taints = merged_taints(&node, Some(&before), Some(&wanted));
        let short: Vec<_> = taints.iter().map(|t| (t.key.as_str(), t.value.as_deref())).collect();
        assert_eq!(short, [("mine", None), ("kept", Some("2"))]);
    }

    #[test]
    fn an_empty_selector_selects_nobody() {
        assert!(is_empty(&json!({})) && is_empty(&json!({"matchLabels": {}})));
        assert!(!is_empty(&json!({"matchLabels": {"a": "b"}})));
    }
}
