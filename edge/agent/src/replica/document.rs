//! A stored object together with what the node remembers about it.

use edgeward_objects::{Object, ObjectError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Key under which the mark is stored beside `apiVersion`, `kind` and `metadata`. Readers of the local API never see it.
const MARK: &str = "edgeward.io/replica";

/// What the node remembers about an object, stored in the same write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Mark {
    /// `metadata.resourceVersion` in the cloud; empty if the cloud has not sent or confirmed the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) version: String,
    /// The status is this node's own word: a document from the cloud does not change it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) own_status: bool,
    /// Number of the newest local change the cloud has not confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unsent: Option<u64>,
    /// A pod of which nothing is left here; it waits for the cloud to remove the object.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gone: bool,
}

/// An object and its mark.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Document {
    pub(crate) object: Object,
    pub(crate) mark: Mark,
}

impl Document {
    pub(crate) fn new(object: Object) -> Self {
        Self { object, mark: Mark::default() }
    }

    /// Reads a stored value. A mark that is not readable counts as none: the object is then fetched again.
    pub(crate) fn read(value: &[u8]) -> Result<Self, ObjectError> {
        let mut object = Object::from_bytes(value)?;
        let mark = object.as_map_mut().shift_remove(MARK);
        let mark = mark.and_then(|mark| serde_json::from_value(mark).ok()).unwrap_or_default();
        Ok(Self { object, mark })
    }

    /// The value to store: type and metadata first, as the API server writes it, the mark last, no resourceVersion.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut map = serde_json::Map::with_capacity(self.object.as_map().len() + 1);
        for key in ["apiVersion", "kind", "metadata"] {
            map.insert(key.to_owned(), self.object.as_map().get(key).cloned().unwrap_or_default());
        }
        for (key, value) in self.object.as_map() {
            if !map.contains_key(key) {
                map.insert(key.clone(), value.clone());
            }
        }
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.shift_remove("resourceVersion");
        }
        // A struct of text, numbers and booleans always serialises.
        map.insert(MARK.to_owned(), serde_json::to_value(&self.mark).unwrap_or_default());
        serde_json::to_vec(&map).unwrap_or_default()
    }

    /// The object as the cloud knows it.
    pub(crate) fn into_cloud_object(mut self) -> Object {
        if !self.mark.version.is_empty() {
            self.object.set(&["metadata", "resourceVersion"], self.mark.version);
        }
        self.object
    }
}
