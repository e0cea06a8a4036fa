//! Custom resources: served as soon as they are defined, checked by their schema, printed by their columns, gone with it.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod common;

use common::Api;
use serde_json::{Value, json};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const THINGS: &str = "/apis/g.io/v1/namespaces/default/things";

fn crd() -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1}, "color": {"type": "string", "default": "red", "enum": ["red", "blue"]}, "replicas": {"type": "integer"}}},
        "status": {"type": "object", "properties": {"size": {"type": "integer"}, "replicas": {"type": "integer"}}},
    }}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.g.io"},
        "spec": {
            "group": "g.io", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": schema,
                    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                    "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}, {"name": "Color", "type": "string", "jsonPath": ".spec.color", "priority": 1}]},
                {"name": "v1alpha1", "served": true, "storage": false, "deprecated": true, "deprecationWarning": "use v1", "schema": schema},
            ],
        },
    })
}

fn thing(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "g.io/v1", "kind": "Thing", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn a_kind_lives_and_dies_with_its_definition() {
    let api = Api::start().await;
    assert_eq!(api.ask(&format!("GET {THINGS}"), Value::Null).await.code, 404);
    let made = api.ask(&format!("POST {CRDS}"), crd()).await;
    assert_eq!(made.code, 201, "{made:?}");
    assert_eq!(made.body["status"]["conditions"][1]["type"], "Established");
    let resources = api.ask("GET /apis/g.io/v1", Value::Null).await.body["resources"].clone();
    let names: Vec<&str> =
        resources.as_array().unwrap().iter().filter_map(|resource| resource["name"].as_str()).collect();
    assert_eq!(names, ["things", "things/status", "things/scale"]);
    let openapi = api.ask("GET /openapi/v3/apis/g.io/v1", Value::Null).await.body;
    assert!(
        openapi["paths"].as_object().unwrap().len() == 1
            && openapi["components"]["schemas"]["io.g.v1.Thing"].is_object()
    );

    let cases = [
        (json!({"size": 3}), 201, ""),
        (json!({}), 422, "spec.size: Required value"),
        (json!({"size": 0}), 422, "spec.size: Invalid value: 0"),
        (json!({"size": 1, "color": "green"}), 422, "spec.color: Unsupported value: \"green\""),
        (json!({"size": "x"}), 422, "spec.size: Invalid value"),
    ];
    for (spec, code, text) in cases {
        let answer = api.ask(&format!("POST {THINGS}"), thing("a", spec)).await;
        assert!(answer.code == code && answer.message().contains(text), "{answer:?}");
    }
    let strict =
        api.ask(&format!("POST {THINGS}?fieldValidation=Strict"), thing("b", json!({"size": 1, "dat": 1}))).await;
    assert_eq!(
        strict.message(),
        "Thing in version \"v1\" cannot be handled as a Thing: strict decoding error: unknown field \"spec.dat\""
    );
    let read = api.ask(&format!("GET {THINGS}/a"), Value::Null).await.body;
    assert_eq!(read["spec"], json!({"size": 3, "color": "red"}));

    let table = api
        .ask_with(&format!("GET {THINGS}"), Value::Null, &[("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")])
        .await
        .body;
    assert_eq!(table["rows"][0]["cells"], json!(["a", 3, "red"]));
    assert_eq!(table["columnDefinitions"][2]["priority"], 1);

    let old = api.ask(&format!("GET {}/a", THINGS.replace("v1", "v1alpha1")), Value::Null).await;
    assert_eq!(
        (old.body["apiVersion"].as_str(), old.headers["warning"].to_str().unwrap()),
        (Some("g.io/v1alpha1"), "299 - \"use v1\"")
    );
    let strategic = [("content-type", "application/strategic-merge-patch+json")];
    assert_eq!(api.ask_with(&format!("PATCH {THINGS}/a"), json!({}), &strategic).await.code, 415);
    let status =
        api.ask(&format!("PATCH {THINGS}/a/status"), json!({"spec": {"size": 9}, "status": {"size": 7}})).await.body;
    assert_eq!(
        (&status["spec"]["size"], &status["status"]["size"], &status["metadata"]["generation"]),
        (&json!(3), &json!(7), &json!(1))
    );
    let scale = api.ask(&format!("PATCH {THINGS}/a/scale"), json!({"spec": {"replicas": 4}})).await.body;
    assert_eq!(scale["spec"]["replicas"], 4);

    assert_eq!(api.ask(&format!("DELETE {CRDS}/things.g.io"), Value::Null).await.code, 200);
    assert_eq!(api.ask(&format!("GET {THINGS}"), Value::Null).await.code, 404);
    api.ask(&format!("POST {CRDS}"), crd()).await;
    assert_eq!(
        api.ask(&format!("GET {THINGS}"), Value::Null).await.body["items"],
        json!([]),
        "its objects went with it"
    );
}

#[tokio::test]
async fn a_definition_waits_for_objects_with_finalizers() {
    let api = Api::start().await;
    api.ask(&format!("POST {CRDS}"), crd()).await;
    let mut held = thing("held", json!({"size": 1}));
    held["metadata"]["finalizers"] = json!(["x.io/hold"]);
    api.ask(&format!("POST {THINGS}"), held).await;
    let waiting = api.ask(&format!("DELETE {CRDS}/things.g.io"), Value::Null).await.body;
    assert!(waiting["metadata"]["deletionTimestamp"].is_string());
    let free = api.ask(&format!("PATCH {THINGS}/held"), json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(free.code, 200, "{free:?}");
    assert_eq!(api.ask(&format!("GET {CRDS}/things.g.io"), Value::Null).await.code, 404);
}

#[tokio::test]
async fn definitions_are_checked() {
    let api = Api::start().await;
    let with = |pointer: &str, value: Value| {
        let mut changed = crd();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    let cases = [
        (with("/metadata/name", json!("other")), 422, "must be spec.names.plural+\".\"+spec.group"),
        (with("/spec/scope", json!("Everywhere")), 422, "spec.scope: Unsupported value"),
        (
            with("/spec/versions/0/storage", json!(false)),
            422,
            "must have exactly one version marked as storage version",
        ),
        (with("/spec/versions/1/name", json!("v1")), 422, "spec.versions[1].name: Duplicate value: \"v1\""),
        (with("/apiVersion", json!("apiextensions.k8s.io/v1beta1")), 400, "does not match the expected API version"),
    ];
    for (document, code, text) in cases {
        let answer = api.ask(&format!("POST {CRDS}"), document).await;
        assert!(answer.code == code && answer.message().contains(text), "{text}: {answer:?}");
    }
    api.ask(&format!("POST {CRDS}"), crd()).await;
    let moved = api.ask(&format!("PATCH {CRDS}/things.g.io"), json!({"spec": {"scope": "Cluster"}})).await;
    assert!(
        moved.code == 422 && moved.message().contains("spec.scope: Invalid value: \"Cluster\": field is immutable"),
        "{moved:?}"
    );
}

#[tokio::test]
async fn platform_kinds_keep_every_field_in_every_version() {
    let api = Api::start().await;
    let pool = json!({"apiVersion": "apps.openyurt.io/v1alpha1", "kind": "NodePool", "metadata": {"name": "p"},
        "spec": {"type": "Edge", "selector": {"matchLabels": {"a": "b"}}}});
    let made = api.ask("POST /apis/apps.openyurt.io/v1alpha1/nodepools", pool.clone()).await;
    assert_eq!(made.code, 201, "{made:?}");
    for version in ["v1alpha1", "v1beta1", "v1beta2"] {
        let read = api.ask(&format!("GET /apis/apps.openyurt.io/{version}/nodepools/p"), Value::Null).await.body;
        assert_eq!(read["apiVersion"], format!("apps.openyurt.io/{version}"));
        assert_eq!(read["spec"]["selector"], pool["spec"]["selector"], "{version}");
    }
}
