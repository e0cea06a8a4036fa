//! Built-in kinds: what is pruned, defaulted and refused, and that doing it twice changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap here is a failed test")]

use edgeward_objects::{Cause, GroupVersionKind, Object, builtin};
use edgeward_schema::Schema;
use serde_json::{Value, json};

fn schema(api_version: &str, kind: &str) -> Schema {
    let kind = GroupVersionKind::from_api_version(api_version, kind);
    Schema::builtin(&kind).unwrap_or_else(|| panic!("no schema of {kind}"))
}

/// Reads an object as the server would. Returns it with its unknown fields and faults.
fn read(value: &Value) -> (Object, Vec<String>, Vec<String>) {
    let mut object = Object::from_value(value.clone()).unwrap();
    let schema = schema(object.api_version(), object.kind());
    let unknown = schema.prune(&mut object);
    schema.default(&mut object);
    let causes = schema.validate(&object).iter().map(Cause::text).collect();
    let mut again = object.clone();
    assert!(schema.prune(&mut again).is_empty(), "a default of {} is unknown to its own schema", object.kind());
    schema.default(&mut again);
    assert_eq!(again, object, "defaulting twice changes nothing");
    (object, unknown, causes)
}

fn deployment(pod: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod}}})
}

#[test]
fn every_stored_kind_has_a_schema() {
    for resource in builtin() {
        let schema = schema(&resource.api_version(), &resource.kind);
        let mut object = Object::new(&resource.gvk(), None, "x");
        assert_eq!(schema.prune(&mut object), Vec::<String>::new(), "{}", resource.kind);
        object.set(&["metadatum"], 1);
        assert_eq!(schema.prune(&mut object), ["metadatum"], "{}", resource.kind);
    }
    assert!(Schema::builtin(&GroupVersionKind::new("apps", "v1", "Pod")).is_none());
    assert!(Schema::builtin(&GroupVersionKind::new("autoscaling", "v1", "Scale")).is_some());
}

#[test]
fn a_deployment_is_completed_as_a_real_server_does() {
    let (object, unknown, causes) = read(&deployment(json!({"containers": [{
        "name": "web", "image": "nginx", "ports": [{"containerPort": 80}],
        "livenessProbe": {"httpGet": {"port": 80}},
        "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]}],
        "volumes": [{"name": "data", "hostPath": {"path": "/x"}}, {"name": "conf", "configMap": {"name": "c"}}]})));
    assert_eq!((unknown, causes), (vec![], vec![]));
    assert_eq!(
        object.get(&["spec"]),
        Some(&json!({
            "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
                "securityContext": {}, "schedulerName": "default-scheduler",
                "volumes": [{"name": "data", "hostPath": {"path": "/x", "type": ""}},
                    {"name": "conf", "configMap": {"name": "c", "defaultMode": 420}}],
                "containers": [{
                    "name": "web", "image": "nginx", "imagePullPolicy": "Always", "resources": {},
                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                    "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}}],
                    "livenessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
                        "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
                }],
            }},
        }))
    );
}

#[test]
fn images_tell_when_to_pull() {
    for (image, policy) in [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("host:5000/nginx", "Always"),
        ("host:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:0123", "IfNotPresent"),
    ] {
        let (object, ..) = read(&deployment(json!({"containers": [{"name": "a", "image": image}]})));
        let containers = object.get_list(&["spec", "template", "spec", "containers"]);
        assert_eq!(containers[0]["imagePullPolicy"], policy, "{image}");
    }
}

#[test]
fn other_kinds_are_completed() {
    let check = |given: Value, path: &[&str], expect: Value| {
        let (object, unknown, causes) = read(&given);
        assert_eq!((unknown, causes), (vec![], vec![]), "{given}");
        assert_eq!(object.get(path), Some(&expect), "{given}");
    };
    check(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}),
        &["spec"],
        json!({"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "sessionAffinity": "None", "type": "ClusterIP",
            "internalTrafficPolicy": "Cluster"}),
    );
    check(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}),
        &["metadata", "labels"],
        json!({"kubernetes.io/metadata.name": "n"}),
    );
    check(
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "b"},
            "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]}),
        &["subjects"],
        json!([{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]),
    );
    check(
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "b2xk", "b": "Yg=="}, "stringData": {"a": "new"}}),
        &["data"],
        json!({"a": "bmV3", "b": "Yg=="}),
    );
    let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b:1"}]}});
    check(
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template}}),
        &["spec", "backoffLimit"],
        json!(6),
    );
    check(
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "j"}, "spec": {"schedule": "* * * * *",
            "jobTemplate": {"spec": {"template": template}}}}),
        &["spec", "concurrencyPolicy"],
        json!("Allow"),
    );
    check(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"hostNetwork": true, "serviceAccountName": "sa",
            "containers": [{"name": "a", "image": "b:1", "ports": [{"containerPort": 5}], "resources": {"limits": {"cpu": "1"}}}]}}),
        &["spec", "containers"],
        json!([{"name": "a", "image": "b:1", "imagePullPolicy": "IfNotPresent", "ports": [{"containerPort": 5, "hostPort": 5, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}, "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File"}]),
    );
}

#[test]
fn numbers_are_spelled_as_typed_clients_read_them() {
    let mut given = deployment(
        json!({"containers": [{"name": "a", "image": "b", "resources": {"limits": {"cpu": 1, "memory": 0.5}}}]}),
    );
    given["spec"]["replicas"] = json!(2.0);
    let (object, ..) = read(&given);
    assert_eq!(object.get(&["spec", "replicas"]).map(Value::to_string), Some("2".into()));
    let containers = object.get_list(&["spec", "template", "spec", "containers"]);
    assert_eq!(containers[0]["resources"], json!({"limits": {"cpu": "1", "memory": "500m"}}));
}

#[test]
fn unknown_fields_and_nulls() {
    let mut given = deployment(
        json!({"containers": [{"name": "a", "image": "b", "comand": ["x"]}], "nodeSelector": null, "nodename": "n"}),
    );
    given["spec"]["replica"] = json!(2);
    given["metadata"]["creationTimestamp"] = json!(null);
    given["metadata"]["annotations"] = json!({"any/key": "v"});
    let (object, unknown, causes) = read(&given);
    assert_eq!(unknown, ["spec.template.spec.containers[0].comand", "spec.template.spec.nodename", "spec.replica"]);
    assert_eq!(causes, Vec::<String>::new());
    assert_eq!(object.get(&["metadata", "creationTimestamp"]), None);
    assert_eq!(object.annotation("any/key"), Some("v"));
    assert_eq!(object.get(&["spec", "template", "spec", "nodeSelector"]), None);
}

#[test]
fn faults_are_told_in_kubernetes_words() {
    let check = |given: Value, expect: &[&str]| assert_eq!(read(&given).2, expect, "{given}");
    let good = json!({"containers": [{"name": "a", "image": "b"}]});
    let mut no_selector = deployment(good.clone());
    no_selector["spec"].as_object_mut().unwrap().shift_remove("selector");
    check(no_selector, &["spec.selector: Required value"]);
    let mut other = deployment(good);
    other["spec"]["selector"] = json!({"matchLabels": {"app": "db"}});
    check(
        other,
        &[
            "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
        ],
    );
    check(deployment(json!({})), &["spec.template.spec.containers: Required value"]);
    check(
        deployment(json!({"containers": [{"image": "b"}, {"name": "A"}], "restartPolicy": "Never"})),
        &[
            "spec.template.spec.containers[0].name: Required value",
            "spec.template.spec.containers[1].name: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            "spec.template.spec.containers[1].image: Required value",
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
        ],
    );
    check(
        deployment(
            json!({"containers": [{"name": "a", "image": "b", "volumeMounts": [{"name": "v", "mountPath": "/v"}], "ports": [{"containerPort": 70000}],
            "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}]}),
        ),
        &[
            "spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
            "spec.template.spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ],
    );
    let service = |spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec});
    check(service(json!({})), &["spec.ports: Required value"]);
    check(service(json!({"clusterIP": "None"})), &[]);
    check(service(json!({"ports": [{"port": 1, "name": "a"}, {"port": 2}]})), &["spec.ports[1].name: Required value"]);
    let mut typed = deployment(json!({"containers": [{"name": "a", "image": "b"}]}));
    typed["spec"]["replicas"] = json!("two");
    check(
        typed,
        &["spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\""],
    );
    check(
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "foos"}, "spec": {
            "group": "x.io", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"}, "versions": [{"name": "v1", "served": true, "storage": true}]}}),
        &[
            "metadata.name: Invalid value: \"foos\": must be spec.names.plural+\".\"+spec.group",
            "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
        ],
    );
}

#[test]
fn the_openapi_stub_is_small_and_says_what_kubectl_asks() {
    let core: Vec<_> =
        builtin().iter().filter(|resource| resource.group.is_empty()).map(|resource| &**resource).collect();
    let document = edgeward_schema::openapi_document(core.iter().copied());
    let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"], json!({"group": "", "version": "v1", "kind": "Pod"}));
    assert!(patch["parameters"].as_array().unwrap().iter().any(|parameter| parameter["name"] == "fieldValidation"));
    assert!(document["paths"]["/api/v1/nodes/{name}"].is_object());
    assert!(document.to_string().len() < 10_000);
    let index = edgeward_schema::openapi_index([("apis/apps/v1", "AB")]);
    assert_eq!(index["paths"]["apis/apps/v1"]["serverRelativeURL"], "/openapi/v3/apis/apps/v1?hash=AB");
}
