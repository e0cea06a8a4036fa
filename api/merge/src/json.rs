use edgeward_objects::Object;
use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::PatchError;

/// Most operations of one JSON patch, as in Kubernetes.
const OPERATIONS: usize = 10_000;
/// Bytes all `copy` operations of one patch may add together. Without it a short patch that copies the document into itself
/// again and again would fill the memory.
const COPIED_BYTES: usize = 3 << 20;
/// Levels a result may have. What the parser refuses must not be made by copying either.
const DEPTH: usize = 120;

/// Applies an RFC 6902 patch: a list of operations, all or none.
pub fn json_patch(current: &Object, patch: &Value) -> Result<Object, PatchError> {
    let count = patch.as_array().map_or(0, Vec::len);
    if count > OPERATIONS {
        return Err(PatchError::TooManyOperations { limit: OPERATIONS, count });
    }
    let malformed = |error: serde_json::Error| PatchError::Malformed(format!("error decoding patch: {error}"));
    let operations: Patch = serde_json::from_value(patch.clone()).map_err(malformed)?;
    let mut document = current.to_value();
    let mut copied = 0;
    for operation in operations.0 {
        if let PatchOperation::Copy(copy) = &operation {
            copied += document.pointer(&copy.from.to_string()).map_or(0, |value| value.to_string().len());
            if copied > COPIED_BYTES {
                let text = format!("copy operations add more than the allowed {COPIED_BYTES} bytes");
                return Err(PatchError::NotApplicable(text));
            }
        }
        json_patch::patch(&mut document, &[operation]).map_err(|error| PatchError::NotApplicable(error.to_string()))?;
    }
    if depth(&document) > DEPTH {
        return Err(PatchError::NotApplicable(format!("the result is nested deeper than {DEPTH} levels")));
    }
    Object::from_value(document).map_err(|error| PatchError::NotApplicable(error.to_string()))
}

/// Applies an RFC 7386 merge patch: maps merge, null removes, everything else replaces.
pub fn merge_patch(current: &Object, patch: &Value) -> Result<Object, PatchError> {
    if !patch.is_object() {
        return Err(PatchError::Malformed("error decoding patch: a merge patch must be a JSON object".into()));
    }
    let mut document = current.to_value();
    merge(&mut document, patch);
    Object::from_value(document).map_err(|error| PatchError::NotApplicable(error.to_string()))
}

/// Written here because the order of keys must survive removal, which the crate's version does not promise.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.shift_remove(key);
        } else {
            merge(target.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
