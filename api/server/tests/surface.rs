//! The surface as raw requests: discovery, errors, forms, streams.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod common;

use common::{Answer, Api, pod};
use edgeward_server::{Identity, Limits, Options};
use serde_json::{Value, json};

const TABLE: (&str, &str) = ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
const AGGREGATED: (&str, &str) =
    ("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json");

/// The documents of a recorded server, or `None` with a loud note.
#[allow(clippy::print_stderr, reason = "a test that leaves something out says so")]
fn recorded(file: &str) -> Option<Value> {
    let path = format!("{}/../../../shared/reference/kubernetes-golden/{file}", env!("CARGO_MANIFEST_DIR"));
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(_) => {
            eprintln!("LEFT OUT: {path} is not there; discovery is not compared with a recorded server");
            None
        }
    }
}

fn groups(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().or(list["groups"].as_array()).unwrap();
    items
        .iter()
        .map(|group| group["metadata"]["name"].as_str().or(group["name"].as_str()).unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn discovery_is_that_of_a_recorded_server() {
    let api = Api::start().await;
    let other = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "devices.aaa.example.com"},
        "spec": {"group": "aaa.example.com", "scope": "Namespaced", "names": {"plural": "devices", "kind": "Device"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    assert_eq!(api.ask("POST /apis/apiextensions.k8s.io/v1/customresourcedefinitions", other).await.code, 201);
    let legacy = api.ask("GET /apis", Value::Null).await.body;
    let aggregated = api.ask_with("GET /apis", Value::Null, &[AGGREGATED]).await;
    assert_eq!(
        aggregated.headers["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    assert_eq!(groups(&legacy), groups(&aggregated.body), "both forms have one order");
    let order = groups(&legacy);
    let at = |name: &str| order.iter().position(|group| group == name).unwrap();
    assert!(at("devices.kubeedge.io") < at("aaa.example.com"), "{order:?}");
    let Some(golden) = recorded("discovery-legacy.json") else { return };
    let theirs = groups(&golden["/apis"]);
    let builtin = theirs.iter().filter(|group| !group.contains("openyurt") && !group.contains("kubeedge"));
    assert_eq!(order.iter().take(builtin.clone().count()).collect::<Vec<_>>(), builtin.collect::<Vec<_>>());
    for (path, document) in golden.as_object().unwrap().iter().filter(|(path, _)| path.matches('/').count() > 1) {
        if path.contains("openyurt") || path.contains("kubeedge") {
            continue;
        }
        let mut ours = api.ask(&format!("GET {path}"), Value::Null).await.body;
        let mut theirs = document.clone();
        for list in [&mut ours, &mut theirs] {
            list.as_object_mut().unwrap().remove("apiVersion");
            for resource in list["resources"].as_array_mut().unwrap() {
                resource.as_object_mut().unwrap().remove("storageVersionHash");
            }
        }
        assert_eq!(ours, theirs, "{path}");
    }
}

#[tokio::test]
async fn documents_are_cached_by_tag() {
    let api = Api::start().await;
    for path in
        ["/api", "/apis", "/apis/apps", "/apis/apps/v1", "/api/v1", "/openapi/v3", "/openapi/v3/api/v1", "/openapi/v2"]
    {
        let first = api.ask(&format!("GET {path}"), Value::Null).await;
        assert_eq!(first.code, 200, "{path}");
        let tag = first.headers["etag"].to_str().unwrap().to_owned();
        let again = api.ask_with(&format!("GET {path}"), Value::Null, &[("if-none-match", &tag)]).await;
        assert_eq!((again.code, again.text.as_str()), (304, ""), "{path}");
    }
    let v2 = api.ask("GET /openapi/v2", Value::Null).await;
    assert!(v2.text.is_empty() && v2.headers["content-type"].to_str().unwrap().contains("protobuf"));
    let core = api.ask("GET /openapi/v3/api/v1", Value::Null).await.body;
    let patch = &core["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"], json!({"group": "", "version": "v1", "kind": "Pod"}));
}

#[tokio::test]
async fn system_paths() {
    let api = Api::start().await;
    assert!(api.ask("GET /version", Value::Null).await.body["gitVersion"].as_str().unwrap().starts_with("v1.3"));
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(api.ask_as(Identity::anonymous(), &format!("GET {path}"), Value::Null, &[]).await.text, "ok");
    }
    assert!(api.ask("GET /readyz?verbose", Value::Null).await.text.ends_with("readyz check passed\n"));
    assert!(api.ask("GET /metrics", Value::Null).await.text.contains("edgeward_server_requests_total"));
    assert_eq!(api.ask_as(Identity::anonymous(), "GET /api", Value::Null, &[]).await.code, 401);
}

#[tokio::test]
async fn errors_read_like_kubernetes() {
    let api = Api::start().await;
    api.ask("POST /api/v1/namespaces/default/pods", pod("p")).await;
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {}});
    let cases: Vec<(&str, Value, u16, &str)> = vec![
        ("GET /api/v1/namespaces/default/pods/x", Value::Null, 404, "pods \"x\" not found"),
        ("GET /apis/apps/v1/namespaces/default/deployments/x", Value::Null, 404, "deployments.apps \"x\" not found"),
        ("POST /api/v1/namespaces/default/pods", pod("p"), 409, "pods \"p\" already exists"),
        ("GET /api/v1/nothing", Value::Null, 404, "the server could not find the requested resource"),
        (
            "GET /api/v1/namespaces/default/pods/p/nothing",
            Value::Null,
            404,
            "the server could not find the requested resource",
        ),
        ("GET /api/v1/pods/p", Value::Null, 404, "the server could not find the requested resource"),
        ("POST /apis/apps/v1/namespaces/default/deployments", deployment, 422, "Deployment.apps \"d\" is invalid: "),
        (
            "POST /api/v1/namespaces/default/pods",
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}}),
            422,
            "metadata.name: Required value: name or generateName is required",
        ),
        (
            "POST /api/v1/namespaces/default/pods",
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}}),
            400,
            "the kind in the data (Service) does not match the expected kind (Pod)",
        ),
        (
            "POST /api/v1/namespaces/default/pods",
            json!({"apiVersion": "v2", "kind": "Pod", "metadata": {"name": "x"}}),
            400,
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (
            "POST /api/v1/namespaces/default/pods",
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "y"}}),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            "PUT /api/v1/namespaces/default/pods/p",
            pod("q"),
            400,
            "the name of the object (q) does not match the name on the URL (p)",
        ),
        ("POST /api/v1/namespaces/default/pods", json!("{"), 400, "the request body is no valid JSON"),
        ("GET /api/v1/pods?fieldSelector=spec.x%3D1", Value::Null, 400, "field label not supported: spec.x"),
        ("GET /api/v1/pods?labelSelector=a%3D%3D%3D", Value::Null, 400, "unable to parse requirement"),
        ("GET /api/v1/pods?limit=x", Value::Null, 400, "limit"),
        ("GET /api/v1/pods?continue=x", Value::Null, 400, "invalid continue token"),
        (
            "GET /api/v1/pods?resourceVersion=99999",
            Value::Null,
            504,
            "Timeout: Too large resource version: 99999, current: ",
        ),
        ("GET /api/v1/pods?resourceVersion=x", Value::Null, 400, "resourceVersion: Invalid value"),
        (
            "GET /api/v1/pods?watch=1&sendInitialEvents=true",
            Value::Null,
            422,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        ("PATCH /api/v1/bindings/x", json!({}), 404, "the server could not find the requested resource"),
        (
            "DELETE /api/v1/namespaces/default/bindings/x",
            Value::Null,
            405,
            "delete is not supported on resources of kind \"bindings\"",
        ),
        ("POST /api/v1/namespaces/default/pods?dryRun=Some", pod("x"), 400, "dryRun"),
        (
            "POST /api/v1/namespaces/default/configmaps?fieldValidation=Strict",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "dat": {}}),
            400,
            "strict decoding error: unknown field \"dat\"",
        ),
        (
            "POST /api/v1/namespaces/default/pods/p/exec",
            Value::Null,
            501,
            "exec of pods is not supported by this server yet",
        ),
        ("GET /api/v1/namespaces/default/pods/p/log", Value::Null, 400, "pod p does not have a host assigned"),
        (
            "DELETE /api/v1/namespaces/default/pods/p",
            json!({"preconditions": {"uid": "x"}}),
            409,
            "Precondition failed: UID in precondition: x",
        ),
        (
            "DELETE /api/v1/namespaces/default/pods/p",
            json!({"propagationPolicy": "x"}),
            422,
            "propagationPolicy: Unsupported value: \"x\"",
        ),
    ];
    for (line, body, code, message) in cases {
        let answer = api.ask(line, body).await;
        assert!(answer.code == code && answer.message().contains(message), "{line}: {answer:?}");
        assert_eq!(answer.body["kind"], "Status", "{line}");
    }
    let unknown = api.ask("GET /nowhere", Value::Null).await;
    assert_eq!((unknown.code, unknown.text.as_str()), (404, "404 page not found\n"));
    let protobuf = api
        .ask_with(
            "POST /api/v1/namespaces/default/pods",
            pod("x"),
            &[("content-type", "application/vnd.kubernetes.protobuf")],
        )
        .await;
    assert_eq!(protobuf.code, 415);
    let only =
        api.ask_with("GET /api/v1/pods", Value::Null, &[("accept", "application/vnd.kubernetes.protobuf")]).await;
    assert_eq!(only.code, 406);
    let apply = api
        .ask_with(
            "PATCH /api/v1/namespaces/default/pods/p",
            json!({}),
            &[("content-type", "application/apply-patch+yaml")],
        )
        .await;
    assert!(apply.code == 415 && apply.message().contains("server-side apply is not supported"));
}

#[tokio::test]
async fn forms_of_objects_and_lists() {
    let api = Api::start().await;
    api.ask("POST /api/v1/namespaces/default/pods", pod("p")).await;
    let table = api.ask_with("GET /api/v1/pods", Value::Null, &[TABLE]).await.body;
    assert_eq!(
        (table["kind"].as_str(), table["columnDefinitions"][1]["name"].as_str()),
        (Some("Table"), Some("Ready"))
    );
    assert_eq!(table["rows"][0]["cells"][0], "p");
    assert_eq!(table["rows"][0]["object"]["metadata"]["namespace"], "default");
    let whole = api.ask_with("GET /api/v1/pods?includeObject=Object", Value::Null, &[TABLE]).await.body;
    assert_eq!(whole["rows"][0]["object"]["kind"], "Pod");
    let partial = ("accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json");
    let list = api.ask_with("GET /api/v1/pods", Value::Null, &[partial]).await.body;
    assert_eq!(
        (list["kind"].as_str(), list["items"][0]["kind"].as_str()),
        (Some("PartialObjectMetadataList"), Some("PartialObjectMetadata"))
    );
    assert!(list["items"][0].get("spec").is_none());
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {a: b}\n";
    let made = api
        .ask_with("POST /api/v1/namespaces/default/configmaps", json!(yaml), &[("content-type", "application/yaml")])
        .await;
    assert_eq!((made.code, made.body["data"]["a"].as_str()), (201, Some("b")));
    let warned = api
        .ask(
            "POST /api/v1/namespaces/default/configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "w"}, "dat": 1}),
        )
        .await;
    assert_eq!(warned.headers["warning"], "299 - \"unknown field \\\"dat\\\"\"");
    let dry = api
        .ask(
            "POST /api/v1/namespaces/default/configmaps?dryRun=All",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dry"}}),
        )
        .await;
    assert_eq!(dry.code, 201);
    assert_eq!(api.ask("GET /api/v1/namespaces/default/configmaps/dry", Value::Null).await.code, 404);
    let named = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "g-"}});
    let made = api.ask("POST /api/v1/namespaces/default/configmaps", named).await.body;
    assert!(made["metadata"]["name"].as_str().unwrap().len() == 7);
}

async fn events(answer: Answer) -> Vec<Value> {
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn watches_end_mark_and_refuse() {
    let limits = Limits { bookmark_interval: std::time::Duration::from_millis(200), ..Limits::default() };
    let api = Api::with(Options { limits, ..Options::default() }).await;
    api.ask("POST /api/v1/namespaces/default/pods", pod("p")).await;
    let stream = "GET /api/v1/pods?watch=1&timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let all = events(api.ask(stream, Value::Null).await).await;
    assert_eq!(all[0]["type"], "ADDED");
    assert_eq!(all[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert!(all.len() > 3 && all[2..].iter().all(|event| event["type"] == "BOOKMARK"), "{all:?}");
    let table = events(api.ask_with("GET /api/v1/pods?watch=1&timeoutSeconds=1", Value::Null, &[TABLE]).await).await;
    assert_eq!(table[0]["object"]["rows"][0]["cells"][0], "p");
    let one =
        events(api.ask("GET /api/v1/namespaces/default/pods/p?watch=1&timeoutSeconds=1", Value::Null).await).await;
    assert_eq!(one.len(), 1);
}

#[tokio::test]
async fn status_scale_and_generation() {
    let api = Api::start().await;
    let container = json!([{"name": "c", "image": "i"}]);
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "status": {"replicas": 9},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": container}}}});
    let made = api.ask("POST /apis/apps/v1/namespaces/default/deployments", deployment).await.body;
    assert_eq!(
        (made["metadata"]["generation"].as_i64(), made["spec"]["replicas"].as_i64(), made["status"].get("replicas")),
        (Some(1), Some(1), None)
    );
    let path = "/apis/apps/v1/namespaces/default/deployments/d";
    let both = json!({"spec": {"replicas": 5}, "status": {"replicas": 2}});
    let status = api.ask(&format!("PATCH {path}/status"), both.clone()).await.body;
    assert_eq!((status["spec"]["replicas"].as_i64(), status["status"]["replicas"].as_i64()), (Some(1), Some(2)));
    assert_eq!(status["metadata"]["generation"], 1);
    let main =
        api.ask(&format!("PATCH {path}"), json!({"spec": {"replicas": 5}, "status": {"replicas": 7}})).await.body;
    assert_eq!((main["spec"]["replicas"].as_i64(), main["status"]["replicas"].as_i64()), (Some(5), Some(2)));
    assert_eq!(main["metadata"]["generation"], 2);
    let scale = api.ask(&format!("PATCH {path}/scale"), json!({"spec": {"replicas": 3}})).await.body;
    assert_eq!(
        (scale["kind"].as_str(), scale["spec"]["replicas"].as_i64(), scale["status"]["selector"].as_str()),
        (Some("Scale"), Some(3), Some("a=b"))
    );
    let put = api.ask(&format!("PUT {path}/scale"), json!({"metadata": {"name": "d"}, "spec": {"replicas": 1}})).await;
    assert_eq!((put.code, put.body["spec"]["replicas"].as_i64()), (200, Some(1)));
    assert_eq!(api.ask(&format!("PATCH {path}/scale"), json!({"spec": {"replicas": -1}})).await.code, 422);
    let selector = api.ask(&format!("PATCH {path}"), json!({"spec": {"selector": {"matchLabels": {"a": "c"}}}})).await;
    assert_eq!(selector.code, 422);
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "new"}]}}}});
    let strategic = api
        .ask_with(&format!("PATCH {path}"), image, &[("content-type", "application/strategic-merge-patch+json")])
        .await;
    assert_eq!(strategic.body["spec"]["template"]["spec"]["containers"][0]["image"], "new");
    assert_eq!(
        strategic.body["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "Always",
        "the defaults stay"
    );
}

#[tokio::test]
async fn a_replica_is_read_only() {
    let store = std::sync::Arc::new(edgeward_store::SqliteStore::in_memory().unwrap());
    let origin = Api::over(Options::default(), store.clone()).await;
    let options = Options { read_only: Some("the cloud is out of reach".into()), ..Options::default() };
    let replica = Api::over(options, store).await;
    let refused = replica.ask("POST /api/v1/namespaces/default/pods", pod("p")).await;
    assert_eq!((refused.code, refused.message()), (503, "this API is read-only: the cloud is out of reach"));
    origin.ask("POST /api/v1/namespaces/default/pods", pod("p")).await;
    assert_eq!(replica.ask("GET /api/v1/namespaces/default/pods/p", Value::Null).await.code, 200);
    let review = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    assert_eq!(
        replica.ask("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review).await.body["status"]["allowed"],
        true
    );
}

#[tokio::test]
async fn too_much_at_once_is_429() {
    let limits = Limits { requests_in_flight: 0, watches_per_identity: 0, body_bytes: 100, ..Limits::default() };
    let api = Api::with(Options { limits, ..Options::default() }).await;
    let own = api.ask("GET /api/v1/pods", Value::Null).await;
    assert_eq!(own.code, 200, "the platform's own controllers are never crowded out");
    let system = Identity::service_account("kube-system", "x", "");
    let busy = api.ask_as(system, "GET /api/v1/pods", Value::Null, &[]).await;
    assert_eq!((busy.code, busy.headers["retry-after"].to_str().unwrap()), (429, "1"));
    assert_eq!(api.ask("GET /api/v1/pods?watch=1", Value::Null).await.code, 429);
    let limits = Limits { body_bytes: 100, ..Limits::default() };
    let api = Api::with(Options { limits, ..Options::default() }).await;
    let large = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x".repeat(200)}});
    assert_eq!(api.ask("POST /api/v1/namespaces/default/configmaps", large).await.code, 413);
}
