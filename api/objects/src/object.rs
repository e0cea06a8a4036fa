use serde_json::{Map, Value};
use thiserror::Error;

use crate::{GroupVersionKind, OwnerReference};

/// Why bytes or a value are not an object.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// Not JSON, or JSON nested deeper than 128 levels.
    #[error("object is not valid JSON: {0}; send one JSON object")]
    Json(#[from] serde_json::Error),
    /// JSON, but an array or a scalar.
    #[error("object is a JSON {0}; send one JSON object")]
    NotAnObject(&'static str),
}

/// A dynamic Kubernetes object: a JSON map that keeps the order and every field it was given.
///
/// Equality ignores the order of map keys. Readers of missing or wrongly typed fields get `None` or an empty text, because an
/// object may be anything until it was validated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(Map<String, Value>);

impl Object {
    /// An object with type, name and, unless cluster-scoped, namespace.
    pub fn new(gvk: &GroupVersionKind, namespace: Option<&str>, name: &str) -> Self {
        let mut object = Self::default();
        object.set_gvk(gvk);
        object.set(&["metadata", "name"], name);
        if let Some(namespace) = namespace {
            object.set(&["metadata", "namespace"], namespace);
        }
        object
    }

    /// Parses JSON text.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ObjectError> {
        Self::from_value(serde_json::from_slice(bytes)?)
    }

    /// Takes a JSON value that must be a map.
    pub fn from_value(value: Value) -> Result<Self, ObjectError> {
        match value {
            Value::Object(map) => Ok(Self(map)),
            other => Err(ObjectError::NotAnObject(type_name(&other))),
        }
    }

    /// Compact JSON text.
    pub fn to_bytes(&self) -> Vec<u8> {
        // A map of JSON values with text keys always serialises, and a Vec takes every write.
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    /// The whole map.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The whole map, to edit.
    pub fn as_map_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.0
    }

    /// Gives the map away.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// Gives the object away as a JSON value.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// A copy as a JSON value.
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// The value at a path of map keys: `object.get(&["spec", "nodeName"])`.
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        let (last, parents) = path.split_last()?;
        parents.iter().try_fold(&self.0, |map, key| map.get(*key)?.as_object())?.get(*last)
    }

    /// The value at a path, to edit.
    pub fn get_mut(&mut self, path: &[&str]) -> Option<&mut Value> {
        let (last, parents) = path.split_last()?;
        parents.iter().try_fold(&mut self.0, |map, key| map.get_mut(*key)?.as_object_mut())?.get_mut(*last)
    }

    /// The text at a path.
    pub fn get_str(&self, path: &[&str]) -> Option<&str> {
        self.get(path)?.as_str()
    }

    /// The integer at a path.
    pub fn get_i64(&self, path: &[&str]) -> Option<i64> {
        self.get(path)?.as_i64()
    }

    /// The boolean at a path.
    pub fn get_bool(&self, path: &[&str]) -> Option<bool> {
        self.get(path)?.as_bool()
    }

    /// The items of the list at a path; empty if there is none.
    pub fn get_list(&self, path: &[&str]) -> &[Value] {
        self.get(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The map at a path.
    pub fn get_map(&self, path: &[&str]) -> Option<&Map<String, Value>> {
        self.get(path)?.as_object()
    }

    /// The map at a path, made if missing; a value of another type on the way is replaced.
    pub fn map_mut(&mut self, path: &[&str]) -> &mut Map<String, Value> {
        path.iter().fold(&mut self.0, |map, key| child_map(map, key))
    }

    /// Sets the value at a path, making the maps on the way.
    pub fn set(&mut self, path: &[&str], value: impl Into<Value>) {
        if let Some((last, parents)) = path.split_last() {
            self.map_mut(parents).insert((*last).to_owned(), value.into());
        }
    }

    /// Removes and returns the value at a path; the order of the other keys is kept.
    pub fn remove(&mut self, path: &[&str]) -> Option<Value> {
        let (last, parents) = path.split_last()?;
        let map = parents.iter().try_fold(&mut self.0, |map, key| map.get_mut(*key)?.as_object_mut())?;
        map.shift_remove(*last)
    }

    /// `apiVersion`, empty if missing.
    pub fn api_version(&self) -> &str {
        self.text(&["apiVersion"])
    }

    /// `kind`, empty if missing.
    pub fn kind(&self) -> &str {
        self.text(&["kind"])
    }

    /// `apiVersion` and `kind` together.
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::from_api_version(self.api_version(), self.kind())
    }

    /// Sets `apiVersion` and `kind`.
    pub fn set_gvk(&mut self, gvk: &GroupVersionKind) {
        self.set(&["apiVersion"], gvk.api_version());
        self.set(&["kind"], gvk.kind.as_str());
    }

    /// `metadata.name`, empty if missing.
    pub fn name(&self) -> &str {
        self.text(&["metadata", "name"])
    }

    /// `metadata.generateName`.
    pub fn generate_name(&self) -> Option<&str> {
        self.get_str(&["metadata", "generateName"]).filter(|text| !text.is_empty())
    }

    /// `metadata.namespace`; `None` for cluster-scoped objects.
    pub fn namespace(&self) -> Option<&str> {
        self.get_str(&["metadata", "namespace"]).filter(|text| !text.is_empty())
    }

    /// `metadata.uid`, empty if missing.
    pub fn uid(&self) -> &str {
        self.text(&["metadata", "uid"])
    }

    /// `metadata.resourceVersion`, empty if missing.
    pub fn resource_version(&self) -> &str {
        self.text(&["metadata", "resourceVersion"])
    }

    /// `metadata.generation`, 0 if missing.
    pub fn generation(&self) -> i64 {
        self.get_i64(&["metadata", "generation"]).unwrap_or(0)
    }

    /// `metadata.creationTimestamp`, RFC 3339.
    pub fn creation_timestamp(&self) -> Option<&str> {
        self.get_str(&["metadata", "creationTimestamp"])
    }

    /// `metadata.deletionTimestamp`, RFC 3339; present from the moment deletion was asked for.
    pub fn deletion_timestamp(&self) -> Option<&str> {
        self.get_str(&["metadata", "deletionTimestamp"])
    }

    /// Whether deletion was asked for.
    pub fn is_deleting(&self) -> bool {
        self.deletion_timestamp().is_some()
    }

    /// The value of one label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.get_str(&["metadata", "labels", key])
    }

    /// All labels, in their order.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts(&["metadata", "labels"])
    }

    /// The value of one annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.get_str(&["metadata", "annotations", key])
    }

    /// All annotations, in their order.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts(&["metadata", "annotations"])
    }

    /// `metadata.finalizers`.
    pub fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.get_list(&["metadata", "finalizers"]).iter().filter_map(Value::as_str)
    }

    /// `metadata.ownerReferences`; entries that are not maps are skipped.
    pub fn owner_references(&self) -> Vec<OwnerReference> {
        self.get_list(&["metadata", "ownerReferences"]).iter().filter_map(OwnerReference::from_value).collect()
    }

    /// The owner that manages this object, if any.
    pub fn controller(&self) -> Option<OwnerReference> {
        self.owner_references().into_iter().find(|owner| owner.controller)
    }

    fn text(&self, path: &[&str]) -> &str {
        self.get_str(path).unwrap_or_default()
    }

    fn texts(&self, path: &[&str]) -> impl Iterator<Item = (&str, &str)> {
        self.get_map(path).into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }
}

fn child_map<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(child) => child,
        _ => unreachable!("the value was made an object two lines above"),
    }
}

/// The JSON type of a value as JSON itself names it.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
