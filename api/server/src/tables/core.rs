//! The core group beside pods.

use edgeward_objects::Object;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cells, Printer, age, containers, name, number, own_age, pairs, str_of, text};

pub(super) fn printer(group: &str, plural: &str) -> Option<Printer> {
    let (columns, cells): (&str, Cells) = match (group, plural) {
        ("", "configmaps") => ("Name:name|Data|Age", config_map),
        ("", "secrets") => ("Name:name|Type|Data|Age", secret),
        ("", "namespaces") => {
            ("Name:name|Status|Age", |o, now| vec![name(o), text(o, &["status", "phase"]), own_age(o, now)])
        }
        ("", "serviceaccounts") => ("Name:name|Age", |o, now| vec![name(o), own_age(o, now)]),
        ("", "nodes") => (
            "Name:name|Status|Roles|Age|Version|Internal-IP:wide|External-IP:wide|OS-Image:wide|Kernel-Version:wide|Container-Runtime:wide",
            node,
        ),
        ("" | "events.k8s.io", "events") => (
            "Last Seen|Type|Reason|Object|Subobject:wide|Source:wide|Message|First Seen:wide|Count:wide|Name:namewide",
            event,
        ),
        ("", "replicationcontrollers") => (
            "Name:name|Desired:integer|Current:integer|Ready:integer|Age|Containers:wide|Images:wide|Selector:wide",
            replication_controller,
        ),
        ("", "podtemplates") => ("Name:name|Containers|Images|Pod Labels", pod_template),
        ("", "resourcequotas") => ("Name:name|Request|Limit|Age", quota),
        ("", "componentstatuses") => {
            ("Name:name|Status|Message|Error", |o, _| vec![name(o), json!(""), json!(""), json!("")])
        }
        _ => return None,
    };
    Some(Printer { columns, cells })
}

fn entries(object: &Object, keys: &[&str]) -> usize {
    keys.iter().filter_map(|key| object.get_map(&[key])).map(serde_json::Map::len).sum()
}

fn config_map(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![name(object), json!(entries(object, &["data", "binaryData"]).to_string()), own_age(object, now)]
}

fn secret(object: &Object, now: Timestamp) -> Vec<Value> {
    let kind = json!(object.get_str(&["type"]).unwrap_or_default());
    vec![name(object), kind, json!(entries(object, &["data"]).to_string()), own_age(object, now)]
}

fn node(object: &Object, now: Timestamp) -> Vec<Value> {
    let address = |kind: &str| {
        let addresses = object.get_list(&["status", "addresses"]);
        let found = addresses.iter().find(|address| str_of(address, "type") == kind);
        json!(found.map_or("<none>", |address| str_of(address, "address")))
    };
    let info = |key: &str| {
        let text = object.get_str(&["status", "nodeInfo", key]).filter(|text| !text.is_empty());
        json!(text.unwrap_or("<unknown>"))
    };
    vec![
        name(object),
        json!(node_status(object)),
        json!(roles(object)),
        own_age(object, now),
        json!(object.get_str(&["status", "nodeInfo", "kubeletVersion"]).unwrap_or_default()),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

fn node_status(object: &Object) -> String {
    let ready =
        object.get_list(&["status", "conditions"]).iter().find(|condition| str_of(condition, "type") == "Ready");
    let mut status = match ready.map(|condition| str_of(condition, "status")) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if object.get_bool(&["spec", "unschedulable"]) == Some(true) {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn roles(object: &Object) -> String {
    let mut roles: Vec<&str> = object
        .labels()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => Some(role),
            _ if key == "kubernetes.io/role" && !value.is_empty() => Some(value),
            _ => None,
        })
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
}

/// Works for both event groups: what one calls `regarding` and `note` is `involvedObject` and `message` in the other.
fn event(object: &Object, now: Timestamp) -> Vec<Value> {
    let either = |first: &[&str], second: &[&str]| {
        object.get_str(first).or_else(|| object.get_str(second)).filter(|text| !text.is_empty())
    };
    let first = either(&["firstTimestamp"], &["deprecatedFirstTimestamp"]).or_else(|| object.get_str(&["eventTime"]));
    let last = object.get_str(&["series", "lastObservedTime"]);
    let last = last.or_else(|| either(&["lastTimestamp"], &["deprecatedLastTimestamp"])).or(first);
    let count = object
        .get_i64(&["series", "count"])
        .or_else(|| object.get_i64(&["count"]))
        .or_else(|| object.get_i64(&["deprecatedCount"]));
    let about = |key: &str| either(&["involvedObject", key], &["regarding", key]).unwrap_or_default();
    let source = |key: &str| either(&["source", key], &["deprecatedSource", key]).unwrap_or_default();
    let component = Some(source("component")).filter(|text| !text.is_empty());
    let component = component.or_else(|| either(&["reportingComponent"], &["reportingController"])).unwrap_or_default();
    let host = source("host");
    let source = if host.is_empty() { component.to_owned() } else { format!("{component}, {host}") };
    let seen = |time: Option<&str>| json!(age::age(time, now));
    vec![
        seen(last),
        json!(object.get_str(&["type"]).unwrap_or_default()),
        json!(object.get_str(&["reason"]).unwrap_or_default()),
        json!(format!("{}/{}", about("kind").to_lowercase(), about("name"))),
        json!(about("fieldPath")),
        json!(source),
        json!(either(&["message"], &["note"]).unwrap_or_default().trim()),
        seen(first),
        json!(count.unwrap_or(1).to_string()),
        name(object),
    ]
}

fn replication_controller(object: &Object, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object, &["spec", "template", "spec", "containers"]);
    vec![
        name(object),
        number(object, &["spec", "replicas"]),
        number(object, &["status", "replicas"]),
        number(object, &["status", "readyReplicas"]),
        own_age(object, now),
        names,
        images,
        pairs(object, &["spec", "selector"]),
    ]
}

fn pod_template(object: &Object, _: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object, &["template", "spec", "containers"]);
    vec![name(object), names, images, pairs(object, &["template", "metadata", "labels"])]
}

fn quota(object: &Object, now: Timestamp) -> Vec<Value> {
    let plain = |value: Option<&Value>| {
        value.map_or_else(|| "0".to_owned(), |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let list = |limits: bool| {
        let hard = object.get_map(&["status", "hard"]).into_iter().flatten();
        let lines = hard
            .filter(|(key, _)| key.starts_with("limits.") == limits)
            .map(|(key, hard)| format!("{key}: {}/{}", plain(object.get(&["status", "used", key])), plain(Some(hard))));
        json!(lines.collect::<Vec<_>>().join(", "))
    };
    vec![name(object), list(false), list(true), own_age(object, now)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_tell_state_and_roles() {
        let cases = [
            (json!({}), "Unknown <none>"),
            (json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}), "Ready <none>"),
            (
                json!({"spec": {"unschedulable": true}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}),
                "NotReady,SchedulingDisabled <none>",
            ),
            (
                json!({"metadata": {"labels": {"node-role.kubernetes.io/edge": "", "node-role.kubernetes.io/agent": ""}}}),
                "Unknown agent,edge",
            ),
        ];
        for (node, expected) in cases {
            let node = Object::from_value(node).unwrap();
            assert_eq!(format!("{} {}", node_status(&node), roles(&node)), expected);
        }
    }

    #[test]
    fn events_of_both_groups_print_alike() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let core = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p"}, "message": "hi", "reason": "R", "type": "Normal",
            "source": {"component": "c"}, "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:30Z", "count": 2});
        let new = json!({"metadata": {"name": "e"}, "regarding": {"kind": "Pod", "name": "p"}, "note": "hi", "reason": "R", "type": "Normal",
            "reportingController": "c", "eventTime": "2026-01-01T00:00:00.000000Z", "series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:30.000000Z"}});
        let expected = json!(["30s", "Normal", "R", "pod/p", "", "c", "hi", "60s", "2", "e"]);
        for document in [core, new] {
            assert_eq!(Value::from(event(&Object::from_value(document).unwrap(), now)), expected);
        }
    }
}
