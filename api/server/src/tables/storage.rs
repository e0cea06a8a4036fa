//! Volumes, claims and their classes.

use edgeward_objects::Object;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cells, Printer, joined, name, own_age, str_of, text};

pub(super) fn printer(group: &str, plural: &str) -> Option<Printer> {
    let (columns, cells): (&str, Cells) = match (group, plural) {
        ("", "persistentvolumes") => (
            "Name:name|Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age|VolumeMode:wide",
            volume,
        ),
        ("", "persistentvolumeclaims") => (
            "Name:name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|VolumeMode:wide",
            claim,
        ),
        ("storage.k8s.io", "storageclasses") => {
            ("Name:name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age", class)
        }
        ("storage.k8s.io", "csidrivers") => (
            "Name:name|AttachRequired:boolean|PodInfoOnMount:boolean|StorageCapacity:boolean|TokenRequests|RequiresRepublish:boolean|Modes|Age",
            driver,
        ),
        ("storage.k8s.io", "csinodes") => ("Name:name|Drivers:integer|Age", |o, now| {
            vec![name(o), json!(o.get_list(&["spec", "drivers"]).len()), own_age(o, now)]
        }),
        ("storage.k8s.io", "volumeattachments") => ("Name:name|Attacher:name|PV|Node|Attached:boolean|Age", attachment),
        ("storage.k8s.io", "volumeattributesclasses") => {
            ("Name:name|DriverName|Age", |o, now| vec![name(o), text(o, &["driverName"]), own_age(o, now)])
        }
        _ => return None,
    };
    Some(Printer { columns, cells })
}

/// `ReadWriteOnce` and its like as kubectl shortens them.
fn modes(object: &Object, path: &[&str]) -> Value {
    let short = |mode: &str| match mode {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    let modes: Vec<&str> =
        object.get_list(path).iter().filter_map(Value::as_str).map(short).filter(|mode| !mode.is_empty()).collect();
    json!(modes.join(","))
}

fn plain(object: &Object, path: &[&str]) -> Value {
    json!(object.get_str(path).unwrap_or_default())
}

fn or(object: &Object, path: &[&str], other: &str) -> Value {
    json!(object.get_str(path).filter(|text| !text.is_empty()).unwrap_or(other))
}

fn volume(object: &Object, now: Timestamp) -> Vec<Value> {
    let claim = object.get(&["spec", "claimRef"]);
    let claim =
        claim.map_or_else(String::new, |claim| format!("{}/{}", str_of(claim, "namespace"), str_of(claim, "name")));
    let status = if object.is_deleting() { json!("Terminating") } else { plain(object, &["status", "phase"]) };
    vec![
        name(object),
        plain(object, &["spec", "capacity", "storage"]),
        modes(object, &["spec", "accessModes"]),
        plain(object, &["spec", "persistentVolumeReclaimPolicy"]),
        status,
        json!(claim),
        plain(object, &["spec", "storageClassName"]),
        or(object, &["spec", "volumeAttributesClassName"], "<unset>"),
        plain(object, &["status", "reason"]),
        own_age(object, now),
        or(object, &["spec", "volumeMode"], "<unset>"),
    ]
}

fn claim(object: &Object, now: Timestamp) -> Vec<Value> {
    let bound = object.get_str(&["spec", "volumeName"]).is_some_and(|volume| !volume.is_empty());
    let status = if object.is_deleting() { json!("Terminating") } else { plain(object, &["status", "phase"]) };
    let (capacity, access) = if bound {
        (plain(object, &["status", "capacity", "storage"]), modes(object, &["status", "accessModes"]))
    } else {
        (json!(""), json!(""))
    };
    vec![
        name(object),
        status,
        plain(object, &["spec", "volumeName"]),
        capacity,
        access,
        plain(object, &["spec", "storageClassName"]),
        or(object, &["spec", "volumeAttributesClassName"], "<unset>"),
        own_age(object, now),
        or(object, &["spec", "volumeMode"], "<unset>"),
    ]
}

fn class(object: &Object, now: Timestamp) -> Vec<Value> {
    let default = object.annotation("storageclass.kubernetes.io/is-default-class") == Some("true");
    let shown = if default { format!("{} (default)", object.name()) } else { object.name().to_owned() };
    vec![
        json!(shown),
        text(object, &["provisioner"]),
        or(object, &["reclaimPolicy"], "Delete"),
        or(object, &["volumeBindingMode"], "Immediate"),
        json!(object.get_bool(&["allowVolumeExpansion"]).unwrap_or(false).to_string()),
        own_age(object, now),
    ]
}

fn driver(object: &Object, now: Timestamp) -> Vec<Value> {
    let flag = |key: &str, default: bool| json!(object.get_bool(&["spec", key]).unwrap_or(default));
    let tokens = object.get_list(&["spec", "tokenRequests"]).iter().map(|token| str_of(token, "audience"));
    let tokens: Vec<&str> = tokens.collect();
    vec![
        name(object),
        flag("attachRequired", true),
        flag("podInfoOnMount", false),
        flag("storageCapacity", false),
        json!(if tokens.is_empty() { "<unset>".to_owned() } else { tokens.join(",") }),
        flag("requiresRepublish", false),
        joined(object.get_list(&["spec", "volumeLifecycleModes"]).iter().filter_map(Value::as_str)),
        own_age(object, now),
    ]
}

fn attachment(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        plain(object, &["spec", "attacher"]),
        plain(object, &["spec", "source", "persistentVolumeName"]),
        plain(object, &["spec", "nodeName"]),
        json!(object.get_bool(&["status", "attached"]).unwrap_or(false)),
        own_age(object, now),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_show_what_they_got() {
        let now: Timestamp = "2026-01-01T00:00:05Z".parse().unwrap();
        let meta = json!({"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"});
        let cases = [
            (
                json!({"metadata": meta, "spec": {}, "status": {"phase": "Pending"}}),
                json!(["x", "Pending", "", "", "", "", "<unset>", "5s", "<unset>"]),
            ),
            (
                json!({"metadata": meta, "spec": {"volumeName": "v", "volumeMode": "Filesystem", "storageClassName": "s"}, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}}),
                json!(["x", "Bound", "v", "1Gi", "RWO", "s", "<unset>", "5s", "Filesystem"]),
            ),
        ];
        for (document, expected) in cases {
            assert_eq!(Value::from(claim(&Object::from_value(document).unwrap(), now)), expected);
        }
    }
}
