//! Between versions that share storage. Custom resources only change their `apiVersion` (strategy None): nothing is lost on
//! the way. Events of the two event groups also have different field names.

use edgeward_objects::Object;
use serde_json::{Value, json};

use crate::catalog::Served;

/// Whether reading this version renames fields of what is stored.
pub(crate) fn changes_fields(served: &Served) -> bool {
    &*served.kind.group == "events.k8s.io"
}

/// From the stored to the served version.
pub(crate) fn to_served(object: &mut Object, served: &Served) {
    if changes_fields(served) {
        rename_all(object, false);
    }
    set_version(object, &served.api_version);
}

/// From the served to the stored version.
pub(crate) fn to_stored(object: &mut Object, served: &Served) {
    if changes_fields(served) {
        rename_all(object, true);
    }
    set_version(object, &served.storage_version);
}

fn set_version(object: &mut Object, api_version: &str) {
    if object.api_version() != api_version {
        object.set(&["apiVersion"], api_version);
    }
}

/// Core name, name in events.k8s.io/v1.
const RENAMED: [(&str, &str); 6] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

fn rename_all(object: &mut Object, to_core: bool) {
    for (core, new) in RENAMED {
        let (from, to) = if to_core { (new, core) } else { (core, new) };
        if let Some(value) = object.remove(&[from]) {
            object.set(&[to], value);
        }
    }
    // The controller is `reportingComponent` in the core group, `reportingController` in the other.
    let names = ["reportingController", "reportingComponent"];
    let (from, to) = if to_core { (names[0], names[1]) } else { (names[1], names[0]) };
    if let Some(value) = object.remove(&[from]) {
        object.set(&[to], value);
    }
    if to_core && object.get(&["source"]).is_none() {
        // kubectl prints the source; newer recorders only name the controller.
        let component = object.get(&["reportingComponent"]).cloned().unwrap_or(Value::Null);
        if component.is_string() {
            object.set(&["source"], json!({"component": component}));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_the_way_there_and_back() {
        let sent =
            json!({"regarding": {"kind": "Pod"}, "note": "hello", "reportingController": "c", "deprecatedCount": 2});
        let mut event = Object::from_value(sent.clone()).unwrap();
        rename_all(&mut event, true);
        assert_eq!(event.get_str(&["involvedObject", "kind"]), Some("Pod"));
        assert_eq!(event.get_str(&["source", "component"]), Some("c"));
        rename_all(&mut event, false);
        event.remove(&["deprecatedSource"]);
        assert_eq!(event.into_value(), sent);
    }
}
