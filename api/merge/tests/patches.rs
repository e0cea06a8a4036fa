//! Patches of all three sorts: current document, patch, expected result.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap here is a failed test")]

use edgeward_merge::{PatchError, is_strategic, json_patch, merge_patch, strategic_merge};
use edgeward_objects::{ApiError, GroupVersionKind, Object};
use proptest::prelude::*;
use serde_json::{Value, json};

fn object(value: &Value) -> Object {
    Object::from_value(value.clone()).unwrap()
}

fn deployment() -> GroupVersionKind {
    GroupVersionKind::new("apps", "v1", "Deployment")
}

/// A pod spec patch.
fn check_pod(current: Value, patch: Value, expect: Value) {
    let kind = GroupVersionKind::new("", "v1", "Pod");
    let wrap = |spec: &Value| json!({ "spec": spec });
    let result = strategic_merge(&kind, &object(&wrap(&current)), &wrap(&patch)).unwrap();
    assert_eq!(result.to_value().to_string(), wrap(&expect).to_string(), "{current} + {patch}");
}

#[test]
fn merge_patches() {
    let check = |current: Value, patch: Value, expect: Value| {
        let result = merge_patch(&object(&current), &patch).unwrap();
        assert_eq!(result.to_value().to_string(), expect.to_string(), "{current} + {patch}");
    };
    check(json!({"a": 1, "b": 2, "c": 3}), json!({"b": null}), json!({"a": 1, "c": 3}));
    check(json!({"a": {"b": 1}}), json!({"a": {"c": {"d": null, "e": 1}}}), json!({"a": {"b": 1, "c": {"e": 1}}}));
    check(json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]}));
    check(json!({"a": "x"}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}}));
    assert!(matches!(merge_patch(&Object::default(), &json!([1])), Err(PatchError::Malformed(_))));
}

#[test]
fn json_patches() {
    let current = object(&json!({"a/b": {"~x": [1, 2, 3]}, "c": 1}));
    let check = |patch: Value, expect: Value| {
        assert_eq!(json_patch(&current, &patch).unwrap().to_value(), expect, "{patch}");
    };
    check(json!([]), current.to_value());
    check(
        json!([{"op": "test", "path": "/c", "value": 1}, {"op": "replace", "path": "/c", "value": 2}]),
        json!({"a/b": {"~x": [1, 2, 3]}, "c": 2}),
    );
    check(
        json!([{"op": "add", "path": "/a~1b/~0x/-", "value": 4}, {"op": "remove", "path": "/a~1b/~0x/0"}, {"op": "remove", "path": "/c"}]),
        json!({"a/b": {"~x": [2, 3, 4]}}),
    );
    let code = |patch: Value| ApiError::from(json_patch(&current, &patch).unwrap_err()).code;
    assert_eq!(code(json!([{"op": "test", "path": "/c", "value": 2}])), 422);
    assert_eq!(code(json!([{"op": "remove", "path": "/nowhere"}])), 422);
    assert_eq!(code(json!([{"op": "replace", "path": "", "value": []}])), 422);
    assert_eq!(code(json!([{"op": "jump"}])), 400);
    assert_eq!(code(json!({"op": "add"})), 400);
    assert_eq!(code(vec![json!({"op": "test", "path": "/c", "value": 1}); 10_001].into()), 413);
}

#[test]
fn a_json_patch_cannot_blow_up_the_document() {
    for (text, copies) in [(1_000_000, 4), (1, 300)] {
        let growing = vec![json!({"op": "copy", "from": "", "path": "/a"}); copies];
        let refused = json_patch(&object(&json!({"text": "x".repeat(text)})), &growing.into());
        assert!(matches!(refused, Err(PatchError::NotApplicable(_))), "{copies}");
    }
}

#[test]
fn strategic_lists_merge_by_key() {
    let containers = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]});
    check_pod(
        containers.clone(),
        json!({"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "1"}]}),
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "1"}]}),
    );
    check_pod(
        containers.clone(),
        json!({"containers": [{"name": "a", "$patch": "delete"}]}),
        json!({"containers": [{"name": "b", "image": "1"}]}),
    );
    check_pod(
        containers.clone(),
        json!({"containers": [{"$patch": "replace"}, {"name": "z", "image": "9"}]}),
        json!({"containers": [{"name": "z", "image": "9"}]}),
    );
    check_pod(
        containers.clone(),
        json!({"containers": [{"name": "a", "$patch": "replace", "args": ["x"]}, {"name": "b", "$patch": "merge", "args": ["y"]}]}),
        json!({"containers": [{"name": "a", "args": ["x"]}, {"name": "b", "image": "1", "args": ["y"]}]}),
    );
    check_pod(containers, json!({"containers": null}), json!({}));
    check_pod(
        json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}], "ports": [{"containerPort": 80}]}]}),
        json!({"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}], "ports": [{"containerPort": 80, "name": "web"}]}]}),
        json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}],
            "ports": [{"containerPort": 80, "name": "web"}]}]}),
    );
    check_pod(
        json!({"tolerations": [{"key": "a"}], "volumes": [{"name": "v", "emptyDir": {}}]}),
        json!({"tolerations": [{"key": "b"}], "volumes": [{"name": "v", "emptyDir": null, "hostPath": {"path": "/x"}}]}),
        json!({"tolerations": [{"key": "b"}], "volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}),
    );
    // Directives and nulls never stay behind in something new.
    check_pod(
        json!({}),
        json!({"containers": [{"name": "a", "env": [{"name": "X", "$patch": "delete"}], "args": null}], "affinity": {"x": null}}),
        json!({"containers": [{"name": "a", "env": []}], "affinity": {}}),
    );
}

#[test]
fn strategic_order_is_the_one_asked_for() {
    let current = json!({"containers": [{"name": "a"}, {"name": "server"}, {"name": "b"}]});
    check_pod(
        current.clone(),
        json!({"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}], "containers": [{"name": "c"}]}),
        json!({"containers": [{"name": "server"}, {"name": "c"}, {"name": "b"}, {"name": "a"}]}),
    );
    check_pod(
        current.clone(),
        json!({"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}]}),
        json!({"containers": [{"name": "a"}, {"name": "server"}, {"name": "b"}]}),
    );
    check_pod(
        current,
        json!({"$setElementOrder/containers": [{"name": "a"}, {"name": "x"}, {"name": "b"}], "containers": [{"name": "x"}]}),
        json!({"containers": [{"name": "a"}, {"name": "server"}, {"name": "x"}, {"name": "b"}]}),
    );
}

#[test]
fn strategic_directives_in_maps() {
    check_pod(
        json!({"securityContext": {"runAsUser": 1, "fsGroup": 2}}),
        json!({"securityContext": {"$patch": "replace", "runAsUser": 3}}),
        json!({"securityContext": {"runAsUser": 3}}),
    );
    check_pod(
        json!({"securityContext": {"runAsUser": 1}, "hostNetwork": true}),
        json!({"securityContext": {"$patch": "delete"}}),
        json!({"securityContext": {}, "hostNetwork": true}),
    );
    let current = object(&json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}));
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    let result = strategic_merge(&deployment(), &current, &patch).unwrap();
    assert_eq!(result.to_value(), json!({"spec": {"strategy": {"type": "Recreate"}}}));
}

#[test]
fn strategic_sets_and_metadata() {
    let current = object(&json!({"metadata": {"finalizers": ["a", "b"], "labels": {"x": "1"},
        "ownerReferences": [{"uid": "1", "name": "old"}]}}));
    let check = |patch: Value, expect: Value| {
        let result = strategic_merge(&deployment(), &current, &json!({ "metadata": patch })).unwrap();
        assert_eq!(result.get(&["metadata"]), Some(&expect), "{patch}");
    };
    check(
        json!({"finalizers": ["c", "a"], "$setElementOrder/finalizers": ["c", "a"]}),
        json!({"finalizers": ["b", "c", "a"], "labels": {"x": "1"}, "ownerReferences": [{"uid": "1", "name": "old"}]}),
    );
    check(
        json!({"$deleteFromPrimitiveList/finalizers": ["a"], "labels": {"y": "2", "x": null},
            "ownerReferences": [{"uid": "2", "name": "new"}, {"uid": "1", "name": "renamed"}]}),
        json!({"finalizers": ["b"], "labels": {"y": "2"},
            "ownerReferences": [{"uid": "1", "name": "renamed"}, {"uid": "2", "name": "new"}]}),
    );
}

#[test]
fn every_kind_merges_where_kubernetes_does() {
    // kind, path to the list, merge key; the lists of the template are those of a pod.
    for (group, kind, path, key) in [
        ("", "Service", "spec/ports", "port"),
        ("", "Node", "status/conditions", "type"),
        ("", "Node", "status/addresses", "type"),
        ("", "ServiceAccount", "secrets", "name"),
        ("apps", "Deployment", "spec/template/spec/containers", "name"),
        ("apps", "StatefulSet", "status/conditions", "type"),
        ("apps", "DaemonSet", "spec/template/spec/hostAliases", "ip"),
        ("apps", "Deployment", "spec/template/spec/topologySpreadConstraints", "topologyKey"),
        ("batch", "CronJob", "spec/jobTemplate/spec/template/spec/volumes", "name"),
        ("batch", "Job", "spec/template/spec/imagePullSecrets", "name"),
        ("", "Pod", "status/podIPs", "ip"),
        ("", "ConfigMap", "metadata/ownerReferences", "uid"),
    ] {
        let kind = GroupVersionKind::new(group, "v1", kind);
        let nest = |list: Value| path.rsplit('/').fold(list, |inner, name| json!({ name: inner }));
        let result = strategic_merge(&kind, &object(&nest(json!([{key: "a"}]))), &nest(json!([{key: "b"}]))).unwrap();
        assert_eq!(result.to_value(), nest(json!([{key: "a"}, {key: "b"}])), "{kind} {path}");
    }
    for path in ["spec/taints", "status/images"] {
        let nest = |list: Value| path.rsplit('/').fold(list, |inner, name| json!({ name: inner }));
        let kind = GroupVersionKind::new("", "v1", "Node");
        let result =
            strategic_merge(&kind, &object(&nest(json!([{"key": "a"}]))), &nest(json!([{"key": "b"}]))).unwrap();
        assert_eq!(result.to_value(), nest(json!([{"key": "b"}])), "{path} is replaced whole");
    }
}

#[test]
fn strategic_patches_refused() {
    let code = |kind: &GroupVersionKind, patch: Value| {
        ApiError::from(strategic_merge(kind, &Object::default(), &patch).unwrap_err()).code
    };
    let pod = GroupVersionKind::new("", "v1", "Pod");
    assert_eq!(code(&GroupVersionKind::new("devices.kubeedge.io", "v1beta1", "Device"), json!({})), 415);
    assert!(!is_strategic(&GroupVersionKind::new("apps", "v1", "Pod")));
    for patch in [
        json!([]),
        json!({"$patch": "explode"}),
        json!({"spec": {"containers": [{"image": "x"}]}}),
        json!({"spec": {"containers": ["x"]}}),
        json!({"spec": {"$retainKeys": ["a"], "b": 1}}),
        json!({"spec": {"$retainKeys": "a"}}),
        json!({"spec": {"$setElementOrder/containers": 1, "containers": [{"name": "a"}]}}),
    ] {
        assert_eq!(code(&pod, patch.clone()), 400, "{patch}");
    }
}

fn any_patch() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(json!(null)), Just(json!("delete")), Just(json!("replace")), Just(json!(1)), Just(json!("a"))];
    let key = prop_oneof![
        Just("$patch"),
        Just("$retainKeys"),
        Just("$setElementOrder/containers"),
        Just("$deleteFromPrimitiveList/finalizers"),
        Just("containers"),
        Just("finalizers"),
        Just("metadata"),
        Just("spec"),
        Just("name"),
        Just("env"),
        Just("x"),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..5).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn any_patch_is_applied_or_refused_and_leaves_no_directive(current in any_patch(), patch in any_patch()) {
        let Ok(current) = Object::from_value(current) else { return Ok(()) };
        let _ = json_patch(&current, &patch);
        let _ = merge_patch(&current, &patch);
        let clean = !current.to_value().to_string().contains('$');
        if let Ok(result) = strategic_merge(&GroupVersionKind::new("", "v1", "Pod"), &current, &patch) {
            let text = result.to_value();
            // Lists that are replaced whole are the patch's own business.
            if clean && !patch.to_string().contains("[{") {
                prop_assert!(!text.to_string().contains("\"$"), "{}", text);
            }
        }
    }
}
