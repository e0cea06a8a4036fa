//! What this room reads of a Device, in either version's words.

use std::collections::BTreeSet;

use edgeward_control::Key;
use edgeward_hub::DEVICE_NODE_ANNOTATION;
use kube::api::DynamicObject;
use serde_json::Value;

/// Index terms: its model, and the node it is on.
pub(crate) fn index(device: &DynamicObject) -> Vec<String> {
    let model = model(device).map(|model| model_term(&model));
    let node = assigned(device).map(node_term);
    model.into_iter().chain(node).collect()
}

pub(crate) fn model_term(model: &Key) -> String {
    format!("model {}/{}", model.namespace, model.name)
}

pub(crate) fn node_term(node: &str) -> String {
    format!("node {node}")
}

/// The model it names.
pub(crate) fn model(device: &DynamicObject) -> Option<Key> {
    let name = text(&device.data, "/spec/deviceModelRef/name")?;
    Some(Key::new(device.metadata.namespace.clone().unwrap_or_default(), name))
}

/// `spec.nodeName`, v1beta1.
pub(crate) fn node_name(device: &DynamicObject) -> Option<&str> {
    text(&device.data, "/spec/nodeName")
}

/// `spec.nodeSelector`, v1alpha2.
pub(crate) fn selector(device: &DynamicObject) -> Option<&Value> {
    device.data.pointer("/spec/nodeSelector").filter(|selector| !selector.is_null())
}

/// The node the annotation names.
pub(crate) fn annotated(device: &DynamicObject) -> Option<&str> {
    let annotations = device.metadata.annotations.as_ref()?;
    annotations.get(DEVICE_NODE_ANNOTATION).map(String::as_str).filter(|node| !node.is_empty())
}

/// The node it is on, as the hub sees it.
pub(crate) fn assigned(device: &DynamicObject) -> Option<&str> {
    node_name(device).or_else(|| annotated(device))
}

/// Whether desired values stand in `status.twins` (v1alpha2) rather than in the spec.
pub(crate) fn wishes_in_status(device: &DynamicObject) -> bool {
    device.data.pointer("/spec/properties").is_none()
}

/// The properties the device lists, in order, each once. `None`: a v1alpha2 device without visitors, then its model and
/// its wishes count.
pub(crate) fn listed(device: &DynamicObject) -> Option<Vec<&str>> {
    if !wishes_in_status(device) {
        return Some(names_of(&device.data, &[("/spec/properties", "name")]));
    }
    let visited = [("/spec/propertyVisitors", "propertyName"), ("/spec/data/dataProperties", "propertyName")];
    let has_any = visited.iter().any(|(path, _)| !list(&device.data, path).is_empty());
    has_any.then(|| names_of(&device.data, &[visited[0], visited[1], TWINS]))
}

/// The properties of `status.twins`.
pub(crate) fn twin_names(device: &DynamicObject) -> Vec<&str> {
    names_of(&device.data, &[TWINS])
}

const TWINS: (&str, &str) = ("/status/twins", "propertyName");

/// The properties a model defines.
pub(crate) fn defined(model: &DynamicObject) -> Vec<&str> {
    names_of(&model.data, &[("/spec/properties", "name")])
}

fn names_of<'a>(data: &'a Value, lists: &[(&str, &str)]) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    let items = lists.iter().flat_map(|(path, key)| list(data, path).iter().map(move |item| item.get(*key)));
    items.filter_map(|name| name?.as_str()).filter(|name| seen.insert(*name)).collect()
}

/// A list, empty when it is not there.
pub(crate) fn list<'a>(data: &'a Value, path: &str) -> &'a [Value] {
    data.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A text that is there and not empty.
pub(crate) fn text<'a>(data: &'a Value, path: &str) -> Option<&'a str> {
    data.pointer(path)?.as_str().filter(|text| !text.is_empty())
}
