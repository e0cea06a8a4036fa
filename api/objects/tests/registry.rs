//! The table of built-in resources against the discovery documents of a real Kubernetes 1.36.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap here is a failed test")]

use std::path::Path;

use edgeward_objects::builtin;
use serde_json::{Value, json};

#[test]
#[allow(clippy::print_stdout, reason = "tells what this run leaves out")]
fn the_table_is_what_a_real_server_lists() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/kubernetes-golden");
    let Ok(text) = std::fs::read_to_string(folder.join("discovery-legacy.json")) else {
        println!("LEFT OUT: comparison with recorded discovery, {} is absent", folder.display());
        return;
    };
    let recorded: Value = serde_json::from_str(&text).unwrap();
    let mut compared = 0;
    for (path, document) in recorded.as_object().unwrap() {
        let served = document["groupVersion"].as_str().unwrap_or_default();
        let left_out = ["resource.k8s.io", "flowcontrol.apiserver.k8s.io"];
        let foreign = served.contains("openyurt") || served.contains("kubeedge");
        if served.is_empty() || foreign || left_out.iter().any(|group| served.starts_with(group)) {
            continue;
        }
        let mut expected = document["resources"].clone();
        for resource in expected.as_array_mut().unwrap() {
            resource.as_object_mut().unwrap().shift_remove("storageVersionHash");
        }
        assert_eq!(legacy_list(served), expected, "{path}");
        compared += 1;
    }
    assert!(compared >= 20, "only {compared} group-versions compared");
}

/// The table in the form of an APIResourceList.
fn legacy_list(group_version: &str) -> Value {
    let mut list = Vec::new();
    for resource in builtin().iter().filter(|resource| resource.api_version() == group_version) {
        let mut entry = json!({
            "name": &*resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": resource.verbs,
        });
        for (key, names) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
            if !names.is_empty() {
                entry[key] = json!(names);
            }
        }
        list.push(entry);
        for sub in &resource.subresources {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, sub.name), "singularName": "",
                "namespaced": resource.namespaced, "kind": sub.kind.kind, "verbs": sub.verbs,
            });
            if sub.kind.api_version() != resource.api_version() {
                entry["group"] = json!(sub.kind.group);
                entry["version"] = json!(sub.kind.version);
            }
            list.push(entry);
        }
    }
    Value::Array(list)
}
